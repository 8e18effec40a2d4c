"""Check the policies: which actions they concern, dates, events and time zones."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import Any

from nba.errors import InvalidInput
from nba.governance.candidate_set import concerns
from nba.governance.quiet_hours import zone
from nba.journey.file import JourneyFile
from nba.journey.policies import CONTACT_STATUSES
from nba.journey_file.reference_checks import unknown_id_errors


def policy_errors(journey: JourneyFile) -> Iterator[InvalidInput]:
    """Every error of engagement rules, contact policy, weights and levers, with its path."""
    yield from _scope_errors(journey)
    yield from _date_errors(journey)
    yield from _sign_errors(journey)
    yield from _zone_errors(journey)


def _scoped_parts(journey: JourneyFile) -> Iterator[tuple[str, Any]]:
    """(path, part) of everything that has an id and says which actions it concerns."""
    policy = journey.contact_policy
    lists: dict[str, list[Any]] = {
        "engagement": journey.engagement,
        "contact_policy.caps": policy.caps,
        "contact_policy.cool_downs": policy.cool_downs,
        "contact_policy.pauses": policy.pauses,
        "contact_policy.quiet_hours": policy.quiet_hours,
        "contact_policy.capacities": policy.capacities,
        "weights": journey.weights,
        "levers": journey.levers,
    }
    for name, parts in lists.items():
        for index, part in enumerate(parts):
            yield f"{name}[{index}]", part


def _scope_errors(journey: JourneyFile) -> Iterator[InvalidInput]:
    actions = [action.id for action in journey.actions]
    groups = {action.group for action in journey.actions if action.group}
    first: dict[str, str] = {}
    for path, part in _scoped_parts(journey):
        if part.id in first:
            remedy = f"already the id of {first[part.id]}; reports name rules by it, choose another"
            yield InvalidInput(f"{path}.id", part.id, remedy)
        first.setdefault(part.id, path)
        errors = [
            *unknown_id_errors(f"{path}.group", part.group, groups),
            *unknown_id_errors(f"{path}.channel", part.channel, journey.channels()),
        ]
        for n, action_id in enumerate(part.actions):
            errors += unknown_id_errors(f"{path}.actions[{n}]", action_id, actions)
        yield from errors
        concerned = any(concerns(part, action) for action in journey.actions)
        if actions and not errors and not concerned:
            remedy = "no action is of this group, channel and list together; widen it or remove it"
            yield InvalidInput(path, part.id, remedy)


def _date_errors(journey: JourneyFile) -> Iterator[InvalidInput]:
    dated: list[tuple[str, Any]] = [(f"actions[{n}]", a) for n, a in enumerate(journey.actions)]
    dated += [(path, part) for path, part in _scoped_parts(journey) if hasattr(part, "ends")]
    for path, part in dated:
        days = {}
        for name in ("begins", "ends"):
            text = getattr(part, name)
            try:
                days[name] = None if text is None else date.fromisoformat(text)
            except ValueError:
                yield InvalidInput(f"{path}.{name}", text, "no such day in the calendar")
        begins, ends = days.get("begins"), days.get("ends")
        if begins is not None and ends is not None and ends < begins:
            yield InvalidInput(f"{path}.ends", part.ends, f"it begins later, on {part.begins}")


def _sign_errors(journey: JourneyFile) -> Iterator[InvalidInput]:
    known = [*CONTACT_STATUSES, *(mapping.id for mapping in journey.events)]
    policy = journey.contact_policy
    for n, cap in enumerate(policy.caps):
        yield from unknown_id_errors(f"contact_policy.caps[{n}].on", cap.on, known)
        if cap.calendar and cap.days != round(cap.days):
            remedy = "calendar days are whole: write 1, 2, ... or leave calendar out"
            yield InvalidInput(f"contact_policy.caps[{n}].days", cap.days, remedy)
    for n, cool_down in enumerate(policy.cool_downs):
        path = f"contact_policy.cool_downs[{n}].after"
        yield from unknown_id_errors(path, cool_down.after, known)
    for n, quiet in enumerate(policy.quiet_hours):
        if quiet.from_ == quiet.until:
            path = f"contact_policy.quiet_hours[{n}].until"
            yield InvalidInput(path, quiet.until, "it ends when it begins; write two times")


def _zone_errors(journey: JourneyFile) -> Iterator[InvalidInput]:
    rule = journey.time_zone
    zones = [("time_zone.fallback", rule.fallback)]
    yield from unknown_id_errors("time_zone.trait", rule.trait, journey.traits)
    if rule.trait is not None and rule.trait in journey.traits:
        trait = journey.traits[rule.trait]
        if trait.type != "category":
            yield InvalidInput("time_zone.trait", rule.trait, "make it a category of time zones")
        else:
            values = enumerate(trait.values or [])
            zones += [(f"traits.{rule.trait}.values[{n}]", value) for n, value in values]
    for path, name in zones:
        try:
            zone(name)
        except ValueError:
            remedy = "give a time zone of the IANA list, such as Europe/Berlin"
            yield InvalidInput(path, name, remedy)
