"""What `nba experiment` prints: the same figures as tables for people and as JSON for scripts."""

from __future__ import annotations

from typing import Any

import msgspec

from nba.experiments.action_report import ActionReport
from nba.experiments.experiment import ExperimentSet
from nba.experiments.plan import ExperimentPlan
from nba.experiments.report import ExperimentReport
from nba.experiments.results import ArmComparison
from nba.experiments.validity_checks import ValidityCheck
from nba.measurement.statistics.effect import Effect
from nba.measurement.statistics.estimate import Undecided
from serving.console import console, print_table


def print_plan(plan: ExperimentPlan) -> None:
    """What could be shown, what it costs, and what stands against it."""
    print_table(
        f"{plan.experiment}: the last {plan.days_read:g} days of the log",
        ("figure", "value"),
        [
            ("primary metric of a customer", plan.base),
            ("customers whose window is over", plan.base_customers),
            ("standard deviation between customers", plan.sd),
            ("of it left after the covariate", plan.sd_left),
            ("customers exposed per day, lately", plan.customers_per_day),
            ("least effect that matters", plan.least_effect),
            ("loss in one arm that would show", _number(plan.loss_that_shows)),
        ],
    )
    print_table(
        "To show the least effect with a power of 0.8",
        ("analysis", "customers", "days"),
        [
            ("at one look, fixed", _number(plan.needed_fixed), _number(plan.days_fixed)),
            (
                "always valid, at any look",
                _number(plan.needed_always_valid),
                _number(plan.days_always_valid),
            ),
        ],
    )
    if plan.detectable:
        print_table(
            "The least effect that would show, by days of exposure",
            ("days", "customers", "at one look", "always valid"),
            [
                (size.days, size.customers, size.fixed, size.always_valid)
                for size in plan.detectable
            ],
        )
    if plan.holdout:
        print_table(
            "What an always-on holdout can show of the same metric",
            ("holdout", "customers", "least effect, of the base rate"),
            [
                (f"{holdout.share:.0%}", holdout.customers, f"{holdout.detectable_relative:.1%}")
                for holdout in plan.holdout
            ],
        )
    for problem in plan.problems:
        _say("[red]against it[/]", problem)


def print_status(status: ExperimentSet | ExperimentReport | ActionReport) -> None:
    """What `nba experiment status` reports."""
    if isinstance(status, ExperimentSet):
        _print_set(status)
    elif isinstance(status, ExperimentReport):
        _print_report(status)
    else:
        _print_actions(status)


def _print_report(report: ExperimentReport) -> None:
    """The answer, the checks, the comparisons, and what is missing."""
    _say(f"[bold]{report.experiment}[/]", report.hypothesis)
    exposed = ", ".join(f"{arm} {n:,}" for arm, n in report.exposed.items())
    planned = f" of {report.planned:,} planned" if report.planned else ""
    _say("customers", f"{exposed}{planned}; {report.complete:,} complete; {report.days:.1f} days")
    _print_checks(report.checks)
    if report.comparisons:
        print_table(
            "Against the control",
            (
                "metric",
                "",
                "arm",
                "customers",
                "control",
                "arm's",
                "difference",
                "low",
                "high",
                "p",
                "verdict",
            ),
            [_row(comparison) for comparison in report.comparisons],
        )
    _say("[bold]answer[/]", report.answer)
    for missing in report.missing:
        _say("missing", missing)
    for arm in report.ready:
        _say("next", f"nba experiment ship {report.experiment} {arm}")


def _print_actions(report: ActionReport) -> None:
    """The same of actions."""
    _print_checks(report.checks)
    if report.comparisons:
        print_table(
            f"Reward of a decision, against {report.control}",
            (
                "action",
                "decisions",
                "customers",
                "drawn",
                "control drawn",
                "control",
                "action's",
                "difference",
                "low",
                "high",
                "p",
                "verdict",
            ),
            [
                (
                    comparison.action,
                    comparison.decisions,
                    comparison.customers,
                    comparison.action_pulls.pulls,
                    comparison.pulls.pulls,
                    comparison.control_mean,
                    comparison.action_mean,
                    *_effect(comparison.effect),
                    comparison.p_adjusted,
                    comparison.verdict.value,
                )
                for comparison in report.comparisons
            ],
        )
    _say("[bold]answer[/]", report.answer)


def _print_set(experiments: ExperimentSet) -> None:
    """Every experiment that was started."""
    print_table(
        "Experiments",
        ("id", "layer", "share", "arms", "state", "started", "by", "why"),
        [
            (
                started.experiment.id,
                started.experiment.layer,
                f"{started.experiment.share:.0%}" if started.slots else "-",
                ", ".join(arm.id for arm in started.experiment.arms),
                "running" if started.running else f"ended {started.ended_at:%Y-%m-%d}",
                f"{started.started_at:%Y-%m-%d}",
                started.by,
                started.why,
            )
            for started in experiments.started
        ],
    )


def as_plain(value: Any) -> Any:
    """For scripts: what is undecided is `{"undecided": reason}`, as in every report."""
    if isinstance(value, Undecided):
        return {"undecided": value.reason}
    if isinstance(value, msgspec.Struct):
        fields = {name: getattr(value, name) for name in value.__struct_fields__}
        return {name: as_plain(part) for name, part in fields.items() if part is not msgspec.UNSET}
    if isinstance(value, dict):
        return {name: as_plain(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [as_plain(part) for part in value]
    return value


def _row(comparison: ArmComparison) -> tuple[object, ...]:
    return (
        comparison.metric,
        comparison.role,
        comparison.arm,
        comparison.customers,
        comparison.control_mean,
        comparison.arm_mean,
        *_effect(comparison.effect),
        comparison.p_adjusted,
        comparison.verdict.value,
    )


def _effect(effect: Effect | Undecided) -> tuple[object, ...]:
    if isinstance(effect, Undecided):
        return (None, None, None)
    return (effect.value, effect.low, effect.high)


def _number(value: float | Undecided) -> object:
    return f"undecided: {value.reason}" if isinstance(value, Undecided) else value


def _print_checks(checks: list[ValidityCheck]) -> None:
    print_table(
        "Lights",
        ("check", "", "what was seen"),
        [(check.name, "RED" if check.red else "green", check.detail) for check in checks],
    )


def _say(what: str, text: str) -> None:
    console.print(f"{what}: ", end="", highlight=False)
    console.print(text, markup=False, highlight=False, soft_wrap=True)
