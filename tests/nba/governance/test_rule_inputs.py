"""Facts: one customer by name and many as columns give every rule the same answer."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, strategies as st
from msgspec.structs import replace

from features.fold import Fold
from nba.customer.contact_history import ContactHistory, SubJourneyPosition
from nba.errors import InvalidInput
from nba.governance.rule_inputs import (
    FEW,
    Population,
    RuleInputs,
    RuleSubject,
    rule_names,
    segment_rules,
)
from nba.journey.sub_journeys import Step, SubJourney
from nba.rules.rule import Boolean, Category, Number, parse_rule
from tests.fixtures.examples import examples
from tests.fixtures.random_catalogues import RULES, contexts_of, governed, histories
from tests.fixtures.small_replica import NOON

RESCUE = SubJourney(id="rescue", enter="segment.upset", steps=[Step(id="wait", wait_hours=9.0)])
JOURNEY = governed(sub_journeys=[RESCUE])
FOLD = Fold(JOURNEY)
NAMES = rule_names(JOURNEY)
SEGMENTS = segment_rules(JOURNEY, NAMES)
INSIDE = SubJourneyPosition("rescue", "x", "e", NOON.timestamp(), "wait", NOON.timestamp(), 1)


def test_rules_may_name_columns_request_segments_risk_and_sub_journeys() -> None:
    assert NAMES["request.page"] == Category(("home", "search", "loans", "account"))
    assert NAMES["segment.upset"] == NAMES["sub_journey.rescue"] == Boolean()
    assert NAMES["churn.risk"] == NAMES["emotion.sum10"] == Number()
    assert "properties.*" not in NAMES


def test_a_segment_may_name_those_above_it_alone() -> None:
    upside_down = {"a": "segment.b", "b": "emotion.sum10 < 0"}
    journey = replace(JOURNEY, segments=upside_down)
    with pytest.raises(InvalidInput) as caught:
        segment_rules(journey, rule_names(journey))
    assert caught.value.field == "segments.a"
    turned = replace(JOURNEY, segments={"b": "emotion.sum10 < 0", "a": "not segment.b"})
    assert list(segment_rules(turned, rule_names(turned))) == ["segment.b", "segment.a"]


def subject(contact_history: ContactHistory, **fields: Any) -> RuleSubject:
    [context] = contexts_of(FOLD, [], ["ada"])
    return RuleSubject(context.values, {}, contact_history, fields.get("risk"))


def test_the_held_out_are_not_in_a_sub_journey() -> None:
    rule = parse_rule("sub_journey.rescue", NAMES)
    for contact_history, holds in (
        (ContactHistory(), False),
        (ContactHistory(positions=(INSIDE,)), True),
        (ContactHistory(positions=(replace(INSIDE, held_out=True),)), False),
    ):
        facts = RuleInputs(FOLD.schema, subject(contact_history), SEGMENTS)
        assert rule.holds(facts) is holds
        assert rule.holds(facts.after(ContactHistory(positions=(INSIDE,))))


def test_a_name_that_is_no_fact_is_unknown() -> None:
    facts = RuleInputs(FOLD.schema, subject(ContactHistory()), SEGMENTS)
    assert facts.get("nothing.here") is None
    assert facts["churn.risk"] is None and facts["request.page"] is None
    assert len(facts) == len(list(facts)) == len(FOLD.schema.columns)


TEXTS = [*RULES, "sub_journey.rescue", "churn.risk is None", "not segment.told",
         'journey.stage in ["explore", "use"]', "request.page is not None",
         "traits.has_mortgage == False", "purchase.days_since < 5 or segment.upset",
         'traits.zone != "Europe/Berlin"']  # fmt: skip


@st.composite
def subjects(draw: st.DrawFn) -> list[RuleSubject]:
    names = [f"c{n}" for n in range(FEW + 1)]
    events = [one for name in names for one in draw(histories(name, most=5))]
    contact_histories = st.sampled_from([ContactHistory(), ContactHistory(positions=(INSIDE,))])
    facts = st.sampled_from([{}, {"page": "home"}, {"page": None}])
    risks = st.sampled_from([None, 0.2, 0.8])
    return [
        RuleSubject(context.values, draw(facts), draw(contact_histories), draw(risks))
        for context in contexts_of(FOLD, events, names)
    ]


@examples(60, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(subjects())
def test_both_readings_agree_on_every_rule(found: list[RuleSubject]) -> None:
    many = Population(FOLD.schema, found, SEGMENTS)
    for text in TEXTS:
        rule = parse_rule(text, NAMES)
        one_by_one = [Population(FOLD.schema, [one], SEGMENTS).holds(rule)[0] for one in found]
        assert list(many.holds(rule)) == one_by_one, text
        assert np.array(one_by_one).dtype == np.bool_
