"""The Starbucks offer test as events: randomised offers, views, completions, purchases.

    python -m examples.starbucks.convert FOLDER events.jsonl

An hour of the transcript opens a slot of six hours. Offers go out as it opens; what a customer
does in it is written at its end, when all of it is known. At every wave each customer of the
profile either received one of the offers or, with a known probability, nothing: both are decisions.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from examples.commands import convert_command
from examples.raw_files import find, json_lines
from nba.events.names import ACTION_ACCEPTED, ACTION_DECIDED, ACTION_SHOWN, IDENTIFY
from nba.journey.actions import NO_ACTION

START = datetime(2018, 8, 1, tzinfo=UTC)  # hour 0; the data names no date, members joined before
SLOT = timedelta(hours=6)
P_NOTHING = 0.2522  # the design of the test, as its users measured it
P_OFFER = 0.0748  # each of the ten offers
AGE_MISSING = 118

Record = dict[str, Any]


def events(folder: Path) -> Iterator[Record]:
    """The canonical events of the folder's transcript, profile and portfolio, by time."""
    names = {offer["id"]: action_id(offer) for offer in json_lines(find(folder, "portfolio.json"))}
    profile = {person["id"]: person for person in json_lines(find(folder, "profile.json"))}
    by_hour: dict[int, list[Record]] = defaultdict(list)
    for record in json_lines(find(folder, "transcript.json")):
        by_hour[int(record["time"])].append(record)
    found = [_identify(person) for person in profile.values()]
    decided = _Decided()
    for hour in sorted(by_hour):
        records = by_hour[hour]
        received = [r for r in records if r["event"] == "offer received"]
        if received:
            found += _wave(hour, received, profile, names, decided)
        found += _slot(hour, records, names, decided)
    yield from sorted(found, key=lambda event: event["occurred_at"])


def action_id(offer: Record) -> str:
    """An offer's name: its type, what must be spent in EUR, and for how many days it holds.

    >>> action_id({"offer_type": "bogo", "difficulty": 5, "duration": 7.0})
    'bogo_5_7d'
    """
    return f"{offer['offer_type']}_{offer['difficulty']:g}_{offer['duration']:g}d"


class _Decided:
    """Which decisions a view or a completion can belong to."""

    def __init__(self) -> None:
        self._of: dict[tuple[str, str], list[str]] = defaultdict(list)  # (person, offer) -> ids
        self._viewed: set[str] = set()
        self._completed: set[str] = set()

    def add(self, person: str, offer: str, decision_id: str) -> None:
        self._of[person, offer].append(decision_id)

    def view(self, person: str, offer: str) -> str | None:
        """The latest decision that gave the offer."""
        known = self._of[person, offer]
        self._viewed.update(known[-1:])
        return known[-1] if known else None

    def complete(self, person: str, offer: str) -> tuple[str, bool] | None:
        """The oldest decision not completed yet, and whether it was seen; None: a duplicate."""
        for decision_id in self._of[person, offer]:
            if decision_id not in self._completed:
                self._completed.add(decision_id)
                return decision_id, decision_id in self._viewed
        return None


def _identify(person: Record) -> Record:
    joined = person.get("became_member_on")
    age = person.get("age")
    traits = {
        "gender": person.get("gender"),
        "age": None if age == AGE_MISSING else age,
        "income": person.get("income"),
        "member_days": None if joined is None else _days_before_start(str(joined)),
    }
    return _event(f"identify:{person['id']}", person["id"], IDENTIFY, START - SLOT, traits)


def _days_before_start(day: str) -> int:
    return (START - datetime.strptime(day, "%Y%m%d").replace(tzinfo=UTC)).days


def _wave(
    hour: int,
    received: Iterable[Record],
    profile: Iterable[str],
    names: dict[str, str],
    decided: _Decided,
) -> Iterator[Record]:
    """One decision for each customer: the offer received, or nothing."""
    candidates = [*names.values(), NO_ACTION]
    drawn = {record["person"]: _offer(record) for record in received}
    for person in dict.fromkeys([*profile, *drawn]):
        decision_id = f"wave-{hour}:{person}"
        offer = drawn.get(person)
        if offer is not None:
            decided.add(person, offer, decision_id)
        properties = {
            "decision_id": decision_id,
            "action_id": NO_ACTION if offer is None else names[offer],
            "propensity": P_NOTHING if offer is None else P_OFFER,
            "candidates": candidates,
        }
        at = START + timedelta(hours=hour)
        yield _event(f"decision:{decision_id}", person, ACTION_DECIDED, at, properties)


def _slot(
    hour: int, records: Iterable[Record], names: dict[str, str], decided: _Decided
) -> Iterator[Record]:
    """What customers did in the slot; a view comes before a completion of the same slot."""
    order = {"offer viewed": 0, "offer completed": 1, "transaction": 2}
    at = START + timedelta(hours=hour) + SLOT
    number: Counter[tuple[str, str]] = Counter()
    known = [record for record in records if record["event"] in order]
    for record in sorted(known, key=lambda record: order[record["event"]]):
        person, kind, value = record["person"], record["event"], record["value"]
        number[person, kind] += 1
        event_id = f"{kind}:{person}:{hour}:{number[person, kind]}"
        if kind == "transaction":
            yield _event(event_id, person, "Purchase", at, {"amount": float(value["amount"])})
            continue
        offer = _offer(record)
        properties: Record = {"action_id": names[offer]}
        if kind == "offer viewed":
            decision_id = decided.view(person, offer)
            yield _event(event_id, person, ACTION_SHOWN, at, properties, decision_id)
        elif (done := decided.complete(person, offer)) is not None:
            properties |= {"reward": float(value.get("reward") or 0.0), "viewed": done[1]}
            yield _event(event_id, person, ACTION_ACCEPTED, at, properties, done[0])


def _offer(record: Record) -> str:
    """The transcript spells the key with a space or with an underscore."""
    value = record["value"]
    return str(value["offer id"] if "offer id" in value else value["offer_id"])


def _event(
    event_id: str,
    person: str,
    name: str,
    at: datetime,
    properties: Record,
    decision_id: str | None = None,
) -> Record:
    if decision_id is not None:
        properties = {"decision_id": decision_id, **properties}
    return {
        "event_id": event_id,
        "customer_id": person,
        "name": name,
        "occurred_at": at.isoformat(),
        "properties": properties,
    }


if __name__ == "__main__":
    convert_command(events, __doc__)
