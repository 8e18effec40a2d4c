"""The bundle of guesses: what it holds, and of what in the journey file its id is made."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import numpy as np
import pytest

from models.bundles.bundle import MANIFEST, Bundle, load_bundle
from models.bundles.prior import MISSING, POOLED, SPREAD, guesses, prior_bundle, prior_warm_start
from models.bundles.scorer import BundleScorer
from nba.customer.context import ContextSchema
from nba.engine.policy import NO_ACTION_CODE
from nba.errors import InvalidBundle
from nba.events.valences import ValenceTable
from nba.journey.actions import NO_ACTION, ActionReward
from nba.journey.exploration import Exploration
from nba.journey.file import JourneyFile
from nba.journey.goals import Bounds, RewardRule
from nba.rewards.attribution import Attribution
from nba.rewards.bounds import bounded
from tests.fixtures.small_replica import FOLD, JOURNEY, SmallReplica, changed

VALUE = RewardRule(target="value", window_days=2.0, events=["purchase"])
GUESSED = {"help_popup": 0.5, "card_offer": 0.1}  # of four actions


def with_actions(journey: JourneyFile = JOURNEY, **fields: dict[str, Any]) -> JourneyFile:
    """The journey with other fields of its actions: field -> action -> value."""
    return changed(
        journey,
        actions=[
            msgspec.structs.replace(
                action,
                **{name: of[action.id] for name, of in fields.items() if action.id in of},
            )
            for action in journey.actions
        ],
    )


def made(journey: JourneyFile = JOURNEY) -> Bundle:
    return prior_bundle(ContextSchema(journey))


def scores(journey: JourneyFile) -> list[float]:
    """Of the journey's actions, then of silence."""
    return list(guesses(ContextSchema(journey)).scores)


def test_what_is_loaded_is_the_bundle_that_was_written() -> None:
    bundle = made(with_actions(p_accept=GUESSED))
    back = load_bundle(bundle.files())
    assert back.bundle_id == bundle.bundle_id
    assert back.files() == bundle.files()
    assert back.manifest == bundle.manifest and back.churn is None
    assert back.manifest.missing == MISSING
    assert back.manifest.actions == (*(action.id for action in JOURNEY.actions), NO_ACTION)
    assert back.table == ValenceTable() and back.warm is not None


@pytest.mark.parametrize("file", ["touchpoint.guesses.json", "residual.bin", MANIFEST])
@pytest.mark.parametrize("how", ["absent", "altered"])
def test_a_file_that_is_absent_or_altered_is_refused(file: str, how: str) -> None:
    files = made().files()
    content = files.pop(file)
    if how == "altered":
        files[file] = content[:-1] + b" "
    with pytest.raises(InvalidBundle, match=file):
        load_bundle(files)


@pytest.mark.parametrize(
    "change",
    [
        lambda journey: changed(journey, name="another_bank"),
        lambda journey: changed(journey, no_action_value_eur=3.0),
        lambda journey: changed(journey, fallback=["card_offer"]),
        lambda journey: changed(journey, exploration=Exploration(policy="random", epsilon=0.2)),
        lambda journey: changed(journey, levers=[]),
        lambda journey: with_actions(journey, cost_eur={"help_popup": 2.0}),
        lambda journey: with_actions(journey, eligible={"help_popup": None}),
    ],
    ids=["name", "silence", "fallback", "exploration", "levers", "costs", "rules"],
)
def test_other_changes_of_the_journey_file_leave_what_was_learned_on_it(
    change: Callable[[JourneyFile], JourneyFile],
) -> None:
    journey = with_actions(p_accept=GUESSED)
    assert made(change(journey)).bundle_id == made(journey).bundle_id


@pytest.mark.parametrize(
    "change",
    [
        lambda journey: with_actions(journey, p_accept={"help_popup": 0.4}),
        lambda journey: with_actions(journey, p_accept={"loan_offer": 0.2}),
        lambda journey: changed(journey, actions=journey.actions[:-1]),
        lambda journey: changed(journey, reward=RewardRule(window_days=2.0)),
        lambda journey: changed(journey, reward=VALUE),
    ],
    ids=["a guess", "a new guess", "an action", "the window", "the target"],
)
def test_another_guess_or_another_question_is_another_bundle(
    change: Callable[[JourneyFile], JourneyFile],
) -> None:
    journey = with_actions(p_accept=GUESSED)
    assert made(change(journey)).bundle_id != made(journey).bundle_id


def test_a_guess_that_is_left_out_leaves_the_file_as_it_was() -> None:
    """A file from before the field has the hash that it had."""
    assert b"p_accept" not in msgspec.json.encode(JOURNEY)
    assert with_actions(p_accept=GUESSED).catalogue_version() != JOURNEY.catalogue_version()


