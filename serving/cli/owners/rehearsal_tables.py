"""Two versions of the journey file side by side, as tables and as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec import structs

from nba.journey.actions import NO_ACTION
from nba.journey_file.diff import PartChange
from nba.measurement.statistics.estimate import Undecided
from serving.console import console, print_table
from training.rehearsal.rehearsal import Rehearsal

SHOWN = 15  # changes that a table lists


def print_changes(changes: Sequence[PartChange]) -> None:
    """What is added, removed and changed."""
    if not changes:
        console.print("the two versions are equal")
        return
    print_table(
        "What differs",
        ("part", "id", "", "field", "old", "new"),
        [
            (one.part or "-", one.id or "-", one.change, one.field, _json(one.old), _json(one.new))
            for one in changes
        ],
    )


def changes_json(changes: Sequence[PartChange]) -> list[dict[str, object]]:
    """The same for scripts."""
    return [structs.asdict(one) for one in changes]


def print_rehearsal(found: Rehearsal | Undecided) -> None:
    """Who gets what now, in expected numbers of decisions."""
    if isinstance(found, Undecided):
        console.print(f"rehearsal undecided: {found.reason}", highlight=False, soft_wrap=True)
        return
    console.print(
        f"{found.decisions:,} decisions for {found.customers:,} customers, "
        f"{found.begin:%Y-%m-%d %H:%M} to {found.end:%Y-%m-%d %H:%M} UTC; "
        f"{found.moved:,.1f} come out otherwise; {found.folded_again:,} contexts folded again; "
        f"{found.unanswerable:,} ask for what is not in both",
        highlight=False,
    )
    rows = sorted(found.actions.items(), key=lambda one: (one[0] == NO_ACTION, -one[1][1]))
    print_table(
        "Expected decisions by action",
        ("action", "old", "new", "difference"),
        [(action, old, new, new - old) for action, (old, new) in rows],
    )
    if found.decisions:
        old, new = found.actions.get(NO_ACTION, (0.0, 0.0))
        share = (old / found.decisions, new / found.decisions)
        print_table("Share of decisions with no action", ("old", "new"), [share])
    print_table(
        "Load by channel",
        ("channel", "old", "new"),
        [(channel, old, new) for channel, (old, new) in found.channels.items()],
    )
    moved = [row for row in found.matrix if row[0] != row[1]][:SHOWN]
    print_table("Largest changes", ("from", "to", "decisions"), moved)
    if found.capacities:
        print_table(
            "Capacities",
            ("capacity", "period", "old", "of", "new", "of"),
            [structs.astuple(one) for one in found.capacities],
        )
    if found.refusals:
        print_table(
            "New refusals",
            ("stage", "reason", "rule", "actions"),
            found.refusals[:SHOWN],
        )


def rehearsal_json(found: Rehearsal | Undecided) -> dict[str, object]:
    """The same for scripts."""
    if isinstance(found, Undecided):
        return {"undecided": found.reason}
    shares = [
        n / found.decisions if found.decisions else None
        for n in found.actions.get(NO_ACTION, (0.0, 0.0))
    ]
    return {
        **structs.asdict(found),
        "actions": _sides(found.actions),
        "channels": _sides(found.channels),
        "no_action_share": {"old": shares[0], "new": shares[1]},
        "matrix": [
            dict(zip(("old", "new", "decisions"), row, strict=True)) for row in found.matrix
        ],
        "refusals": [
            dict(zip(("stage", "code", "rule", "actions"), row, strict=True))
            for row in found.refusals
        ],
    }


def _sides(pairs: dict[str, tuple[float, float]]) -> dict[str, dict[str, float]]:
    return {name: {"old": old, "new": new} for name, (old, new) in pairs.items()}


def _json(value: Any) -> str:
    if value is None:
        return "-"
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()
