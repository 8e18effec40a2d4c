"""Arbitration: what a candidate is worth, factor by factor, and the draw."""

from __future__ import annotations

import math
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, strategies as st

from features.fold import Fold
from models.policies.epsilon_greedy import EpsilonGreedy
from nba.decisions.candidate import Candidate
from nba.decisions.decision import Decision
from nba.decisions.request import Request
from nba.engine.arbitration import Arbitration, ArbitrationInputs, Priorities
from nba.engine.policy import NO_ACTION_CODE, choose
from nba.engine.scorer import CandidateScores
from nba.governance.candidate_set import Variants
from nba.governance.rule_inputs import rule_names
from nba.journey.arbitration import ArbitrationRules, Lever, Weight
from nba.journey.file import JourneyFile
from tests.fixtures.examples import examples
from tests.fixtures.random_catalogues import OPEN, OPEN_ACTIONS, SCORES, RiskScorer, governed
from tests.fixtures.small_replica import JOURNEY, NOON, SmallReplica, changed, event

EUR = st.floats(-500, 500)
FACTORS = ["p_accept", "context_weight", "value", "lever", "cost", "annoyance", "retention"]


def arbitration(journey: JourneyFile) -> Arbitration:
    schema = Fold(journey).schema
    return Arbitration(journey, schema, Variants(journey), rule_names(journey))


def inputs(**fields: Any) -> ArbitrationInputs:
    plain = ArbitrationInputs(np.ones(5), {}, contacts=0.0, churn_risk=None, today=NOON.date())
    return plain._replace(**fields)


def worth(one: Priorities, at: int) -> float:
    """The formula, from the factors that are logged."""
    return float(
        one.p_accept[at] * one.context_weight[at] * (one.value_eur[at] + one.retention_eur[at])
        * one.lever[at] - one.cost_eur[at] - one.annoyance_eur[at]
    )  # fmt: skip


@st.composite
def situations(draw: st.DrawFn) -> tuple[JourneyFile, ArbitrationInputs, list[float]]:
    size = st.floats(0, 100)
    actions = [
        msgspec.structs.replace(
            one, value_eur=draw(EUR), cost_eur=draw(size), keeps=draw(st.floats(0, 1))
        )
        for one in OPEN_ACTIONS
    ]
    journey = governed(
        actions=actions,
        levers=[
            Lever(id="now", factor=draw(st.floats(0.2, 5)), ends="2026-03-01", group="sales"),
            Lever(id="over", factor=3.0, ends="2026-02-28"),
            Lever(id="later", factor=3.0, begins="2026-03-02", ends="2026-03-31"),
            Lever(id="web", factor=draw(st.floats(0.2, 5)), ends="2030-01-01", channel="web"),
        ],
        arbitration=ArbitrationRules(
            without=draw(st.lists(st.sampled_from(FACTORS), unique=True)),
            annoyance_eur=draw(size),
            customer_value_eur=draw(size),
        ),
    )
    now = inputs(
        weight=np.array([*draw(st.lists(st.floats(0, 10), min_size=4, max_size=4)), 1.0]),
        contacts=draw(st.floats(0, 20)),
        churn_risk=draw(st.none() | st.floats(0, 1)),
    )
    return journey, now, draw(st.lists(st.floats(0, 1), min_size=4, max_size=4))


@examples(200)
@given(situations())
def test_a_priority_is_the_formula_of_its_factors(
    situation: tuple[JourneyFile, ArbitrationInputs, list[float]],
) -> None:
    journey, now, scores = situation
    off = set(journey.arbitration.without)
    found = arbitration(journey).priorities(
        range(4), CandidateScores(np.array(scores)), now, learned_value=False
    )
    assert found.codes.tolist() == [0, 1, 2, 3, NO_ACTION_CODE]
    sales, web = journey.levers[0].factor, journey.levers[3].factor
    rules = journey.arbitration
    for at, action in enumerate(journey.actions):
        assert found.priority[at] == pytest.approx(worth(found, at), abs=1e-9)
        lever = (sales if action.group == "sales" else 1.0) * (
            web if action.channel == "web" else 1
        )
        risk = 0.0 if now.churn_risk is None else now.churn_risk
        tiring = now.contacts * rules.annoyance_eur * (action.type != "transactional")
        expected = {
            "p_accept": (found.p_accept, scores[at], 1.0),
            "context_weight": (found.context_weight, now.weight[at], 1.0),
            "value": (found.value_eur, action.value_eur, 1.0),
            "retention": (found.retention_eur, risk * rules.customer_value_eur * action.keeps, 0.0),
            "lever": (found.lever, lever, 1.0),
            "cost": (found.cost_eur, action.cost_eur, 0.0),
            "annoyance": (found.annoyance_eur, tiring, 0.0),
        }
        for name, (column, value, neutral) in expected.items():
            assert column[at] == pytest.approx(neutral if name in off else value), name
    assert found.priority[-1] == found.value_eur[-1] == journey.no_action_value_eur
    assert math.isnan(found.p_accept[-1]) and found.cost_eur[-1] == found.annoyance_eur[-1] == 0.0


