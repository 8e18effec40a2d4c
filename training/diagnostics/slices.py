"""Slices: how good a model is on each segment and stage, where there are rows enough to say."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import msgspec
import numpy as np

from nba.customer.contact_history import ContactHistory
from nba.customer.context import STAGE, ContextSchema
from nba.governance.rule_inputs import (
    CHURN_RISK,
    Population,
    RuleSubject,
    rule_names,
    segment_rules,
)
from nba.measurement.statistics.estimate import Estimate, Undecided
from nba.rules.rule import Rule
from training.data.training_sets import TrainingSet
from training.diagnostics.intervals import Resamples, auc, ece, mean

MIN_ROWS = 200
MIN_OF_EACH = 10  # rows with and without the label
EVERYBODY = "all"


class Slice(msgspec.Struct, frozen=True, kw_only=True):
    """The figures of one model on part of the test rows, or why there are none."""

    name: str
    rows: int
    figures: dict[str, Estimate] | Undecided


def slices(
    schema: ContextSchema, test: TrainingSet, predicted: np.ndarray, *, classes: bool, seed: int
) -> tuple[Slice, ...]:
    """Everybody, each segment of the journey file, each stage, with 95 % intervals by customer.

    A segment of what training does not know (the request, a sub-journey, the churn risk) is
    undecided, as is a slice of under MIN_ROWS rows.
    """
    drawn = Resamples(test.customers, seed=seed)
    return tuple(
        Slice(name=name, rows=0, figures=chosen)
        if isinstance(chosen, Undecided)
        else Slice(
            name=name,
            rows=int(chosen.sum()),
            figures=_figures(test, predicted, chosen, drawn, classes=classes),
        )
        for name, chosen in parts(schema, test.rows[:, : len(schema.columns)])
    )


def parts(
    schema: ContextSchema, contexts: np.ndarray
) -> Iterator[tuple[str, np.ndarray | Undecided]]:
    """(name, mask (n,)) of everybody, every segment and every stage that occurs."""
    yield EVERYBODY, np.ones(len(contexts), dtype=bool)
    rules = segment_rules(schema.journey, rule_names(schema.journey))
    subjects = [RuleSubject(row, {}, ContactHistory(), None) for row in contexts]
    population = Population(schema, subjects, rules)
    for name, rule in rules.items():
        unknown = sorted(_unknown(rule, rules))
        if unknown:
            yield name, Undecided(reason=f"it names {unknown[0]}, which no training row holds")
        else:
            yield name, np.asarray(population.holds(rule), dtype=bool)
    stage = contexts[:, schema.index[STAGE]]
    for code, name in enumerate(schema.stages):
        if (stage == code).any():
            yield f"stage.{name}", stage == code


def _unknown(rule: Rule, rules: Mapping[str, Rule]) -> set[str]:
    """The facts of a rule, and of the segments in it, that are no part of a context."""
    unknown = set()
    for name in rule.names:
        if name in rules:
            unknown |= _unknown(rules[name], rules)
        elif name.split(".")[0] in ("request", "sub_journey") or name == CHURN_RISK:
            unknown.add(name)
    return unknown


def _figures(
    test: TrainingSet,
    predicted: np.ndarray,
    chosen: np.ndarray,
    drawn: Resamples,
    *,
    classes: bool,
) -> dict[str, Estimate] | Undecided:
    labels, scores = test.labels[chosen], predicted[chosen]
    if len(labels) < MIN_ROWS:
        return Undecided(reason=f"{len(labels)} rows, {MIN_ROWS} are needed")
    positive = float(labels.sum())
    if classes and not MIN_OF_EACH <= positive <= len(labels) - MIN_OF_EACH:
        return Undecided(
            reason=f"{positive:.10g} of {len(labels)} rows are positive, at least {MIN_OF_EACH} of "
            "each are needed"
        )
    weights = drawn.of(chosen)
    if not classes:
        errors = np.sqrt(mean(weights, (scores - labels) ** 2))
        bias = mean(weights, scores - labels)
        figures = {"rmse_eur": errors, "bias_eur": bias, "mean_eur": mean(weights, labels)}
    else:
        figures = {
            "auc": auc(weights, scores, labels),
            "ece": ece(weights, scores, labels),
            "brier": mean(weights, (scores - labels) ** 2),
            "base_rate": mean(weights, labels),
        }
    return {name: drawn.estimate(values, chosen) for name, values in figures.items()}
