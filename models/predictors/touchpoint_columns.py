"""The touchpoint model's columns: a context beside an action."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from nba.customer.context import OFFERED
from nba.journey.actions import NO_ACTION
from nba.journey.file import JourneyFile

ACTION = "action"


def touchpoint_columns(context_columns: Sequence[str], features: Sequence[str]) -> list[str]:
    """The model's columns: the context, what was offered before, the action and its features."""
    return [*context_columns, *OFFERED, ACTION, *(f"action.{name}" for name in features)]


def action_rows(
    journey: JourneyFile, trained: Sequence[str], features: Sequence[str]
) -> np.ndarray:
    """(n_actions + 1, 1 + n_features): code and features of each action, `no_action` last.

    `trained`: the action ids in the order of the model's codes. An action that the model has not
    seen has the code NaN and is scored by its features; no_action has features NaN.
    """
    codes: Mapping[str, int] = {action: code for code, action in enumerate(trained)}
    rows = np.full((len(journey.actions) + 1, 1 + len(features)), np.nan)
    for position, action in enumerate(journey.actions):
        rows[position, 0] = codes.get(action.id, np.nan)
        rows[position, 1:] = [action.features.get(name, np.nan) for name in features]
    rows[-1, 0] = codes.get(NO_ACTION, np.nan)
    return rows


def touchpoint_rows(contexts: np.ndarray, offered: np.ndarray, actions: np.ndarray) -> np.ndarray:
    """(n, n_columns) rows from (n, c) contexts, (n, 2) OFFERED and (n, 1 + f) action rows."""
    return np.hstack([contexts, offered, actions])
