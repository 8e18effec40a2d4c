"""Logged decisions in blocks, each block decided again by both versions."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import datetime, timedelta
from itertools import groupby
from typing import NamedTuple, TypeAlias

from features.fold import Fold
from models.bundles.bundle import Bundle, load_bundle
from models.learning.scorers import scorer_now
from models.learning.versions import policy_state
from nba.customer.context import ContextSchema
from nba.decisions.decision import Decision, Mode
from nba.engine.scorer import CalibratedScorer
from nba.errors import InvalidBundle
from nba.journey.file import JourneyFile
from nba.measurement.statistics.estimate import Undecided
from nba.promotion.catalogue_versions import earlier_sub_journeys
from nba.stores.log import Log
from nba.stores.pages import decision_pages
from nba.stores.versioned import CHAMPION, version_in_force
from training.rehearsal.side import RehearsalSide, RehearsedDecision

PAGE = 250  # decisions that are decided again on one reading of the capacities
Span = tuple[datetime, datetime]  # (begin, end): after the first, up to the second


# how a bundle scores the decisions of a span that begins then
ScorerOf: TypeAlias = Callable[[Bundle, ContextSchema, datetime], CalibratedScorer]


def both_sides(
    log: Log, old: JourneyFile, new: JourneyFile, *, days: float, scorer_of: ScorerOf | None = None
) -> tuple[RehearsalSide, RehearsalSide, Span] | Undecided:
    """Both versions with the champion, and the span of the log's last `days`.

    `scorer_of`: by default the champion with what it has learned until now, as it serves. Raises
    InvalidBundle, StoreUnavailable.
    """
    stored = version_in_force(log, CHAMPION)
    if stored is None:
        return Undecided(reason="no bundle is promoted: run nba train, then nba promote")
    span = span_of(log, days)
    if span is None:
        return Undecided(reason="no decision is logged yet")
    bundle = load_bundle(stored.files)
    sides = []
    for name, journey in (("old", old), ("new", new)):
        fold = Fold(journey, bundle.table)
        try:
            scorer = (
                scorer_now(bundle, policy_state(log), fold.schema)
                if scorer_of is None
                else scorer_of(bundle, fold.schema, span[0])
            )
        except InvalidBundle as error:
            return Undecided(reason=f"the champion does not fit the {name} version: {error}")
        sides.append(RehearsalSide(fold, scorer, log, earlier_sub_journeys(log)))
    return sides[0], sides[1], span


def span_of(log: Log, days: float) -> Span | None:
    """The last `days` in which decisions were logged, None where there are none."""
    logged = (decision for page in decision_pages(log, size=PAGE) for decision in page)
    end = max((decision.decided_at for decision in logged), default=None)
    return None if end is None else (end - timedelta(days=days), end)


class RehearsedDecisions(NamedTuple):
    """Decisions that were made on one reading of the capacities, by both versions."""

    decisions: list[Decision]
    old: list[RehearsedDecision]
    new: list[RehearsedDecision]
    unanswerable: int


def redecide(
    log: Log,
    old: RehearsalSide,
    new: RehearsalSide,
    span: Span,
    progress: Callable[[int], None] = lambda decisions: None,
) -> Iterator[RehearsedDecisions]:
    """Decide our own decisions of `span` again, in order, block by block.

    Raises StoreUnavailable.
    """
    begin, end = span
    ours = (
        decision
        for page in decision_pages(log, size=PAGE, progress=progress)
        for decision in page
        if begin < decision.decided_at <= end
        and decision.mode in (Mode.LIVE, Mode.FALLBACK)
        and not decision.beside_another_system
    )
    for block in _blocks(ours, old, new):
        decisions = [
            decision for decision in block if old.answers(decision) and new.answers(decision)
        ]
        yield RehearsedDecisions(
            decisions=decisions,
            old=old.redecide(decisions) if decisions else [],
            new=new.redecide(decisions) if decisions else [],
            unanswerable=len(block) - len(decisions),
        )


def _blocks(
    decisions: Iterable[Decision], old: RehearsalSide, new: RehearsalSide
) -> Iterator[list[Decision]]:
    """Decisions of the same periods of all capacities, at most PAGE."""

    def periods(decision: Decision) -> list[list[tuple[str, str]]]:
        return [side.periods(decision.decided_at) for side in (old, new)]

    for _, group in groupby(decisions, key=periods):
        block: list[Decision] = []
        for decision in group:
            block.append(decision)
            if len(block) == PAGE:
                yield block
                block = []
        if block:
            yield block
