"""Pictures of a model: does it mean what it says, and what does it look at."""

from __future__ import annotations

import io
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np

from models.predictors.predictor import Predictor
from nba.durations import WEEK_S

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from training.diagnostics.uplift import UpliftFigures

BINS = 10
LEADING = 20  # columns in the importance picture


def calibration_picture(predicted: np.ndarray, labels: np.ndarray, title: str) -> bytes:
    """PNG: observed share against predicted probability, in bins of equal count."""
    axes, figure = _canvas(5, 5)
    order = np.argsort(predicted, kind="stable")
    groups = [group for group in np.array_split(order, BINS) if len(group)]
    x = [float(predicted[group].mean()) for group in groups]
    y = [float(labels[group].mean()) for group in groups]
    half = [_half(labels[group]) for group in groups]
    axes.plot([0, max(x + y)], [0, max(x + y)], color="grey", linewidth=1)
    axes.errorbar(x, y, yerr=half, fmt="o")
    axes.set(xlabel="predicted probability", ylabel="observed share, 95 % interval", title=title)
    return _png(figure)


def importance_picture(model: Predictor, title: str) -> bytes:
    """PNG: total gain of the leading columns, or what making a column typical changes."""
    pairs = [pair for pair in model.importance().items() if pair[1] > 0.0][:LEADING][::-1]
    axes, figure = _canvas(8, 6)
    axes.barh([name for name, _ in pairs], [gain for _, gain in pairs])
    gain = model.suffix == ".txt"
    axes.set(xlabel="total gain" if gain else "mean change of the score", title=title)
    return _png(figure)


def weeks_picture(
    predicted: np.ndarray, labels: np.ndarray, at_s: np.ndarray, title: str, unit: str = ""
) -> bytes:
    """PNG: what was predicted and what came, by week: a gap that opens is drift."""
    axes, figure = _canvas(8, 4)
    weeks = np.floor((at_s - at_s.min(initial=np.inf)) / WEEK_S).astype(int)
    groups = [np.flatnonzero(weeks == week) for week in np.unique(weeks)]
    names = [_day(float(at_s[group].min())) for group in groups]
    positions = np.arange(len(groups))
    observed = [float(labels[group].mean()) for group in groups]
    half = [_half(labels[group]) for group in groups]
    axes.errorbar(positions, observed, yerr=half, fmt="o", label="observed, 95 % interval")
    means = [float(predicted[group].mean()) for group in groups]
    axes.plot(positions, means, marker="_", markersize=16, linestyle="none", label="predicted")
    ticks = [f"{name}\n{len(group):,}" for name, group in zip(names, groups, strict=True)]
    axes.set_xticks(positions, ticks)
    axes.set_ylim(bottom=min(0.0, *means, *observed))
    axes.set(xlabel="week from, rows", ylabel=f"mean{', ' + unit if unit else ''}", title=title)
    figure.legend(loc="outside lower center", ncols=2, frameon=False)
    return _png(figure)


def uplift_picture(curves: Mapping[str, UpliftFigures], outcome: str) -> bytes:
    """PNG: what is gained by treating the first share of the ranking, for each action."""
    columns = min(3, len(curves))
    rows = -(-len(curves) // columns)
    figure = _figure(4 * columns, 3.2 * rows)
    panels = figure.subplots(rows, columns, squeeze=False)
    for axes in panels.ravel()[len(curves) :]:
        axes.set_visible(False)
    for axes, (action, figures) in zip(panels.ravel(), curves.items(), strict=False):
        shares, gains = zip(*figures.curve, strict=True)
        axes.plot(shares, gains, label="by the ranking")
        axes.plot([0, 1], [0, gains[-1]], color="grey", linewidth=1, label="at random")
        axes.axhline(0.0, color="black", linewidth=0.5)
        low, high = figures.qini.low, figures.qini.high
        axes.set_title(
            f"{action}\nQini {figures.qini.value:.2g} ({low:.2g} to {high:.2g})", size=10
        )
    for axes in panels[-1]:
        axes.set_xlabel("share treated")
    for axes in panels[:, 0]:
        axes.set_ylabel(f"gain in {outcome} per decision", size=9)
    panels[0, 0].legend(fontsize=8)
    return _png(figure)


def _half(values: np.ndarray) -> float:
    """Half of a normal 95 % interval of the mean."""
    return 1.96 * float(np.std(values) / np.sqrt(len(values)))


def _day(at_s: float) -> str:
    return f"{datetime.fromtimestamp(at_s, UTC):%m-%d}"


def _canvas(width: float, height: float) -> tuple[Axes, Figure]:
    figure = _figure(width, height)
    return figure.add_subplot(), figure


def _figure(width: float, height: float) -> Figure:
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def _png(figure: Figure) -> bytes:
    content = io.BytesIO()
    figure.savefig(content, format="png", dpi=100, metadata={"Software": None})
    return content.getvalue()
