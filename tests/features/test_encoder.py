"""Encoding: which rows an event becomes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from features.encoder import Row
from features.kernel.layout import CHANNELS, CONTACT, EVENT, TRAIT
from nba.events.event import micros
from nba.events.names import GOVERNANCE_EVENTS
from nba.journey.mapping import EventMapping
from tests.fixtures.small_replica import FOLD, JOURNEY, NOON, SmallReplica, changed, event

ENCODER = FOLD.encoder
KINDS = FOLD.schema.kinds
TOUCHPOINTS = [touchpoint.id for touchpoint in JOURNEY.touchpoints()]
ACTIONS = [action.id for action in JOURNEY.actions]


def rows(name: str, properties: dict[str, Any] | None = None) -> list[Row]:
    return ENCODER.rows(event(name, NOON, properties))


def test_the_first_mapping_that_holds_counts() -> None:
    [failed] = rows("Products Searched", {"results_count": 0})
    [found] = rows("Products Searched", {"results_count": 3})
    [unsaid] = rows("Products Searched")
    assert [KINDS[row.kind] for row in (failed, found, unsaid)] == [
        *("search_failed", "search", "search"),
    ]
    assert failed.op == EVENT and TOUCHPOINTS[failed.touchpoint] == "site_search"
    assert np.isnan(failed.valence) and np.isnan(found.valence)  # as its kind feels


def test_mappings_are_tried_in_the_order_of_the_file() -> None:
    any_search = EventMapping(id="any_search", event="Products Searched")
    replica = SmallReplica(changed(events=[any_search, *JOURNEY.events]))
    made = event("Products Searched", NOON, {"results_count": 0})
    assert replica.fold.encoder.kind(made) == "any_search"
    assert ENCODER.kind(made) == "search_failed"


def test_an_unmapped_event_is_kept_as_such() -> None:
    [row] = rows("Never Heard Of", {"revenue": 5})
    assert KINDS[row.kind] == "unmapped" and row.touchpoint == -1 and row.amount == 0.0
    assert ENCODER.kind(event("Never Heard Of")) is None


def test_the_time_is_in_seconds_to_the_microsecond() -> None:
    at = NOON.replace(microsecond=123_457)
    [row] = ENCODER.rows(event("page", at))
    assert round(row.time * 1e6) == micros(at)


@pytest.mark.parametrize(
    ("revenue", "amount"),
    [(12, 12.0), (-0.5, -0.5), ("12", 0.0), (None, 0.0), (True, 0.0), ([12], 0.0)],
)
def test_an_amount_is_a_number_or_nothing(revenue: object, amount: float) -> None:
    [row] = rows("Order Completed", {"revenue": revenue})
    assert KINDS[row.kind] == "purchase" and row.amount == amount


def test_an_integer_too_large_for_a_float_is_the_most_of_an_amount_and_no_trait() -> None:
    [row] = rows("Order Completed", {"revenue": 10**400})
    assert row.amount == 1e9
    [trait] = rows("identify", {"tenure_months": -(10**400)})
    assert np.isnan(trait.amount)


@pytest.mark.parametrize(
    ("trait", "value", "code"),
    [
        ("segment", "mass", 0.0),
        ("segment", "private", 2.0),
        ("segment", "royal", None),
        ("segment", 0, None),
        ("segment", ["mass"], None),
        ("tenure_months", 7, 7.0),
        ("tenure_months", 7.5, 7.5),
        ("tenure_months", "7", None),
        ("tenure_months", True, None),
        ("has_mortgage", True, 1.0),
        ("has_mortgage", False, 0.0),
        ("has_mortgage", 1, None),
        ("has_mortgage", "yes", None),
        ("has_mortgage", None, None),
    ],
)
def test_a_trait_of_another_type_is_unknown(trait: str, value: object, code: float | None) -> None:
    [row] = rows("identify", {trait: value})
    assert row.op == TRAIT and row.subject == list(JOURNEY.traits).index(trait)
    assert row.amount == code if code is not None else np.isnan(row.amount)


def test_an_undeclared_trait_and_an_empty_identify_leave_no_row() -> None:
    assert rows("identify", {"shoe_size": 43}) == []
    assert rows("identify") == []


def test_an_imported_decision_is_a_contact_on_the_channel_that_it_names() -> None:
    [row] = rows("Action Decided", {"action_id": "help_popup", "channel": "app"})
    assert row.op == CONTACT and ACTIONS[row.subject // CHANNELS - 1] == "help_popup"
    assert KINDS[row.kind] == "contact.app"
    assert JOURNEY.channels()[row.subject % CHANNELS - 1] == "app"
    [row] = rows("Action Decided", {"action_id": "help_popup"})
    assert KINDS[row.kind] == "contact.web"
    assert JOURNEY.channels()[row.subject % CHANNELS - 1] == "web"


def test_a_contact_outside_the_journey_file_has_no_codes() -> None:
    [row] = rows("Action Decided", {"action_id": "gone", "channel": "pigeon"})
    assert row.op == CONTACT and row.kind == -1 and row.subject == 0


@pytest.mark.parametrize("action_id", ["no_action", None, 7, ["help_popup"]])
def test_no_action_is_no_contact(action_id: object) -> None:
    assert rows("Action Decided", {"action_id": action_id}) == []


def test_a_deferred_decision_is_no_contact_until_it_is_activated() -> None:
    said = {"action_id": "help_popup", "channel": "web"}
    assert rows("Action Decided", said | {"deferred": True}) == []
    [row] = rows("Action Activated", said)
    assert row.op == CONTACT and ACTIONS[row.subject // CHANNELS - 1] == "help_popup"


@pytest.mark.parametrize(
    "name", sorted({*GOVERNANCE_EVENTS} - {"Action Decided", "Action Activated"})
)
def test_an_event_that_governs_contacts_is_not_lived_through(name: str) -> None:
    said = {"action_id": "help_popup", "sub_journey": "rescue", "purpose": "marketing"}
    assert rows(name, said) == []


def test_a_mapped_identify_sets_traits_before_it_counts() -> None:
    mapping = EventMapping(id="known", event="identify", touchpoint="website", valence=0.2)
    replica = SmallReplica(changed(events=[mapping, *JOURNEY.events]))
    made = replica.fold.encoder.rows(event("identify", NOON, {"segment": "mass"}))
    assert [row.op for row in made] == [TRAIT, EVENT]
