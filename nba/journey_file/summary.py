"""A journey file as tables for its owner, with warnings of what it leaves open."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from nba.customer.context import ContextSchema
from nba.journey.file import JourneyFile
from nba.journey_file import policy_summary
from nba.journey_file.policy_summary import Row

MAP = ("scene", "journey", "stage", "touchpoint", "kind", "channel", "owner", "importance")
EVENTS = ("kind", "event", "when", "touchpoint", "valence", "role", "outcome", "amount")
SIGNALS = ("signal", "times", "within s", "beyond", "valence", "rule")
ACTIONS = ("action", "group", "type", "channel", "touchpoint", "value_eur", "cost_eur")


@dataclass(frozen=True, slots=True)
class Section:
    """A titled table of texts; every row has as many cells as `columns`."""

    title: str
    columns: Row
    rows: tuple[Row, ...]


def summarise(journey: JourneyFile) -> list[Section]:
    """Counts, the map, events, actions, limits and warnings; sections without rows are left out."""
    tables = {
        "Overview": (("what", "number"), _count_rows(journey)),
        "Map": (MAP, _map_rows(journey)),
        "Events": (EVENTS, _event_rows(journey)),
        "Signals detected": (SIGNALS, _signal_rows(journey)),
        "Actions": (ACTIONS, _action_rows(journey)),
        "Rules": (policy_summary.RULES, policy_summary.rule_rows(journey)),
        "Limits": (policy_summary.LIMITS, policy_summary.limit_rows(journey)),
        "Weights and levers": (policy_summary.WEIGHTS, policy_summary.weight_rows(journey)),
        "Sub-journeys": (policy_summary.SUB_JOURNEYS, policy_summary.sub_journey_rows(journey)),
        "Measures": (("what", "how"), _measure_rows(journey)),
        "Warnings": (("where", "what"), _warning_rows(journey)),
    }
    sections = [
        Section(title=title, columns=columns, rows=tuple(rows))
        for title, (columns, rows) in tables.items()
    ]
    return [section for section in sections if section.rows]


def to_text(sections: list[Section]) -> str:
    """The sections as plain text in aligned columns."""
    blocks = []
    for section in sections:
        table = [section.columns, *section.rows]
        widths = [max(len(row[i]) for row in table) for i in range(len(section.columns))]
        padded = (map(str.ljust, row, widths) for row in table)
        lines = [("  " + "  ".join(cells)).rstrip() for cells in padded]
        blocks.append("\n".join([section.title, *lines]))
    return "\n\n".join(blocks) + "\n"


def _count_rows(journey: JourneyFile) -> Iterator[Row]:
    yield "scenes", str(len(journey.scenes))
    yield "journeys", str(sum(len(scene.journeys) for scene in journey.scenes))
    yield "stages", str(len(journey.stages()))
    yield "touchpoints", str(len(journey.touchpoints()))
    yield "event kinds", str(len(journey.events))
    yield "traits", str(len(journey.traits))
    yield "request facts", str(len(journey.request))
    yield "actions", str(len(journey.actions))


def _map_rows(journey: JourneyFile) -> Iterator[Row]:
    for scene, scene_journey, stage in journey.stages():
        stage_name = f"{stage.id} (leaving)" if stage.leaving else stage.id
        for touchpoint in stage.touchpoints:
            yield (
                scene.id,
                scene_journey.id,
                stage_name,
                touchpoint.id,
                touchpoint.kind,
                touchpoint.channel,
                touchpoint.owner,
                str(touchpoint.importance),
            )


def _event_rows(journey: JourneyFile) -> Iterator[Row]:
    schema = ContextSchema(journey)
    for mapping in journey.events:
        yield (
            mapping.id,
            mapping.event,
            mapping.when or "always",
            mapping.touchpoint or "-",
            f"{schema.appraisal(mapping.id, None).valence:+g}",
            mapping.role or mapping.signal or "-",
            mapping.outcome or "-",
            mapping.amount or "-",
        )


def _signal_rows(journey: JourneyFile) -> Iterator[Row]:
    schema = ContextSchema(journey)
    for detector in schema.detectors:
        yield (
            detector.signal,
            str(detector.times),
            f"{detector.within_s:g}",
            f"{detector.beyond:g}",
            f"{schema.appraisal(detector.signal, None).valence:+g}",
            detector.rule,
        )


def _action_rows(journey: JourneyFile) -> Iterator[Row]:
    for action in journey.actions:
        yield (
            action.id,
            action.group or "-",
            action.type,
            action.channel,
            action.touchpoint,
            f"{action.value_eur:g}",
            f"{action.cost_eur:g}",
        )


def _measure_rows(journey: JourneyFile) -> Iterator[Row]:
    churn, reward = journey.churn, journey.reward
    sign = churn.event or f"none of {', '.join(churn.inactive)}"
    yield "churn", f"{sign} within {churn.horizon_days:g} days, asked every {churn.every_days:g}"
    learned = "a positive outcome"
    if reward.target == "value":
        minus = f" less {', '.join(reward.minus)}" if reward.minus else ""
        learned = f"the amounts of {', '.join(reward.events)}{minus} less the costs"
    yield "reward", f"{learned} within {reward.window_days:g} days"
    own = [action.id for action in journey.actions if action.reward is not None]
    if own:
        yield "rewarded by their own rule", ", ".join(own)
    yield "exploration", f"{journey.exploration.epsilon:.1%} of the draw is uniform"
    yield "no action", f"worth {journey.no_action_value_eur:g} EUR"
    yield "fallback", ", ".join(journey.fallback) or "no action"


def _warning_rows(journey: JourneyFile) -> Iterator[Row]:
    mapped = {mapping.touchpoint for mapping in journey.events}
    for touchpoint in journey.touchpoints():
        if touchpoint.id not in mapped:
            yield f"touchpoint {touchpoint.id}", "no event maps to it: visits stay unseen"
    for _, _, stage in journey.stages():
        if not mapped & {touchpoint.id for touchpoint in stage.touchpoints}:
            yield f"stage {stage.id}", "no event maps to its touchpoints: nobody is seen in it"
    if not journey.actions:
        yield "actions", "none: every decision is no action"
    elif not any(mapping.outcome == "positive" for mapping in journey.events):
        yield "events", "none has outcome: positive, so nothing counts as a response"
    yield from policy_summary.warnings(journey)
    if journey.actions and journey.exploration.epsilon == 0:
        yield "exploration", "epsilon is 0: what is never tried is never learned"
    if journey.reward.target == "response" and (journey.reward.events or journey.reward.minus):
        yield "reward", "events and minus have no effect unless target: value"
