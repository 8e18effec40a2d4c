"""The purposes and channels that events about consent name, in whatever spelling they come."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable

from nba.customer.contact_history import EVERY
from nba.errors import InvalidInput, did_you_mean
from nba.events.event import Event
from nba.events.names import (
    CONSENT_GIVEN,
    CONSENT_WITHDRAWN,
    CONTACT_RESUMED,
    CONTACT_SUPPRESSED,
)
from nba.events.parsing import checked_time
from nba.journey.file import JourneyFile


def spelled(word: str) -> str:
    """A purpose or channel as journey files spell it: compatibility forms, case and space apart."""
    return unicodedata.normalize("NFKC", word).casefold().strip()


def check_consent(event: Event, journey: JourneyFile) -> None:
    """Raise InvalidInput where an event about consent would be without effect: it names a purpose
    or channel that the journey file has not, or gives what cannot be read, such as a time without
    its offset: whose clock it means would be a guess.

    A withdrawal of what is no text, or empty, concerns every purpose or channel.
    """
    if event.name in (CONSENT_GIVEN, CONSENT_WITHDRAWN):
        _check(event, "purpose", journey.consents)
        _check(event, "channel", journey.channels())
    elif event.name in (CONTACT_SUPPRESSED, CONTACT_RESUMED):
        _check(event, "channel", journey.channels())
        if event.name == CONTACT_SUPPRESSED:
            checked_time("properties.until", event.properties.get("until"))


def _check(event: Event, name: str, known: Iterable[str]) -> None:
    word, names = event.properties.get(name), list(known)
    if not isinstance(word, str) or not spelled(word):
        if word is not None and event.name == CONSENT_GIVEN:
            remedy = f"name one {name}, or leave it out for every one"
            raise InvalidInput(f"properties.{name}", word, remedy)
    elif names and spelled(word) not in (EVERY, *names):
        remedy = f"the journey file has no such {name}; {did_you_mean(spelled(word), names)}"
        raise InvalidInput(f"properties.{name}", word, remedy)
