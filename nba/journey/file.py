"""The journey file: one YAML file in which the owner maps, prices and limits.

It holds the map (scenes, journeys, stages, touchpoints), the mapping of events to touchpoints,
the traits and request facts that rules may name, the actions with their rules, costs and values,
the policies that govern them (`nba.journey.actions`), how reward and churn are defined, and how
the draw explores. `docs/journey.md`
explains each field; `docs/journey.schema.json` lets editors complete it.
"""

from __future__ import annotations

import hashlib
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from nba.errors import InvalidInput, did_you_mean
from nba.events.signals import Agency, Detector, detectors_of
from nba.journey.actions import (
    Action,
    Aggregate,
    ArbitrationRules,
    Consent,
    ContactRules,
    EngagementRule,
    Lever,
    SubJourney,
    TimeZoneRule,
    Weight,
)
from nba.journey.exploration import Exploration
from nba.journey.fields import Identifier, JourneyPart, NonNegative, Positive, Share, Text, Valence

FORMAT_VERSION = 1
NODE_MINUTES = 30  # visits to one touchpoint within this time are one node
CONTACTS_KEPT = 32  # contacts in the contact ring, from which a model knows what was offered


class Touchpoint(JourneyPart, frozen=True):
    """A place where customer and company meet."""

    id: Identifier
    kind: Literal["digital", "physical", "human", "spatial"]
    channel: Identifier
    owner: Text  # the department that answers for it
    name: Text | None = None
    importance: Annotated[int, Meta(ge=1, le=4)] = 2  # 4 is a moment of truth


class JourneyStage(JourneyPart, frozen=True):
    """A step of the customer's journey, in order."""

    id: Identifier
    touchpoints: Annotated[list[Touchpoint], Meta(min_length=1)]
    name: Text | None = None
    leaving: bool = False  # the stage in which the relationship ends; one is needed


class Journey(JourneyPart, frozen=True):
    """The bridge between a scene and its touchpoints."""

    id: Identifier
    stages: Annotated[list[JourneyStage], Meta(min_length=1)]
    name: Text | None = None
    actor: Literal["customer", "employee", "partner"] = "customer"  # emotion: customers' alone


class Scene(JourneyPart, frozen=True):
    """A situation in the customer's life."""

    id: Identifier
    journeys: Annotated[list[Journey], Meta(min_length=1)]
    name: Text | None = None


class EventMapping(JourneyPart, frozen=True):
    """An event by name, and by a condition on its properties; the first that holds counts."""

    id: Identifier  # the kind of event that the kernel counts
    event: Text  # its name, as sent
    when: str | None = None  # a rule over `properties.*`
    touchpoint: Identifier | None = None
    signal: str | None = None  # the signal that it is, as sent; its prior valence holds
    valence: Valence | None = None  # prior: how it feels, from -1 to 1; none: the signal's, or 0
    arousal: Share | None = None  # how strongly; none: the signal's, or the size of the valence
    agency: Agency | None = None  # whose doing: firm, self or none
    role: str | None = None  # what it is to the detectors, such as search
    reads: dict[str, Text] = {}  # the properties that the role reads, where named otherwise
    text: Text | None = None  # the property with the customer's words
    amount: Identifier | None = None  # the numeric property that is summed, such as revenue
    outcome: Literal["positive", "negative"] | None = None  # its meaning for the decision it names


class Trait(JourneyPart, frozen=True):
    """A property of the customer, set by `identify` events, or a fact of the request."""

    type: Literal["number", "boolean", "category"]
    values: list[str] | None = None  # of a category, in a fixed order

    def check(self, field: str, value: object) -> None:
        """Raise InvalidInput where `value` is neither null nor of this type."""
        if value is None:
            return
        if self.type == "category":
            if value not in (self.values or []):
                raise InvalidInput(field, value, did_you_mean(str(value), self.values or []))
        elif self.type == "boolean":
            if not isinstance(value, bool):
                raise InvalidInput(field, value, "send true, false or null")
        elif isinstance(value, bool) or not isinstance(value, int | float):
            raise InvalidInput(field, value, "send a number or null")


