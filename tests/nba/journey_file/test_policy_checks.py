"""The governing parts are checked when the file is loaded: each error with its line and remedy."""

from __future__ import annotations

import pytest

from nba.errors import InvalidJourney
from nba.journey_file.loader import parse_journey
from tests.fixtures.files import SMALL_JOURNEY

SMALL = SMALL_JOURNEY.read_text(encoding="utf-8")
# What the small journey leaves out, each on one line.
MORE = """
segments: {upset: emotion.sum10 < -0.5, glad: not segment.upset}
consents: {marketing: {}}
engagement: [{id: adult, layer: eligibility, when: traits.tenure_months > 1, channel: app}]
weights: [{id: glad, when: segment.glad, factor: 2}]
time_zone: {trait: zone}
sub_journeys:
  - id: rescue
    enter: segment.upset
    goal: purchase
    conflicts: [other]
    purpose: marketing
    steps:
      - {id: call, action: agent_callback, next: [{to: end, when: segment.glad}, {to: wait}]}
      - {id: wait, wait_hours: 5}
      - {id: end, action: card_offer, outbound: true, done: purchase}
  - {id: other, enter: segment.glad, steps: [{id: only}]}
"""
TEXT = SMALL.replace("  tenure_months:", "  zone: {type: category, values: [Europe/Rome]}\n"
                     "  tenure_months:").replace(
    "levers:",
    "  cool_downs: [{id: calm, hours: 5, after: purchase}]\n"
    '  quiet_hours: [{id: night, from: "22:00", until: "07:00"}]\n'
    "levers:",
) + MORE  # fmt: skip


def test_the_whole_of_it_loads() -> None:
    journey = parse_journey(TEXT)
    assert [sub_journey.id for sub_journey in journey.sub_journeys] == ["rescue", "other"]
    assert journey.contact_policy.quiet_hours[0].from_ == "22:00"


