"""The contact policy: how often, how soon, when and how much; held to plain counting."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from features.fold import Fold
from nba.customer.contact_history import ContactHistory
from nba.decisions.candidate import Refused, Stage
from nba.decisions.decision import Decision
from nba.decisions.request import Request
from nba.durations import DAY_S
from nba.events.event import Event
from nba.governance.candidate_set import CandidateSet, Variants
from nba.governance.contact_limits import ContactLimits
from nba.journey.policies import Cap, Capacity, ContactRules, CoolDown, Pause, QuietHours
from tests.fixtures.random_catalogues import (
    DAY,
    HOUR,
    IDS,
    OPEN_ACTIONS,
    SCORES,
    contexts_of,
    governed,
)
from tests.fixtures.small_replica import NOON, SmallReplica, StubScorer, event

ADA = Request(customer_id="ada")
ACTIONS = {action.id: action for action in OPEN_ACTIONS}
MINUTE = timedelta(minutes=1)


def decided(*events: Event, now: Any = NOON, **rules: Any) -> Decision:
    replica = SmallReplica(
        governed(contact_policy=ContactRules(**rules)), scorer=StubScorer(SCORES)
    )
    replica.log.append_events(events)
    [decision] = replica.decide(ADA, now=now)
    return decision


def refused(*events: Event, now: Any = NOON, **rules: Any) -> dict[str, Refused]:
    found = decided(*events, now=now, **rules).refused
    assert {one.stage for one in found} <= {Stage.CONTACT_POLICY}
    return {one.action_id: one for one in found}


def shown(action: str, ago: timedelta = HOUR, **more: Any) -> Event:
    said = {"action_id": action, "channel": ACTIONS[action].channel if action in ACTIONS else "fax"}
    return event("Action Decided", NOON - ago, said | more)


def test_without_limits_everything_is_allowed() -> None:
    assert refused(*[shown("help_popup")] * 300) == {}


def test_a_refusal_names_the_cap_and_its_count() -> None:
    cap = Cap(id="two_a_week", times=2, days=7, per="action")
    assert refused(shown("card_offer"), shown("loan_offer"), caps=[cap]) == {}
    [one] = refused(shown("card_offer"), shown("card_offer"), caps=[cap]).values()
    assert (one.action_id, one.code, one.rule) == ("card_offer", "contact_cap", "two_a_week")
    assert one.detail == "2 times decided of card_offer in 7 days, at most 2"


def test_a_transactional_action_neither_counts_nor_is_held_back() -> None:
    cap = Cap(id="one", times=1, days=7)
    assert refused(shown("agent_callback"), caps=[cap]) == {}
    assert set(refused(shown("card_offer"), caps=[cap])) == {
        "help_popup",
        "card_offer",
        "loan_offer",
    }


def test_what_left_the_journey_file_was_a_contact_all_the_same() -> None:
    gone = shown("gone", channel="web")
    assert len(refused(gone, caps=[Cap(id="all", times=1, days=7)])) == 3
    web = Cap(id="web", times=1, days=7, per="channel")
    assert set(refused(gone, caps=[web])) == {"help_popup", "loan_offer"}
    for per in ("group", "action"):
        assert refused(gone, caps=[Cap(id="one", times=1, days=7, per=per)]) == {}
    assert refused(gone, caps=[Cap(id="sales", times=1, days=7, group="sales")]) == {}
    scoped = Cap(id="app", times=1, days=7, channel="app")
    assert refused(gone, caps=[scoped]) == {}


def test_a_contact_counts_where_it_was_made() -> None:
    cap = Cap(id="one", times=1, days=7, per="channel")
    elsewhere = event("Action Decided", NOON, {"action_id": "help_popup", "channel": "app"})
    assert set(refused(elsewhere, caps=[cap])) == {"card_offer"}


def test_nothing_more_for_a_while_after_a_contact() -> None:
    calm = CoolDown(id="calm", hours=24, group="sales")
    one = refused(shown("card_offer", 23 * HOUR), cool_downs=[calm])["loan_offer"]
    assert (one.code, one.rule) == ("cool_down", "calm")
    assert one.detail == "1 times decided in 1 days, at most 1"
    assert refused(shown("card_offer", 24 * HOUR), cool_downs=[calm]) == {}


def test_who_dismisses_it_three_times_is_not_asked_for_a_month() -> None:
    pause = Pause(id="enough", times=3, days=30, pause_days=30)
    often = [
        event("Action Dismissed", NOON - days * DAY, {"action_id": "card_offer"})
        for days in (1, 20, 30)
    ]
    assert refused(*often[:2], pauses=[pause]) == {}
    [one] = refused(*often, pauses=[pause]).values()
    assert (one.action_id, one.code, one.rule) == ("card_offer", "paused", "enough")
    assert one.detail == "dismissed 3 times in 30 days; paused for 29 more days"
    assert refused(*often, now=NOON + 29 * DAY, pauses=[pause]) == {}


def test_in_quiet_hours_a_message_is_dropped_or_waits() -> None:
    drop = QuietHours(id="noon", from_="12:00", until="14:00")  # noon UTC is 13:00 in Berlin
    found = refused(quiet_hours=[drop])
    assert set(found) == {"help_popup", "card_offer", "loan_offer"}  # a transactional one is not
    assert found["card_offer"].detail == "it is 13:00 for her, quiet until 14:00"
    new_york = event("identify", NOON, {"zone": "America/New_York"})
    assert refused(new_york, quiet_hours=[drop]) == {}
    wait = replace(drop, blocked="next_allowed")
    after = QuietHours(id="after", from_="14:00", until="15:30", blocked="next_allowed")
    decision = decided(quiet_hours=[wait, after])
    assert not decision.refused and decision.action_id == "card_offer"
    assert decision.not_before == NOON + timedelta(hours=2, minutes=30)
    whole_day = replace(wait, id="rest", from_="14:00", until="13:59")
    assert {one.detail for one in refused(quiet_hours=[wait, whole_day]).values()} == {
        "her quiet hours never end"
    }


def test_what_is_kept_for_the_morning_is_on_its_way_until_then() -> None:
    night = QuietHours(id="night", from_="12:00", until="20:00", blocked="next_allowed")
    cap = Cap(id="once", times=1, days=7, on="shown")
    rules = ContactRules(caps=[cap], quiet_hours=[night])
    replica = SmallReplica(governed(contact_policy=rules), scorer=StubScorer(SCORES))
    [first] = replica.decide(ADA)
    assert first.not_before is not None
    [second] = replica.decide(ADA, later=HOUR)
    assert {one.code for one in second.refused} == {"contact_cap"}


def test_a_capacity_is_shared_by_all_and_renewed_with_its_period() -> None:
    room = Capacity(id="calls", most=1, actions=["agent_callback"])
    journey = governed(contact_policy=ContactRules(capacities=[room]))
    replica = SmallReplica(journey, scorer=StubScorer([0, 0, 0.9, 0, 0]))
    asked = [
        Request(customer_id=name, candidates=("agent_callback",)) for name in ("ada", "bob", "eve")
    ]
    decisions = [replica.decide(one)[0] for one in asked]
    drawn = [decision.action_id for decision in decisions]
    assert drawn.count("agent_callback") == 1
    late = next(
        decision
        for decision in decisions
        if decision.refused and decision.refused[-1].code == "no_capacity"
    )
    assert late.refused[-1].rule == "calls"
    assert late.refused[-1].detail == "1 of 1 contacts are taken this day"
    assert late.used == {"calls": 1.0}
    [tomorrow] = replica.decide(asked[0], later=DAY)
    assert "agent_callback" in [candidate.action_id for candidate in tomorrow.candidates]


def test_a_capacity_may_be_money() -> None:
    room = Capacity(id="budget", most=8, unit="cost_eur", every="week")
    journey = governed(contact_policy=ContactRules(capacities=[room]))
    replica = SmallReplica(journey, scorer=StubScorer(SCORES))
    [decision] = replica.decide(Request(customer_id="ada", candidates=("agent_callback",)))
    while decision.action_id == "no_action":
        [decision] = replica.decide(Request(customer_id="ada", candidates=("agent_callback",)))
    assert [(use.capacity, use.period, use.amount) for use in decision.uses] == [
        ("budget", "2026-W09", 8.0)
    ]
    [next_one] = replica.decide(Request(customer_id="bob"))
    assert {one.action_id for one in next_one.refused} == set(IDS)


def test_a_limit_refuses_by_its_own_count_however_many_other_contacts_there_were() -> None:
    """Before: of 257 contacts with one action, every capped action was refused."""
    cap = Cap(id="many", times=290, days=7, per="action")
    crowd = [shown("help_popup", n * MINUTE) for n in range(400)]
    found = refused(*crowd[:289], caps=[cap])
    assert found == {}
    assert list(refused(*crowd, caps=[cap])) == ["help_popup"]
    few = Cap(id="few", times=2, days=7, per="action")
    rare = shown("card_offer", 6 * DAY)
    assert list(refused(rare, *crowd, caps=[few])) == ["help_popup"]
    twice = [rare, shown("card_offer", 5 * DAY)]
    assert set(refused(*twice, *crowd, caps=[few])) == {"help_popup", "card_offer"}


def test_a_history_that_was_cut_before_is_judged_as_it_was() -> None:
    """What was logged with `cut_s` replays: nothing more was allowed then."""
    cap = Cap(id="many", times=290, days=7, per="action")
    journey = governed(contact_policy=ContactRules(caps=[cap]))
    variants = Variants(journey)
    limits = ContactLimits(journey, variants, variants.where(lambda action: False))
    candidate_set = CandidateSet(variants, customer_id="ada")
    limits.apply(
        candidate_set, ContactHistory(cut_s=NOON.timestamp()), NOON.timestamp() + 60.0, NOON
    )
    assert {one.detail for one in candidate_set.refused} == {
        "more contacts in 7 days than the ledger holds"
    }


def test_a_lifted_limit_is_logged_with_what_it_would_have_removed() -> None:
    cap = Cap(id="one", times=1, days=7, lifted_share=1.0)
    decision = decided(shown("card_offer"), caps=[cap])
    assert not decision.refused
    assert [(one.rule, one.action_ids) for one in decision.lifted] == [
        ("one", ("help_popup", "card_offer", "loan_offer"))
    ]


@pytest.mark.parametrize("most", [1, 5])
def test_what_all_take_together_never_passes_a_capacity(most: int) -> None:
    room = Capacity(id="room", most=most, every="month")
    journey = governed(contact_policy=ContactRules(capacities=[room]), no_action_value_eur=-99.0)
    replica = SmallReplica(journey, scorer=StubScorer(SCORES))
    decisions = replica.decide(*[Request(customer_id=f"c{n}") for n in range(20)])
    taken = sum(use.amount for decision in decisions for use in decision.uses)
    assert taken == most == sum(decision.action_id != "no_action" for decision in decisions)


def test_the_history_looks_back_as_far_as_any_rule() -> None:
    rules = ContactRules(pauses=[Pause(id="p", times=1, days=50, pause_days=60)])
    fold = Fold(governed(contact_policy=rules))
    assert fold.contact_history_rules.horizon_s == 110 * DAY_S
    [context] = contexts_of(fold, [shown("card_offer", 109 * DAY), shown("card_offer")], ["ada"])
    assert len(context.contact_history.contacts) == 2
