"""Pictures of a model: does it mean what it says, and what does it look at."""

from __future__ import annotations

import io

import numpy as np

from models.trees import Trees

BINS = 10
LEADING = 20  # columns in the importance picture


def calibration_picture(predicted: np.ndarray, labels: np.ndarray, title: str) -> bytes:
    """PNG: observed share against predicted probability, in bins of equal count."""
    axes, figure = _canvas(5, 5)
    order = np.argsort(predicted, kind="stable")
    groups = [group for group in np.array_split(order, BINS) if len(group)]
    x = [float(predicted[group].mean()) for group in groups]
    y = [float(labels[group].mean()) for group in groups]
    half = [1.96 * float(np.sqrt(m * (1 - m) / len(g))) for m, g in zip(y, groups, strict=True)]
    axes.plot([0, max(x + y)], [0, max(x + y)], color="grey", linewidth=1)
    axes.errorbar(x, y, yerr=half, fmt="o")
    axes.set(xlabel="predicted probability", ylabel="observed share, 95 % interval", title=title)
    return _png(figure)


def importance_picture(trees: Trees, title: str) -> bytes:
    """PNG: total gain of the leading columns."""
    gains = list(trees.importance().items())[:LEADING][::-1]
    axes, figure = _canvas(8, 6)
    axes.barh([name for name, _ in gains], [gain for _, gain in gains])
    axes.set(xlabel="total gain", title=title)
    return _png(figure)


def _canvas(width: float, height: float):  # type: ignore[no-untyped-def]
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    return figure.add_subplot(), figure


def _png(figure) -> bytes:  # type: ignore[no-untyped-def]
    content = io.BytesIO()
    figure.savefig(content, format="png", dpi=100, metadata={"Software": None})
    return content.getvalue()
