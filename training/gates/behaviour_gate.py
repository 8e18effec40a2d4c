"""The behaviour gate: decide logged requests again with the challenger, through the pipeline.

Rules that read no model must hold whoever scores: an action that the log says was not available,
not consented to or over its limits has no probability under any bundle.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from nba.analytics.monitoring.offer_counts import STARVED_SHARE, exploration, offer_counts
from nba.decisions.candidate import Stage
from nba.decisions.decision import Decision
from nba.engine.pipeline import Pipeline
from nba.engine.redecision import chances, redecided
from nba.errors import NbaError
from nba.journey.actions import NO_ACTION
from nba.measurement.statistics.estimate import Undecided
from nba.promotion.verdict import Gate, failed, gathered, undecided
from training.gates.limits import LIMITS, GateLimits

NAME = "behaviour"
WITHOUT_MODEL = {Stage.AVAILABLE, Stage.CONSENT, Stage.CONTACT_POLICY}
MIN_DECISIONS = 100
SUMS_TO_ONE = 1e-9


class RepeatedDecisions(NamedTuple):
    """The same logged decisions by one bundle, and how long that took."""

    decisions: list[Decision]
    seconds: float


def again(
    pipeline: Pipeline, decisions: Sequence[Decision], clock: Callable[[], float]
) -> RepeatedDecisions:
    """Decide them again; the first batch is for warming up and is not timed."""
    redecided(pipeline, decisions[:50])
    began = clock()
    repeated = redecided(pipeline, decisions)
    return RepeatedDecisions(repeated, clock() - began)


def behaviour_gate(
    logged: Sequence[Decision],
    challenger: RepeatedDecisions | NbaError,
    champion: RepeatedDecisions | None,
    limits: GateLimits = LIMITS,
) -> Gate:
    """`champion`: None where there is none, or it reads other contexts; then what was logged stands
    for it, and nothing is said of latency."""
    if isinstance(challenger, NbaError):
        return failed(NAME, f"it cannot decide: {challenger}")
    if len(logged) < MIN_DECISIONS:
        reason = f"{len(logged)} decisions of the present catalogue, under {MIN_DECISIONS}"
        return undecided(NAME, reason, {"decisions": float(len(logged))})
    failures: list[str] = []
    impossible = [
        n for n, decision in enumerate(challenger.decisions) if _impossible(logged[n], decision)
    ]
    own = _DrawStatistics(challenger.decisions)
    before = _DrawStatistics(logged if champion is None else champion.decisions)
    kept = {name for name in before.alive if name in own.alive}
    covered = len(kept) / len(before.alive) if before.alive else 1.0
    numbers = {
        "decisions": float(len(logged)),
        "impossible": float(len(impossible)),
        "top_action_share": own.top_share,
        "no_action_share": own.idle,
        "no_action_share_champion": before.idle,
        "coverage": covered,
        "entropy": own.entropy,
        "entropy_champion": before.entropy,
    }
    if impossible:
        first = logged[impossible[0]].decision_id
        failures.append(f"{len(impossible)} decisions give an action that rules forbid: {first}")
    if own.top_share > limits.top_share:
        failures.append(f"{own.top} is {own.top_share:.0%} of all that it does")
    if covered < limits.covered:
        starved = ", ".join(sorted(before.alive - kept))
        failures.append(
            f"it hardly draws {starved}: {covered:.0%} of the champion's actions are left"
        )
    if own.entropy < limits.entropy * before.entropy:
        figures = f"entropy {own.entropy:.3g}, the champion's {before.entropy:.3g}"
        failures.append(f"the draw has collapsed: {figures}")
    if champion is not None and champion.seconds > 0.0:
        ratio = numbers["latency_ratio"] = challenger.seconds / champion.seconds
        if ratio > limits.latency:
            failures.append(f"it takes {ratio:.2g} times as long as the champion")
    reason = (
        f"{len(logged)} decisions, {len(impossible)} impossible; most drawn {own.top} with "
        f"{own.top_share:.0%}, {covered:.0%} of the champion's actions alive"
    )
    return gathered(NAME, failures, [], numbers, reason)


def _impossible(logged: Decision, again: Decision) -> bool:
    """Whether probabilities are none, or on what a rule forbids."""
    chance = {candidate.action_id: candidate.propensity for candidate in again.candidates}
    values = np.array(list(chance.values()))
    if not np.isfinite(values).all() or (values < 0.0).any():
        return True
    if abs(float(values.sum()) - 1.0) > SUMS_TO_ONE:
        return True
    forbidden = {
        candidate.action_id for candidate in logged.refused if candidate.stage in WITHOUT_MODEL
    }
    forbidden |= {candidate.action_id for candidate in again.refused}
    return any(chance.get(action, 0.0) > 0.0 for action in forbidden)


class _DrawStatistics:
    """What n decisions draw, by their probabilities."""

    def __init__(self, decisions: Sequence[Decision]) -> None:
        names, probabilities, drawn = chances(decisions)
        mean = dict(zip(names, probabilities.mean(axis=0).tolist(), strict=True))
        self.idle = mean.pop(NO_ACTION, 0.0)
        acting = sum(mean.values())
        self.top = max(mean, key=lambda name: mean[name]) if mean else NO_ACTION
        self.top_share = mean[self.top] / acting if acting > 0.0 else 0.0
        self.alive = {name for name, share in mean.items() if share >= STARVED_SHARE}
        entropy = exploration(offer_counts(names, probabilities, drawn))
        self.entropy = 0.0 if isinstance(entropy, Undecided) else entropy
