"""Importing event files: every line is accepted, a duplicate, or named with what is wrong."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, strategies as st

from nba.customer.context import ContextSchema
from nba.errors import InvalidFile
from nba.stores.memory.log import MemoryLog
from serving.jobs import event_import as importing
from serving.jobs.event_import import Imported, import_files
from tests.fixtures.examples import examples
from tests.fixtures.open_replica import ADA, capped, open_replica, propensities
from tests.fixtures.small_replica import JOURNEY

SCHEMA = ContextSchema(JOURNEY)


def line(event_id: str, name: str = "Rage Click", **fields: Any) -> str:
    event = {"event_id": event_id, "customer_id": "ada", "name": name}
    return json.dumps(event | {"occurred_at": "2026-02-01T10:00:00Z"} | fields)


def written(file: Path, *lines: str) -> Path:
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return file


def test_good_lines_are_appended_in_their_order(tmp_path: Path) -> None:
    log = MemoryLog()
    first = written(tmp_path / "a.jsonl", line("a1"), "", "  ", line("a2"))
    second = written(tmp_path / "b.jsonl", line("b1"))
    result = import_files(log, SCHEMA, [first, second])
    assert result == Imported(accepted=3)
    assert [event.event_id for event in log.page_events()] == ["a1", "a2", "b1"]


def test_an_event_was_received_when_the_file_says_else_when_it_occurred(tmp_path: Path) -> None:
    log = MemoryLog()
    late = line("a2", received_at="2026-02-03T00:00:00Z")
    import_files(log, SCHEMA, [written(tmp_path / "a.jsonl", line("a1"), late)])
    plain, stated = log.page_events()
    assert plain.received_at == plain.occurred_at
    assert stated.received_at.isoformat() == "2026-02-03T00:00:00+00:00"
    assert stated.occurred_at == plain.occurred_at


def test_importing_again_changes_nothing(tmp_path: Path) -> None:
    log = MemoryLog()
    file = written(tmp_path / "a.jsonl", line("a1"), line("a2"), line("a1"))
    assert import_files(log, SCHEMA, [file]) == Imported(accepted=2, duplicates=1)
    assert import_files(log, SCHEMA, [file]) == Imported(duplicates=3)
    assert log.position() == 2


def test_a_bad_line_is_named_with_its_place_and_the_others_are_kept(tmp_path: Path) -> None:
    log = MemoryLog()
    file = written(
        tmp_path / "a.jsonl",
        line("a1"),
        "{not json",
        line("a2", customer_id=""),
        "",
        line("a3", nmae="x"),
        '{"customer_id": "ada", "name": "x", "name": "y"}',
        '{"customer_id": "ada", "name": "x", "properties": {"n": NaN}}',
        "[]",
        line("a4"),
    )
    result = import_files(log, SCHEMA, [file])
    assert (result.accepted, result.rejected_lines) == (2, 6)
    assert [text.split(": ", 1)[0] for text in result.rejected] == [
        f"{file}:{number}" for number in (2, 3, 5, 6, 7, 8)
    ]
    assert result.rejected[0].startswith(f"{file}:2: the line is not valid JSON")
    assert result.rejected[1].endswith("customer_id: '': give 1 to 200 printable characters")
    assert result.rejected[2].endswith("did you mean 'name'?")
    assert "a key occurs twice" in result.rejected[3]
    assert [event.event_id for event in log.page_events()] == ["a1", "a4"]


def test_of_many_bad_lines_all_are_counted_and_the_first_are_named(tmp_path: Path) -> None:
    file = written(tmp_path / "a.jsonl", *["?"] * 50)
    result = import_files(MemoryLog(), SCHEMA, [file])
    assert result.rejected_lines == 50
    assert len(result.rejected) == importing.LISTED == 20


def test_a_gz_file_is_read_like_a_plain_one(tmp_path: Path) -> None:
    log = MemoryLog()
    file = tmp_path / "a.jsonl.gz"
    file.write_bytes(gzip.compress(f"{line('a1')}\n{line('a2')}\n".encode()))
    assert import_files(log, SCHEMA, [file]).accepted == 2


def test_events_that_the_journey_does_not_map_are_kept_and_counted_by_name(tmp_path: Path) -> None:
    log = MemoryLog()
    lines = [line("a1"), line("a2", "Seen"), line("a3", "Seen"), line("a4", "identify")]
    lines += [line("a5", "Heard"), line("a2", "Seen")]
    result = import_files(log, SCHEMA, [written(tmp_path / "a.jsonl", *lines)])
    assert result.unmapped == {"Seen": 2, "Heard": 1}
    assert (result.accepted, result.duplicates, log.position()) == (5, 1, 5)


def test_progress_counts_the_events_of_every_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importing, "BATCH", 3)
    files = [
        written(tmp_path / "a.jsonl", *(line(f"a{n}") for n in range(7))),
        written(tmp_path / "b.jsonl", *(line(f"b{n}") for n in range(3))),
    ]
    seen: list[int] = []
    log = MemoryLog()
    assert import_files(log, SCHEMA, files, seen.append).accepted == 10
    assert sum(seen) == 10
    assert max(seen) == 3
    assert log.position() == 10


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda file: None, "No such file or directory"),
        (lambda file: file.mkdir(), "Is a directory"),
    ],
    ids=["missing", "a folder"],
)
def test_a_file_that_cannot_be_read_is_one_line(tmp_path: Path, make: Any, reason: str) -> None:
    file = tmp_path / "events.jsonl"
    make(file)
    with pytest.raises(InvalidFile) as caught:
        import_files(MemoryLog(), SCHEMA, [file])
    assert reason in str(caught.value)
    assert str(file) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "content",
    [b"not gzip at all", gzip.compress(b"x" * 5000)[:-20], gzip.compress(b"{}")[:12] + b"garbage"],
    ids=["plain", "cut off", "damaged"],
)
def test_a_broken_gz_file_is_one_line(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "events.jsonl.gz"
    file.write_bytes(content)
    with pytest.raises(InvalidFile) as caught:
        import_files(MemoryLog(), SCHEMA, [file])
    assert str(file) in str(caught.value)
    assert "\n" not in str(caught.value)


@given(st.lists(st.binary(max_size=30), max_size=8))
@examples(60, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_a_file_holds_every_line_is_accounted_for(
    tmp_path: Path, lines: list[bytes]
) -> None:
    lines = [one.replace(b"\n", b"").replace(b"\r", b"") for one in lines]
    file = tmp_path / "fuzz.jsonl"
    file.write_bytes(b"\n".join([*lines, line("good").encode()]))
    log = MemoryLog()
    result = import_files(log, SCHEMA, [file])
    assert result.accepted == log.position() == 1
    assert result.rejected_lines == sum(bool(one.strip()) for one in lines)
    assert all("\n" not in text for text in result.rejected)


def past(event_id: str, **properties: Any) -> str:
    return line(event_id, "Action Decided", properties=properties)


def test_past_decisions_are_told_with_what_they_cannot_answer(tmp_path: Path) -> None:
    known = past("a1", action_id="help_popup", propensity=0.5, candidates=["help_popup"])
    file = written(
        tmp_path / "a.jsonl",
        known,
        past("a2", action_id="help_popup"),
        past("a3", action_id="gone"),
    )
    result = import_files(MemoryLog(), SCHEMA, [file])
    assert (result.accepted, result.past_decisions, result.without_propensity) == (3, 3, 2)
    assert result.unknown_actions == {"gone": 1}


def test_a_past_decision_without_an_action_is_named(tmp_path: Path) -> None:
    file = written(tmp_path / "a.jsonl", past("a1", decision_id="d1"))
    result = import_files(MemoryLog(), SCHEMA, [file])
    assert (result.accepted, result.rejected_lines) == (0, 1)
    assert "properties.action_id" in result.rejected[0]


def test_past_decisions_count_for_caps(tmp_path: Path) -> None:
    replica = open_replica(journey=capped(times=2, days=400, per="action", actions=["help_popup"]))
    assert "help_popup" in propensities(replica.draw(ADA)[0])
    lines = [past(f"a{n}", decision_id=f"p{n}", action_id="help_popup") for n in range(2)]
    import_files(replica.log, SCHEMA, [written(tmp_path / "a.jsonl", *lines)])
    assert "help_popup" not in propensities(replica.draw(ADA)[0])
