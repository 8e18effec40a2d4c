"""Commands that watch over the loop: health, retrain."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer
from msgspec import to_builtins

from serving.cli.terminal.options import Json, Seed
from serving.cli.terminal.session import command_settings
from serving.console import console, print_json, print_table, progress_bar

if TYPE_CHECKING:
    from nba.analytics.monitoring.check import Check
    from nba.analytics.monitoring.health_report import HealthReport
    from nba.analytics.monitoring.retraining import RetrainingDue
    from nba.analytics.monitoring.summary_store import SummaryStore
    from serving.replica.replica import Replica
    from serving.settings import Settings
    from training.data.needs import DataNeeds

SHADES = {"ok": "green", "warn": "yellow", "red": "red", "undecided": "dim"}
MAX_DAYS = 60
SMALL_LOG = 200_000  # events: of a larger one nobody asks what more of them would bring


def health(
    days: Annotated[
        int, typer.Option(min=1, max=MAX_DAYS, help="Days that are looked at, today among them.")
    ] = 7,
    json: Json = False,
) -> None:
    """Check the loop: drift, calibration, rewards, exploration, the propensity audit, the data.

    Exit code 1 where a check is red; docs/health.md says what to do. Example: `nba health --days 7`
    """
    from serving.workers.health_watch import health_now

    with summarized_log() as (replica, summaries):
        report = health_now(replica, summaries, window_days=days)
        needs = needs_of(replica)
    if json:
        print_json({**to_builtins(report), "more_data": needs})
    else:
        print_health(report)
        if needs is not None:
            print_needs(needs)
    if report.red:
        raise typer.Exit(1)


def retrain(
    if_due: Annotated[
        bool, typer.Option("--if-due", help="Train only on schedule, or where something drifted.")
    ] = False,
    schedule_days: Annotated[
        float | None, typer.Option(min=0.01, help="After so long it is due; none: the setting's.")
    ] = None,
    seed: Seed = 1,
    json: Json = False,
) -> None:
    """Train again where it is due, and register the challenger.

    Due: after the schedule, or by drift, calibration or falling rewards, if the last training is
    older than the cool-down. For a nightly job. Example: `nba retrain --if-due --schedule-days 7`
    """
    from serving.cli.scientists.train import trained

    settings = command_settings()
    due = due_now(settings, schedule_days)
    if if_due and not due.due:
        if json:
            print_json(due)
        else:
            at = f"{due.next_at:%Y-%m-%d %H:%M} UTC" if due.next_at else "unknown"
            console.print(f"not due: {due.why}; next: {at}", markup=False, highlight=False)
        return
    version, result = trained(settings, seed)
    if json:
        print_json({"due": due.due, "why": due.why, "version": version,
                    "bundle": result.bundle.bundle_id})  # fmt: skip
        return
    why = due.why if due.due else f"asked for, though {due.why}"
    console.print(why, markup=False, highlight=False, soft_wrap=True)
    console.print(f"version {version} is challenger; next: nba evaluate, nba promote")


@contextmanager
def summarized_log() -> Iterator[tuple[Replica, SummaryStore]]:
    """The replica, with the summaries of its log up to now.

    Raises StoreUnavailable, and what `assemble` does.
    """
    from nba.promotion.catalogue_versions import COMMAND
    from serving.replica.assembly import assemble
    from serving.workers.health_watch import watch_of

    replica = assemble(command_settings(), by=COMMAND)
    try:
        watch = watch_of(replica)
        with progress_bar("reading the log") as advance:
            seen = watch.step(progress=advance)
        if seen is None:  # a replica is at it: what it has saved last is enough
            watch.summaries.load()
        yield replica, watch.summaries
    finally:
        replica.close()


def due_now(settings: Settings, schedule_days: float | None = None) -> RetrainingDue:
    """Whether it is time to train, by what has changed since the last training.

    Raises StoreUnavailable, InvalidInput.
    """
    from models.bundles.registry import Registry
    from nba.analytics.monitoring.retraining import REFERENCE_DAYS, WINDOWS_DAYS, retrain_due
    from serving.replica.assembly import utc_now
    from serving.workers.health_watch import health_now

    trained_at = Registry(settings.tracking_url, settings.artifacts).trained_at()

    def read_reports() -> list[HealthReport]:
        with summarized_log() as (replica, summaries):
            return [
                health_now(
                    replica,
                    summaries,
                    window_days=days,
                    reference_days=REFERENCE_DAYS,
                    anchor=trained_at,
                )
                for days in WINDOWS_DAYS
            ]

    return retrain_due(
        read_reports,
        trained_at,
        utc_now(),
        schedule_days=settings.retrain_days if schedule_days is None else schedule_days,
        cool_down_days=settings.retrain_cool_down_days,
    )


def print_health(report: HealthReport) -> None:
    """A table, the worst first, and one line that sums it up."""
    order = ["red", "warn", "ok", "undecided"]
    checks = sorted(report.checks, key=lambda check: order.index(check.state))
    print_table(
        f"The loop from {report.since} to {report.at:%Y-%m-%d %H:%M} UTC, against "
        f"{report.reference_since} to {report.reference_until}",
        ("check", "state", "value", "limit", "what it says"),
        [
            (check.name, _shaded(check), check.value, check.limit, check.text.replace("[", r"\["))
            for check in checks
        ],
    )
    counts = {state: sum(check.state == state for check in checks) for state in order}
    totals = ", ".join(f"{count} {state}" for state, count in counts.items() if count)
    console.print(totals, highlight=False)


def needs_of(replica: Replica) -> DataNeeds | None:
    """What more data would bring, None for a large log. Raises StoreUnavailable."""
    from training.data.history import read_history
    from training.data.needs import data_needs

    if replica.log.position() > SMALL_LOG:
        return None
    return data_needs(read_history(replica.engine.fold, replica.log))


def print_needs(needs: DataNeeds) -> None:
    """What is missing to each next thing; nothing where nothing is."""
    open_needs = [need for need in needs.needs if need.missing]
    if open_needs:
        print_table(
            "What more data would bring",
            ("what", "needs", "of", "there are", "missing"),
            [(need.brings, need.needs, need.of, need.has, need.missing) for need in open_needs],
        )
    if needs.past_decisions:
        console.print(
            f"{needs.past_decisions:,} past decisions of another system count for caps, "
            f"cool-downs, features and training; {needs.past_without_propensity:,} of them "
            "without a propensity answer nothing off-policy",
            highlight=False,
            soft_wrap=True,
        )


def _shaded(check: Check) -> str:
    return f"[{SHADES[check.state]}]{check.state}[/]"
