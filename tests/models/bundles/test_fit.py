"""A bundle decides, learns and is judged only where its scores mean what the journey file asks."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from models.bundles.bundle import Bundle, load_bundle
from models.bundles.prior import prior_bundle
from models.bundles.scorer import BundleScorer
from models.learning.scorers import scorer_now, scorer_then
from models.learning.versions import first_state
from nba.customer.context import ContextSchema
from nba.errors import InvalidBundle
from nba.journey.actions import ActionReward
from nba.journey.file import JourneyFile
from nba.journey.goals import RewardRule
from nba.rewards.attribution import Attribution
from nba.rewards.terms import score_definition
from nba.stores.memory.log import MemoryLog
from tests.fixtures.learning_bank import EXPLORING, Bank, promote, teachable
from tests.fixtures.small_replica import FOLD, changed
from tests.models.bundles.test_bundle import made

VALUE = RewardRule(target="value", window_days=7.0, events=["purchase"])


def asked(bundle: Bundle, journey: JourneyFile) -> Bundle:
    """The bundle as training on this journey file writes it."""
    manifest = msgspec.structs.replace(bundle.manifest, asked=score_definition(journey))
    return Bundle(manifest, bundle.churn, bundle.touchpoint, bundle.table, bundle.warm)


def on(journey: JourneyFile) -> ContextSchema:
    return ContextSchema(journey, FOLD.schema.table)


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return made()


def rewarded(journey: JourneyFile, **fields: Any) -> JourneyFile:
    return changed(journey, reward=msgspec.structs.replace(journey.reward, **fields))


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"target": "value", "events": ["purchase"]}, "reward.target"),
        ({"window_days": 14.0}, "reward.window_days"),
        ({"default": 0.5}, "reward.default"),
        ({"credit": "last"}, "reward.credit"),
        ({"carry": 0.5}, "reward.carry"),
    ],
)
def test_whatever_changes_the_reward_keeps_the_bundle_out(
    bundle: Bundle, fields: dict[str, Any], named: str
) -> None:
    journey = FOLD.schema.journey
    trained = asked(bundle, journey)
    BundleScorer(trained, on(journey))
    with pytest.raises(InvalidBundle, match=f"{named}.*train and promote again"):
        BundleScorer(trained, on(rewarded(journey, **fields)))


def test_what_no_score_is_about_keeps_no_bundle_out(bundle: Bundle) -> None:
    journey = FOLD.schema.journey
    trained = asked(bundle, journey)
    BundleScorer(trained, on(rewarded(journey, annoyance=True)))
    churn = msgspec.structs.replace(journey.churn, every_days=3.0)
    BundleScorer(trained, on(changed(journey, churn=churn)))
    first, *others = journey.actions
    new = msgspec.structs.replace(first, id="brand_new", reward=ActionReward(window_days=3.0))
    BundleScorer(trained, on(changed(journey, actions=[*journey.actions, new])))
    own = msgspec.structs.replace(first, reward=ActionReward(window_days=3.0))
    with pytest.raises(InvalidBundle, match=rf"actions\.{first.id}\.reward"):
        BundleScorer(trained, on(changed(journey, actions=[own, *others])))


def test_another_churn_is_another_risk(bundle: Bundle) -> None:
    journey = FOLD.schema.journey
    longer = changed(journey, churn=msgspec.structs.replace(journey.churn, horizon_days=90.0))
    for each in (bundle, asked(bundle, journey)):
        with pytest.raises(InvalidBundle, match=r"churn\.horizon_days"):
            BundleScorer(each, on(longer))


def test_a_bundle_from_before_is_judged_by_its_target_and_its_warm_start(bundle: Bundle) -> None:
    assert (
        bundle.manifest.asked is msgspec.UNSET and b"asked" not in bundle.files()["manifest.json"]
    )
    journey = EXPLORING
    BundleScorer(bundle, on(rewarded(journey, window_days=14.0)))  # it does not say
    value = changed(journey, reward=VALUE)
    with pytest.raises(InvalidBundle, match="reward.target response, the journey file says value"):
        BundleScorer(bundle, on(value))
    warm = teachable(bundle)
    BundleScorer(warm, on(journey))
    with pytest.raises(InvalidBundle, match="trained with reward reward-"):
        BundleScorer(warm, on(rewarded(journey, window_days=14.0)))


def test_what_was_asked_is_in_the_manifest_and_in_the_id(bundle: Bundle) -> None:
    trained = asked(bundle, FOLD.schema.journey)
    again = load_bundle(trained.files())
    assert again.manifest == trained.manifest and again.bundle_id == trained.bundle_id
    assert trained.bundle_id != bundle.bundle_id
    assert again.manifest.asked == {
        **score_definition(FOLD.schema.journey),
        "reward.target": '"response"',
    }


def test_decisions_of_before_are_repeated_by_the_bundle_that_made_them(bundle: Bundle) -> None:
    value = on(changed(EXPLORING, reward=VALUE))
    with pytest.raises(InvalidBundle):
        scorer_now(bundle, None, value)
    assert scorer_then(MemoryLog(), bundle, None, value).base.bundle_id == bundle.bundle_id


def test_what_was_learned_by_another_rule_takes_no_part(bundle: Bundle) -> None:
    log, trained = MemoryLog(), teachable(bundle)
    state = first_state(log, trained, Attribution(EXPLORING, FOLD.encoder.kind))
    assert state is not None
    schema = on(EXPLORING)
    assert scorer_now(trained, state, schema).residual.version == state.version  # type: ignore[union-attr]
    other = type(state)(
        msgspec.structs.replace(state.head, reward_version="reward-of-another"), state.sums
    )
    residual = scorer_now(trained, other, schema).residual
    assert residual is not None and residual.version == trained.warm.version  # type: ignore[union-attr]


def test_a_replica_on_another_target_goes_by_the_guesses_and_says_why(bundle: Bundle) -> None:
    log = MemoryLog()
    promote(log, asked(bundle, EXPLORING))
    fits = Bank(log).replica().engine.pipeline
    assert fits.scorer is not None
    replica = Bank(log, changed(EXPLORING, reward=VALUE)).replica()
    prior = prior_bundle(replica.engine.fold.schema)
    for deciding in (replica.engine.pipeline.scorer, replica.engine.bundle):
        assert deciding is not None and deciding.bundle_id == prior.bundle_id
    assert 'trained with reward.target "response"' in replica.misfit
