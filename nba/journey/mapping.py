"""What events mean: their mapping to touchpoints, traits, and signals of emotion."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, UnsetType

from nba.errors import InvalidInput, did_you_mean
from nba.events.numbers import MOST_AMOUNT, MOST_EUR, check_number, number_of
from nba.events.signals import Agency
from nba.journey.fields import Identifier, JourneyPart, NonNegative, Share, Text, Valence


class AmountRange(JourneyPart, frozen=True):
    """Between which values an amount lies; one beyond is refused."""

    low: Annotated[float, Meta(ge=-MOST_AMOUNT, le=MOST_AMOUNT)] = -MOST_EUR
    high: Annotated[float, Meta(ge=-MOST_AMOUNT, le=MOST_AMOUNT)] = MOST_EUR


class EventMapping(JourneyPart, frozen=True):
    """An event by name, and by a condition on its properties; the first that holds counts."""

    id: Identifier  # the kind of event that the kernel counts
    event: Text  # its name, as sent
    when: str | None = None  # a rule over `properties.*`
    touchpoint: Identifier | None = None
    signal: str | None = None  # the signal that it is, as sent; its prior valence holds
    valence: Valence | None = None  # prior: how it feels, from -1 to 1; none: the signal's, or 0
    arousal: Share | None = None  # how strongly; none: the signal's, or the size of the valence
    agency: Agency | None = None  # whose doing: firm, self or none
    role: str | None = None  # what it is to the detectors, such as search
    reads: dict[str, Text] = {}  # the properties that the role reads, where named otherwise
    text: Text | None = None  # the property with the customer's words
    amount: Identifier | None = None  # the numeric property that is summed, such as revenue
    # its bounds; unset, and not a default, so that the hashes of earlier files stay what they are
    amount_range: AmountRange | UnsetType = UNSET
    outcome: Literal["positive", "negative"] | None = None  # its meaning for the decision it names

    def check_amount(self, properties: Mapping[str, Any]) -> None:
        """Raise InvalidInput where the amount is no number, or beyond its range."""
        value = None if self.amount is None else properties.get(self.amount)
        if value is not None:
            low, high = self._amount_bounds()
            check_number(f"properties.{self.amount}", value, low, high)

    def amount_in(self, properties: Mapping[str, Any]) -> float | None:
        """The amount of a logged event, None for none.

        Beyond the range, as a log of before may hold it, it counts as the nearest bound.
        """
        if self.amount is None:
            return None
        return number_of(properties.get(self.amount), *self._amount_bounds())

    def _amount_bounds(self) -> tuple[float, float]:
        bounds = self.amount_range or _AMOUNTS
        return bounds.low, bounds.high


_AMOUNTS = AmountRange()


class Trait(JourneyPart, frozen=True):
    """A property of the customer, set by `identify` events, or a fact of the request."""

    type: Literal["number", "boolean", "category"]
    values: list[str] | None = None  # of a category, in a fixed order

    def check(self, field: str, value: object) -> None:
        """Raise InvalidInput where `value` is neither null nor of this type."""
        if value is None:
            return
        if self.type == "category":
            if value not in (self.values or []):
                raise InvalidInput(field, value, did_you_mean(str(value), self.values or []))
        elif self.type == "boolean":
            if not isinstance(value, bool):
                raise InvalidInput(field, value, "send true, false or null")
        elif isinstance(value, bool) or not isinstance(value, int | float):
            raise InvalidInput(field, value, "send a number or null")


class SignalRule(JourneyPart, frozen=True):
    """What a deployment changes of a signal: thresholds of its detector, how it feels."""

    use: bool = True
    times: Annotated[int, Meta(ge=1, le=99)] | None = None
    within_s: NonNegative | None = None
    beyond: NonNegative | None = None
    again: NonNegative | None = None
    valence: Valence | None = None
    arousal: Share | None = None
    agency: Agency | None = None


class EmotionRule(JourneyPart, frozen=True):
    """How emotion is read: the nodes that count, and changes of single signals."""

    nodes: Annotated[int, Meta(ge=2, le=50)] = 10
    signals: dict[str, SignalRule] = {}
