"""The journey file: one YAML file in which the owner maps, prices and limits.

Its parts have a module each: the map, what events mean (`mapping`), the actions, the policies that
govern them, arbitration, sub-journeys, goals (reward and churn), and exploration.
`docs/journey.md` explains each field; `docs/journey.schema.json` lets editors complete it.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from nba.content_ids import content_id
from nba.events.detectors import THRESHOLDS, Detector, detectors_of
from nba.journey.actions import Action
from nba.journey.arbitration import ArbitrationRules, Lever, Weight
from nba.journey.exploration import Exploration
from nba.journey.fields import Identifier, JourneyPart
from nba.journey.goals import ChurnRule, RewardRule
from nba.journey.map import Journey, JourneyStage, Scene, Touchpoint
from nba.journey.mapping import EmotionRule, EventMapping, SignalRule, Trait
from nba.journey.policies import Consent, ContactRules, EngagementRule, TimeZoneRule
from nba.journey.sub_journeys import SubJourney


class JourneyFile(JourneyPart, frozen=True):
    """The whole file."""

    version: Literal[1]
    name: Identifier
    scenes: Annotated[list[Scene], Meta(min_length=1)]
    events: Annotated[list[EventMapping], Meta(min_length=1)]
    churn: ChurnRule
    emotion: EmotionRule = EmotionRule()
    traits: dict[Identifier, Trait] = {}
    request: dict[Identifier, Trait] = {}  # facts that a channel may send in `context`
    segments: dict[Identifier, str] = {}  # rules by name: `segment.<name>` in other rules
    actions: list[Action] = []
    engagement: list[EngagementRule] = []  # beside the actions' own rules
    consents: dict[Identifier, Consent] = {}
    contact_policy: ContactRules = ContactRules()
    time_zone: TimeZoneRule = TimeZoneRule()
    weights: list[Weight] = []
    levers: list[Lever] = []
    arbitration: ArbitrationRules = ArbitrationRules()
    sub_journeys: list[SubJourney] = []
    no_action_value_eur: float = 0.0  # worth of leaving the customer in peace
    fallback: list[Identifier] = []  # action ids, tried in order when a part is missing
    exploration: Exploration = Exploration()
    reward: RewardRule = RewardRule()

    def stages(self) -> list[tuple[Scene, Journey, JourneyStage]]:
        """Every stage with where it belongs, in file order."""
        return [
            (scene, journey, stage)
            for scene in self.scenes
            for journey in scene.journeys
            for stage in journey.stages
        ]

    def touchpoints(self) -> list[Touchpoint]:
        """Every touchpoint once, in file order."""
        by_id = {t.id: t for _, _, stage in self.stages() for t in stage.touchpoints}
        return list(by_id.values())

    def channels(self) -> list[str]:
        """The channels of the actions, sorted: those on which we contact."""
        return sorted({action.channel for action in self.actions})

    def detectors(self) -> list[Detector]:
        """The detectors that run: those whose roles are mapped, with this file's thresholds."""
        roles = {mapping.role for mapping in self.events if mapping.role is not None}
        detectors = []
        for detector in detectors_of(roles):
            rule = self.emotion.signals.get(detector.signal, SignalRule())
            declared = {name: getattr(rule, name) for name in THRESHOLDS}
            if rule.use:
                changes = {name: value for name, value in declared.items() if value is not None}
                detectors.append(detector._replace(**changes))
        return detectors

    def catalogue_version(self) -> str:
        """A hash of the whole content, the order of traits among it: what every decision names."""
        content = msgspec.json.encode(self)
        return content_id("catalogue", content)
