"""Contact policy: what we must not do, however good the offer. Everything is read from the ledger.

Caps hold under concurrent requests because the log takes a decision only on the ledger that it was
made on, and only where the capacities that it uses have room (`Log.append_decisions`).

Reason codes: `contact_cap`, `cool_down`, `paused`, `quiet_hours`, `no_capacity`, `holdout`.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

import numpy as np

from nba.customer.contact_history import Contact, ContactHistory
from nba.decisions.candidate import Stage
from nba.decisions.decision import CapacityTaken
from nba.durations import DAY_S, HOUR_S
from nba.governance.candidate_set import CandidateSet, Mask, Scope, Variants
from nba.governance.quiet_hours import Quiet, QuietPolicy, period
from nba.journey.file import JourneyFile
from nba.journey.policies import CONTACT_STATUSES, Capacity, Pause, Per
from nba.randomization import HOLDOUT, in_share

GONE = "-"  # what an action that has left the journey file is counted under
ON_ITS_WAY_S = 900.0  # a contact counts as shown so long, until it is known whether it was


class Limit(NamedTuple):
    """A cap, or a cool-down: at most `times` within `window_s`."""

    id: str
    code: str
    times: int
    window_s: float
    per: Per
    on: str
    mask: Mask  # the variants that it concerns
    counts: Callable[[Contact], bool]  # whose contacts it counts
    lifted_share: float


class ContactPolicy:
    """The owner's caps, cool-downs, pauses, quiet hours and capacities."""

    def __init__(self, journey: JourneyFile, variants: Variants) -> None:
        self._variants = variants
        self._actions = {action.id: action for action in journey.actions}
        self._codes = {action.id: code for code, action in enumerate(journey.actions)}
        policy = journey.contact_policy
        self._holdout_share = journey.exploration.holdout_share
        self._exempt = variants.where(lambda action: action.type == "transactional")
        self._counting = frozenset(a.id for a in journey.actions if a.type != "transactional")
        self._limits = [
            Limit(
                *(cap.id, "contact_cap", cap.times, cap.days * DAY_S, cap.per, cap.on),
                *(self._bound(cap), self._counts(cap), cap.lifted_share),
            )
            for cap in policy.caps
        ] + [
            Limit(
                *(one.id, "cool_down", 1, one.hours * HOUR_S, one.per, one.after),
                *(self._bound(one), self._counts(one), one.lifted_share),
            )
            for one in policy.cool_downs
        ]
        self._pauses = [(one, self._bound(one), self._counts(one)) for one in policy.pauses]
        quiet = [(Quiet(one), self._bound(one)) for one in policy.quiet_hours]
        self._quiet = QuietPolicy(quiet, variants)
        self._capacities = [(one, variants.mask(one)) for one in policy.capacities]
        cost = np.array([action.cost_eur for action in journey.actions])
        self._cost_eur = cost[variants.code] if len(cost) else cost
        self._places: dict[Per, dict[str, list[int]]] = {
            "customer": {}, "channel": {}, "group": {}, "action": {}
        }  # fmt: skip
        for at, code in enumerate(variants.code.tolist()):  # the variants that are counted as one
            for per, places in self._places.items():
                places.setdefault(self._key(per, variants.ids[code]), []).append(at)

    def concerned(self) -> Mask:
        """What any cap, pause, quiet hour or capacity concerns."""
        masks = [limit.mask for limit in self._limits] + [mask for _, mask, _ in self._pauses]
        masks += [mask for _, mask in self._quiet.rules] + [mask for _, mask in self._capacities]
        found = ~self._variants.everything
        for mask in masks:
            found = found | mask
        return found

    def limit(
        self,
        candidate_set: CandidateSet,
        contact_history: ContactHistory,
        customer_id: str,
        now_s: float,
        local: datetime,
        used: Mapping[str, float],
    ) -> dict[int, datetime]:
        """Strike what caps, pauses, quiet hours and capacities do not leave room for.

        Gives, by action code, when what may wait for quiet hours to end can be shown.

        `local`: now on the customer's own clock. `used`: of each capacity in its present period.
        """
        for limit in self._limits:
            self._hold(candidate_set, limit, contact_history, customer_id, now_s)
        for pause, mask, counts in self._pauses:
            self._pause(candidate_set, pause, mask, counts, contact_history, now_s, customer_id)
        not_before = self.apply_quiet_hours(candidate_set, local)
        for capacity, mask in self._capacities:
            self._ration(candidate_set, capacity, mask, used)
        return not_before

    def hold_out(self, candidate_set: CandidateSet, customer_id: str) -> None:
        """Strike all but transactional actions for the customers of the holdout."""
        if in_share(HOLDOUT, self._holdout_share, customer_id):
            detail = f"she is in the holdout of {self._holdout_share:.1%} of the customers"
            where = "exploration.holdout_share"
            candidate_set.strike(~self._exempt, Stage.CONTACT_POLICY, "holdout", where, detail)

    def apply_quiet_hours(
        self, candidate_set: CandidateSet, local: datetime
    ) -> dict[int, datetime]:
        """Strike what quiet hours drop now; by action code, when what may wait can be shown."""
        return self._quiet.apply_quiet_hours(candidate_set, local)

    def uses(self, action_id: str, owners_clock: datetime) -> tuple[CapacityTaken, ...]:
        """What drawing this action takes of the capacities."""
        code = self._codes.get(action_id)
        return () if code is None else self.watched([code], owners_clock)

    def watched(self, codes: Sequence[int], owners_clock: datetime) -> tuple[CapacityTaken, ...]:
        """Of each capacity the most that any of these actions would take."""
        found = []
        for capacity, mask in self._capacities:
            places = [self._variants.of[code][0] for code in codes]
            taking = [place for place in places if mask[place]]
            if taking:
                cost_eur = max(float(self._cost_eur[place]) for place in taking)
                found.append(
                    CapacityTaken(
                        capacity=capacity.id,
                        period=period(capacity.every, owners_clock),
                        amount=1.0 if capacity.unit == "contacts" else cost_eur,
                        most=capacity.most,
                    )
                )
        return tuple(found)

    def periods(self, owners_clock: datetime) -> list[tuple[str, str]]:
        """The (capacity, period) that a decision has to know of."""
        return [(one.id, period(one.every, owners_clock)) for one, _ in self._capacities]

    def _bound(self, scope: Scope) -> Mask:
        return self._variants.mask(scope) & ~self._exempt

    def _counts(self, scope: Scope) -> Callable[[Contact], bool]:
        codes = np.unique(self._variants.code[self._variants.mask(scope)]).tolist()
        counted = frozenset(self._variants.ids[code] for code in codes) & self._counting
        all_actions = scope.group is None and not scope.actions

        def counts(touch: Contact) -> bool:
            if touch.action in self._actions:
                return touch.action in counted
            # of an action that has left the journey file, she was contacted all the same
            return all_actions and scope.channel in (None, touch.channel)

        return counts

    def _key(self, per: str, action_id: str) -> str:
        if per == "customer":
            return ""
        action = self._actions.get(action_id)
        if action is None:
            return GONE
        return {"channel": action.channel, "group": action.group or "", "action": action_id}[per]

    def _touch_key(self, per: Per, touch: Contact) -> str:
        return touch.channel if per == "channel" and touch.channel else self._key(per, touch.action)

    def _made(
        self, limit: Limit, contact_history: ContactHistory, since_s: float, now_s: float
    ) -> Counter[str]:
        if limit.on not in CONTACT_STATUSES:
            times = sum(
                mark.kind == limit.on and mark.at_s > since_s
                for mark in contact_history.counted_events
            )
            return Counter(dict.fromkeys(self._places[limit.per], times))
        made: Counter[str] = Counter()
        for touch in contact_history.contacts:
            at_s = touch.status_s(limit.on)
            if limit.on == "shown" and at_s is None and touch.counted:
                due_s = max(touch.at_s, touch.not_before or 0.0)
                at_s = touch.at_s if now_s < due_s + ON_ITS_WAY_S else None
            if at_s is not None and at_s > since_s and limit.counts(touch):
                made[self._touch_key(limit.per, touch)] += 1
        return made

    def _hold(
        self,
        candidate_set: CandidateSet,
        limit: Limit,
        contact_history: ContactHistory,
        customer_id: str,
        now_s: float,
    ) -> None:
        since_s = now_s - limit.window_s
        # what was left out for lack of room may have been in the window: then nothing more is
        # allowed, rather than a count that is too low
        cut = (
            limit.on in CONTACT_STATUSES
            and contact_history.cut_s is not None
            and contact_history.cut_s > since_s
        )
        made = self._made(limit, contact_history, since_s, now_s)
        if not cut and max(made.values(), default=0) < limit.times:
            return
        places = self._places[limit.per]
        for key in places if cut else [key for key in places if made[key] >= limit.times]:
            times = made[key]
            struck = [at for at in candidate_set.among(places[key]) if limit.mask[at]]
            if not struck:
                continue
            of = f" of {key}" if key else ""
            detail = (
                f"{times} times {limit.on}{of} in {_span(limit.window_s)}, at most {limit.times}"
            )
            if times < limit.times:
                detail = f"more contacts in {_span(limit.window_s)} than the ledger holds"
            candidate_set.take_out_unless_lifted(
                *(struck, Stage.CONTACT_POLICY, limit.code, limit.id, detail),
                lifted_share=limit.lifted_share,
                customer_id=customer_id,
            )

    def _pause(
        self,
        candidate_set: CandidateSet,
        pause: Pause,
        mask: Mask,
        counts: Callable[[Contact], bool],
        contact_history: ContactHistory,
        now_s: float,
        customer_id: str,
    ) -> None:
        times: defaultdict[str, list[float]] = defaultdict(list)
        for touch in contact_history.contacts:
            at_s = touch.status_s(pause.after)
            if at_s is not None and counts(touch):
                times[self._touch_key(pause.per, touch)].append(at_s)
        until_s = {key: end_s for key, at in times.items() if (end_s := _paused(pause, at)) > now_s}
        for key, end_s in until_s.items():
            places = self._places[pause.per].get(key, [])
            at = [one for one in candidate_set.among(places) if mask[one]]
            if not at:
                continue
            days = (end_s - now_s) / DAY_S
            detail = (
                f"{pause.after} {pause.times} times in {pause.days:g} days; "
                f"paused for {days:.3g} more days"
            )
            candidate_set.take_out_unless_lifted(
                *(at, Stage.CONTACT_POLICY, "paused", pause.id, detail),
                lifted_share=pause.lifted_share,
                customer_id=customer_id,
            )

    def _ration(
        self, candidate_set: CandidateSet, capacity: Capacity, mask: Mask, used: Mapping[str, float]
    ) -> None:
        taken = used.get(capacity.id, 0.0)
        amounts = 1.0 if capacity.unit == "contacts" else self._cost_eur
        over = taken + amounts > capacity.most
        unit = "contacts" if capacity.unit == "contacts" else "EUR"
        detail = f"{taken:g} of {capacity.most:g} {unit} are taken this {capacity.every}"
        candidate_set.strike(mask & over, Stage.CONTACT_POLICY, "no_capacity", capacity.id, detail)


def _paused(pause: Pause, at: list[float]) -> float:
    """When the last pause that these outcomes bring is over, -inf without one."""
    at.sort()
    last = pause.times - 1
    ends = [
        at[n] + pause.pause_days * DAY_S
        for n in range(last, len(at))
        if at[n] - at[n - last] <= pause.days * DAY_S
    ]
    return max(ends, default=-np.inf)


def _span(seconds: float) -> str:
    return f"{seconds / DAY_S:g} days" if seconds >= DAY_S else f"{seconds / HOUR_S:g} hours"
