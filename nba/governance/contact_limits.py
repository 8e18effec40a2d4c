"""Contact limits: the caps, cool-downs and pauses, counted in the customer's contact history.

They hold under concurrent requests because the log takes a decision only on the contact history
that it was made on (`Log.append_decisions`).

Reason codes: `contact_cap`, `cool_down`, `paused`.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable
from datetime import datetime, time, timedelta
from typing import NamedTuple

import numpy as np

from nba.customer.contact_history import Contact, ContactHistory
from nba.durations import DAY_S, HOUR_S
from nba.governance.candidate_set import CandidateSet, Mask, Scope, Variants
from nba.journey.file import JourneyFile
from nba.journey.policies import CONTACT_STATUSES, Cap, CoolDown, Pause, Per

GONE = "-"  # what an action that has left the journey file is counted under
ON_ITS_WAY_S = 900.0  # a contact counts as shown so long, until it is known whether it was

CountsContact = Callable[[Contact], bool]


class _Limit(NamedTuple):
    """A cap, or a cool-down: at most `times` within `window_s`."""

    id: str
    code: str
    times: int
    window_s: float
    calendar: bool  # whole days of the customer's own clock
    per: Per
    on: str
    lifted_share: float
    mask: Mask  # the variants that it concerns
    counts: CountsContact  # whose contacts it counts


class ContactLimits:
    """The owner's caps, cool-downs and pauses."""

    def __init__(self, journey: JourneyFile, variants: Variants, exempt: Mask) -> None:
        """`exempt`: the variants that no limit concerns."""
        self._variants = variants
        self._exempt = exempt
        self._actions = {action.id: action for action in journey.actions}
        self._counting = frozenset(a.id for a in journey.actions if a.type != "transactional")
        policy = journey.contact_policy
        self._limits = [self._cap(cap) for cap in policy.caps]
        self._limits += [self._cool_down(cool_down) for cool_down in policy.cool_downs]
        self._pauses = [(pause, self._bound(pause), self._counts(pause)) for pause in policy.pauses]
        self._counted_together: dict[Per, dict[str, list[int]]] = {
            "customer": {}, "channel": {}, "group": {}, "action": {}
        }  # fmt: skip
        for position, code in enumerate(variants.code.tolist()):
            for per, positions in self._counted_together.items():
                positions.setdefault(self._key(per, variants.ids[code]), []).append(position)

    @property
    def masks(self) -> list[Mask]:
        """What each of them concerns."""
        return [limit.mask for limit in self._limits] + [mask for _, mask, _ in self._pauses]

    def apply(
        self,
        candidate_set: CandidateSet,
        history: ContactHistory,
        now_s: float,
        local: datetime,
    ) -> None:
        """Refuse what caps, cool-downs and pauses do not leave room for."""
        for limit in self._limits:
            self._apply_limit(candidate_set, limit, history, now_s, local)
        for pause, mask, counts in self._pauses:
            until_s = self._paused_until_s(pause, counts, history)
            for key, end_s in until_s.items():
                if end_s > now_s:
                    positions = self._counted_together[pause.per].get(key, [])
                    _refuse_paused(candidate_set, pause, mask, positions, end_s - now_s)

    def _cap(self, cap: Cap) -> _Limit:
        return _Limit(
            id=cap.id,
            code="contact_cap",
            times=cap.times,
            window_s=cap.days * DAY_S,
            calendar=bool(cap.calendar),
            per=cap.per,
            on=cap.on,
            lifted_share=cap.lifted_share,
            mask=self._bound(cap),
            counts=self._counts(cap),
        )

    def _cool_down(self, cool_down: CoolDown) -> _Limit:
        return _Limit(
            id=cool_down.id,
            code="cool_down",
            times=1,
            window_s=cool_down.hours * HOUR_S,
            calendar=False,
            per=cool_down.per,
            on=cool_down.after,
            lifted_share=cool_down.lifted_share,
            mask=self._bound(cool_down),
            counts=self._counts(cool_down),
        )

    def _bound(self, scope: Scope) -> Mask:
        return self._variants.mask(scope) & ~self._exempt

    def _counts(self, scope: Scope) -> CountsContact:
        codes = np.unique(self._variants.code[self._variants.mask(scope)]).tolist()
        counted = frozenset(self._variants.ids[code] for code in codes) & self._counting
        all_actions = scope.group is None and not scope.actions

        def counts(contact: Contact) -> bool:
            if contact.action in self._actions:
                return contact.action in counted
            # of an action that has left the journey file, they were contacted all the same
            return all_actions and scope.channel in (None, contact.channel)

        return counts

    def _key(self, per: Per, action_id: str) -> str:
        if per == "customer":
            return ""
        action = self._actions.get(action_id)
        if action is None:
            return GONE
        return {"channel": action.channel, "group": action.group or "", "action": action_id}[per]

    def _contact_key(self, per: Per, contact: Contact) -> str:
        if per == "channel" and contact.channel:
            return contact.channel
        return self._key(per, contact.action)

    def _times(
        self, limit: _Limit, history: ContactHistory, since_s: float, now_s: float
    ) -> Counter[str]:
        """How often it happened, by what is counted together."""
        if limit.on not in CONTACT_STATUSES:
            times = sum(
                event.kind == limit.on and event.at_s > since_s for event in history.counted_events
            )
            return Counter(dict.fromkeys(self._counted_together[limit.per], times))
        by_key: Counter[str] = Counter()
        for contact in history.contacts:
            at_s = contact.status_s(limit.on)
            if limit.on == "shown" and at_s is None and contact.counted:
                due_s = max(contact.at_s, contact.not_before or 0.0)
                at_s = contact.at_s if now_s < due_s + ON_ITS_WAY_S else None
            if at_s is not None and at_s > since_s and limit.counts(contact):
                by_key[self._contact_key(limit.per, contact)] += 1
        return by_key

    def _apply_limit(
        self,
        candidate_set: CandidateSet,
        limit: _Limit,
        history: ContactHistory,
        now_s: float,
        local: datetime,
    ) -> None:
        since_s = now_s - limit.window_s
        if limit.calendar:
            since_s = _begin_s(local, round(limit.window_s / DAY_S))
        # what was left out for lack of room may have been in the window: then nothing more is
        # allowed, rather than a count that is too low
        cut = limit.on in CONTACT_STATUSES and history.cut_s is not None and history.cut_s > since_s
        times_of = self._times(limit, history, since_s, now_s)
        if not cut and max(times_of.values(), default=0) < limit.times:
            return
        for key, positions in self._counted_together[limit.per].items():
            times = times_of[key]
            if not cut and times < limit.times:
                continue
            concerned = [at for at in candidate_set.among(positions) if limit.mask[at]]
            if not concerned:
                continue
            of = f" of {key}" if key else ""
            span = _span(limit.window_s)
            detail = f"{times} times {limit.on}{of} in {span}, at most {limit.times}"
            if times < limit.times:
                detail = f"more contacts in {span} than the ledger holds"
            candidate_set.refuse_unless_lifted(
                concerned,
                limit.code,
                rule=limit.id,
                detail=detail,
                lifted_share=limit.lifted_share,
            )

    def _paused_until_s(
        self, pause: Pause, counts: CountsContact, history: ContactHistory
    ) -> dict[str, float]:
        """When the last pause is over, by what is counted together."""
        outcomes_s: defaultdict[str, list[float]] = defaultdict(list)
        for contact in history.contacts:
            at_s = contact.status_s(pause.after)
            if at_s is not None and counts(contact):
                outcomes_s[self._contact_key(pause.per, contact)].append(at_s)
        return {key: _pause_end_s(pause, times_s) for key, times_s in outcomes_s.items()}


