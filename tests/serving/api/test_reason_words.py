"""Reasons as a person would say them; the log keeps their columns."""

from __future__ import annotations

import pytest

from nba.customer.context import ContextSchema
from nba.decisions.candidate import Reason
from nba.journey_file.loader import load_journey
from serving.api.reason_words import in_words
from tests.fixtures.files import BANK_JOURNEY
from tests.fixtures.routes_in_process import InProcess

SCHEMA = ContextSchema(load_journey(BANK_JOURNEY))


def words(column: str, value: float | None, contribution: float = 1.0) -> str:
    reason = Reason(column=column, value=value, contribution=contribution, text="as logged")
    (told,) = in_words([reason], SCHEMA, "help_popup")
    return told.text


@pytest.mark.parametrize(
    ("column", "value", "text"),
    [
        ("contact.app.count_7d", 2.2, "contact by app twice in the last week"),
        ("contact.app.total", 0.0, "no contact by app so far"),
        ("contact.app.days_since", None, "never: contact by app"),
        ("contact.app.days_since", 3.0, "contact by app 3 days ago"),
        ("contact.app.count_1d", 0.02, "contact by app some time ago"),
        ("customer.days_known", 30.0, "known for 30 days"),
        ("traits.tenure_months", 12.0, "tenure months is 12"),
        ("traits.has_mortgage", 1.0, "has mortgage is true"),
        ("traits.age", None, "age is unknown"),
        ("emotion.last", -0.5, "the last moment felt -0.5 (-1 to 1)"),
        ("action", 3.0, "it is help_popup"),
        ("offered.times", 2.0, "offered this 2 times before"),
    ],
)
def test_what_happened_is_said_with_how_often_and_when(
    column: str, value: float | None, text: str
) -> None:
    assert words(column, value) == f"{text}: a good answer is more likely"


def test_every_column_has_words_without_its_own_name() -> None:
    for column in SCHEMA.columns:
        for value in (None, 0.0, 1.0):
            text = words(column, value)
            assert column not in text and "_" not in text.replace("help_popup", ""), text


def test_some_events_of_a_name_are_called_by_their_kind_at_their_touchpoint() -> None:
    mapping = next(m for m in SCHEMA.journey.events if m.touchpoint == "web_search" and m.when)
    text = words(f"{mapping.id}.count_1d", 1.1, -1.0)
    assert text == (
        f"{mapping.id.replace('_', ' ')} (Search on the website) once in the last day: "
        "a good answer is less likely"
    )


def test_an_answer_has_the_words_by_default_and_the_columns_where_it_is_asked_in_full(
    client: InProcess,
) -> None:
    short, full = client.decide(explain="short"), client.decide(explain="full")
    assert short["filtered"] == [] and short["filtered_by_rule"]
    assert full["filtered"] and "filtered_by_rule" not in full
    assert short["candidates"] and full["candidates"]
    assert client.post("/decide", json={"customer_id": "ada", "dry_run": True}).json()["mode"] == (
        "dry_run"
    )
