"""Valences learned from a deployment's own log, which replace the priors, with their evidence.

A table is made by `nba train emotion`, travels in the bundle, and changes the kernel's hash.
"""

from __future__ import annotations

import msgspec

from nba.content_ids import content_id
from nba.errors import InvalidBundle

FORMAT = 1
VALENCES_FILE = "valences.json"
HALF_WEIGHT = 30.0  # occurrences at which what was learned weighs as much as the prior
ENOUGH_ANSWERS = 200  # answers to a survey before its ranks count


class LearnedValence(msgspec.Struct, frozen=True, kw_only=True):
    """One kind of event or signal at one touchpoint."""

    kind: str  # the id of a mapped event, or of a signal
    touchpoint: str
    valence: float  # blended with the prior by the number of occurrences, -1 to 1
    low: float  # 95 % interval, bootstrap by customer
    high: float
    prior: float
    occurrences: int
    flipped: bool  # the interval lies wholly on the other side of 0 than the prior

    @property
    def weight(self) -> float:
        """The share of the data in `valence`, the rest is the prior's."""
        return self.occurrences / (self.occurrences + HALF_WEIGHT)


class SurveyScale(msgspec.Struct, frozen=True, kw_only=True):
    """The answers seen to one kind of survey: their ranks give the valences."""

    kind: str  # the id of the mapped event
    scores: tuple[float, ...]  # ascending
    counts: tuple[int, ...]  # answers of each score


class ValenceTable(msgspec.Struct, frozen=True, kw_only=True):
    """The valences learned, with the data that they were learned from."""

    format: int = FORMAT
    losses: int = 0  # customers lost in the data that it was learned from
    low_surveys: int = 0  # low answers in that data
    dataset: str = ""  # fingerprint of the data
    valences: tuple[LearnedValence, ...] = ()
    surveys: tuple[SurveyScale, ...] = ()

    @property
    def version(self) -> str:
        """A hash of the content; `prior` for the empty table."""
        if self.is_prior:
            return "prior"
        return content_id("valences", valences_json(self))

    @property
    def is_prior(self) -> bool:
        """Whether nothing was learned."""
        return not self.valences and not self.surveys


def valences_json(table: ValenceTable) -> bytes:
    """Canonical JSON; the same table gives the same bytes."""
    return msgspec.json.encode(table, order="deterministic")


def valences_from_json(content: bytes) -> ValenceTable:
    """The inverse of `valences_json`. Raises InvalidBundle."""
    try:
        table = msgspec.json.decode(content, type=ValenceTable)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidBundle(f"{VALENCES_FILE}: {error}; run nba train emotion again") from None
    if table.format != FORMAT:
        raise InvalidBundle(f"{VALENCES_FILE}: format {table.format}; this program reads {FORMAT}")
    return table
