"""Judging: the gates over a bundle of the registry, on the log, kept on its MLflow run."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, NamedTuple

from nba.stores.versioned import CHAMPION
from serving.cli.terminal.session import current_user
from serving.console import console, print_table, steps
from serving.settings import Settings

if TYPE_CHECKING:
    from models.bundles.bundle import Bundle
    from models.bundles.registry import Registry
    from nba.promotion.verdict import GateVerdict
    from nba.stores.log import Log
    from training.fitting.fit import Training
    from training.gates.evaluation import Evaluation


class VerdictTable(NamedTuple):
    """What the gates say of a bundle, with its figures."""

    verdict: GateVerdict
    evaluation: Evaluation


def judged(
    settings: Settings,
    log: Log,
    version: str,
    bundle: Bundle,
    *,
    margin: float,
    ess: float,
    retrain: bool,
) -> VerdictTable:
    """The verdict, which is kept on the version's run."""
    from features.fold import Fold
    from nba.experiments.registry import stored_experiments
    from nba.promotion.catalogue_versions import earlier_sub_journeys
    from serving.replica.assembly import journey_in_force, utc_now
    from training.data.history import read_history
    from training.gates.gates import STEPS, GateEvidence, judge
    from training.gates.limits import GateLimits
    from training.runs.verdict import keep_verdict

    with steps("judging", STEPS + 1) as step:
        step("reading the log")
        earlier = earlier_sub_journeys(log)
        fold = Fold(journey_in_force(settings, log), bundle.table, earlier)
        running = stored_experiments(log).running
        verdict, evaluation = judge(
            GateEvidence(read_history(fold, log), log, earlier, running),
            bundle,
            now=utc_now(),
            clock=time.perf_counter,
            champion=log.alias(CHAMPION),
            retrain=retrain,
            limits=GateLimits(margin_eur=margin, ess=ess),
            progress=step,
        )
    align_champion(settings, log)
    keep_verdict(settings.tracking_url, version, verdict)
    return VerdictTable(verdict, evaluation)


def first_champion(settings: Settings, log: Log, version: str, training: Training) -> str:
    """Make what was just trained the champion, judged on what it was trained from; gives its id."""
    from models.bundles.registry import RegisteredBundle
    from serving.replica.assembly import utc_now
    from training.gates.gates import STEPS, GateEvidence, judge
    from training.runs.promote import objections, promote
    from training.runs.verdict import keep_verdict

    bundle, now = training.bundle, utc_now()
    with steps("judging", STEPS) as step:
        verdict, _ = judge(
            GateEvidence(training.history, log),
            bundle,
            now=now,
            clock=time.perf_counter,
            champion=log.alias(CHAMPION),
            retrain=False,
            progress=step,
        )
    registry = registry_of(settings)
    keep_verdict(settings.tracking_url, version, verdict)
    why = "anyway: the first one" if objections(verdict, "champion") else "the first one"
    promote(
        registry,
        log,
        RegisteredBundle(version, bundle),
        "champion",
        verdict=verdict,
        without_gates=True,
        now=now,
        by=current_user(),
        why=why,
    )
    print_verdict(verdict)
    print_moved(version, bundle.bundle_id, "champion", 0.0, [], moved=True)
    return bundle.bundle_id


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


def align_champion(settings: Settings, log: Log) -> None:
    """Let MLflow's champion follow the log's, which a service may have taken back by itself."""
    from training.runs.verdict import align

    registry_of(settings)
    align(settings.tracking_url, log)
