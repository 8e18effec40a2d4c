"""Learner: settled outcomes become a new version of the policy, by one replica at a time.

Everything it knows is the version that serves: its sums, and up to where the log is in them. A
learner that is killed loses what it had not saved, and the next one learns that again; two that
run at once can do no harm, since a version follows from the log and its position in it.
"""

from __future__ import annotations

import dataclasses
import logging
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from datetime import datetime

import msgspec
from msgspec import UNSET

from models.learning.cold_start import next_target
from models.learning.exposure_sums import ExposureSums, waits_of
from models.learning.residual_rows import LearningTarget, ResidualRow, read_rows
from models.learning.versions import LEARNER, POLICY, first_state, learner_state, mode, put_in_force
from models.residual.discount import CountedSums
from models.residual.pending import PendingExposures
from models.residual.posterior import fit_prior
from models.residual.sums import ResidualSums
from models.residual.version import PolicyState
from nba.errors import NbaError, StoreUnavailable
from nba.rewards.changes import LogPosition, LogSegment, next_segment, settle_left_out
from nba.rewards.isolation import AGAIN_S
from nba.stores.log import Log

logger = logging.getLogger("nba.serving")

TURN = "learner"
PAGE = 5_000  # events that are learned from together
REMEMBERED = 100_000  # decisions whose features are kept


class Learned(msgspec.Struct, frozen=True, kw_only=True):
    """What one pass has done."""

    events: int = 0  # of the log, read
    changes: int = msgspec.field(default=0, name="lessons")  # exposures and rewards, learned
    passed_over: int = 0  # changes of decisions that this bundle cannot read
    version: str | None = None  # that it has put in force
    behind: int = 0  # events that are still to be read

    @property
    def rests(self) -> bool:
        """Whether there was nothing to do."""
        return not (self.events or self.behind)


