"""The kinds of fields in the journey file, each with its bounds and words."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

Identifier = Annotated[
    str,
    Meta(
        pattern=r"^[a-z][a-z0-9_]{0,62}$",
        description="lower case, digits and underscores, starting with a letter",
    ),
]
Text = Annotated[str, Meta(min_length=1, max_length=500)]
Day = Annotated[str, Meta(pattern=r"^\d{4}-\d\d-\d\d$", description="a day such as 2026-01-31")]
TimeOfDay = Annotated[
    str,
    Meta(pattern=r"^([01]\d|2[0-3]):[0-5]\d$", description='a time such as "20:00", in quotes'),
]
Positive = Annotated[float, Meta(gt=0)]
NonNegative = Annotated[float, Meta(ge=0)]
Share = Annotated[float, Meta(ge=0, le=1)]
Valence = Annotated[float, Meta(ge=-1, le=1)]
Count = Annotated[int, Meta(ge=1)]


class JourneyPart(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A mapping of the journey file; an unknown key is an error."""
