"""Contact history: what was done to one customer and what they said, as far as policies read it.

It is folded from the log beside the kernel's state, event by event in order of time, and logged
with every decision. Contacts are kept for as long as any rule looks back, and where there are many,
those that some limit may still have to count.
"""

from __future__ import annotations

import msgspec

EVERY = "*"  # every purpose, or every channel
ENTERED = "entered:"  # prefix of the kinds that the last entries into sub-journeys are kept as
OUTBOUND_REQUEST = "asked:"  # prefix of the kinds that decisions for outbound steps are counted as


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

    def status_s(self, status: str) -> float | None:
        """When it came to this `ContactStatus`, None where it did not, or does not count."""
        if status == "decided":
            return self.at_s if self.counted else None
        at_s: float | None = getattr(self, status)
        return at_s


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
        return self.purpose in (EVERY, purpose) and self.channel in (EVERY, channel)


class Suppression(msgspec.Struct, frozen=True, array_like=True):
    """Contacts that are stopped altogether."""

    channel: str
    until_s: float | None = None  # None: until they are resumed


class SubJourneyPosition(msgspec.Struct, frozen=True, array_like=True):
    """Where a customer stands in a sub-journey."""

    sub_journey: str  # its run: the id, with a key `ID#KEY`
    definition: str  # hash of the version that they entered
    episode: str  # id of this passage
    entered_s: float
    step: str
    since_s: float  # when they came to this step
    moves: int  # so far, the entry among them
    held_out: bool = False  # they are left in peace: what the sub-journey is worth


class SubJourneyExit(msgspec.Struct, frozen=True, array_like=True):
    """The last time that a sub-journey ended."""

    sub_journey: str  # its run
    at_s: float
    exit: str


class KeyedEvents(msgspec.Struct, frozen=True):
    """What a keyed sub-journey needs to know of events."""

    sub_journey: str
    path: str  # of the property that is the key, such as properties.cart_id
    enters: tuple[str, ...]  # the kinds that begin a run
    ends: tuple[str, ...]  # the kinds that end it, or a step of it


class ContactHistoryRules(msgspec.Struct, frozen=True):
    """What a journey needs of the contact history."""

    horizon_s: float  # how far any rule looks back
    kinds: dict[str, int]  # by kind of event that a cap or sub-journey names: how many to keep
    most: dict[str, int] = {}  # by contact status: the most that any limit counts up to
    pauses: tuple[tuple[str, int, float], ...] = ()  # status, times, within so many seconds
    actions: frozenset[str] = frozenset()  # those of the journey file; all others count as one
    channels: frozenset[str] = frozenset()
    keyed: tuple[KeyedEvents, ...] = ()


class ContactHistory(msgspec.Struct, frozen=True, array_like=True):
    """All of it; `ContactHistory()` is that of a customer of whom nothing is known."""

    contacts: tuple[Contact, ...] = ()  # in order of time
    counted_events: tuple[CountedEvent, ...] = ()
    consent_changes: tuple[ConsentChange, ...] = ()
    suppressions: tuple[Suppression, ...] = ()
    positions: tuple[SubJourneyPosition, ...] = ()
    exits: tuple[SubJourneyExit, ...] = ()
    cut_s: float | None = None  # logged before version 3: contacts up to here may be missing
    at_micros: int = -1  # of the last event that was folded, since 1970 UTC

    def granted(self, purpose: str, channel: str) -> bool | None:
        """Whether the customer consents; None: they have said nothing about it.

        A consent counts where it is later than every withdrawal both by the clock and in the log:
        with clocks that differ, what was withdrawn stays withdrawn.
        """
        changes = [change for change in self.consent_changes if change.covers(purpose, channel)]
        if not changes:
            return None
        withdrawn = [change for change in changes if not change.granted]
        if not withdrawn:
            return True
        at_s = max(change.at_s for change in withdrawn)
        seq = max(change.seq for change in withdrawn)
        return any(
            change.at_s >= at_s and change.seq >= seq and (change.at_s, change.seq) != (at_s, seq)
            for change in changes
            if change.granted
        )

    def is_suppressed(self, channel: str, now_s: float) -> bool:
        """Whether contacts on this channel are stopped now."""
        return any(
            suppression.channel in (EVERY, channel)
            and (suppression.until_s is None or now_s < suppression.until_s)
            for suppression in self.suppressions
        )

    def position(self, run: str) -> SubJourneyPosition | None:
        """Where the customer stands in this run of a sub-journey."""
        return next((at for at in self.positions if at.sub_journey == run), None)

    def exit_of(self, step_key: str) -> str | None:
        """How the passage of this step ended, None where it goes on, or ended with its contacts."""
        run = run_of(step_key)
        position, last_exit = self.position(run), self.last_exit(run)
        if not step_key or (position and step_key.startswith(f"{position.episode}/")):
            return None
        if last_exit is None or last_exit.exit in ("done", "budget"):
            return None
        return last_exit.exit

    def last_entry_s(self, run: str) -> float | None:
        """When the customer last entered it; None also in what earlier versions have logged."""
        kind = f"{ENTERED}{run}"
        return max(
            (event.at_s for event in self.counted_events if event.kind == kind), default=None
        )

    def last_exit(self, run: str) -> SubJourneyExit | None:
        """When the customer was last in it."""
        return next((exit_ for exit_ in self.exits if exit_.sub_journey == run), None)


def run_of(passage: str) -> str:
    """The run in the id of a passage, or of a step of it."""
    return passage.split(":", 1)[0]


def sub_journey_of(run: str) -> str:
    """The id of the sub-journey of a run."""
    return run.split("#", 1)[0]


def outbound_request_kind(step_key: str) -> str:
    """The kind as which a decision for this outbound step is counted."""
    return f"{OUTBOUND_REQUEST}{step_key}"


def last_message_s(history: ContactHistory) -> float | None:
    """When the last message that nobody asked for goes out, seconds since 1970 UTC; quiet hours may
    keep it until later than now. None: there was none."""
    asked = {event.kind for event in history.counted_events}
    return max(
        (
            max(contact.at_s, contact.not_before or 0.0)
            for contact in history.contacts
            if contact.counted and contact.step and outbound_request_kind(contact.step) in asked
        ),
        default=None,
    )