NEUTRAL: dict[str, Any] = {
    "context_weight": {"weights": []},
    "lever": {"levers": []},
    "cost": {"actions": [msgspec.structs.replace(one, cost_eur=0.0) for one in OPEN_ACTIONS]},
    "value": {"actions": [msgspec.structs.replace(one, value_eur=1.0) for one in OPEN_ACTIONS]},
    "retention": {"actions": [msgspec.structs.replace(one, keeps=0.0) for one in OPEN_ACTIONS]},
    "annoyance": {"arbitration": ArbitrationRules(customer_value_eur=100.0)},
}
FULL = ArbitrationRules(annoyance_eur=0.5, customer_value_eur=100.0)
FULL_PARTS: dict[str, Any] = {
    "weights": [Weight(id="new", when="traits.tenure_months is None", factor=1.5, group="sales")],
    "levers": [Lever(id="push", factor=2.0, ends="2026-12-31", channel="web")],
    "arbitration": FULL,
}


def decide(journey: JourneyFile) -> Decision:
    replica = SmallReplica(journey, scorer=RiskScorer(SCORES), policy=EpsilonGreedy(0.3))
    contact = {"action_id": "card_offer", "channel": "app"}
    replica.log.append_events([event("Action Decided", NOON, contact)])
    [decision] = replica.decide(Request(customer_id="ada"))
    return decision


@pytest.mark.parametrize("factor", sorted(NEUTRAL))
def test_switching_a_factor_off_is_neutralising_it(factor: str) -> None:
    rules = msgspec.structs.replace(FULL, without=[factor])
    off = decide(governed(**(FULL_PARTS | {"arbitration": rules})))
    neutral = decide(governed(**(FULL_PARTS | NEUTRAL[factor])))
    full = decide(governed(**FULL_PARTS))

    def numbers(decision: Decision) -> list[Candidate]:
        return [msgspec.structs.replace(candidate, because=()) for candidate in decision.candidates]

    assert numbers(off) == numbers(neutral) != numbers(full)
    assert off.action_id == neutral.action_id


def test_without_p_accept_all_are_taken_to_say_yes() -> None:
    found = decide(governed(arbitration=ArbitrationRules(without=["p_accept"]))).candidates
    assert {one.p_accept for one in found} == {None, 1.0}


def test_a_candidate_names_the_weights_levers_and_steps_in_its_factors() -> None:
    because = {
        candidate.action_id: candidate.because
        for candidate in decide(governed(**FULL_PARTS)).candidates
    }
    assert because == {
        "help_popup": ("push",), "card_offer": ("new",), "agent_callback": (),
        "loan_offer": ("new", "push"), "no_action": (),
    }  # fmt: skip


@given(EUR, EUR)
@examples(50)
def test_a_learned_value_takes_the_place_of_p_accept_and_value(call: float, quiet: float) -> None:
    code = [action.id for action in JOURNEY.actions].index("agent_callback")
    found = arbitration(JOURNEY).priorities(
        [code], CandidateScores(np.array([call, quiet])), inputs(), learned_value=True
    )
    assert found.priority.tolist() == pytest.approx(
        [1.2 * call - 8, quiet + JOURNEY.no_action_value_eur]
    )
    assert found.value_eur.tolist() == [call, quiet + JOURNEY.no_action_value_eur]
    assert np.isnan(found.p_accept).all()


def test_without_candidates_no_action_stands_alone() -> None:
    found = arbitration(OPEN).priorities(
        [], CandidateScores(np.empty(0)), inputs(), learned_value=False
    )
    assert found.codes.tolist() == [NO_ACTION_CODE] and found.priority.tolist() == [0.1]


def test_a_journey_without_actions_can_be_arbitrated() -> None:
    alone = changed(
        actions=[], fallback=[], levers=[], no_action_value_eur=2.0,
        contact_policy=msgspec.convert({}, type(JOURNEY.contact_policy)),
    )  # fmt: skip
    empty = inputs(weight=np.ones(1))
    found = arbitration(alone).priorities(
        [], CandidateScores(np.empty(0)), empty, learned_value=False
    )
    assert found.priority.tolist() == [2.0]


class LastMoment(np.random.Generator):
    """Draws one fixed number."""

    def __init__(self, number: float) -> None:
        super().__init__(np.random.PCG64(0))
        self.number = number

    def random(self) -> float:  # type: ignore[override]
        return self.number


@given(
    st.lists(st.sampled_from([0.0, 0.0, 0.1, 0.25, 1.0]), min_size=1, max_size=6).filter(any),
    st.floats(0, 1, exclude_max=True),
)
@examples(300)
def test_what_has_probability_0_is_never_drawn(weights: list[float], number: float) -> None:
    probabilities = np.array(weights) / np.sum(weights)
    assert probabilities[choose(probabilities, LastMoment(number)).at] > 0.0


@pytest.mark.parametrize(
    ("number", "index"), [(0.0, 1), (0.24, 1), (0.25, 3), (0.9999999999999999, 3)]
)
def test_the_draw_inverts_the_cumulated_probabilities(number: float, index: int) -> None:
    assert choose(np.array([0.0, 0.25, 0.0, 0.75, 0.0]), LastMoment(number)).at == index
