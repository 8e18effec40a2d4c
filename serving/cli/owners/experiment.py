"""Commands for experiments: plan, start, status, stop, ship."""

from __future__ import annotations

import difflib
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nba.errors import InvalidInput
from serving.cli.terminal.options import By, Json, Why
from serving.cli.terminal.session import command_settings, current_user
from serving.console import console, print_json, progress_bar
from serving.settings import Settings

if TYPE_CHECKING:
    from nba.experiments.action_report import ActionReport
    from nba.experiments.experiment import Experiment, ExperimentSet, Started
    from nba.experiments.plan import ExperimentPlan
    from nba.experiments.report import ExperimentReport
    from nba.journey.file import JourneyFile
    from nba.stores.log import Log

experiment_app = typer.Typer(
    rich_markup_mode="markdown",
    no_args_is_help=True,
    help="Arms against one another, honestly. Example: `nba experiment status`",
)

File = Annotated[Path, typer.Argument(help="An experiment file.")]
ExperimentId = Annotated[str, typer.Argument(help="The id of an experiment.")]
Days = Annotated[float, typer.Option(min=1.0, help="Of the last so many days.")]
Anyway = Annotated[bool, typer.Option("--anyway", help="Against what the log says; give a why.")]


@experiment_app.command()
def plan(file: File, days: Days = 28.0, json: Json = False) -> None:
    """Say before the start what an experiment could show, and after how many days.

    Example: `nba experiment plan examples/bank/experiment.yaml`
    """
    from serving.replica.assembly import opened_log
    from serving.reports.experiment_tables import as_plain, print_plan

    settings = command_settings()
    with opened_log(settings) as log:
        journey, experiment = _read(settings, log, file)
        planned = _planned(log, journey, experiment, days)
    if json:
        print_json(as_plain(planned))
    else:
        print_plan(planned)


@experiment_app.command()
def start(file: File, why: Why, by: By = "", anyway: Anyway = False, json: Json = False) -> None:
    """Start an experiment: running services decide by its arms within seconds.

    Refused where nothing could come of it: too few customers, no room in its layer, an arm that
    another experiment changes too. Example:
    `nba experiment start examples/bank/experiment.yaml --why "is the pause worth it?"`
    """
    from nba.experiments.registry import room_for, start as put_in_force, stored_experiments
    from nba.promotion import catalogue_versions as catalogue
    from serving.replica.assembly import opened_log, utc_now
    from serving.replica.bundle_checks import check_arm_bundle

    settings, by = command_settings(), by or current_user()
    with opened_log(settings) as log:
        journey, experiment = _read(settings, log, file)
        room_for(experiment, stored_experiments(log))
        if experiment.allocation == "share" and not anyway:
            problems = _planned(log, journey, experiment, 28.0).problems
            if problems:
                remedy = f"{'; '.join(problems)}; see nba experiment plan, or give --anyway"
                raise InvalidInput("experiment", experiment.id, remedy)
        catalogue.keep(log, journey)
        started = put_in_force(
            log,
            experiment,
            journey,
            utc_now(),
            by=by,
            why=why,
            check_bundle=partial(check_arm_bundle, log, journey),
        )
    if json:
        print_json(started)
        return
    console.print(f"{experiment.id} runs", highlight=False)
    console.print(f"next: nba experiment status {experiment.id}", highlight=False)


@experiment_app.command()
def status(
    which: Annotated[str | None, typer.Argument(help="An id; none: list them all.")] = None,
    actions: Annotated[
        str | None, typer.Option(metavar="A,B", help="Compare these actions as they were drawn.")
    ] = None,
    days: Days = 28.0,
    json: Json = False,
) -> None:
    """Say what an experiment shows so far: a sentence with its interval, or what is missing.

    It may be looked at as often as one likes. `--actions` compares actions that the policy draws,
    without an experiment, over the last `--days`. Example:
    `nba experiment status selling_pause`, or
    `nba experiment status --actions loan_offer,card_offer`
    """
    from features.encoder import kinds_of
    from nba.analytics.experiments import compare_actions, report_drawn_arms
    from nba.experiments.registry import named, stored_experiments
    from serving.replica.assembly import journey_in_force, opened_log, utc_now
    from serving.reports.experiment_tables import as_plain, print_status

    if which is not None and actions is not None:
        raise typer.BadParameter("give an experiment, or --actions")
    settings = command_settings()
    report: ExperimentSet | ExperimentReport | ActionReport
    with opened_log(settings) as log:
        report = stored_experiments(log)
        if actions is not None:
            journey, since = journey_in_force(settings, log), utc_now() - timedelta(days=days)
            with progress_bar("reading the log") as advance:
                report = compare_actions(
                    log,
                    journey,
                    actions.split(","),
                    since=since,
                    kinds_of=kinds_of,
                    progress=advance,
                )
        elif which is not None:
            started = named(report, which)
            if started.experiment.allocation == "share":
                report = _reported(log, started)
            else:
                with progress_bar("reading the log") as advance:
                    report = report_drawn_arms(log, started, kinds_of=kinds_of, progress=advance)
    if json:
        print_json(as_plain(report))
    else:
        print_status(report)