def _refuse_paused(
    candidate_set: CandidateSet, pause: Pause, mask: Mask, positions: list[int], rest_s: float
) -> None:
    concerned = [at for at in candidate_set.among(positions) if mask[at]]
    if concerned:
        candidate_set.refuse_unless_lifted(
            concerned,
            "paused",
            rule=pause.id,
            detail=f"{pause.after} {pause.times} times in {pause.days:g} days; "
            f"paused for {rest_s / DAY_S:.3g} more days",
            lifted_share=pause.lifted_share,
        )


def _pause_end_s(pause: Pause, times_s: list[float]) -> float:
    """When the last pause that these outcomes bring is over, -inf without one."""
    times_s.sort()
    last = pause.times - 1
    ends = [
        times_s[n] + pause.pause_days * DAY_S
        for n in range(last, len(times_s))
        if times_s[n] - times_s[n - last] <= pause.days * DAY_S
    ]
    return max(ends, default=-np.inf)


def _begin_s(local: datetime, days: int) -> float:
    """Just before the first of so many calendar days, of which that of `local` is the last."""
    first = local.date() - timedelta(days=days - 1)
    return datetime.combine(first, time(), local.tzinfo).timestamp() - 1e-6


def _span(seconds: float) -> str:
    return f"{seconds / DAY_S:g} days" if seconds >= DAY_S else f"{seconds / HOUR_S:g} hours"
