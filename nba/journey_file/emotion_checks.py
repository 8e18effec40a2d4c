"""Check the emotion parts: signals, roles, thresholds, and sources that are refused."""

from __future__ import annotations

from collections.abc import Iterator

from nba.errors import InvalidInput, did_you_mean
from nba.events.detectors import DETECTOR_OF, THRESHOLDS, detectors_of
from nba.events.prohibited_sources import biometric
from nba.events.signals import PRIORS, ROLES, SURVEYS
from nba.journey.file import JourneyFile
from nba.journey.mapping import EventMapping, SignalRule

_BODY = "emotion is never read from the body (docs/signals.md); remove it"
_EMPLOYEE = "emotion is never read of employees or partners (docs/signals.md); remove it"


def emotion_errors(journey: JourneyFile) -> Iterator[InvalidInput]:
    """Every error of the emotion parts, with its path."""
    for i, mapping in enumerate(journey.events):
        yield from _mapping_errors(f"events[{i}]", mapping)
    yield from _signal_errors(journey)
    yield from _biometric_errors(journey)
    yield from _employee_errors(journey)


def _mapping_errors(path: str, mapping: EventMapping) -> Iterator[InvalidInput]:
    if mapping.signal is not None and mapping.signal not in PRIORS:
        remedy = "unknown signal, " + did_you_mean(mapping.signal, PRIORS)
        yield InvalidInput(f"{path}.signal", mapping.signal, remedy)
    if mapping.role is not None and mapping.role not in ROLES:
        remedy = "unknown role, " + did_you_mean(mapping.role, ROLES)
        yield InvalidInput(f"{path}.role", mapping.role, remedy)
        return
    known = ROLES[mapping.role] if mapping.role is not None else {}
    for name in mapping.reads:
        if name not in known:
            remedy = did_you_mean(name, known) if known else "give the event a role that reads it"
            yield InvalidInput(f"{path}.reads.{name}", mapping.reads[name], remedy)
    survey = mapping.role if mapping.role in SURVEYS else None
    felt = {
        "arousal": mapping.arousal,
        "agency": mapping.agency,
        "text": mapping.text,
        "role": survey,
    }
    for field, value in felt.items():
        if value is not None and mapping.touchpoint is None:
            remedy = "what is felt belongs to a touchpoint; give the event one"
            yield InvalidInput(f"{path}.{field}", value, remedy)


def _signal_errors(journey: JourneyFile) -> Iterator[InvalidInput]:
    roles = {mapping.role for mapping in journey.events if mapping.role is not None}
    possible = {detector.signal for detector in detectors_of(roles)}
    sent = {mapping.signal for mapping in journey.events}
    for signal, rule in journey.emotion.signals.items():
        path = f"emotion.signals.{signal}"
        if signal not in PRIORS:
            yield InvalidInput(path, signal, "unknown signal, " + did_you_mean(signal, PRIORS))
            continue
        if signal not in possible and signal not in sent:
            remedy = "no event brings it; map an event with "
            detector = DETECTOR_OF.get(signal)
            needed = " and ".join(f"role: {r}" for r in detector.roles) if detector else ""
            yield InvalidInput(path, signal, remedy + (needed or f"signal: {signal}"))
        yield from _threshold_errors(path, signal, rule)
    detected = {detector.signal for detector in journey.detectors()}
    for i, mapping in enumerate(journey.events):
        if mapping.id in detected:
            remedy = "the id of a signal that is detected here; choose another"
            yield InvalidInput(f"events[{i}].id", mapping.id, remedy)
        if mapping.signal in detected:
            remedy = f"also detected here; write emotion.signals.{mapping.signal}: {{use: false}}"
            yield InvalidInput(f"events[{i}].signal", mapping.signal, remedy)


def _threshold_errors(path: str, signal: str, rule: SignalRule) -> Iterator[InvalidInput]:
    detector = DETECTOR_OF.get(signal)
    for field in THRESHOLDS:
        value = getattr(rule, field)
        if value is None:
            continue
        if detector is None:
            remedy = "this signal is taken as sent and has no threshold; remove it"
            yield InvalidInput(f"{path}.{field}", value, remedy)
        elif field not in detector.settable:
            remedy = f"{signal} does not read it; it reads {', '.join(detector.settable)}"
            yield InvalidInput(f"{path}.{field}", value, remedy)
    if detector is None and not rule.use:
        remedy = "taken as sent; remove `signal` from its event, or give it a valence of 0"
        yield InvalidInput(f"{path}.use", rule.use, remedy)
    if detector is not None and rule.times is not None and rule.times > detector.most_times:
        remedy = f"at most {detector.most_times} are remembered"
        yield InvalidInput(f"{path}.times", rule.times, remedy)


def _biometric_errors(journey: JourneyFile) -> Iterator[InvalidInput]:
    for i, mapping in enumerate(journey.events):
        names = {
            "id": mapping.id,
            "event": mapping.event,
            "when": mapping.when,
            "text": mapping.text,
            "amount": mapping.amount,
        }
        names |= {f"reads.{role_property}": name for role_property, name in mapping.reads.items()}
        for field, name in names.items():
            if name is not None and biometric(name):
                yield InvalidInput(f"events[{i}].{field}", name, _BODY)
    for section, declared in (("traits", journey.traits), ("request", journey.request)):
        for name in declared:
            if biometric(name):
                yield InvalidInput(f"{section}.{name}", name, _BODY)


def _employee_errors(journey: JourneyFile) -> Iterator[InvalidInput]:
    actors: dict[str, set[str]] = {}
    for _, scene_journey, stage in journey.stages():
        for touchpoint in stage.touchpoints:
            actors.setdefault(touchpoint.id, set()).add(scene_journey.actor)
    for i, mapping in enumerate(journey.events):
        if mapping.touchpoint is None or "customer" in actors.get(mapping.touchpoint, {"customer"}):
            continue
        for field in ("signal", "valence", "arousal", "agency", "role", "text"):
            value = getattr(mapping, field)
            if value is not None and value != 0.0:
                yield InvalidInput(f"events[{i}].{field}", value, _EMPLOYEE)
