"""Rollout: a challenger's way to the champion's place, stage by stage, and the way back.

    shadow     each draw gives it the journey file's `challenger_share`
    canary     a share of the customers, by a salted hash, is decided wholly by it
    champion   it decides for everybody, and the champion before is measured beside it
    over       it was left where it was: promoted and watched to the end, aborted, or rolled back

A canary has a control of its own size, and a champion that is watched has one too: customers whom
the champion decides and no experiment may have, so that there is something to judge by while the
experiments hold everybody else.

What is under way is kept under the hash of its content, as a bundle of one file, and `rollout` is
an alias like `champion`: every move is in the audit trail, and replicas take it up as they take up
a champion.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Literal, TypeAlias

import msgspec
from msgspec.structs import replace

from nba.errors import InvalidInput, NotFound
from nba.measurement.statistics.confidence_sequences import TUNING_N
from nba.randomization import position
from nba.stores.log import AliasChange, Log
from nba.stores.versioned import CHAMPION, REMEMBERED, VersionedRecord, version_before

ROLLOUT = "rollout"  # the alias, the turn in which it is moved, and what ids begin with
CANARY = "canary"  # the arm of a canary's customers
CONTROL = "control"  # the arm of those beside them, whom the champion decides
WATCHED_SHARE = 0.05  # of the customers: the control while a champion is watched

Stage: TypeAlias = Literal["shadow", "canary", "champion", "over"]


class GuardrailLimits(msgspec.Struct, frozen=True, kw_only=True):
    """When a canary, or a champion that is new, is taken back by itself."""

    margin_eur: float = 0.0  # EUR per decision: surely worse by more than this
    fallback_margin: float = 0.02  # share of its decisions that came from the fallback, the same
    confidence: float = 0.95
    tuning_n: int = TUNING_N  # decisions at which the intervals are narrowest, fixed before
    watch_days: float = 7.0  # after the promotion


GUARDRAILS = GuardrailLimits()


class Rollout(msgspec.Struct, frozen=True, kw_only=True):
    """One stage of one challenger."""

    stage: Stage
    bundle_id: str  # the challenger
    version: str = ""  # its version in MLflow
    share: float = 0.0  # of the customers, in a canary
    # of the customers, whom the champion decides and no experiment may have; unset by programs
    # that reserved none
    control: float | msgspec.UnsetType = msgspec.UNSET
    champion: str  # the bundle that decides otherwise, or decided before
    since: datetime  # of this stage
    since_seq: int  # the log's last event then
    guardrails: GuardrailLimits = GUARDRAILS
    verdict: str = ""  # id of the verdict that let it through, empty where none was asked
    by: str = ""
    why: str = ""

    @property
    def under_way(self) -> bool:
        """Whether it does anything, or is watched."""
        return self.stage != "over"

    @property
    def is_beside(self) -> bool:
        """Whether it decides beside a champion that stays."""
        return self.stage in ("shadow", "canary")

    def label_of(self, customer_id: str) -> str | None:
        """The arm that decisions of this customer log; None: it does not concern them."""
        if self.stage not in ("canary", "champion"):
            return None
        at = position(self.salt, customer_id)
        if at < self.share:
            return CANARY
        return CONTROL if at < self.share + (self.control or 0.0) else None

    @property
    def salt(self) -> str:
        """Of the hash that chooses a canary's customers, and its control's."""
        return f"{CANARY}:{self.bundle_id}"

    def watched_at(self, now: datetime) -> bool:
        """Whether the guardrails are looked at: in a canary, and for some days afterwards."""
        if self.stage == "champion":
            return now < self.since + timedelta(days=self.guardrails.watch_days)
        return self.stage == "canary"


_ROLLOUTS = VersionedRecord(
    alias=ROLLOUT, file="rollout.json", kind=Rollout, change="moving the rollout"
)


def rollout_of(log: Log) -> Rollout | None:
    """What is under way, None for nothing.

    Raises InvalidInput where this program does not read it any more, StoreUnavailable.
    """
    rollout = _ROLLOUTS.in_force(log)
    return rollout if rollout is not None and rollout.under_way else None


def begin(
    log: Log,
    stage: Literal["shadow", "canary"],
    bundle_id: str,
    now: datetime,
    *,
    by: str,
    why: str,
    version: str = "",
    share: float = 0.0,
    guardrails: GuardrailLimits = GUARDRAILS,
    verdict: str = "",
) -> Rollout:
    """Put a bundle that the log holds in shadow, or let it decide for a share of the customers.

    What was under way for another bundle ends. Raises InvalidInput where it is the champion
    already, there is no champion, or the share is none; NotFound, StoreUnavailable.
    """
    if stage == "canary" and not 0.0 < share < 1.0:
        raise InvalidInput("share", share, "above 0 and below 1 of the customers")
    with _ROLLOUTS.turn(log):
        champion = log.alias(CHAMPION)
        if champion is None:
            remedy = "there is no champion that it could be compared with: promote it at once"
            raise InvalidInput("to", stage, remedy)
        if champion == bundle_id:
            raise InvalidInput("bundle", bundle_id, "it is the champion already")
        rollout = Rollout(
            stage=stage,
            bundle_id=bundle_id,
            version=version,
            share=share if stage == "canary" else 0.0,
            control=min(share, 1.0 - share) if stage == "canary" else 0.0,
            champion=champion,
            since=now,
            since_seq=log.position(),
            guardrails=guardrails,
            verdict=verdict,
            by=by,
            why=why,
        )
        if log.bundle(bundle_id) is None:
            raise NotFound(f"bundle {bundle_id!r} is not in the log: promote it from MLflow")
        _ROLLOUTS.save(log, rollout, now, by=by, why=_summary(rollout))
    return rollout


def make_champion(
    log: Log,
    bundle_id: str,
    now: datetime,
    *,
    by: str,
    why: str,
    version: str = "",
    guardrails: GuardrailLimits = GUARDRAILS,
    verdict: str = "",
    watched: bool = True,
) -> Rollout | None:
    """Make a bundle that the log holds the champion; gives what is watched, None for the first.

    Not `watched`: nothing is measured beside it, and what was under way ends. The champion's alias
    moves last: a failure before leaves the old one in force. Raises NotFound, StoreUnavailable.
    """
    with _ROLLOUTS.turn(log):
        before = log.alias(CHAMPION)
        rollout = None
        if not watched:
            _end(log, now, by, f"{bundle_id} is champion")
        elif before is not None and before != bundle_id:
            rollout = Rollout(
                stage="champion",
                bundle_id=bundle_id,
                version=version,
                control=WATCHED_SHARE,
                champion=before,
                since=now,
                since_seq=log.position(),
                guardrails=guardrails,
                verdict=verdict,
                by=by,
                why=why,
            )
            _ROLLOUTS.save(log, rollout, now, by=by, why=_summary(rollout))
        log.set_alias(CHAMPION, bundle_id, now, by=by, why=why)
    return rollout


def end(log: Log, now: datetime, *, by: str, why: str) -> Rollout | None:
    """End what is under way; the champion stays who it is. Gives what ended.

    Raises StoreUnavailable.
    """
    with _ROLLOUTS.turn(log):
        return _end(log, now, by, why)


def roll_back(log: Log, now: datetime, *, by: str, why: str, to: str | None = None) -> str:
    """Take back what was moved last; gives the champion that is in force then.

    A shadow or a canary ends, and the champion stays; else the champion before comes back. With
    `to`, that bundle is made the champion, and whatever is under way ends. Raises NotFound where
    there is none, StoreUnavailable.
    """
    with _ROLLOUTS.turn(log):
        rollout, champion = _ROLLOUTS.in_force(log), log.alias(CHAMPION)
        if to is None and champion is not None and rollout is not None and rollout.is_beside:
            _end(log, now, by, f"rollback: {why}" if why else "rollback")
            return champion
        back = to or version_before(log, CHAMPION)
        if back is None:
            raise NotFound("no bundle was champion before this one: there is nothing to go back to")
        log.set_alias(CHAMPION, back, now, by=by, why=f"rollback: {why}" if why else "rollback")
        _end(log, now, by, f"rolled back to {back}")
    return back


def changes(log: Log, limit: int = REMEMBERED) -> list[AliasChange]:
    """The moves of rollouts, newest first."""
    return log.alias_changes(ROLLOUT, limit)


def _end(log: Log, now: datetime, by: str, why: str) -> Rollout | None:
    rollout = rollout_of(log)
    if rollout is None:
        return None
    over = replace(rollout, stage="over", since=now, since_seq=log.position(), by=by, why=why)
    why = f"{rollout.stage} of {rollout.bundle_id} ends: {why}"
    _ROLLOUTS.save(log, over, now, by=by, why=why)
    return rollout


def _summary(rollout: Rollout) -> str:
    share = f" for {rollout.share:.3g} of the customers" if rollout.stage == "canary" else ""
    return f"{rollout.stage} of {rollout.bundle_id}{share}: {rollout.why}"