class Bounds(JourneyPart, frozen=True):
    """Between which values a reward is kept."""

    low: float
    high: float


class RewardRule(JourneyPart, frozen=True):
    """What is learned from: what comes of a decision within `window_days`.

    `response`: from 0 to 1: 1 where an event whose mapping says `outcome: positive` names the
    decision. `value`: EUR: the amounts of the `events` kinds in the window, and what the terms
    add. Costs are no part of it: arbitration takes them off. An action may declare its own events
    and window (`nba.journey.actions.ActionReward`); `nba.rewards.attribution` is the rule.
    """

    target: Literal["response", "value"] = "response"
    window_days: Positive = 7.0
    events: list[Identifier] = []  # for `value`: the kinds whose amounts are summed
    minus: list[Identifier] = []  # for `value`: the kinds whose amounts are subtracted
    aggregate: Aggregate = "sum"  # of several `events`
    default: float = 0.0  # of silence
    credit: Literal["all", "last"] = "all"  # which decisions an event counts for, in whose windows
    bounds: Bounds | None = None  # for `value`: between which EUR a reward is kept
    staying: bool = False  # for `value`: adds the risk of leaving taken away x customer_value_eur
    feeling_eur: NonNegative = 0.0  # for `value`: of each point that her emotion rises by
    carry: Share = 0.0  # share of the next step's reward that a step of a sub-journey gets
    annoyance: bool = False  # what is reported is less the annoyance too, not the cost alone


class ChurnRule(JourneyPart, frozen=True):
    """When a customer has left: at `event`, or after `horizon_days` without any of `inactive`."""

    horizon_days: Positive
    event: Identifier | None = None  # a mapped kind, such as account_closed
    inactive: list[Identifier] = []  # the kinds that show that she is still with us
    every_days: Positive = 7.0  # spacing of the moments at which training asks


class SignalRule(JourneyPart, frozen=True):
    """What a deployment changes of a signal: thresholds of its detector, how it feels."""

    use: bool = True
    times: Annotated[int, Meta(ge=1, le=99)] | None = None
    within_s: NonNegative | None = None
    beyond: NonNegative | None = None
    again: NonNegative | None = None
    valence: Valence | None = None
    arousal: Share | None = None
    agency: Agency | None = None


class EmotionRule(JourneyPart, frozen=True):
    """How emotion is read: the nodes that count, and changes of single signals."""

    nodes: Annotated[int, Meta(ge=2, le=50)] = 10
    signals: dict[str, SignalRule] = {}


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
        return [(s, j, g) for s in self.scenes for j in s.journeys for g in j.stages]

    def touchpoints(self) -> list[Touchpoint]:
        """Every touchpoint once, in file order."""
        found = {t.id: t for _, _, stage in self.stages() for t in stage.touchpoints}
        return list(found.values())

    def channels(self) -> list[str]:
        """The channels of the actions, sorted: those on which we contact."""
        return sorted({action.channel for action in self.actions})

    def detectors(self) -> list[Detector]:
        """The detectors that run: those whose roles are mapped, with this file's thresholds."""
        roles = {mapping.role for mapping in self.events if mapping.role is not None}
        found = []
        for detector in detectors_of(roles):
            rule = self.emotion.signals.get(detector.signal, SignalRule())
            changed = {
                name: value
                for name in ("times", "within_s", "beyond", "again")
                if (value := getattr(rule, name)) is not None
            }
            if rule.use:
                found.append(detector._replace(**changed))
        return found

    def catalogue_version(self) -> str:
        """A hash of the whole content, the order of traits among it: what every decision names."""
        content = msgspec.json.encode(self)
        return "catalogue-" + hashlib.sha256(content).hexdigest()[:16]
