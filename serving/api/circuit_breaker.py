"""After misses in a row, callers get the fallback at once instead of waiting for a miss.

M. Nygard, Release It! (2nd edition, 2018), chapter 5. Time is an argument, in seconds.
"""

from __future__ import annotations


class CircuitBreaker:
    """Closed until `misses` in a row; then open for `rest_s`; then one caller probes."""

    def __init__(self, misses: int, rest_s: float) -> None:
        self._misses = misses
        self._rest_s = rest_s
        self._missed = 0
        self._opened_s: float | None = None
        self._probing = False

    @property
    def is_open(self) -> bool:
        """Whether it has opened and no probe has met its deadline since."""
        return self._opened_s is not None

    def admits(self, now_s: float) -> bool:
        """Whether this caller may try; while it is open, one at a time after each rest."""
        if self._opened_s is None:
            return True
        if self._probing or now_s < self._opened_s + self._rest_s:
            return False
        self._probing = True
        return True

    def met(self) -> None:
        """A caller was answered in time."""
        self._missed, self._opened_s, self._probing = 0, None, False

    def missed(self, now_s: float) -> None:
        """A caller was not."""
        self._missed += 1
        if self._probing or (self._opened_s is None and self._missed >= self._misses):
            self._opened_s, self._probing = now_s, False

    def released(self) -> None:
        """A probe ended without saying anything about the deadline."""
        self._probing = False
