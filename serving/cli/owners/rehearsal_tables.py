"""Two versions of the journey file side by side, as tables and as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import structs

from serving.console import console, print_table

if TYPE_CHECKING:
    from nba.journey_file.diff import PartChange
    from nba.measurement.statistics.estimate import Undecided
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
            (
                change.part or "-",
                change.id or "-",
                change.change,
                change.field,
                _json(change.old),
                _json(change.new),
            )
            for change in changes
        ],
    )


def changes_json(changes: Sequence[PartChange]) -> list[dict[str, object]]:
    """The same for scripts."""
    return [structs.asdict(change) for change in changes]


def print_rehearsal(rehearsal: Rehearsal | Undecided) -> None:
    """Who gets what now, in expected numbers of decisions."""
    from nba.journey.actions import NO_ACTION
    from nba.measurement.statistics.estimate import Undecided

    if isinstance(rehearsal, Undecided):
        console.print(f"rehearsal undecided: {rehearsal.reason}", highlight=False, soft_wrap=True)
        return
    console.print(
        f"{rehearsal.decisions:,} decisions for {rehearsal.customers:,} customers, "
        f"{rehearsal.begin:%Y-%m-%d %H:%M} to {rehearsal.end:%Y-%m-%d %H:%M} UTC; "
        f"{rehearsal.moved:,.1f} come out otherwise; "
        f"{rehearsal.folded_again:,} contexts folded again; "
        f"{rehearsal.unanswerable:,} ask for what is not in both",
        highlight=False,
    )
    rows = sorted(rehearsal.actions.items(), key=lambda item: (item[0] == NO_ACTION, -item[1][1]))
    print_table(
        "Expected decisions by action",
        ("action", "old", "new", "difference"),
        [(action, old, new, new - old) for action, (old, new) in rows],
    )
    if rehearsal.decisions:
        old, new = rehearsal.actions.get(NO_ACTION, (0.0, 0.0))
        share = (old / rehearsal.decisions, new / rehearsal.decisions)
        print_table("Share of decisions with no action", ("old", "new"), [share])
    print_table(
        "Load by channel",
        ("channel", "old", "new"),
        [(channel, old, new) for channel, (old, new) in rehearsal.channels.items()],
    )
    moved = [row for row in rehearsal.matrix if row[0] != row[1]][:SHOWN]
    print_table("Largest changes", ("from", "to", "decisions"), moved)
    if rehearsal.capacities:
        print_table(
            "Capacities",
            ("capacity", "period", "old", "of", "new", "of"),
            [structs.astuple(item) for item in rehearsal.capacities],
        )
    if rehearsal.refusals:
        print_table(
            "New refusals",
            ("stage", "reason", "rule", "actions"),
            rehearsal.refusals[:SHOWN],
        )


def rehearsal_json(rehearsal: Rehearsal | Undecided) -> dict[str, object]:
    """The same for scripts."""
    from nba.journey.actions import NO_ACTION
    from nba.measurement.statistics.estimate import Undecided

    if isinstance(rehearsal, Undecided):
        return {"undecided": rehearsal.reason}
    shares = [
        n / rehearsal.decisions if rehearsal.decisions else None
        for n in rehearsal.actions.get(NO_ACTION, (0.0, 0.0))
    ]
    return {
        **structs.asdict(rehearsal),
        "actions": _sides(rehearsal.actions),
        "channels": _sides(rehearsal.channels),
        "no_action_share": {"old": shares[0], "new": shares[1]},
        "matrix": [
            dict(zip(("old", "new", "decisions"), row, strict=True)) for row in rehearsal.matrix
        ],
        "refusals": [
            dict(zip(("stage", "code", "rule", "actions"), row, strict=True))
            for row in rehearsal.refusals
        ],
    }


def _sides(pairs: dict[str, tuple[float, float]]) -> dict[str, dict[str, float]]:
    return {name: {"old": old, "new": new} for name, (old, new) in pairs.items()}


def _json(value: Any) -> str:
    if value is None:
        return "-"
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()
