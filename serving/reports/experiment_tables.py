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
            [(one.days, one.customers, one.fixed, one.always_valid) for one in plan.detectable],
        )
    if plan.holdout:
        print_table(
            "What an always-on holdout can show of the same metric",
            ("holdout", "customers", "least effect, of the base rate"),
            [
                (f"{one.share:.0%}", one.customers, f"{one.detectable_relative:.1%}")
                for one in plan.holdout
            ],
        )
    for problem in plan.problems:
        _say("[red]against it[/]", problem)


def print_found(found: ExperimentSet | ExperimentReport | ActionReport) -> None:
    """What `nba experiment status` has found."""
    if isinstance(found, ExperimentSet):
        _print_set(found)
    elif isinstance(found, ExperimentReport):
        _print_report(found)
    else:
        _print_actions(found)


def _print_report(report: ExperimentReport) -> None:
    """The answer, the lights, the comparisons, and what is missing."""
    _say(f"[bold]{report.experiment}[/]", report.hypothesis)
    exposed = ", ".join(f"{arm} {n:,}" for arm, n in report.exposed.items())
    planned = f" of {report.planned:,} planned" if report.planned else ""
    _say("customers", f"{exposed}{planned}; {report.complete:,} complete; {report.days:.1f} days")
    _print_lights(report.lights)
    if report.comparisons:
        print_table(
            "Against the control",
            (
                *("metric", "", "arm", "customers", "control", "arm's", "difference"),
                *("low", "high", "p", "verdict"),
            ),
            [_row(one) for one in report.comparisons],
        )
    _say("[bold]answer[/]", report.answer)
    for one in report.missing:
        _say("missing", one)
    for arm in report.ready:
        _say("next", f"nba experiment ship {report.experiment} {arm}")


def _print_actions(report: ActionReport) -> None:
    """The same of actions."""
    _print_lights(report.lights)
    if report.comparisons:
        print_table(
            f"Reward of a decision, against {report.control}",
            (
                *("action", "decisions", "customers", "drawn", "control drawn"),
                *("control", "action's", "difference", "low", "high", "p", "verdict"),
            ),
            [
                (
                    *(one.action, one.decisions, one.customers),
                    *(one.action_pulls.pulls, one.pulls.pulls),
                    *(one.control_mean, one.action_mean, *_effect(one.effect)),
                    *(one.p_adjusted, one.verdict.value),
                )
                for one in report.comparisons
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
                *(one.experiment.id, one.experiment.layer),
                f"{one.experiment.share:.0%}" if one.slots else "-",
                ", ".join(arm.id for arm in one.experiment.arms),
                "running" if one.running else f"ended {one.ended_at:%Y-%m-%d}",
                f"{one.started_at:%Y-%m-%d}",
                *(one.by, one.why),
            )
            for one in experiments.started
        ],
    )


def as_plain(value: Any) -> Any:
    """For scripts: what is undecided is `{"undecided": reason}`, as in every report."""
    if isinstance(value, Undecided):
        return {"undecided": value.reason}
    if isinstance(value, msgspec.Struct):
        return {name: as_plain(getattr(value, name)) for name in value.__struct_fields__}
    if isinstance(value, dict):
        return {name: as_plain(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [as_plain(one) for one in value]
    return value


def _row(one: ArmComparison) -> tuple[object, ...]:
    return (
        *(one.metric, one.role, one.arm, one.customers, one.control_mean, one.arm_mean),
        *(*_effect(one.effect), one.p_adjusted, one.verdict.value),
    )


def _effect(effect: Effect | Undecided) -> tuple[object, ...]:
    if isinstance(effect, Undecided):
        return (None, None, None)
    return (effect.value, effect.low, effect.high)


def _number(value: float | Undecided) -> object:
    return f"undecided: {value.reason}" if isinstance(value, Undecided) else value


def _print_lights(lights: list[ValidityCheck]) -> None:
    print_table(
        "Lights",
        ("light", "", "what was seen"),
        [(one.name, "RED" if one.red else "green", one.detail) for one in lights],
    )


def _say(what: str, text: str) -> None:
    console.print(f"{what}: ", end="", highlight=False)
    console.print(text, markup=False, highlight=False, soft_wrap=True)
