"""docs/events.md: every field, name and limit of events is on it, and its examples are taken."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime

from msgspec.structs import replace

from nba.decisions.past_decision import check_past_decision
from nba.events import names, parsing
from tests.fixtures.files import ROOT

PAGE = (ROOT / "docs" / "events.md").read_text(encoding="utf-8")
TOLD = set(re.findall(r"`([^`\n]+)`", PAGE))


def test_it_has_every_field_in_both_spellings() -> None:
    assert parsing.FIELDS <= TOLD | {"anonymous_id"}


def test_it_has_every_name_with_a_meaning_of_its_own_and_no_other() -> None:
    every = {*names.ACTION_FEEDBACK, *names.GOVERNANCE_EVENTS, names.REWARD_GIVEN}
    ours = {name for name in every if name.startswith(("Sub-journey", "Timer"))}
    titled = {name for name in TOLD if re.fullmatch(r"[A-Z]\w+ [A-Z]\w+", name)}
    assert titled == every - ours


def test_it_has_every_limit() -> None:
    limits = [parsing.MAX_ID_CHARS, parsing.MAX_PROPERTIES, parsing.MAX_DEPTH]
    limits += [parsing.MAX_EVENT_BYTES, parsing.MAX_AGE.days, parsing.EARLIEST.year]
    assert [limit for limit in limits if not re.search(rf"\b{limit}\b", PAGE)] == []


def test_both_spellings_are_one_event_and_the_past_decision_is_one() -> None:
    examples = [json.loads(text) for text in re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)]
    now = datetime(2026, 3, 1, 10, tzinfo=UTC)
    first, segment, past = (parsing.parse_event(one, now, trusted=True) for one in examples)
    assert replace(first, received_at=segment.received_at) == segment
    check_past_decision(past.properties)
