"""Numbers from outside: how large they may be, and how those of older logs are read.

Every door takes a number through `check_number`, every reader of a logged one through `number_of`.
So no sum, square or average of what customers send can overflow: a million amounts of 1e15, each
squared, are 1e36, and a double goes to 1e308.
"""

from __future__ import annotations

import math
from typing import Any

from nba.errors import InvalidInput

MOST = 1e38  # of any number: what a model's single-precision input holds
MOST_EUR = 1e9  # of an amount, or of a reward that is stated, where the journey file says no other
MOST_AMOUNT = 1e15  # what the journey file may say: a double still holds its cents


def check_number(field: str, value: Any, low: float = -MOST, high: float = MOST) -> None:
    """Check that `value` is a number from `low` to `high`.

    Raises InvalidInput.
    """
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not low <= value <= high:  # NaN lies nowhere
        raise InvalidInput(field, value, f"send a number from {low:.15g} to {high:.15g}")


def number_of(value: object, low: float = -MOST, high: float = MOST) -> float | None:
    """A logged value as a number from `low` to `high`: the nearest bound where it lies beyond.

    None for what is no number (booleans are none).

    >>> number_of(12), number_of(10**400), number_of("12"), number_of(True)
    (12.0, 1e+38, None, None)
    """
    if type(value) is float:  # nearly always
        number = value
    elif isinstance(value, int | float) and not isinstance(value, bool):
        number = float(min(max(value, low), high))
    else:
        return None
    return None if math.isnan(number) else min(max(number, low), high)
