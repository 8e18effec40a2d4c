"""Random catalogues, histories and requests for the laws of governed decisions."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import numpy as np
from hypothesis import strategies as st
from msgspec.structs import replace

from features.context_store import ContextStore
from features.fold import Fold
from nba.customer.context import Context
from nba.decisions.decision import Churn
from nba.decisions.request import Request
from nba.events.event import Event
from nba.journey.actions import Treatment
from nba.journey.arbitration import ArbitrationRules, Lever, Weight
from nba.journey.file import JourneyFile
from nba.journey.mapping import Trait
from nba.journey.policies import (
    Cap,
    Capacity,
    Consent,
    ContactRules,
    CoolDown,
    EngagementRule,
    Pause,
    QuietHours,
    TimeZoneRule,
)
from nba.journey.sub_journeys import Branch, Budget, Step, SubJourney
from nba.journey_file.checks import check_journey
from nba.stores.memory.log import MemoryLog
from tests.house import JOURNEY, NOON, StubScorer, changed, event

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
IDS = [action.id for action in JOURNEY.actions]
CHANNELS = JOURNEY.channels()
SCORES = (0.5, 0.3, 0.2, 0.05, 0.0)
HELP, CARD, CALL, LOAN = JOURNEY.actions
OPEN_ACTIONS = [
    replace(
        HELP,
        group="help",
        type="service",
        treatment=None,
        treatments=[Treatment(id="popup"), Treatment(id="banner", suitable="emotion.sum10 > -1")],
        eligible=None,
    ),
    replace(CARD, group="sales", purpose="marketing", eligible=None, keeps=0.3),
    replace(CALL, type="transactional", eligible=None),
    replace(LOAN, group="sales", purpose="marketing", eligible=None, also_at=["site_search"]),
]
OPEN = changed(
    actions=OPEN_ACTIONS,
    traits=JOURNEY.traits
    | {"zone": Trait(type="category", values=["Europe/Berlin", "America/New_York"])},
    time_zone=TimeZoneRule(trait="zone", fallback="Europe/Berlin"),
    segments={
        "upset": "emotion.sum10 < -0.5",
        "told": "traits.segment is not None or segment.upset",
    },
    consents={"marketing": Consent(default="granted")},
    contact_policy=ContactRules(),
    levers=[],
    fallback=["card_offer", "help_popup"],
)
RULES = [
    *("emotion.sum10 > -0.5", "traits.segment is not None", "traits.tenure_months is None"),
    *('traits.segment in ["mass", "affluent"]', 'request.page == "home"', "request.page is None"),
    *("churn.risk < 0.5", "segment.upset", "not segment.told", "contact.web.count_7d < 2"),
    *("not traits.has_mortgage and traits.tenure_months >= 6", 'journey.stage != "leave"'),
    *("complaint.count_30d < 0.5 or request.page is not None", "purchase.sum_30d >= 50"),
]
SIGNS = ["decided", "shown", "clicked", "accepted", "dismissed"]
rule_texts = st.sampled_from(RULES)
shares = st.sampled_from([0.0, 0.0, 0.3])
pers = st.sampled_from(["customer", "channel", "group", "action"])
scopes = st.sampled_from(
    [{}, {"group": "sales"}, {"channel": "web"}, {"actions": ["card_offer", "loan_offer"]}]
)


def governed(**fields: Any) -> JourneyFile:
    """The open journey with other fields, held to the checks of a journey file."""
    journey = replace(OPEN, **fields)
    assert not list(check_journey(journey))
    return journey


@st.composite
def engagement_rules(draw: st.DrawFn) -> list[EngagementRule]:
    """Up to four rules on any layer and level."""
    layers = st.sampled_from(["eligibility", "applicability", "suitability"])
    days = st.sampled_from([{}, {}, {"begins": "2026-03-02"}, {"ends": "2026-03-01"}])
    return [
        EngagementRule(
            id=f"rule_{n}",
            layer=draw(layers),
            when=draw(rule_texts),
            lifted_share=draw(shares),
            **draw(scopes),
            **draw(days),
        )
        for n in range(draw(st.integers(0, 4)))
    ]


@st.composite
def contact_rules(draw: st.DrawFn) -> ContactRules:
    """Some of each kind of limit."""
    few = st.integers(0, 2)
    windows = st.sampled_from([0.25, 1.0, 7.0, 30.0])
    blocked = st.sampled_from(["drop", "next_allowed"])
    signs = st.sampled_from([*SIGNS, "complaint"])
    return ContactRules(
        caps=[
            Cap(id=f"cap_{n}", times=draw(st.integers(1, 3)), days=draw(windows), per=draw(pers),
                on=draw(signs), lifted_share=draw(shares), **draw(scopes))
            for n in range(draw(few))
        ],
        cool_downs=[
            CoolDown(id=f"cool_{n}", hours=draw(st.sampled_from([2.0, 30.0])), per=draw(pers),
                     after=draw(signs), lifted_share=draw(shares), **draw(scopes))
            for n in range(draw(few))
        ],
        pauses=[
            Pause(id=f"pause_{n}", times=draw(st.integers(1, 3)), days=draw(windows),
                  pause_days=draw(windows), after=draw(st.sampled_from(SIGNS)), per=draw(pers),
                  lifted_share=draw(shares), **draw(scopes))
            for n in range(draw(few))
        ],
        quiet_hours=[
            QuietHours(id=f"quiet_{n}", from_=draw(st.sampled_from(["10:00", "22:00"])),
                       until=draw(st.sampled_from(["07:00", "14:30"])), blocked=draw(blocked),
                       days=draw(st.sampled_from([[], ["sun"]])), **draw(scopes))
            for n in range(draw(st.integers(0, 1)))
        ],
        capacities=[
            Capacity(id=f"room_{n}", most=draw(st.sampled_from([1.0, 3.0, 9.0])),
                     unit=draw(st.sampled_from(["contacts", "cost_eur"])),
                     every=draw(st.sampled_from(["day", "week", "month"])), **draw(scopes))
            for n in range(draw(st.integers(0, 1)))
        ],
    )  # fmt: skip


@st.composite
def sub_journeys(draw: st.DrawFn) -> list[SubJourney]:
    """Up to three, of which the first two conflict."""
    branches = st.sampled_from(
        [[], [], [Branch(to="c", when="segment.upset")], [Branch(to="exit")]]
    )

    def step(name: str) -> Step:
        return Step(
            id=name,
            action=draw(st.sampled_from([None, *IDS])),
            when=draw(st.sampled_from([None, None, "not segment.upset", "sub_journey.s0"])),
            wait_hours=draw(st.sampled_from([0.0, 0.0, 5.0])),
            time_out_hours=draw(st.sampled_from([None, 12.0, 72.0])),
            done=draw(st.sampled_from(["decided", "clicked", "purchase"])),
            weight=draw(st.sampled_from([1.0, 1.5])),
            next=draw(branches) if name == "a" else [],
        )

    enters = st.sampled_from(
        ["segment.upset", "search_failed.count_1h > 0.5", "traits.segment is not None",
         "not sub_journey.s0", "purchase.total >= 1"]
    )  # fmt: skip
    return [
        SubJourney(
            id=f"s{n}",
            enter=draw(enters),
            leave=draw(st.sampled_from([None, "segment.upset", "complaint.total >= 2"])),
            goal=draw(st.sampled_from([None, "purchase"])),
            time_out_days=draw(st.sampled_from([2.0, 10.0])),
            again_after_days=draw(st.sampled_from([None, 0.0, 3.0])),
            priority=draw(st.integers(0, 2)),
            conflicts=["s1"] if n == 0 else [],
            purpose=draw(st.sampled_from([None, "marketing"])),
            budget=draw(st.sampled_from([Budget(), Budget(contacts=1), Budget(cost_eur=0.05)])),
            holdout=draw(shares),
            steps=[step(name) for name in "abc"],
        )
        for n in range(3)
    ]


@st.composite
def catalogues(draw: st.DrawFn) -> JourneyFile:
    """A journey with random governing parts."""
    return replace(
        OPEN,
        actions=[
            replace(one, suitable=draw(st.none() | rule_texts), ends=draw(
                st.sampled_from([None, None, "2026-02-28"])))
            for one in OPEN_ACTIONS
        ],
        consents={"marketing": Consent(default=draw(st.sampled_from(["granted", "withheld"])))},
        engagement=draw(engagement_rules()),
        contact_policy=draw(contact_rules()),
        sub_journeys=draw(st.just([]) | sub_journeys()),
        weights=[
            Weight(id=f"w{n}", when=draw(rule_texts), factor=2.0 - n, **draw(scopes))
            for n in range(draw(st.integers(0, 2)))
        ],
        levers=[Lever(id="push", factor=1.5, ends="2026-03-01", **draw(scopes))],
        arbitration=ArbitrationRules(
            annoyance_eur=draw(st.sampled_from([0.0, 0.5])), customer_value_eur=200.0
        ),
    )  # fmt: skip


@st.composite
def histories(draw: st.DrawFn, customer_id: str = "ada", most: int = 10) -> list[Event]:
    """What happened to a customer in the 20 days up to noon, in any order."""
    ends = st.integers(0, 480)
    events: list[Event] = []
    for n in range(draw(st.integers(0, most))):
        at = NOON - draw(ends) * HOUR
        kind = draw(st.integers(0, 9))
        channel = draw(st.sampled_from([{}, {"channel": "web"}, {"channel": "app"}]))
        if kind <= 2:
            name, properties = draw(
                st.sampled_from(
                    [("Products Searched", {"results_count": 0}), ("Rage Click", {}),
                     ("Complaint Filed", {}), ("Order Completed", {"revenue": 60}),
                     ("Application Opened", {}), ("identify", {"segment": "mass"}),
                     ("identify", {"zone": "America/New_York", "tenure_months": 12})]
                )
            )  # fmt: skip
        elif kind <= 5:
            name = "Action Decided"
            properties = {"action_id": draw(st.sampled_from([*IDS, "gone"])),
                          "decision_id": f"{customer_id}-{n}", "channel": "web"}  # fmt: skip
            if draw(st.integers(0, 4)) == 0:
                properties["deferred"] = True
        elif kind <= 7:
            name = draw(
                st.sampled_from(
                    ["Action Shown", "Action Clicked", "Action Dismissed", "Action Accepted",
                     "Action Activated", "Action Expired"]
                )
            )  # fmt: skip
            about = draw(st.integers(0, max(n - 1, 0)))
            properties = {"action_id": draw(st.sampled_from(IDS)),
                          "decision_id": f"{customer_id}-{about}"}  # fmt: skip
        elif kind == 8:
            name = draw(st.sampled_from(["Consent Given", "Consent Withdrawn"]))
            properties = draw(st.sampled_from([{}, {"purpose": "marketing"}])) | channel
        else:
            name = draw(st.sampled_from(["Contact Suppressed", "Contact Resumed"]))
            until = (NOON + draw(st.sampled_from([-5, 5])) * DAY).isoformat()
            properties = draw(st.sampled_from([{}, {"until": until}])) | channel
        events.append(
            event(name, at, properties, customer_id=customer_id, event_id=f"{customer_id}:{n}")
        )
    return events


@st.composite
def requests(draw: st.DrawFn, customer_id: str = "ada") -> Request:
    """Any question about a customer."""
    channel = draw(st.sampled_from([None, None, *CHANNELS]))
    return Request(
        customer_id=customer_id,
        channel=channel,
        placement=draw(st.sampled_from([None, None, "site_search"])),
        candidates=draw(st.sampled_from([None, None, ("help_popup", "loan_offer")])),
        facts=draw(st.sampled_from([{}, {"page": "home"}, {"page": "account"}, {"page": None}])),
        without=draw(st.sampled_from([(), (), ("card_offer",)])),
        deferred=draw(st.booleans()),
        baseline=draw(st.sampled_from([None, None, None, "help_popup", "no_action"])),
    )


class RiskScorer(StubScorer):
    """Whose churn risk differs between contexts."""

    def churn(self, contexts: Sequence[Context]) -> list[Churn]:
        found = []
        for context in contexts:
            known = np.nan_to_num(context.values).sum()
            found.append(Churn(risk=float(0.37 + 0.618 * abs(known)) % 1.0, horizon_days=30.0))
        return found


def contexts_of(
    fold: Fold, events: Sequence[Event], customer_ids: Sequence[str], now: datetime = NOON
) -> list[Context]:
    """Contexts of these customers on a log that holds the events."""
    (log := MemoryLog()).append_events(events)
    return ContextStore(log, fold).of(customer_ids, now)
