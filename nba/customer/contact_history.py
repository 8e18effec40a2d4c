"""Ledger: what was done to one customer and what she said, as far as the policies read it.

It is folded from the log beside the kernel's state, event by event in order of time, and logged
with every decision. Contacts are kept for as long as any rule looks back, and at most
so many; `cut_s` says where older ones were left out for lack of room.
"""

from __future__ import annotations

import msgspec

ANY = "*"  # every purpose, or every channel
ASKED = "asked:"  # of the marks that decisions for outbound steps leave


class Contact(msgspec.Struct, frozen=True, array_like=True):
    """One contact: a drawn action and what came of it. Times are seconds since 1970 UTC."""

    action: str
    channel: str
    at_s: float  # when it was decided, or activated
    decision_id: str = ""
    counted: bool = True  # False: deferred and not activated, or expired
    step: str = ""  # episode and step of the sub-journey that called for it
    shown: float | None = None
    clicked: float | None = None
    accepted: float | None = None
    dismissed: float | None = None
    not_before: float | None = None  # quiet hours: it is shown from then on

    def sign_s(self, sign: str) -> float | None:
        """When `sign` happened, None where it did not, or does not count."""
        if sign == "decided":
            return self.at_s if self.counted else None
        found: float | None = getattr(self, sign)
        return found


class CountedEvent(msgspec.Struct, frozen=True, array_like=True):
    """An event of a kind that some cap or sub-journey names."""

    kind: str
    at_s: float


class ConsentChange(msgspec.Struct, frozen=True, array_like=True):
    """A consent that was given or withdrawn; the last of its kind."""

    purpose: str
    channel: str
    granted: bool
    at_s: float = 0.0  # by the sender's clock
    seq: int = 0  # by the log's order

    def covers(self, purpose: str, channel: str) -> bool:
        """Whether it speaks of this purpose and channel."""
        return self.purpose in (ANY, purpose) and self.channel in (ANY, channel)


class Suppression(msgspec.Struct, frozen=True, array_like=True):
    """Contacts that are stopped altogether."""

    channel: str
    until_s: float | None = None  # None: until they are resumed


class SubJourneyPosition(msgspec.Struct, frozen=True, array_like=True):
    """Where a customer stands in a sub-journey."""

    sub_journey: str
    definition: str  # hash of the version that she entered
    episode: str  # id of this passage
    entered_s: float
    step: str
    since_s: float  # when she came to this step
    moves: int  # so far, her entering among them
    held_out: bool = False  # she is left in peace: what the sub-journey is worth


class SubJourneyExit(msgspec.Struct, frozen=True, array_like=True):
    """The last time that a sub-journey ended."""

    sub_journey: str
    at_s: float
    exit: str


class ContactHistoryRules(msgspec.Struct, frozen=True):
    """What a journey needs of the ledger."""

    horizon_s: float  # how far any rule looks back
    kinds: dict[str, int]  # by kind of event that a cap or sub-journey names: how many to keep


class ContactHistory(msgspec.Struct, frozen=True, array_like=True):
    """All of it; `ContactHistory()` is that of a customer of whom nothing is known."""

    touches: tuple[Contact, ...] = ()  # in order of time
    marks: tuple[CountedEvent, ...] = ()
    said: tuple[ConsentChange, ...] = ()
    suppressed: tuple[Suppression, ...] = ()
    positions: tuple[SubJourneyPosition, ...] = ()
    left: tuple[SubJourneyExit, ...] = ()
    cut_s: float | None = None  # contacts up to here may be missing
    at_micros: int = -1  # of the last event that was folded, since 1970 UTC

    def granted(self, purpose: str, channel: str) -> bool | None:
        """Whether she consents; None: she has said nothing about it.

        A consent counts where it is later than every withdrawal both by the clock and in the log:
        with clocks that differ, what was withdrawn stays withdrawn.
        """
        told = [one for one in self.said if one.covers(purpose, channel)]
        if not told:
            return None
        withdrawn = [one for one in told if not one.granted]
        if not withdrawn:
            return True
        at_s, seq = max(one.at_s for one in withdrawn), max(one.seq for one in withdrawn)
        return any(
            one.at_s >= at_s and one.seq >= seq and (one.at_s, one.seq) != (at_s, seq)
            for one in told
            if one.granted
        )

    def stopped(self, channel: str, now_s: float) -> bool:
        """Whether contacts on this channel are suppressed now."""
        return any(
            one.channel in (ANY, channel) and (one.until_s is None or now_s < one.until_s)
            for one in self.suppressed
        )

    def position(self, sub_journey: str) -> SubJourneyPosition | None:
        """Where she stands in this sub-journey."""
        return next((one for one in self.positions if one.sub_journey == sub_journey), None)

    def ended(self, step_key: str) -> str | None:
        """How the passage of this step ended, None where it goes on, or ended with its contacts."""
        sub_journey = step_key.split(":", 1)[0]
        present, left = self.position(sub_journey), self.last_left(sub_journey)
        if not step_key or (present and step_key.startswith(f"{present.episode}/")):
            return None
        return None if left is None or left.exit in ("done", "budget") else left.exit

    def last_left(self, sub_journey: str) -> SubJourneyExit | None:
        """When she was last in it."""
        return next((one for one in self.left if one.sub_journey == sub_journey), None)


def asked_mark(step_key: str) -> str:
    """The kind of mark that a decision for an outbound step leaves."""
    return f"{ASKED}{step_key}"
