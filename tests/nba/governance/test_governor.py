"""The governor: one customer and many, the same rules; and what a decision logged replays it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, strategies as st

from features.fold import Fold
from models.policies.epsilon_greedy import EpsilonGreedy
from models.policies.from_journey import strategy_of
from nba.customer.context import Context, contacts_from
from nba.decisions.candidate import Stage
from nba.decisions.decision import Decision, decision_from_json
from nba.decisions.request import Request
from nba.engine.pipeline import Pipeline, make_pipeline
from nba.engine.policy import ExplorationPolicy
from nba.engine.scorer import CalibratedScorer, Scorer
from nba.governance.rule_inputs import FEW
from nba.journey.file import JourneyFile
from tests.fixtures.examples import examples
from tests.fixtures.random_catalogues import (
    SCORES,
    RiskScorer,
    catalogues,
    contexts_of,
    histories,
    requests,
)
from tests.fixtures.small_replica import NOON

SLOW = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example]


def pipeline_of(journey: JourneyFile, scorer: Scorer | None) -> Pipeline:
    strategy = strategy_of(journey, None if scorer is None else CalibratedScorer(scorer))
    policy = ExplorationPolicy(EpsilonGreedy(0.5))
    return make_pipeline(Fold(journey).schema, strategy._replace(exploration_policy=policy))


def run(
    pipeline: Pipeline, asked: list[Request], contexts: list[Context], first: int, used: Any
) -> list[Decision]:
    """Decisions whose ids and seeds follow from their number."""
    ids, seeds = iter(range(first, 999)), iter(range(first, 999))
    return pipeline.run(
        asked, contexts, new_id=lambda: f"d{next(ids)}", new_seed=lambda: next(seeds), used=used
    )


@st.composite
def crowds(draw: st.DrawFn) -> tuple[list[Any], list[Request]]:
    """More customers than are read by name, each with a history and a question."""
    names = [f"c{n}" for n in range(FEW + 1 + draw(st.integers(0, 2)))]
    events = [event for name in names for event in draw(histories(name, most=6))]
    return events, [draw(requests(name)) for name in names]


@examples(60, suppress_health_check=SLOW)
@given(catalogues(), crowds(), st.booleans(), st.sampled_from([0.0, 2.0]))
def test_governing_many_at_once_is_governing_each(
    journey: JourneyFile, crowd: tuple[list[Any], list[Request]], live: bool, taken: float
) -> None:
    events, asked = crowd
    pipeline = pipeline_of(journey, RiskScorer(SCORES) if live else None)
    contexts = contexts_of(Fold(journey), events, [one.customer_id for one in asked])
    used = dict.fromkeys(pipeline.governor.periods(NOON), taken)
    at_once = run(pipeline, asked, contexts, 0, used)
    for n, (request, context) in enumerate(zip(asked, contexts, strict=True)):
        [alone] = run(pipeline, [request], [context], n, used)
        assert at_once[n].to_json() == alone.to_json()


@examples(100, suppress_health_check=SLOW)
@given(catalogues(), histories(most=12), requests(), st.booleans())
def test_every_action_is_a_candidate_or_refused_once_by_a_rule_with_a_name(
    journey: JourneyFile, events: list[Any], request: Request, live: bool
) -> None:
    pipeline = pipeline_of(journey, RiskScorer(SCORES) if live else None)
    [decision] = run(pipeline, [request], contexts_of(Fold(journey), events, ["ada"]), 0, {})
    names = [one.action_id for one in (*decision.candidates, *decision.refused)]
    assert sorted(names) == sorted([*(action.id for action in journey.actions), "no_action"])
    assert all(one.code and one.rule and one.detail for one in decision.refused)
    assert sum(candidate.propensity for candidate in decision.candidates) == pytest.approx(1.0)
    stages = [list(Stage).index(one.stage) for one in decision.refused]
    assert stages == sorted(stages)


@examples(100, suppress_health_check=SLOW)
@given(catalogues(), histories(most=12), requests(), st.booleans(), st.sampled_from([0.0, 2.0]))
def test_a_decision_replays_byte_for_byte_from_what_it_logged(
    journey: JourneyFile, events: list[Any], request: Request, live: bool, taken: float
) -> None:
    pipeline = pipeline_of(journey, RiskScorer(SCORES) if live else None)
    used = dict.fromkeys(pipeline.governor.periods(NOON), taken)
    [decision] = run(pipeline, [request], contexts_of(Fold(journey), events, ["ada"]), 7, used)
    logged = decision_from_json(decision.to_json())
    context = Context(
        customer_id=logged.request.customer_id,
        as_of=logged.decided_at,
        seq=logged.context_seq,
        known=logged.known_customer,
        values=np.frombuffer(logged.context, dtype="<f8"),
        contacts=contacts_from(logged.contacts),
        nodes=logged.nodes,
        contact_history=logged.contact_history,
    )
    pipeline = pipeline_of(journey, RiskScorer(SCORES) if live else None)
    [again] = pipeline.run(
        [logged.request],
        [context],
        new_id=lambda: logged.decision_id,
        new_seed=lambda: logged.seed,
        used=pipeline.governor.by_period(logged.used, logged.decided_at),
    )
    assert again.to_json() == decision.to_json()
    assert logged.decided_at == NOON
