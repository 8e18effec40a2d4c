"""The law of the contact policy: what it refuses is what plain counting refuses."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, NamedTuple

from hypothesis import given, strategies as st
from msgspec.structs import replace

from nba.decisions.request import Request
from nba.events.event import Event
from nba.governance.contact_limits import ON_ITS_WAY_S
from nba.journey.policies import CONTACT_STATUSES, Cap, ContactRules, CoolDown, Pause
from tests.fixtures.examples import examples
from tests.fixtures.random_catalogues import (
    CHANNELS,
    DAY,
    HOUR,
    IDS,
    OPEN_ACTIONS,
    SCORES,
    governed,
    pers,
    scopes,
)
from tests.fixtures.small_replica import NOON, SmallReplica, StubScorer, event

ADA = Request(customer_id="ada")
ACTIONS = {action.id: action for action in OPEN_ACTIONS}
MINUTE = timedelta(minutes=1)


class Contact(NamedTuple):
    action: str
    channel: str
    ago: timedelta
    deferred: bool
    expired: bool
    after: dict[str, timedelta]  # by sign, or `activated`

    def events(self, number: int) -> list[Event]:
        said = {"action_id": self.action, "decision_id": f"d{number}"}
        at = NOON - self.ago
        first = said | {"channel": self.channel} | ({"deferred": True} if self.deferred else {})
        found = [event("Action Decided", at, first)]
        for sign, later in self.after.items():
            found.append(event(f"Action {sign.capitalize()}", at + later, said))
        if self.expired:
            found.append(event("Action Expired", at + MINUTE, said))
        return found

    def when(self, sign: str) -> Any:
        at = NOON - self.ago
        if sign != "decided":
            return at + self.after[sign] if sign in self.after else None
        if self.deferred or (self.expired and self.after):
            return at + min(self.after.values()) if self.after else None
        return None if self.expired else at


@st.composite
def contacts(draw: st.DrawFn) -> Contact:
    ago = draw(st.one_of(st.integers(0, 130).map(lambda n: n * 6 * HOUR),
                         st.sampled_from([4 * MINUTE, 15 * MINUTE, 16 * MINUTE])))  # fmt: skip
    statuses = [*CONTACT_STATUSES[1:], "activated"]
    signs = draw(st.lists(st.sampled_from(statuses), unique=True, max_size=3))
    within = st.integers(1, 12).map(lambda n: n * ago / 12)
    action = draw(st.sampled_from([*IDS, "gone"]))
    after = {sign: draw(within) for sign in signs} if ago >= HOUR else {}
    return Contact(
        action=action,
        channel=draw(st.sampled_from(CHANNELS)),
        ago=ago,
        deferred=draw(st.booleans()),
        expired=draw(st.booleans()) and ago >= HOUR,
        after=after,
    )


def key(per: str, action: str, channel: str) -> str:
    if per == "customer":
        return ""
    if per == "channel":
        return channel
    if action not in ACTIONS:
        return "gone"
    return {"group": ACTIONS[action].group or "", "action": action}[per]


def concerns(scope: dict[str, Any], action: str, channel: str) -> bool:
    if action not in ACTIONS:
        return (
            "group" not in scope
            and "actions" not in scope
            and (scope.get("channel") in (None, channel))
        )
    given_action = ACTIONS[action]
    return (
        given_action.type != "transactional"
        and scope.get("group") in (None, given_action.group)
        and scope.get("channel") in (None, given_action.channel)
        and action in scope.get("actions", [action])
    )


def by_rule(limits: ContactRules, made: list[Contact], complaints: list[Any]) -> set[str]:
    """The actions that one cap, cool-down or pause refuses, by counting alone."""
    [limit] = [*limits.caps, *limits.cool_downs, *limits.pauses]
    scope = {n: v for n in ("group", "channel", "actions") if (v := getattr(limit, n))}
    found = set()
    for action in OPEN_ACTIONS:
        if not concerns(scope, action.id, action.channel):
            continue
        mine = key(limit.per, action.id, action.channel)
        alike = [
            one
            for one in made
            if concerns(scope, one.action, one.channel)
            and key(limit.per, one.action, one.channel) == mine
        ]
        if isinstance(limit, Pause):
            times = sorted(at for one in alike if (at := one.when(limit.after)) is not None)
            runs = zip(times, times[limit.times - 1 :], strict=False)
            if any(
                last - first <= limit.days * DAY and NOON < last + limit.pause_days * DAY
                for first, last in runs
            ):
                found.add(action.id)
            continue
        on, times_, window = (
            (limit.on, limit.times, limit.days * DAY)
            if isinstance(limit, Cap)
            else (limit.after, 1, limit.hours * HOUR)
        )
        if on == "complaint":
            at = complaints
        else:
            at = [found_at for one in alike if (found_at := one.when(on)) is not None]
        if on == "shown":  # on its way
            at += [
                made_at
                for one in alike
                if one.when("shown") is None
                and (made_at := one.when("decided")) is not None
                and NOON - made_at < timedelta(seconds=ON_ITS_WAY_S)
            ]
        if sum(NOON - window < one <= NOON for one in at) >= times_:
            found.add(action.id)
    return found


windows = st.sampled_from([0.25, 1.0, 7.0, 30.0])
some = st.integers(1, 3)
ons = st.sampled_from([*CONTACT_STATUSES, "complaint"])
limits = st.one_of(
    st.builds(
        lambda scope, **f: ContactRules(caps=[Cap(id="limit", **scope, **f)]),
        scopes, times=some, days=windows, per=pers, on=ons,
    ),
    st.builds(
        lambda scope, **f: ContactRules(cool_downs=[CoolDown(id="limit", **scope, **f)]),
        scopes, hours=st.sampled_from([0.25, 6.0, 72.0]), per=pers, after=ons,
    ),
    st.builds(
        lambda scope, **f: ContactRules(pauses=[Pause(id="limit", **scope, **f)]),
        scopes, times=some, days=windows, pause_days=windows, per=pers,
        after=st.sampled_from(CONTACT_STATUSES),
    ),
)  # fmt: skip


@examples(300)
@given(limits, st.lists(contacts(), max_size=8), st.lists(st.integers(0, 40), max_size=4))
def test_caps_cool_downs_and_pauses_are_plain_counting(
    rules: ContactRules, made: list[Contact], days: list[int]
) -> None:
    complaints = [NOON - n * DAY for n in days]
    events = [one for n, contact in enumerate(made) for one in contact.events(n)]
    events += [event("Complaint Filed", at) for at in complaints]
    far = Pause(id="far", times=99, days=40, pause_days=1)  # the history keeps all of it
    journey = governed(contact_policy=replace(rules, pauses=[*rules.pauses, far]))
    replica = SmallReplica(journey, scorer=StubScorer(SCORES))
    replica.log.append_events(events)
    [decision] = replica.decide(ADA)
    assert {one.action_id for one in decision.refused} == by_rule(rules, made, complaints)
