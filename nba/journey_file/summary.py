"""What a journey file says, as tables for its owner, with what it leaves open."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from nba.customer.context import ContextSchema
from nba.journey.file import JourneyFile
from nba.journey_file import catalogue_summary


@dataclass(frozen=True, slots=True)
class Section:
    """A titled table of texts; every row has as many cells as `columns`."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def summarise(journey: JourneyFile) -> list[Section]:
    """Counts, the map, events, actions, limits and warnings; sections without rows are left out."""
    schema = ContextSchema(journey)
    sections = [
        Section("Overview", ("what", "number"), tuple(_counts(journey))),
        Section(
            "Map",
            ("scene", "journey", "stage", "touchpoint", "kind", "channel", "owner", "importance"),
            tuple(_map_rows(journey)),
        ),
        Section(
            "Events",
            ("kind", "event", "when", "touchpoint", "valence", "role", "outcome", "amount"),
            tuple(
                (
                    *(m.id, m.event, m.when or "always", m.touchpoint or "-"),
                    f"{schema.appraisal(m.id, None).valence:+g}",
                    *(m.role or m.signal or "-", m.outcome or "-", m.amount or "-"),
                )
                for m in journey.events
            ),
        ),
        Section(
            "Signals detected",
            ("signal", "times", "within s", "beyond", "valence", "rule"),
            tuple(
                (
                    *(d.signal, str(d.times), f"{d.within_s:g}", f"{d.beyond:g}"),
                    *(f"{schema.appraisal(d.signal, None).valence:+g}", d.rule),
                )
                for d in schema.detectors
            ),
        ),
        Section(
            "Actions",
            ("action", "group", "type", "channel", "touchpoint", "value_eur", "cost_eur"),
            tuple(
                (
                    *(a.id, a.group or "-", a.type, a.channel, a.touchpoint),
                    *(f"{a.value_eur:g}", f"{a.cost_eur:g}"),
                )
                for a in journey.actions
            ),
        ),
        Section("Rules", catalogue_summary.RULES, tuple(catalogue_summary.rule_rows(journey))),
        Section("Limits", catalogue_summary.LIMITS, tuple(catalogue_summary.limit_rows(journey))),
        Section(
            "Weights and levers",
            catalogue_summary.WEIGHTS,
            tuple(catalogue_summary.weight_rows(journey)),
        ),
        Section(
            "Sub-journeys",
            catalogue_summary.SUB_JOURNEYS,
            tuple(catalogue_summary.sub_journey_rows(journey)),
        ),
        Section("Measures", ("what", "how"), tuple(_measures(journey))),
        Section("Warnings", ("where", "what"), tuple(_warnings(journey))),
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


def _counts(journey: JourneyFile) -> Iterator[tuple[str, str]]:
    yield "scenes", str(len(journey.scenes))
    yield "journeys", str(sum(len(scene.journeys) for scene in journey.scenes))
    yield "stages", str(len(journey.stages()))
    yield "touchpoints", str(len(journey.touchpoints()))
    yield "event kinds", str(len(journey.events))
    yield "traits", str(len(journey.traits))
    yield "request facts", str(len(journey.request))
    yield "actions", str(len(journey.actions))


def _map_rows(journey: JourneyFile) -> Iterator[tuple[str, ...]]:
    for scene, trip, stage in journey.stages():
        name = f"{stage.id} (leaving)" if stage.leaving else stage.id
        for t in stage.touchpoints:
            place = (scene.id, trip.id, name)
            yield (*place, t.id, t.kind, t.channel, t.owner, str(t.importance))


def _measures(journey: JourneyFile) -> Iterator[tuple[str, str]]:
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


def _warnings(journey: JourneyFile) -> Iterator[tuple[str, str]]:
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
    yield from catalogue_summary.warnings(journey)
    if journey.actions and journey.exploration.epsilon == 0:
        yield "exploration", "epsilon is 0: what is never tried is never learned"
    if journey.reward.target == "response" and (journey.reward.events or journey.reward.minus):
        yield "reward", "events and minus have no effect unless target: value"