@pytest.mark.parametrize(
    ("right", "wrong", "message"),
    [
        # scopes and ids
        ("id: adult", "id: three_a_week",
         "contact_policy.caps[0].id: 'three_a_week': already the id of engagement[0];"
         " reports name rules by it, choose another"),
        ("channel: app}]", "channel: ap}]",
         "engagement[0].channel: 'ap': unknown id, did you mean 'app'?"),
        ("channel: app}]", "group: sales}]",
         "engagement[0].group: 'sales': unknown id, known names: none"),
        ("channel: app}]", "channel: app, actions: [loan_offer]}]",
         "engagement[0]: 'adult': no action is of this group, channel and list"
         " together; widen it or remove it"),
        # dates
        ("ends: 2030-12-31", "ends: 2030-02-30",
         "levers[0].ends: '2030-02-30': no such day in the calendar"),
        ("ends: 2030-12-31", "begins: 2031-01-01, ends: 2030-12-31",
         "levers[0].ends: '2030-12-31': it begins later, on 2031-01-01"),
        # signs, hours, zones
        ("per: action}", "per: action, on: click}",
         "contact_policy.caps[0].on: 'click': unknown id, did you mean 'clicked'?"),
        ("after: purchase", "after: purchases",
         "contact_policy.cool_downs[0].after: 'purchases': unknown id, did you mean 'purchase'?"),
        ('until: "07:00"', 'until: "22:00"', "contact_policy.quiet_hours[0].until: '22:00': it ends"
         " when it begins; write two times"),
        ("Europe/Rome", "Europe/Rom", "traits.zone.values[0]: 'Europe/Rom': give a time zone of the"
         " IANA list, such as Europe/Berlin"),
        ("{trait: zone}", "{trait: segmnt}",
         "time_zone.trait: 'segmnt': unknown id, did you mean 'segment'?"),
        ("{trait: zone}", "{trait: tenure_months}",
         "time_zone.trait: 'tenure_months': make it a category of time zones"),
        # actions
        ("    value_eur: 40", "    purpose: marketng\n    value_eur: 40",
         "actions[1].purpose: 'marketng': unknown id, did you mean 'marketing'?"),
        ("    value_eur: 120", "    only_in_sub_journey: true\n    value_eur: 120",
         "actions[3].only_in_sub_journey: True: no step of a sub-journey calls for it, so that it"
         " is never offered"),
        ("treatment: popup", "treatment: popup\n    treatments: [{id: a}, {id: b}]",
         "actions[0].treatment: 'popup': give either treatment or treatments"),
        ("treatment: popup", "treatments: [{id: a}, {id: a}]",
         "actions[0].treatments[1].id: 'a': given twice; choose another"),
        # rules
        ("when: segment.glad, factor", "when: segment.gald, factor",
         "weights[0].when: 'segment.gald': unknown name, did you mean 'segment.glad'?"),
        ("traits.tenure_months > 1,", "traits.tenure_months > True,",
         "engagement[0].when: 'True': > needs numbers and this is true or false; use == or in"),
        ("upset: emotion.sum10 < -0.5,", "upset: segment.glad,",
         "segments.upset: 'segment.glad': unknown name, known names: "),
        ("traits.tenure_months > 1, channel: app",
         "traits.has_mortgage and traits.tenure_months < 6",
         "actions[3].eligible: 'not traits.has_mortgage and traits.tenure_months >= 6 an...: the"
         " rules of action loan_offer exclude each other: never offered"),
        # sub-journeys
        ("conflicts: [other]", "conflicts: [rescue]",
         "sub_journeys[0].conflicts[0]: 'rescue': unknown id, known names: other"),
        ("goal: purchase", "goal: purchas",
         "sub_journeys[0].goal: 'purchas': unknown id, did you mean 'purchase'?"),
        ("    purpose: marketing", "    purpose: selling",
         "sub_journeys[0].purpose: 'selling': unknown id, known names: marketing"),
        ("{id: wait, wait_hours", "{id: call, wait_hours",
         "sub_journeys[0].steps[1].id: 'call': taken or reserved; choose another"),
        ("action: agent_callback, next", "action: agent_calback, next",
         "sub_journeys[0].steps[0].action: 'agent_calback': unknown id, did you mean"
         " 'agent_callback'?"),
        ("done: purchase", "done: purchased",
         "sub_journeys[0].steps[2].done: 'purchased': unknown id, did you mean 'purchase'?"),
        ("action: card_offer, outbound", "outbound",
         "sub_journeys[0].steps[2].outbound: True: name the action with which we address the"
         " customer"),
        ("{to: wait}", "{to: wat}",
         "sub_journeys[0].steps[0].next[1].to: 'wat': unknown id, did you mean 'wait'?"),
        ("{id: wait, wait_hours: 5}", "{id: wait, wait_hours: 5, next: [{to: call}]}",
         "sub_journeys[0].steps[1].next[0].to: 'call': a branch leads to a later step or to the"
         " exit, so that every passage ends"),
        ("{to: end, when: segment.glad}", "{to: end}",
         "sub_journeys[0].steps[0].next[1]: 'wait': never reached: the branch before it has no"
         " condition; move it to the end"),
        (", {to: wait}]", ", {to: end}]",
         "sub_journeys[0].steps[1].id: 'wait': no step leads here; give one a branch to it, or"
         " remove it"),
        ("{id: other, enter", "{id: rescue, enter",
         "sub_journeys[1].id: 'rescue': already the id of another; choose another"),
    ],
)  # fmt: skip
def test_an_error_names_path_value_and_remedy(right: str, wrong: str, message: str) -> None:
    assert TEXT.count(right) >= 1
    with pytest.raises(InvalidJourney) as caught:
        parse_journey(TEXT.replace(right, wrong, 1), "bank.yaml")
    said = [line.split(" ", 1)[1] for line in str(caught.value).splitlines()]
    assert any(line.startswith(message) for line in said), said