class Learner:
    """Passes over the log for whatever serves now."""

    def __init__(
        self,
        log: Log,
        target: Callable[[], LearningTarget | None],
        now: Callable[[], datetime],
        *,
        kept: int,
        save_every_s: float = 0.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`target`: what serves now, None where nothing can be learned. `kept`: versions whose
        files are kept. A version is saved at most every `save_every_s` seconds of the clock while
        the learner catches up."""
        self._log = log
        self.target = target
        self._now = now
        self._kept = kept
        self._save_every_s = save_every_s
        self._clock = clock
        self._saved_at = self._tried_at = float("-inf")
        # how far the log was read since the version in force, where that taught nothing
        self._reached: tuple[str | None, LogPosition] = (None, LogPosition())
        self._exposures = 0.0  # in the sums of the last pass
        self._rows: OrderedDict[tuple[str, str], ResidualRow | None] = OrderedDict()

    def step(
        self, stopping: Callable[[], bool] = lambda: False, page: int = PAGE
    ) -> Learned | None:
        """Learn up to the end of the log; None where another replica does.

        Raises StoreUnavailable.
        """
        with self._log.turn(TURN) as is_ours:
            if not is_ours:
                return None
            target = self.target()
            if target is None or mode(self._log) == "paused":
                return Learned()
            done = self._pass(target, stopping, page)
            wider = next_target(self._log, target, self._exposures, self._now())
            if wider is not None and not stopping():
                version = self._pass(wider, lambda: False, page).version
                done = msgspec.structs.replace(done, version=version)
            return done

    def _pass(self, target: LearningTarget, stopping: Callable[[], bool], page: int) -> Learned:
        state, is_saved = self._begin(target)
        if state is None:
            return Learned()
        # the sums are added to in place: those of the version in force stay as they are
        sums = ResidualSums.from_bytes(state.sums.to_bytes())
        pending = self._pending_of(target, state)
        learned_from = ExposureSums(sums, pending, target.attribution)
        head = state.head
        done = Learned()
        unsaved = 0 if is_saved else 1  # a first version is put in force even if nothing came
        while not stopping():
            segment = next_segment(self._log, target.attribution, head.learned_to, page)
            is_last = segment.events == 0
            if is_last and self._is_time_for(head.learned_to):
                segment = settle_left_out(self._log, target.attribution, head.learned_to)
            segment, learned = self._learn(target, learned_from, segment, head.learned_to)
            if not is_last:
                pending.advance(segment.end.end_s)
            unsaved += learned + (segment.end.left_out != head.learned_to.left_out)
            head = msgspec.structs.replace(
                head,
                learned_to=segment.end,
                changes=head.changes + learned,
                as_of_s=head.as_of_s if is_last else segment.end.end_s,
            )
            done = msgspec.structs.replace(
                done,
                events=done.events + segment.events,
                changes=done.changes + learned,
                passed_over=done.passed_over + len(segment.changes) - learned,
            )
            if is_last or unsaved and self._clock() - self._saved_at >= self._save_every_s:
                break
        self._exposures = sums.exposures
        is_fresh = head.as_of_s < state.head.as_of_s + pending.fresh_s
        if unsaved == 0 and (is_fresh or state.discount is None):
            self._reached = (self._log.alias(POLICY), head.learned_to)
            return done
        counted = CountedSums(sums, pending.discount(sums, head.as_of_s))
        centre = None if target.bundle.warm is None else target.bundle.warm.prior
        prior = fit_prior(counted, head.as_of_s, head.prior, centre=centre)
        head = msgspec.structs.replace(head, prior=prior)
        why = f"{done.changes} lessons of {done.events} events"
        state = PolicyState(head, sums, counted.discount, pending.to_bytes())
        version = put_in_force(self._log, state, self._now(), by=LEARNER, why=why, kept=self._kept)
        self._saved_at = self._clock()
        behind = max(self._log.position() - head.learned_to.position, 0)
        return msgspec.structs.replace(done, version=version, behind=behind)

    def _begin(self, target: LearningTarget) -> tuple[PolicyState | None, bool]:
        """The version to go on from, and whether it is in force already."""
        try:
            state = learner_state(self._log)
        except StoreUnavailable:
            raise
        except NbaError as error:
            logger.warning("the policy begins anew: %s", error)
            state = None
        bundle, attribution = target.bundle, target.attribution
        actions = [action.id for action in target.schema.journey.actions]
        begin = 0
        if state is not None:
            head = state.head
            if (head.bundle_id, head.reward_version) == (bundle.bundle_id, attribution.version):
                if head.pending is UNSET or state.pending is not None:
                    version, position = self._reached
                    if version == state.version:
                        head = msgspec.structs.replace(head, learned_to=position)
                        state = dataclasses.replace(state, head=head)
                    return state.for_actions(actions), True
                logger.warning("the policy begins anew: what waited in it is thinned out")
                begin = head.learned_to.begin
        state = first_state(self._log, bundle, attribution, begin)
        return None if state is None else state.for_actions(actions), False

    def _is_time_for(self, position: LogPosition) -> bool:
        """Whether the customers who were left out are to be tried again now."""
        if not position.left_out or self._clock() - self._tried_at < AGAIN_S:
            return False
        self._tried_at = self._clock()
        return True

    def _pending_of(self, target: LearningTarget, state: PolicyState) -> PendingExposures:
        """The exposures of a version that wait. Raises InvalidBundle."""
        actions, spec = state.sums.actions, state.sums.spec
        waits_s = waits_of(actions, target.attribution)
        if state.pending is not None:
            return PendingExposures.from_bytes(state.pending, spec).for_actions(actions, waits_s)
        # an earlier program counted each exposure as a whole: those stay as they are
        pending = PendingExposures(spec, actions, waits_s, known_s=state.head.learned_to.end_s)
        warm = target.bundle.warm
        if warm is not None and warm.reward_version == target.attribution.version:
            pending.recall(warm.delays or {})
        return pending

    def _learn(
        self, target: LearningTarget, sums: ExposureSums, segment: LogSegment, begin: LogPosition
    ) -> tuple[LogSegment, int]:
        """Add the changes to the sums; gives how many could be, and the segment without the
        customers of whom a decision fails to be read."""
        teaching = [change for change in segment.changes if change.teaches]
        segment = segment._replace(changes=teaching)
        rows, failing = self._rows_of(
            target, sums.sums, [change.decision_id for change in segment.changes]
        )
        failures = {
            change.customer_id: failing[change.decision_id]
            for change in segment.changes
            if change.decision_id in failing
        }
        segment = segment.leaving_out(failures, begin)
        readable = [
            (row, change)
            for change in segment.changes
            if (row := rows[change.decision_id]) is not None
        ]
        if readable:
            sums.add(*zip(*readable, strict=True))
        return segment, len(readable)

    def _rows_of(
        self, target: LearningTarget, sums: ResidualSums, decision_ids: Sequence[str]
    ) -> tuple[dict[str, ResidualRow | None], dict[str, str]]:
        """By decision: None where this bundle cannot read it, or it is not learned from; and of
        those that fail to be read, why."""
        bundle_id = target.bundle.bundle_id
        absent = [
            decision_id
            for decision_id in dict.fromkeys(decision_ids)
            if (bundle_id, decision_id) not in self._rows
        ]
        read, failing = read_rows(target, sums, list(self._log.decisions(absent).values()))
        for decision_id in absent:
            if decision_id not in failing:
                self._rows[bundle_id, decision_id] = read.get(decision_id)
        rows = {
            decision_id: self._rows.get((bundle_id, decision_id)) for decision_id in decision_ids
        }
        while len(self._rows) > REMEMBERED:
            self._rows.popitem(last=False)
        return rows, failing
