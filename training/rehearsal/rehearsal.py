"""What a new version of the journey file would have decided in the last days, beside the old.

Nothing is drawn: every figure is an expectation over the policy's exact probabilities. Each
decision is made again on what was known then, contacts included: what other decisions would have
changed later that day is not played.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from datetime import datetime

import msgspec

from nba.decisions.candidate import Stage
from nba.journey.actions import NO_ACTION
from nba.journey.file import JourneyFile
from nba.measurement.statistics.estimate import Undecided
from nba.stores.log import Log
from training.rehearsal.redecisions import RehearsedDecisions, Span, both_sides, redecide
from training.rehearsal.side import RehearsalSide


class CapacityUse(msgspec.Struct, frozen=True, kw_only=True):
    """What is taken of a capacity in one period, and how much there is; None: it is not there."""

    capacity: str
    period: str
    old: float | None
    old_most: float | None
    new: float | None
    new_most: float | None


class Rehearsal(msgspec.Struct, frozen=True, kw_only=True):
    """Who gets what under the new version, in expected numbers of decisions."""

    begin: datetime
    end: datetime
    decisions: int
    customers: int
    unanswerable: int  # whose question names what the new version does not have
    folded_again: int  # contexts that had to be made from the log
    moved: float  # decisions that come out otherwise
    actions: dict[str, tuple[float, float]]  # old and new, `no_action` among them
    channels: dict[str, tuple[float, float]]
    matrix: list[tuple[str, str, float]]  # (old action, new action, decisions), largest first
    capacities: list[CapacityUse]
    refusals: list[tuple[str, str, str, int]]  # new ones: (stage, code, rule, actions)


def rehearse_on(
    log: Log,
    old: JourneyFile,
    new: JourneyFile,
    days: float,
    progress: Callable[[int], None] = lambda decisions: None,
) -> Rehearsal | Undecided:
    """The log's last `days` by both versions and the champion, or why that cannot be said.

    Raises InvalidBundle, StoreUnavailable.
    """
    sides = both_sides(log, old, new, days=days)
    return sides if isinstance(sides, Undecided) else rehearse(log, *sides, progress)


def rehearse(
    log: Log,
    old: RehearsalSide,
    new: RehearsalSide,
    span: Span,
    progress: Callable[[int], None] = lambda decisions: None,
) -> Rehearsal:
    """Decide our own decisions of `span` by both versions. Raises StoreUnavailable."""
    sums = _Sums()
    for block in redecide(log, old, new, span, progress):
        sums.add(block)
    return sums.rehearsal(span, old, new)


def coupled(old: Mapping[str, float], new: Mapping[str, float]) -> dict[tuple[str, str], float]:
    """The joint chances of (old, new) draws that change as few as possible.

    What both versions draw stays; what is left of the old is spread over what is new, in proportion
    (the maximal coupling; Lindvall, Lectures on the Coupling Method, 1992, section I.5).
    """
    kept = {action: min(p, new.get(action, 0.0)) for action, p in old.items()}
    joint = {(action, action): p for action, p in kept.items() if p > 0.0}
    lost = {action: p - kept[action] for action, p in old.items() if p > kept[action]}
    gained = {
        action: q - kept.get(action, 0.0) for action, q in new.items() if q > kept.get(action, 0.0)
    }
    total = sum(gained.values())
    joint |= {
        (a, b): p * q / total for a, p in lost.items() for b, q in gained.items() if total > 0
    }
    return joint


class _Sums:
    """What adds up over decisions."""

    def __init__(self) -> None:
        self.decisions = self.unanswerable = 0
        self.customers: set[str] = set()
        self.joint: defaultdict[tuple[str, str], float] = defaultdict(float)
        self.refusals: Counter[tuple[str, str, str]] = Counter()

    def add(self, block: RehearsedDecisions) -> None:
        self.unanswerable += block.unanswerable
        for decision, before, after in zip(block.decisions, block.old, block.new, strict=True):
            self.decisions += 1
            self.customers.add(decision.request.customer_id)
            for pair, chance in coupled(before.chances, after.chances).items():
                self.joint[pair] += chance
            refused_before = {action for action, *_ in before.refused}
            for action, stage, code, rule in after.refused:
                if action not in refused_before and stage != Stage.AVAILABLE:
                    self.refusals[stage, code, rule] += 1

    def rehearsal(self, span: Span, old: RehearsalSide, new: RehearsalSide) -> Rehearsal:
        actions: dict[str, list[float]] = {}
        for (before, after), chance in self.joint.items():
            actions.setdefault(before, [0.0, 0.0])[0] += chance
            actions.setdefault(after, [0.0, 0.0])[1] += chance
        every = [*old.journey.actions, *new.journey.actions]
        channel_of = {action.id: action.channel for action in every}
        channels: dict[str, list[float]] = {}
        for action, (before_n, after_n) in actions.items():
            if action != NO_ACTION:
                sums = channels.setdefault(channel_of[action], [0.0, 0.0])
                sums[0] += before_n
                sums[1] += after_n
        return Rehearsal(
            begin=span[0],
            end=span[1],
            decisions=self.decisions,
            customers=len(self.customers),
            unanswerable=self.unanswerable,
            folded_again=new.folded_again,
            moved=sum(chance for (a, b), chance in self.joint.items() if a != b),
            actions={name: (a, b) for name, (a, b) in sorted(actions.items())},
            channels={name: (a, b) for name, (a, b) in sorted(channels.items())},
            matrix=[
                (a, b, chance)
                for (a, b), chance in sorted(
                    self.joint.items(), key=lambda cell: (-cell[1], cell[0])
                )
            ],
            capacities=_capacities(old, new),
            refusals=[(*key, n) for key, n in self.refusals.most_common()],
        )


def _capacities(old: RehearsalSide, new: RehearsalSide) -> list[CapacityUse]:
    return [
        CapacityUse(
            capacity=capacity,
            period=period,
            old=old.taken.get((capacity, period)),
            old_most=old.most().get(capacity),
            new=new.taken.get((capacity, period)),
            new_most=new.most().get(capacity),
        )
        for capacity, period in sorted({*old.taken, *new.taken})
    ]