def test_actions_without_a_guess_have_the_mean_of_the_others() -> None:
    assert scores(with_actions(p_accept=GUESSED)) == pytest.approx([0.5, 0.1, 0.3, 0.3, 0.0])


def test_where_nothing_is_guessed_all_actions_are_alike() -> None:
    assert scores(JOURNEY) == [POOLED] * 4 + [0.0]


def test_a_guess_of_nought_is_a_guess() -> None:
    assert scores(with_actions(p_accept={"help_popup": 0.0})) == [0.0] * 5


def test_values_are_guessed_as_what_a_response_is_worth_and_what_silence_is() -> None:
    """p x worth + (1 - p) x default, by each action's own terms where it has them."""
    reward = msgspec.structs.replace(VALUE, default=-0.5)
    own = {"card_offer": ActionReward(worth=7.0, default=1.0)}
    journey = with_actions(changed(reward=reward), p_accept=GUESSED, reward=own)
    assert scores(journey) == pytest.approx(
        [
            0.5 * 5.0 + 0.5 * -0.5,
            0.1 * 7.0 + 0.9 * 1.0,
            0.3 * 60.0 + 0.7 * -0.5,
            0.3 * 120.0 + 0.7 * -0.5,
            -0.5,
        ]
    )
    assert not guesses(ContextSchema(journey)).is_probability
    assert BundleScorer(made(journey), ContextSchema(journey)).learns_value


def test_learning_begins_with_a_guess_that_may_be_off_by_its_spread() -> None:
    warm = prior_warm_start(with_actions(p_accept=GUESSED))
    assert warm.prior.intercept == SPREAD
    assert (warm.sums.spec.target, warm.sums.spec.size) == ("probability", 1)
    value = prior_warm_start(with_actions(changed(reward=VALUE), p_accept=GUESSED))
    of_one = (0.3 * 0.7) ** 0.5  # of one response, pooled
    assert value.sums.spec.target == "value"
    assert value.prior.intercept == pytest.approx(SPREAD / of_one)
    assert value.sums.spec.variance_eur2 == pytest.approx((120.0 * of_one) ** 2)


def test_it_scores_every_context_alike_and_knows_nobodys_risk() -> None:
    journey = with_actions(p_accept=GUESSED)
    schema = ContextSchema(journey)
    replica = SmallReplica(journey)
    contexts = replica.contexts.of(["ada", "bob"], replica.now)
    scorer = BundleScorer(load_bundle(made(journey).files()), schema)
    assert not scorer.knows_churn and not scorer.learns_value
    found = scorer.touchpoint(contexts, [[0, 1, 2, 3], [1]])
    assert found == pytest.approx([0.5, 0.1, 0.3, 0.3, 0.1])
    (reasons,) = scorer.touchpoint_reasons(contexts[:1], [0])
    assert [reason.text for reason in reasons] == ["action is help_popup, which raises p_accept"]
    assert sum(reason.contribution for reason in reasons) == pytest.approx(0.5 - 0.3)


def test_in_eur_nobody_being_contacted_has_a_score_too() -> None:
    journey = changed(reward=msgspec.structs.replace(VALUE, default=-0.5))
    replica = SmallReplica(journey)
    contexts = replica.contexts.of(["ada"], replica.now)
    scorer = BundleScorer(made(journey), ContextSchema(journey))
    assert np.asarray(scorer.touchpoint(contexts, [[NO_ACTION_CODE]])).tolist() == [-0.5]


def test_a_bundle_without_scores_of_actions_is_refused() -> None:
    bundle = made()
    manifest = msgspec.structs.replace(bundle.manifest, touchpoint=None, missing={})
    with pytest.raises(InvalidBundle, match="incomplete: touchpoint: not in the bundle"):
        BundleScorer(Bundle(manifest, None, None), ContextSchema(JOURNEY))


def test_rewards_in_eur_are_bounded_before_anything_was_learned_of_them() -> None:
    journey = with_actions(changed(reward=VALUE), value_eur={"help_popup": 120.0})
    bundle = made(journey)
    assert bundle.reward_bounds == Bounds(low=-2_400.0, high=2_400.0)
    rule = Attribution(bounded(journey, bundle.reward_bounds), FOLD.encoder.kind)
    assert bundle.warm is not None and bundle.warm.reward_version == rule.version
    owners = msgspec.structs.replace(VALUE, bounds=Bounds(low=0.0, high=5.0))
    assert made(changed(reward=owners)).reward_bounds is None
    assert made().reward_bounds is None
