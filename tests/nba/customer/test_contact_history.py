"""The contact history: what was done to a customer, folded from the log in order of time."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, strategies as st
from msgspec.structs import replace

from features.context_store import ContextStore
from features.fold import Fold
from nba.customer import contact_history_room
from nba.customer.contact_history import Contact, ContactHistory, ContactHistoryRules
from nba.customer.contact_history_fold import fold
from nba.customer.contact_history_room import MAX_CONTACTS
from nba.durations import DAY_S, HOUR_S
from nba.events.event import Event
from nba.governance.contact_limits import _pause_end_s
from nba.journey.policies import Pause
from nba.stores.memory.log import MemoryLog
from tests.fixtures.examples import examples
from tests.fixtures.random_catalogues import CHANNELS, DAY, HOUR, catalogues, governed, histories
from tests.fixtures.small_replica import NOON, event

MINUTE = timedelta(minutes=1)
RULES = ContactHistoryRules(horizon_s=30 * DAY_S, kinds={"purchase": 3})
NOON_S = NOON.timestamp()


def history_of(*events: Event, kind: str | None = None) -> ContactHistory:
    return fold([(one, kind) for one in events], RULES)


def decided(at: Any = NOON, decision_id: str = "d-1", **properties: Any) -> Event:
    said = {"action_id": "help_popup", "channel": "web", "decision_id": decision_id}
    return event("Action Decided", at, said | properties)


def sign(name: str, at: Any = NOON, **properties: Any) -> Event:
    said = {"action_id": "help_popup", "decision_id": "d-1"}
    return event(f"Action {name}", at, said | properties)


def test_a_contact_keeps_what_came_of_it() -> None:
    contact_history = history_of(
        decided(step="rescue:1/call"), sign("Shown", NOON + HOUR), sign("Clicked", NOON + 2 * HOUR)
    )
    assert contact_history.contacts == (
        Contact("help_popup", "web", NOON_S, "d-1", True, "rescue:1/call", NOON_S + HOUR_S,
              NOON_S + 7_200),
    )  # fmt: skip
    [contact] = history_of(decided(), sign("Shown"), sign("Shown", NOON + HOUR)).contacts
    assert contact.shown == NOON_S  # the first time


def test_no_action_is_no_contact() -> None:
    assert history_of(decided(action_id="no_action"), decided(action_id=None)).contacts == ()


def test_an_outcome_without_its_decision_counts_as_itself_alone() -> None:
    [contact] = history_of(sign("Dismissed", channel="web"), sign("Clicked", NOON + HOUR)).contacts
    assert (contact.counted, contact.status_s("decided")) == (False, None)
    assert (contact.dismissed, contact.clicked) == (NOON_S, NOON_S + HOUR_S)


@pytest.mark.parametrize("how", ["Activated", "Shown", "Accepted"])
def test_a_deferred_decision_counts_from_its_activation_on(how: str) -> None:
    waiting = decided(deferred=True)
    assert history_of(waiting).contacts[0].status_s("decided") is None
    [contact] = history_of(waiting, sign(how, NOON + HOUR), sign("Activated", NOON + DAY)).contacts
    assert contact.status_s("decided") == NOON_S + HOUR_S


def test_an_activation_counts_though_its_decision_is_beyond_the_horizon() -> None:
    later = NOON + 40 * DAY
    [contact] = history_of(
        decided(deferred=True),
        decided(later - HOUR, "d-2", action_id="card_offer"),
        sign("Activated", later, channel="web", step="rescue:1/call"),
    ).contacts[1:]
    assert (contact.action, contact.status_s("decided")) == ("help_popup", later.timestamp())
    assert (contact.channel, contact.step) == ("web", "rescue:1/call")


def test_a_decision_that_never_reached_her_does_not_count() -> None:
    assert history_of(decided(), sign("Expired", NOON + HOUR)).contacts[0].counted is False
    assert history_of(decided(), sign("Shown"), sign("Expired", NOON + HOUR)).contacts[0].counted
    assert history_of(sign("Expired")).contacts == ()


def test_contacts_are_kept_for_as_long_as_a_rule_looks_back() -> None:
    early = decided(NOON - 31 * DAY, "old")
    assert [contact.decision_id for contact in history_of(early, decided()).contacts] == ["d-1"]
    dismissed = sign("Dismissed", NOON - 2 * DAY, decision_id="old")
    kept = history_of(early, dismissed, decided()).contacts
    assert [one.decision_id for one in kept] == ["old", "d-1"]


def test_where_there_are_many_contacts_those_that_no_limit_needs_are_left_out() -> None:
    """Before: the oldest, and then every capped action was refused for as long as it looks back."""
    rules = replace(RULES, most={"decided": 3}, actions=frozenset({"help_popup", "card_offer"}))
    rare = decided(NOON - HOUR, "rare", action_id="card_offer")
    many = [decided(NOON + n * MINUTE, f"d-{n}") for n in range(2_000)]
    contact_history = fold([(one, None) for one in (rare, *many)], rules)
    assert len(contact_history.contacts) <= MAX_CONTACTS
    assert contact_history.contacts[0].decision_id == "rare"
    assert contact_history.contacts[-1].decision_id == "d-1999"
    assert contact_history.cut_s is None


def test_contacts_of_actions_that_the_file_does_not_have_take_no_more_room() -> None:
    rules = replace(RULES, most={"decided": 3, "shown": 3})
    odd = [
        sign("Shown", NOON + n * MINUTE, action_id=f"a{n}", decision_id=f"d{n}", channel=f"c{n}")
        for n in range(1_000)
    ]
    assert len(fold([(one, None) for one in odd], rules).contacts) <= MAX_CONTACTS


@given(data=st.data())
@examples(60)
def test_a_limit_says_the_same_of_what_is_kept_as_of_all(data: st.DataObject) -> None:
    """Caps, cool-downs and pauses of random sizes, on histories that do not fit."""
    names, statuses = ["a", "b", "c"], ["decided", "shown", "dismissed"]
    contacts = []
    for n in range(data.draw(st.integers(20, 60))):
        made = n + data.draw(st.floats(0, 0.9))
        came = [data.draw(st.none() | st.floats(0, 30)) for _ in range(2)]
        contacts.append(
            Contact(
                action=data.draw(st.sampled_from(names)),
                channel="web",
                at_s=made,
                counted=data.draw(st.booleans()),
                shown=None if came[0] is None else made + came[0],
                dismissed=None if came[1] is None else made + came[1],
            )
        )
    times, within_s = data.draw(st.integers(1, 4)), data.draw(st.floats(1, 20))
    status = data.draw(st.sampled_from(statuses))
    rules = replace(
        RULES,
        most={status: times},
        pauses=(("dismissed", times, within_s),),
        actions=frozenset(names),
        channels=frozenset({"web"}),
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(contact_history_room, "MAX_CONTACTS", 8)
        patch.setattr(contact_history_room, "ROOM", 4)
        kept: tuple[Contact, ...] = ()
        for contact in contacts:
            kept = contact_history_room.contacts_within((*kept, contact), (), rules)
    assert len(kept) < len(contacts)
    together = set(data.draw(st.lists(st.sampled_from(names), min_size=1)))
    for since_s in range(0, 100, 7):
        reached = [
            sum(
                (at_s := one.status_s(status)) is not None and at_s > since_s
                for one in some
                if one.action in together
            )
            >= times
            for some in (contacts, kept)
        ]
        assert reached[0] == reached[1]
    pause = Pause(id="p", times=times, days=within_s / DAY_S, pause_days=1.0)
    ends = [
        _pause_end_s(
            pause,
            [one.dismissed for one in some if one.dismissed is not None and one.action in together],
        )
        for some in (contacts, kept)
    ]
    assert ends[0] == ends[1]


def test_of_a_named_event_as_many_are_kept_as_a_rule_asks_about() -> None:
    orders = [event("Order Completed", NOON + n * MINUTE) for n in range(300)]
    counted = history_of(*orders, kind="purchase")
    assert [order.at_s - NOON_S for order in counted.counted_events] == [
        297 * 60,
        298 * 60,
        299 * 60,
    ]
    assert counted.cut_s is None
    assert history_of(*orders, kind="page").counted_events == ()


def test_with_clocks_that_differ_what_was_withdrawn_stays_withdrawn() -> None:
    given, withdrawn = "Consent Given", "Consent Withdrawn"
    for second in (timedelta(seconds=-1), timedelta(seconds=1)):
        log = MemoryLog()
        log.append_events([event(given, NOON), event(withdrawn, NOON + second)])
        [context] = ContextStore(log, Fold(governed())).of(["ada"], NOON + DAY)
        assert context.contact_history.granted("marketing", "web") is False
        log.append_events([event(given, NOON + HOUR)])
        [context] = ContextStore(log, Fold(governed())).of(["ada"], NOON + DAY)
        assert context.contact_history.granted("marketing", "web") is True


def test_a_consent_that_cannot_be_read_grants_nothing_and_a_withdrawal_takes_all() -> None:
    odd = {"purpose": ["newsletter"]}
    assert history_of(event("Consent Given", NOON, odd)).granted("marketing", "web") is None
    withdrawn = history_of(event("Consent Withdrawn", NOON, odd))
    assert withdrawn.granted("marketing", "web") is False


def test_what_she_said_last_of_a_purpose_and_channel_holds() -> None:
    given, withdrawn = "Consent Given", "Consent Withdrawn"
    contact_history = history_of(
        event(given, NOON, {"purpose": "marketing"}),
        event(withdrawn, NOON, {"purpose": "marketing", "channel": "app"}),
    )
    assert [contact_history.granted("marketing", one) for one in CHANNELS] == [False, True, True]
    assert contact_history.granted("service", "web") is None
    everything = history_of(event(given, NOON, {"purpose": "marketing"}), event(withdrawn, NOON))
    assert everything.granted("marketing", "web") is False


def test_contacts_are_stopped_until_they_are_resumed_or_the_time_is_over() -> None:
    stop, resume = "Contact Suppressed", "Contact Resumed"
    until = {"until": (NOON + DAY).isoformat()}
    contact_history = history_of(event(stop, NOON, until))
    assert contact_history.is_suppressed("web", NOON_S) and not contact_history.is_suppressed(
        "web", NOON_S + DAY_S
    )
    web = {"channel": "web"}
    contact_history = history_of(event(stop, NOON, web), event(stop, NOON, until))
    assert contact_history.is_suppressed(
        "web", NOON_S + DAY_S
    ) and not contact_history.is_suppressed("app", NOON_S + DAY_S)
    assert not history_of(event(stop, NOON, web), event(resume, NOON)).suppressions
    assert history_of(event(stop, NOON), event(resume, NOON, web)).is_suppressed("web", NOON_S)
    assert history_of(event(stop, NOON, {"until": "soon"})).is_suppressed("web", NOON_S + 10**9)


def moved(name: str, at: Any = NOON, episode: str = "e1", **more: Any) -> Event:
    said = {"sub_journey": "rescue", "definition": "abc", "episode_id": episode, "step": "call"}
    return event(f"Sub-journey {name}", at, said | more)


def test_positions_follow_from_the_log() -> None:
    contact_history = history_of(moved("Entered"), moved("Moved", NOON + HOUR, step="mail"))
    position = contact_history.position("rescue")
    assert position is not None
    assert (position.step, position.moves) == ("mail", 2)
    assert (position.entered_s, position.since_s) == (NOON_S, NOON_S + HOUR_S)
    contact_history = history_of(moved("Entered"), moved("Left", NOON + HOUR, exit="success"))
    last = contact_history.last_exit("rescue")
    assert contact_history.position("rescue") is None and last is not None
    assert (last.at_s, last.exit) == (NOON_S + HOUR_S, "success")
    stray = history_of(moved("Entered"), moved("Left", episode="e0", exit="success"))
    assert stray.position("rescue") is not None  # of an earlier passage


FOLD = Fold(governed())


@examples(200)
@given(histories(most=14), st.lists(st.integers(1, 3), max_size=14))
def test_event_by_event_is_all_at_once(events: list[Event], pieces: list[int]) -> None:
    """In any order of arrival, in any pieces, with a replica that comes late."""
    log = MemoryLog()
    early = ContextStore(log, FOLD)
    left = list(events)
    for size in [*pieces, len(left)]:
        log.append_events(left[:size])
        left = left[size:]
        early.of(["ada"], NOON)
    [piecewise] = early.of(["ada"], NOON)
    [at_once] = ContextStore(log, FOLD).of(["ada"], NOON)
    assert piecewise.contact_history == at_once.contact_history
    assert piecewise.values.tobytes() == at_once.values.tobytes()
    assert piecewise.contacts == at_once.contacts
    assert (piecewise.seq, piecewise.as_of) == (at_once.seq, at_once.as_of)


@examples(100)
@given(catalogues(), histories(most=14), st.randoms(use_true_random=False))
def test_the_order_of_arrival_does_not_show(journey: Any, events: list[Event], random: Any) -> None:
    """Where no two happened at the same moment: those keep the order in which they came."""
    apart = {one.occurred_at: one for one in events}
    ordered = [apart[at] for at in sorted(apart)]
    shuffled = random.sample(ordered, len(ordered))
    fold_ = Fold(journey)
    histories = []
    for arrival in (ordered, shuffled):
        log = MemoryLog()
        store = ContextStore(log, fold_)
        for one in arrival:
            log.append_events([one])
            store.of(["ada"], NOON)
        contact_history = store.of(["ada"], NOON)[0].contact_history
        # of consents, the log's order counts too
        histories.append(replace(contact_history, consent_changes=()))
    assert histories[0] == histories[1]
