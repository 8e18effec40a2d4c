"""The draw among scored candidates, and the decision as it is logged."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from nba.customer.contact_history import ContactHistory
from nba.customer.context import ContextSchema
from nba.decisions.candidate import Candidate, Reason
from nba.decisions.decision import Decision, Mode
from nba.engine.arbitration import Arbitration, Priorities
from nba.engine.policy import choose
from nba.engine.strategy import Arm, ScoredCandidates
from nba.governance.governor import Governed, Governor
from nba.journey.actions import NO_ACTION
from nba.journey.exploration import Exploration


class DrawnAction(NamedTuple):
    """What came out of the draw."""

    at: int  # among the candidates
    seed: int
    treatment: str | None
    treatment_propensity: float


class Origin(NamedTuple):
    """Who decided, and by what."""

    decision_id: str
    policy: str
    bundle_id: str | None
    exploration: Exploration
    policy_version: str | None
    learned_from: float
    challenger: str | None
    arm: Arm
    text_model: str  # what reads texts on the way in


class DecisionRecorder:
    """Draws and writes the decisions of one journey."""

    def __init__(self, schema: ContextSchema, governor: Governor, arbitration: Arbitration) -> None:
        self._schema = schema
        self._governor = governor
        self._arbitration = arbitration
        self._journey = schema.journey
        self._version = self._journey.catalogue_version()
        self._names = [*(action.id for action in self._journey.actions), NO_ACTION]

    def draw(self, scored: ScoredCandidates, seed: int) -> DrawnAction:
        """A candidate by its probability, and one of its treatments that are left, evenly."""
        rng = np.random.default_rng(seed)
        at = choose(scored.probabilities, rng).at
        code = int(scored.priorities.codes[at])
        if code < 0:
            return DrawnAction(at=at, seed=seed, treatment=None, treatment_propensity=1.0)
        left = scored.governed.candidate_set.treatments(code)
        nth = int(rng.integers(len(left))) if len(left) > 1 else 0
        return DrawnAction(
            at=at,
            seed=seed,
            treatment=self._treatment(code, left[nth]),
            treatment_propensity=1.0 / len(left),
        )

    def fallback_at(self, codes: Sequence[int]) -> int:
        """Where the owner's first fallback action stands among these codes; behind them, where
        no_action stands, if none does."""
        allowed = [self._names.index(name) for name in self._journey.fallback]
        at = next((codes.index(code) for code in allowed if code in codes), None)
        return len(codes) if at is None else at

    def fall_back(
        self, governed: Governed, seed: int, origin: Origin, note: str, *, mode: Mode
    ) -> Decision:
        """The owner's first fallback action that the rules allow, with propensity 1.

        Where a step of a sub-journey asks for its own action, that one, if it is in the list.
        """
        codes = np.array([*governed.codes, -1], dtype=np.int64)
        index = self.fallback_at(governed.codes)
        probabilities = np.zeros(len(codes))
        probabilities[index] = 1.0
        treatment = None
        if index < len(governed.codes):
            code = governed.codes[index]
            left = governed.candidate_set.treatments(code)
            treatment = self._treatment(code, left[0])
        elif governed.codes and governed.request.asked_for and governed.request.candidates:
            (action_id,) = governed.request.candidates
            note = f"{note}; the step's action {action_id} is not in `fallback`"
        scored = ScoredCandidates(
            governed=governed,
            priorities=self._arbitration.unscored(codes),
            probabilities=probabilities,
            churn=None,
        )
        drawn = DrawnAction(at=index, seed=seed, treatment=treatment, treatment_propensity=1.0)
        return self.decision(scored, drawn, origin, mode=mode, note=note)

    def decision(
        self,
        scored: ScoredCandidates,
        drawn: DrawnAction,
        origin: Origin,
        *,
        mode: Mode,
        reasons: tuple[Reason, ...] = (),
        note: str | None = None,
    ) -> Decision:
        """The whole record."""
        governed, priorities = scored.governed, scored.priorities
        context, request = governed.context, governed.request
        code = int(priorities.codes[drawn.at])
        action_id = self._names[code]
        call = governed.calls.get(action_id)
        step = "" if call is None else call.step_key
        takes = not request.deferred and request.baseline is None  # of capacities
        uses = self._governor.uses(action_id, context.as_of) if takes and code >= 0 else ()
        return Decision(
            decision_id=origin.decision_id,
            request=request,
            decided_at=context.as_of,
            mode=mode,
            action_id=action_id,
            treatment=drawn.treatment,
            propensity=float(scored.probabilities[drawn.at]),
            candidates=candidates(priorities, scored.probabilities, self._names),
            refused=governed.refused,
            reasons=reasons,
            churn=scored.churn,
            known_customer=context.known,
            context=context.values.astype("<f8").tobytes(),
            context_schema=self._schema.schema_hash,
            context_seq=context.seq,
            nodes=context.nodes,
            emotion=self._schema.emotion_of(context.values),
            valences=self._schema.table.version,
            text_model=origin.text_model,
            bundle_id=origin.bundle_id,
            catalogue_version=self._version,
            policy=origin.policy,
            seed=drawn.seed,
            note=note,
            treatment_propensity=drawn.treatment_propensity,
            not_before=governed.not_before.get(code),
            step=step,
            previous_id=previous_of(context.contact_history, step),
            moves=governed.moves,
            uses=uses,
            watched=self._governor.watched(governed.codes, context.as_of) if takes else (),
            used=dict(governed.used),
            unknown_definitions=self._governor.sub_journeys.unknown_definitions(
                context.contact_history
            ),
            lifted=governed.lifted,
            contact_history=context.contact_history,
            contacts=context.contact_bytes(),
            exploration=origin.exploration,
            policy_version=origin.policy_version,
            learned_from=origin.learned_from,
            challenger=origin.challenger,
            arms=origin.arm.labels,
            dropped_rules=tuple(sorted(origin.arm.dropped_rules)),
        )

    def _treatment(self, code: int, variant: int) -> str | None:
        treatment = self._governor.variants.treatments[variant]
        return self._journey.actions[code].treatment if treatment is None else treatment.id


def previous_of(contact_history: ContactHistory, step: str) -> str | None:
    """The decision before this step in the same passage, None for the first."""
    if not step:
        return None
    episode = step.rsplit("/", 1)[0] + "/"
    earlier = [
        contact
        for contact in contact_history.contacts
        if contact.step.startswith(episode) and contact.counted
    ]
    return (earlier[-1].decision_id or None) if earlier else None


def candidates(
    priorities: Priorities, probabilities: np.ndarray, names: Sequence[str]
) -> tuple[Candidate, ...]:
    """The candidates as a decision logs them, best first; `names` by code, no_action last."""
    order = np.argsort(-priorities.priority, kind="stable")

    def column(values: np.ndarray) -> Any:
        return values[order].tolist()

    rows = zip(
        order.tolist(),
        column(priorities.codes),
        column(priorities.p_accept),
        column(priorities.context_weight),
        column(priorities.value_eur),
        column(priorities.retention_eur),
        column(priorities.lever),
        column(priorities.cost_eur),
        column(priorities.annoyance_eur),
        column(priorities.priority),
        column(probabilities),
        column(priorities.batch_score),
        column(priorities.spread_eur),
        strict=True,
    )
    return tuple(
        Candidate(
            action_id=names[code],
            p_accept=_known(p_accept),
            context_weight=weight,
            value_eur=value,
            retention_eur=retention,
            lever=lever,
            cost_eur=cost,
            annoyance_eur=annoyance,
            priority=_known(priority),
            propensity=propensity,
            because=priorities.because[n],
            batch_score=_known(batch),
            spread_eur=spread,
        )
        for (
            n,
            code,
            p_accept,
            weight,
            value,
            retention,
            lever,
            cost,
            annoyance,
            priority,
            propensity,
            batch,
            spread,
        ) in rows
    )


def _known(number: float) -> float | None:
    return None if number != number else number
