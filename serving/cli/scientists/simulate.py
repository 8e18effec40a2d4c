"""The command that plays a simulated bank: simulate."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from serving.cli.terminal.options import Json, Seed
from serving.cli.terminal.session import command_settings
from serving.console import console, print_json, print_table, progress_bar, steps

if TYPE_CHECKING:
    from training.simulation.world import WorldConfig


def simulate(
    history: Annotated[
        Path | None, typer.Option(help="Write the events of one world to this file.")
    ] = None,
    champion: Annotated[
        bool, typer.Option("--champion", help="Also play the service with its champion.")
    ] = False,
    customers: Annotated[int, typer.Option(min=1, help="Customers of each world.")] = 300,
    days: Annotated[float, typer.Option(min=1, help="Days that each world lasts.")] = 120.0,
    worlds: Annotated[int, typer.Option(min=1, help="Worlds to compare policies in.")] = 3,
    seed: Seed = 101,
    json: Json = False,
) -> None:
    """Play a simulated bank with known truth: compare policies in it, or write its history.

    Example: `nba simulate --champion`, or `nba simulate --history bank.jsonl --customers 3000`
    """
    from training.simulation.policies import BUILT_IN, compare_policies
    from training.simulation.world import WorldConfig

    config = WorldConfig(customers=customers, days=days, seed=seed)
    if history is not None:
        simulate_history(config, history, json=json)
        return
    policies = dict(BUILT_IN)
    if champion:
        from serving.cli.scientists.simulated_service import service_policy

        policies["champion"] = service_policy(command_settings())
    with steps("simulating", len(policies)) as step:
        values = compare_policies(config, range(seed, seed + worlds), policies, step)
    if json:
        print_json(values)
        return
    half = {name: 1.96 * value.stderr_eur for name, value in values.items()}
    print_table(
        f"EUR per customer against doing nothing: {worlds} worlds of {customers} customers",
        ("policy", "value", "low", "high"),
        [
            (name, value.mean_eur, value.mean_eur - half[name], value.mean_eur + half[name])
            for name, value in values.items()
        ],
    )


def simulate_history(config: WorldConfig, path: Path, *, json: bool = False) -> None:
    """Write a world's history and say what it holds."""
    from training.simulation.history import write_history

    with progress_bar("simulating the bank") as advance:
        seen = 0

        def show(events: int) -> None:
            nonlocal seen
            advance(events - seen)
            seen = events

        summary = write_history(config, path, show)
    if json:
        print_json(
            {
                "file": str(path),
                "events": summary.lines,
                "customers": summary.customers,
                "closed": summary.closed,
            }
        )
    else:
        console.print(f"{summary.lines:,} events of {summary.customers:,} customers")
