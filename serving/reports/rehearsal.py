"""Rehearsal: the last days' decisions, decided again by two versions of the journey file.

Nothing is drawn: every figure is an expectation over the policy's exact probabilities. Each
decision is looked at on what was known then, contacts included: what other decisions would have
changed later that day is not played.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import groupby
from typing import NamedTuple

import msgspec

from features.fold import Fold
from models.bundles.bundle import load_bundle
from models.bundles.scorer import BundleScorer
from nba.decisions.candidate import Stage
from nba.decisions.decision import Decision, Mode
from nba.engine.scorer import CalibratedScorer
from nba.errors import InvalidBundle
from nba.journey.actions import NO_ACTION
from nba.journey.file import JourneyFile
from nba.measurement.statistics.estimate import Undecided
from nba.promotion.catalogue_versions import earlier_sub_journeys
from nba.stores.log import Log
from nba.stores.pages import decision_pages
from nba.stores.versioned import CHAMPION, version_in_force
from serving.reports.rehearsal_side import RehearsalSide, RehearsedDecision

PAGE = 250  # decisions that are decided again on one reading of the capacities


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
    found = sides_on(log, old, new, days)
    return found if isinstance(found, Undecided) else rehearse(log, *found, progress)


def sides_on(
    log: Log, old: JourneyFile, new: JourneyFile, days: float
) -> tuple[RehearsalSide, RehearsalSide, tuple[datetime, datetime]] | Undecided:
    """Both versions with the champion, and the span of the log's last `days`."""
    stored = version_in_force(log, CHAMPION)
    if stored is None:
        return Undecided(reason="no bundle is promoted: run nba train, then nba promote")
    bundle = load_bundle(stored.files)
    sides = []
    for name, journey in (("old", old), ("new", new)):
        fold = Fold(journey, bundle.table)
        try:
            scorer = BundleScorer(bundle, fold.schema)
        except InvalidBundle as error:
            return Undecided(reason=f"the champion does not fit the {name} version: {error}")
        sides.append(RehearsalSide(fold, CalibratedScorer(scorer), log, earlier_sub_journeys(log)))
    span = span_of(log, days)
    if span is None:
        return Undecided(reason="no decision is logged yet")
    return sides[0], sides[1], span


def span_of(log: Log, days: float) -> tuple[datetime, datetime] | None:
    """(begin, end) of the last `days` in which decisions were logged, None where there are none."""
    logged = (decision for page in decision_pages(log, size=PAGE) for decision in page)
    end = max((decision.decided_at for decision in logged), default=None)
    return None if end is None else (end - timedelta(days=days), end)


def rehearse(
    log: Log,
    old: RehearsalSide,
    new: RehearsalSide,
    span: tuple[datetime, datetime],
    progress: Callable[[int], None] = lambda decisions: None,
) -> Rehearsal:
    """Our own decisions of `span`, by both versions. Raises StoreUnavailable."""
    sums = _Sums()
    for seen in looked_at(log, old, new, span, progress):
        sums.unanswerable += seen.unanswerable
        sums.add(seen.decisions, seen.old, seen.new)
    return sums.rehearsal(span, old, new)


class RehearsedDecisions(NamedTuple):
    """Decisions that were made on one reading of the capacities, by both versions."""

    decisions: list[Decision]
    old: list[RehearsedDecision]
    new: list[RehearsedDecision]
    unanswerable: int


def looked_at(
    log: Log,
    old: RehearsalSide,
    new: RehearsalSide,
    span: tuple[datetime, datetime],
    progress: Callable[[int], None] = lambda decisions: None,
) -> Iterator[RehearsedDecisions]:
    """Our own decisions of `span` in order, block by block. Raises StoreUnavailable."""
    chosen = (
        one
        for page in decision_pages(log, size=PAGE, progress=progress)
        for one in page
        if span[0] < one.decided_at <= span[1] and one.mode in (Mode.LIVE, Mode.FALLBACK)
    )
    for block in _blocks(chosen, old, new):
        asked = [one for one in block if old.answers(one) and new.answers(one)]
        looks = [side.looks(asked) if asked else [] for side in (old, new)]
        yield RehearsedDecisions(asked, looks[0], looks[1], len(block) - len(asked))


def _blocks(
    decisions: Iterable[Decision], old: RehearsalSide, new: RehearsalSide
) -> Iterator[list[Decision]]:
    """Decisions of the same periods of all capacities, at most PAGE."""

    def periods(one: Decision) -> list[list[tuple[str, str]]]:
        return [side.periods(one.decided_at) for side in (old, new)]

    for _, group in groupby(decisions, key=periods):
        block: list[Decision] = []
        for one in group:
            block.append(one)
            if len(block) == PAGE:
                yield block
                block = []
        if block:
            yield block


def coupled(old: Mapping[str, float], new: Mapping[str, float]) -> dict[tuple[str, str], float]:
    """The joint chances of (old, new) draws that change as few as possible.

    What both versions draw stays; what is left of the old is spread over what is new, in proportion
    (the maximal coupling; Lindvall, Lectures on the Coupling Method, 1992, section I.5).
    """
    stay = {one: min(p, new.get(one, 0.0)) for one, p in old.items()}
    joint = {(one, one): p for one, p in stay.items() if p > 0.0}
    gone = {one: p - stay[one] for one, p in old.items() if p > stay[one]}
    come = {one: q - stay.get(one, 0.0) for one, q in new.items() if q > stay.get(one, 0.0)}
    total = sum(come.values())
    joint |= {(a, b): p * q / total for a, p in gone.items() for b, q in come.items() if total > 0}
    return joint


class _Sums:
    """What adds up over decisions."""

    def __init__(self) -> None:
        self.decisions = self.unanswerable = 0
        self.customers: set[str] = set()
        self.joint: defaultdict[tuple[str, str], float] = defaultdict(float)
        self.refusals: Counter[tuple[str, str, str]] = Counter()

    def add(
        self,
        decisions: Sequence[Decision],
        old: Sequence[RehearsedDecision],
        new: Sequence[RehearsedDecision],
    ) -> None:
        for decision, before, after in zip(decisions, old, new, strict=True):
            self.decisions += 1
            self.customers.add(decision.request.customer_id)
            for pair, chance in coupled(before.chances, after.chances).items():
                self.joint[pair] += chance
            were = {action for action, *_ in before.refused}
            for action, stage, code, rule in after.refused:
                if action not in were and stage != Stage.AVAILABLE:
                    self.refusals[stage, code, rule] += 1

    def rehearsal(
        self, span: tuple[datetime, datetime], old: RehearsalSide, new: RehearsalSide
    ) -> Rehearsal:
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
                for (a, b), chance in sorted(self.joint.items(), key=lambda one: (-one[1], one[0]))
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