@experiment_app.command()
def stop(which: ExperimentId, why: Why, by: By = "", json: Json = False) -> None:
    """End an experiment: its customers are decided like everybody again.

    Its report stays. Example: `nba experiment stop selling_pause --why "decided"`
    """
    from nba.experiments.registry import stop as end
    from serving.replica.assembly import opened_log, utc_now

    with opened_log(command_settings()) as log:
        ended = end(log, which, utc_now(), by=by or current_user(), why=why)
    if json:
        print_json(ended)
    else:
        console.print(f"{which} has ended", highlight=False)


@experiment_app.command()
def ship(
    which: ExperimentId,
    arm: Annotated[str, typer.Argument(help="The arm that is to decide for everybody.")],
    why: Annotated[str, typer.Option(help="What for; needed with --anyway.")] = "",
    write: Annotated[
        Path | None, typer.Option(help="Change this journey file; none: show the change.")
    ] = None,
    by: By = "",
    anyway: Anyway = False,
    json: Json = False,
) -> None:
    """Make an arm the way in which everybody is decided, by a change of the journey file.

    The change is shown, and made where `--write` names the file; publishing it and stopping the
    experiment are the steps after. Refused where the log does not show that the arm is better and
    its guardrails hold. Example:
    `nba experiment ship selling_pause no_pause --write examples/bank/journey.yaml`
    """
    from nba.experiments.registry import named, note_shipped, stored_experiments
    from nba.experiments.shipping import shippable, shipped_text
    from serving.replica.assembly import opened_log, utc_now

    if anyway and not why:
        raise typer.BadParameter("--anyway needs a --why")
    settings, by = command_settings(), by or current_user()
    with opened_log(settings) as log:
        started = named(stored_experiments(log), which)
        chosen = shippable(started, arm)
        if not anyway:
            _check_evidence(_reported(log, started), arm)
        change = ""
        if chosen.exploration is not None or chosen.without:
            file = write or settings.journey
            before = file.read_text(encoding="utf-8")
            after = shipped_text(before, chosen, str(file))
            change = "".join(
                difflib.unified_diff(
                    before.splitlines(True), after.splitlines(True), str(file), str(file), n=1
                )
            )
            if write is not None:
                write.write_text(after, encoding="utf-8")
        if write is not None or not change:
            note_shipped(log, which, arm, utc_now(), by=by, why=why or "its evidence")
    following = _following(which, chosen.bundle, write, bool(change))
    if json:
        print_json({"experiment": which, "arm": arm, "change": change, "next": following})
        return
    if change:
        typer.echo(change, nl=False)
    for line in following:
        console.print(f"next: {line}", markup=False, highlight=False, soft_wrap=True)


def _following(which: str, bundle: str | None, write: Path | None, change: bool) -> list[str]:
    """What is left to do, in order."""
    if change and write is None:
        return ["the same with --write FILE, which changes the file"]
    steps = []
    if change:
        steps.append(f'nba publish {write} --why "{which}"')
    if bundle is not None:
        steps.append(f"nba promote VERSION, that of {bundle} (its tag bundle_id in MLflow)")
    return [*steps, f'nba experiment stop {which} --why "shipped"']


def _check_evidence(report: ExperimentReport, arm: str) -> None:
    """Raise InvalidInput where the log does not speak for the arm."""
    if arm not in report.ready:
        missing = "; ".join([report.answer, *report.missing])
        raise InvalidInput("arm", arm, f"{missing}. To ship it all the same: --anyway --why")


def _read(settings: Settings, log: Log, file: Path) -> tuple[JourneyFile, Experiment]:
    from nba.experiments.loader import load_experiment
    from serving.replica.assembly import journey_in_force

    journey = journey_in_force(settings, log)
    return journey, load_experiment(file, journey)


def _planned(log: Log, journey: JourneyFile, experiment: Experiment, days: float) -> ExperimentPlan:
    from features.encoder import kinds_of
    from nba.analytics.experiments import plan_from_log

    with progress_bar("reading the log", log.position()) as advance:
        return plan_from_log(
            log, journey, experiment, days=days, kinds_of=kinds_of, progress=advance
        )


def _reported(log: Log, started: Started) -> ExperimentReport:
    from features.encoder import kinds_of
    from nba.analytics.experiments import report_from_log

    with progress_bar("reading the log") as advance:
        return report_from_log(log, started, kinds_of=kinds_of, progress=advance)
