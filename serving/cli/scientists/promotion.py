"""Commands that judge and promote: evaluate, promote, guard, and the way back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import typer

from serving.cli.scientists.verdicts import (
    follow_champion,
    judged,
    print_moved,
    print_verdict,
    registry_of,
    verdict_json,
)
from serving.cli.terminal.options import BundleName, By, Json, Why
from serving.cli.terminal.session import command_settings, current_user
from serving.console import console, print_json
from serving.settings import Settings

if TYPE_CHECKING:
    from datetime import datetime

    from nba.stores.log import Log

BUNDLE = "bundle-"  # what ids of bundles begin with

Margin = Annotated[
    float, typer.Option(min=0.0, help="EUR per decision that the champion may be better by.")
]
Ess = Annotated[float, typer.Option(min=1.0, help="Effective sample size that is asked for.")]
Retrain = Annotated[
    bool,
    typer.Option(
        "--retrain/--no-retrain", help="Train again on the same data: the same bundle must come."
    ),
]


def evaluate(
    which: BundleName = "challenger",
    margin: Margin = 0.0,
    ess: Ess = 500.0,
    retrain: Retrain = True,
    json: Json = False,
) -> None:
    """Judge a bundle: what it would have been worth on the latest part of the log, and every gate.

    The verdict is kept on its MLflow run. Example: `nba evaluate champion --json`
    """
    from serving.replica.assembly import opened_log
    from serving.reports.tables import models_json, print_models, print_values, values_json
    from serving.reports.valuation_tables import gain_json, methods_json, print_gain, print_methods

    settings = command_settings()
    registry = registry_of(settings)
    registered = registry.load(which)
    with opened_log(settings) as log:
        verdict, result = judged(
            settings, log, registry, registered, margin=margin, ess=ess, retrain=retrain
        )
    models = {"churn": result.churn, "touchpoint": result.touchpoint}
    values = {
        "logged": result.value_logged,
        "uniform": result.value_uniform,
        "bundle": result.value_bundle,
    }
    if json:
        print_json(
            {
                "version": registered.version,
                "bundle": registered.bundle.bundle_id,
                **models_json(models),
                "value_eur": values_json(values),
                "methods": methods_json(result.methods),
                "gain": {"over": result.against, **gain_json(result.gain)},
                "verdict": verdict_json(verdict),
            }
        )
        return
    print_models(models)
    print_values(values)
    print_methods(result.methods)
    print_gain(result.gain, result.against)
    print_verdict(verdict)


def promote(
    which: BundleName = "challenger",
    to: Annotated[
        Literal["shadow", "canary", "champion"] | None,
        typer.Option(help="The stage; none: the next one."),
    ] = None,
    share: Annotated[
        float, typer.Option(min=0.001, max=0.999, help="Of the customers, in a canary.")
    ] = 0.05,
    margin: Margin = 0.0,
    ess: Ess = 500.0,
    retrain: Retrain = True,
    anyway: Annotated[
        bool, typer.Option("--anyway", help="Whatever the gates say; give a why.")
    ] = False,
    why: Why = "",
    by: By = "",
    json: Json = False,
) -> None:
    """Move a bundle one stage on: shadow, canary, champion; running services follow in seconds.

    Every gate must pass; into the shadow it goes unless one fails. Example:
    `nba promote challenger --to canary --share 0.1 --why "spring model"`
    """
    from serving.replica.assembly import journey_in_force, opened_log, utc_now
    from training.runs.promote import (
        next_stage,
        objections,
        promote as promote_bundle,
        usable_bundle,
    )

    if anyway and not why:
        raise typer.BadParameter("--anyway is kept in the audit trail with its --why")
    settings = command_settings()
    registry = registry_of(settings)
    with opened_log(settings) as log:
        registered = usable_bundle(registry, journey_in_force(settings, log), which)
        version, bundle = registered
        stage = to or next_stage(log, bundle.bundle_id)
        verdict, _ = judged(
            settings, log, registry, registered, margin=margin, ess=ess, retrain=retrain
        )
        against = objections(verdict, stage)
        if not against or anyway:
            because = f"anyway: {why}" if against else why or "every gate that blocks has passed"
            promote_bundle(
                log,
                registered,
                stage,
                verdict=verdict,
                without_gates=anyway,
                now=utc_now(),
                by=by or current_user(),
                why=because,
                share=share,
            )
            follow_champion(settings, log, version if stage == "champion" else None)
    moved = not against or anyway
    if json:
        place = {"version": version, "bundle": bundle.bundle_id, "alias": stage if moved else None}
        print_json({**place, "verdict": verdict_json(verdict)})
    else:
        print_verdict(verdict)
        print_moved(version, bundle.bundle_id, stage, share, [gate.name for gate in against], moved)
    if not moved:
        raise typer.Exit(1)


def guard(json: Json = False) -> None:
    """Look once at the guardrails of what is rolled out, and take it back where they are crossed.

    Running services do it every minute by themselves. Example: `nba guard`
    """
    from nba.promotion.catalogue_versions import COMMAND
    from nba.promotion.guardrails import RollBack
    from nba.stores.versioned import CHAMPION
    from serving.replica.assembly import assemble
    from serving.workers.rollout_watch import RolloutWatch

    settings = command_settings()
    replica = assemble(settings, by=COMMAND)
    try:
        outcome = RolloutWatch(replica.log, lambda: replica.engine, replica.now).look()
        champion = replica.log.alias(CHAMPION)
        follow_champion(settings, replica.log)
    finally:
        replica.close()
    back = isinstance(outcome, RollBack)
    why = "nothing is rolled out" if outcome is None else outcome[0]
    if json:
        print_json({"champion": champion, "taken_back": back, "why": why})
    else:
        console.print(f"taken back: {why}" if back else why, highlight=False, soft_wrap=True)


def is_champion(to: str | None) -> bool:
    """Whether a way back is that of models, and not of journey files."""
    from nba.stores.versioned import CHAMPION

    return to is not None and (to == CHAMPION or to.isdecimal() or to.startswith(BUNDLE))


def taken_back(
    settings: Settings, log: Log, to: str | None, *, by: str, why: str, now: datetime
) -> str:
    """Take back what was moved last, or go to a version or bundle; gives the champion's id."""
    from nba.promotion.rollout import roll_back
    from nba.stores.versioned import CHAMPION

    if to == CHAMPION:
        to = None
    elif to is not None and to.isdecimal():
        to = registry_of(settings).load(to)[1].bundle_id
    champion = roll_back(log, now, by=by, why=why, to=to)
    follow_champion(settings, log)
    return champion
