"""What would be served: a bundle with what it has learned, decided by the engine itself.

A bundle never serves by its batch model alone: its residual begins with a warm start, and the
champion's goes on with what was learned online. Both are judged as they would have stood when the
judged period began, by rewards that were settled then, so that neither has seen what it is judged
on, and neither knows more than the other.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import NamedTuple

import numpy as np

from models.bundles.bundle import Bundle
from models.bundles.scorer import BundleScorer
from models.learning.versions import policy_state
from models.policies.from_journey import strategy_of
from models.predictors.predictor import finite_predictions
from models.predictors.with_terms import WithTerms
from models.residual.correction import OnlineResidual, residual_of_version, residual_of_warm_start
from models.residual.version import PolicyState
from nba.customer.context import Context, ContextSchema
from nba.decisions.decision import Decision
from nba.engine.arbitration import ArbitrationInputs
from nba.engine.pipeline import Pipeline, make_pipeline
from nba.engine.policy import NO_ACTION_CODE, Floats
from nba.engine.redecision import redecided
from nba.engine.scorer import CalibratedScorer, CandidateScores
from nba.errors import InvalidInput, NbaError, StoreUnavailable
from nba.events.event import micros
from nba.journey.actions import NO_ACTION
from nba.journey.sub_journeys import SubJourney
from nba.stores.log import Log
from training.data.history import History
from training.data.target_policies import drawn_rows
from training.data.training_sets import PastDecisions
from training.fitting.warm_start import learned_by
from training.rehearsal.contexts import LoggedContexts

PAGE = 2_000  # decisions that are read and decided again at a time
Chances = dict[str, float]  # by action id


class ServedBundle(NamedTuple):
    """A bundle with the residual of one moment, and the pipeline that it decides in."""

    bundle: Bundle
    residual: OnlineResidual | None
    pipeline: Pipeline

    def corrected(
        self, schema: ContextSchema, rows: Floats, codes: np.ndarray, scores: Floats
    ) -> CandidateScores:
        """The bundle's (n,) scores as they are served; `rows` (n, n_columns) are what it read,
        `codes` (n,) action codes."""
        if self.residual is None or not len(scores):
            return CandidateScores(scores)
        contexts = [_bare(row[: len(schema.columns)]) for row in rows]
        each, whole = [[code] for code in codes.tolist()], self.bundle.touchpoint
        terms = whole.terms.predict(rows) if isinstance(whole, WithTerms) else np.zeros(len(rows))
        mean, spread = self.residual.correct(contexts, each, scores - terms)
        return CandidateScores(mean + terms, spread, scores)


def served_bundle(
    history: History,
    decided: PastDecisions,
    bundle: Bundle,
    until_s: float,
    *,
    online: Log | None = None,
    earlier: Sequence[SubJourney] = (),
) -> ServedBundle:
    """The bundle as it would stand at `until_s`; `online`: the log, of the champion that learns.

    Raises InvalidBundle where the bundle cannot serve, StoreUnavailable.
    """
    schema = history.fold.schema
    residual = residual_at(history, decided, bundle, until_s, schema, online=online)
    scorer = CalibratedScorer(BundleScorer(bundle, schema, reasons=False), residual)
    pipeline = make_pipeline(schema, strategy_of(schema.journey, scorer), earlier)
    return ServedBundle(bundle, residual, pipeline)


def residual_at(
    history: History,
    decided: PastDecisions,
    bundle: Bundle,
    until_s: float,
    schema: ContextSchema,
    *,
    online: Log | None = None,
) -> OnlineResidual | None:
    """What the bundle had learned at `until_s`, as `served_bundle`, on the columns of a schema."""
    state = None if online is None else learned_online(online, bundle)
    if state is not None and state.head.learned_to.end_s <= until_s:  # paused, or put back
        return residual_of_version(state, schema, bundle.manifest.actions)
    since_s = -np.inf if online is None or state is None else _begun_s(online, state)
    learned = learned_by(history, decided, bundle, until_s, since_s=since_s)
    if learned is None:
        return None
    return residual_of_warm_start(learned, schema, bundle.manifest.actions)


def learned_online(log: Log, bundle: Bundle) -> PolicyState | None:
    """What serves on top of the bundle now, None where that cannot be read: nothing serves then."""
    try:
        state = policy_state(log)
    except StoreUnavailable:
        raise
    except NbaError:
        return None
    serves = state is not None and state.head.bundle_id == bundle.bundle_id
    return state if serves else None


def _begun_s(log: Log, state: PolicyState) -> float:
    """When what was learned before was dropped, seconds since 1970 UTC."""
    begin = state.head.learned_to.begin
    events = log.page_events(begin - 1, 1) if begin > 0 else []
    return micros(events[0].received_at) / 1e6 if events else -np.inf


def own_chances(
    history: History,
    log: Log,
    decision_ids: Sequence[str],
    policies: Sequence[ServedBundle],
) -> list[dict[str, Chances]]:
    """By policy and decision id: what each would have drawn, decided again on what was known.

    A decision is left out where its request cannot be asked of the journey file in force. Raises
    StoreUnavailable.
    """
    contexts = LoggedContexts(history.fold, log)
    found: list[dict[str, Chances]] = [{} for _ in policies]
    for begin in range(0, len(decision_ids), PAGE):
        page = log.decisions(list(decision_ids[begin : begin + PAGE]))
        decisions = [each for each in page.values() if _answers(policies[0].pipeline, each)]
        read = contexts.of(decisions)
        for chances, policy in zip(found, policies, strict=True):
            for again in redecided(policy.pipeline, decisions, read):
                chances[again.decision_id] = {
                    candidate.action_id: candidate.propensity for candidate in again.candidates
                }
    return found


def _answers(pipeline: Pipeline, decision: Decision) -> bool:
    try:
        pipeline.check(decision.request)
    except InvalidInput:
        return False
    return True


def imported_chances(
    history: History, decided: PastDecisions, chosen: np.ndarray, policy: ServedBundle
) -> list[Chances]:
    """What a policy would have drawn of the candidates that imported decisions list.

    By the engine's scores, priorities and policy. What was requested is not known: the rules have
    had their say in the list, and no context weight holds.
    """
    schema = history.fold.schema
    journey, bundle, arbitration = schema.journey, policy.bundle, policy.pipeline.arbitration
    strategy = policy.pipeline.strategy
    assert bundle.touchpoint is not None
    assert strategy.scorer is not None
    value = strategy.scorer.learns_value
    codes = {action.id: code for code, action in enumerate(journey.actions)}
    offered = [
        [codes[name] for name in decided.candidates[n] if name in codes] for n in chosen.tolist()
    ]
    asked = [[*own, NO_ACTION_CODE] if value else own for own in offered]
    of = np.repeat(chosen, [len(own) for own in asked])
    flat = np.array([code for own in asked for code in own], dtype=np.int64)
    manifest = bundle.manifest
    rows = drawn_rows(history, decided, of, flat, manifest.actions, manifest.action_features)
    scores = policy.corrected(
        schema, rows, flat, finite_predictions("touchpoint", bundle.touchpoint, rows)
    )
    width = len(schema.columns)
    risks: Sequence[float | None] = [None] * len(chosen)  # nobody's is known
    if bundle.churn is not None:
        contexts = decided.set.rows[chosen, :width]
        risks = finite_predictions("churn", bundle.churn, contexts).tolist()
    contacts = [schema.index[f"contact.{channel}.count_7d"] for channel in journey.channels()]
    names = [*(action.id for action in journey.actions), NO_ACTION]
    ends = np.cumsum([len(own) for own in asked])
    found = []
    for n, own, end, risk, ask in zip(chosen, offered, ends, risks, asked, strict=True):
        inputs = ArbitrationInputs(
            weight=np.ones(len(names)),
            because={},
            contacts=float(decided.set.rows[n, contacts].sum()),
            churn_risk=risk,
            today=datetime.fromtimestamp(decided.moments.as_of[n], tz=UTC).date(),
        )
        priorities = arbitration.priorities(
            own, scores.at(range(end - len(ask), end)), inputs, learned_value=value
        )
        actions = [names[code] for code in priorities.codes.tolist()]
        kept = [at for at, name in enumerate(actions) if name in decided.candidates[n]]
        worth = priorities.worth(strategy.scorer.exposures).at(kept)
        drawn = strategy.exploration_policy.probabilities(worth).tolist() if kept else []
        found.append(dict(zip([actions[at] for at in kept], drawn, strict=True)))
    return found


def _bare(values: Floats) -> Context:
    """A context of which a residual reads the values alone."""
    return Context(
        customer_id="", as_of=datetime.fromtimestamp(0, tz=UTC), seq=0, known=True, values=values
    )
