"""Which contacts a history keeps where there are many: those that some limit may have to count.

A limit asks whether something happened `times` within its window, to the actions that it counts
together. So of each action and channel the last `times` contacts of each status say all there is
to say: where one of the others lies in the window, these do too, and the limit is reached without
it. A pause looks for `times` outcomes close together: of each action all are kept that are later
than the last such run, and the run. Which is why a limit refuses by its own count alone, however
often the customer was contacted otherwise.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import TypeAlias

from nba.customer.contact_history import Contact, ContactHistoryRules, SubJourneyPosition
from nba.journey.policies import CONTACT_STATUSES

MAX_CONTACTS = 256  # beyond them, those are left out that nothing needs
ROOM = 64  # made at once, so that not each contact looks for one to leave out
GONE = "-"  # what actions and channels that the journey file does not have are kept as

_Key: TypeAlias = tuple[str, str, str]


def contacts_within(
    contacts: tuple[Contact, ...],
    positions: Sequence[SubJourneyPosition],
    rules: ContactHistoryRules,
) -> tuple[Contact, ...]:
    """The contacts, in order of time, without the oldest that no limit or passage needs."""
    if len(contacts) <= MAX_CONTACTS:
        return contacts
    needed = _needed(contacts, positions, rules)
    free = [index for index in range(len(contacts)) if index not in needed]
    left_out = set(free[: len(contacts) - MAX_CONTACTS + ROOM])
    return tuple(contact for index, contact in enumerate(contacts) if index not in left_out)


def _needed(
    contacts: Sequence[Contact], positions: Sequence[SubJourneyPosition], rules: ContactHistoryRules
) -> set[int]:
    passages = tuple(f"{position.episode}/" for position in positions)
    times: dict[tuple[_Key, str], list[tuple[float, int]]] = defaultdict(list)
    for index, contact in enumerate(contacts):
        key = _key(contact, passages, rules)
        for status in CONTACT_STATUSES:
            at_s = contact.status_s(status)
            if at_s is not None:
                times[key, status].append((at_s, index))
        if contact.counted and contact.shown is None:  # it counts as shown until that is known
            due_s = max(contact.at_s, contact.not_before or 0.0)
            times[key, "shown, by its time"].append((contact.at_s, index))
            times[key, "shown, once due"].append((due_s, index))
    needed: set[int] = set()
    for (_, what), found in times.items():
        found.sort(reverse=True)
        needed.update(index for _, index in found[: rules.most.get(what.split(",")[0], 0)])
        for after, least, within_s in rules.pauses:
            if after == what:
                needed.update(index for _, index in found[: _run_end(found, least, within_s)])
    return needed


def _run_end(found: Sequence[tuple[float, int]], least: int, within_s: float) -> int:
    """How many, latest first, until `least` of them lie close together; all where none do."""
    for end in range(least, len(found) + 1):
        if found[end - least][0] - found[end - 1][0] <= within_s:
            return end
    return len(found)


def _key(contact: Contact, passages: tuple[str, ...], rules: ContactHistoryRules) -> _Key:
    """Contacts of one key count alike in every limit, and for every step that is under way."""
    return (
        contact.action if contact.action in rules.actions else GONE,
        contact.channel if contact.channel in rules.channels else GONE,
        contact.step if passages and contact.step.startswith(passages) else "",
    )
