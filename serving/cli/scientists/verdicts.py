"""Judge a bundle of the registry, and print its verdict."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nba.errors import StoreUnavailable
from serving.cli.terminal.session import current_user
from serving.console import console, print_table, steps
from serving.settings import Settings

if TYPE_CHECKING:
    from models.bundles.registry import RegisteredBundle, Registry
    from nba.promotion.verdict import GateVerdict
    from nba.stores.log import Log
    from training.fitting.fit import Training
    from training.gates.evaluation import Evaluation


def judged(
    settings: Settings,
    log: Log,
    registry: Registry,
    registered: RegisteredBundle,
    *,
    margin: float,
    ess: float,
    retrain: bool,
) -> tuple[GateVerdict, Evaluation]:
    """The verdict, which is kept on the version's run, and the figures."""
    from serving.replica.assembly import journey_in_force, utc_now
    from training.gates.limits import GateLimits
    from training.runs.judge import STEPS, judge_version

    with steps("judging", STEPS) as step:
        return judge_version(
            log,
            journey_in_force(settings, log),
            registered,
            registry,
            now=utc_now(),
            retrain=retrain,
            limits=GateLimits(margin_eur=margin, ess=ess),
            progress=step,
        )


def first_champion(settings: Settings, log: Log, version: str, training: Training) -> str:
    """Make what was just trained the champion, and print its verdict; gives its id."""
    from serving.replica.assembly import utc_now
    from training.gates.gates import STEPS
    from training.runs.judge import promote_first_champion

    with steps("judging", STEPS) as step:
        verdict = promote_first_champion(
            registry_of(settings),
            log,
            version,
            training,
            now=utc_now(),
            by=current_user(),
            progress=step,
        )
    follow_champion(settings, log, version)
    print_verdict(verdict)
    console.print("the first champion needs no gates: there is none yet to hold it against")
    print_moved(version, verdict.bundle_id, "champion", 0.0, [], moved=True)
    return verdict.bundle_id


def print_verdict(verdict: GateVerdict) -> None:
    """Every gate with its reason."""
    print_table(
        f"{verdict.bundle_id}: {verdict.status}",
        ("gate", "verdict", "why"),
        [(gate.name, gate.status.value, gate.reason) for gate in verdict.gates],
    )


def verdict_json(verdict: GateVerdict) -> dict[str, object]:
    """The same for scripts, with the numbers."""
    gates = {
        gate.name: {"status": gate.status.value, "reason": gate.reason, **gate.numbers}
        for gate in verdict.gates
    }
    return {"id": verdict.verdict_id, "status": verdict.status.value, "gates": gates}


def print_moved(
    version: str, bundle_id: str, stage: str, share: float, against: list[str], moved: bool
) -> None:
    named = f"version {version} ({bundle_id})"
    if not moved:
        console.print(f"{named} stays where it is: {', '.join(against)}", soft_wrap=True)
    elif stage == "champion":
        console.print(f"{named} is champion")
    elif stage == "canary":
        console.print(f"{named} decides for {share:.3g} of the customers", highlight=False)
    else:
        console.print(f"{named} is in shadow: it has its share of every draw")


def registry_of(settings: Settings) -> Registry:
    from models.bundles.registry import Registry

    return Registry(settings.tracking_url, settings.artifacts)


def follow_champion(settings: Settings, log: Log, version: str | None = None) -> None:
    """Let MLflow's champion follow the log's, which is in force already.

    `version`: the one that was promoted. Where MLflow cannot be reached, one line says so: nothing
    is taken back, and the next command that looks at models brings it up to date.
    """
    from nba.stores.versioned import CHAMPION
    from training.runs.verdict import align

    try:
        align(registry_of(settings), log, version)
    except StoreUnavailable as error:
        console.print(
            f"MLflow's alias `{CHAMPION}` stays behind: {error}; run nba guard then",
            markup=False,
            highlight=False,
            soft_wrap=True,
        )
