"""Experiments: arms, their shares and metrics as the owner writes them down before the start.

Who is in which arm follows from ids alone. A layer is a row of places from 0 to 1; each customer
has one, by a salted hash of the layer, and a running experiment holds segments of the row. So
experiments of one layer share no customer, and those of different layers are independent. Within
an experiment another hash, salted by it alone, gives the arm.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Annotated, Literal

import msgspec
from msgspec import Meta
from msgspec.structs import asdict, replace

from nba.errors import InvalidInput
from nba.journey.exploration import Exploration, Kind
from nba.journey.fields import Count, Identifier, JourneyPart, NonNegative, Positive, Share, Text
from nba.randomization import position

Measure = Literal["any", "count", "amount", "reward"]
Level = Annotated[float, Meta(gt=0, lt=0.5)]


class ExplorationChange(JourneyPart, frozen=True):
    """What an arm changes of the journey file's `exploration`; what is not given stays."""

    policy: Kind | None = None
    epsilon: Share | None = None
    scale: Positive | None = None
    gamma: Positive | None = None
    temperature_eur: Positive | None = None
    order: list[Identifier] | None = None

    def changed_fields(self) -> dict[str, object]:
        """The fields that are changed."""
        return {name: value for name, value in asdict(self).items() if value is not None}

    def on(self, exploration: Exploration) -> Exploration:
        """The file's exploration with the change."""
        return replace(exploration, **self.changed_fields())


class ArmSpec(JourneyPart, frozen=True):
    """How the customers of one arm are decided; what is not said is as for everybody."""

    id: Identifier
    share: Share = 0.0  # of the experiment's customers
    exploration: ExplorationChange | None = None
    bundle: Text | None = None  # the id of a bundle that scores for them
    without: list[Text] = []  # ids of rules, caps, cool-downs, pauses, weights, levers
    action: Identifier | None = None  # with `allocation: bandit`: the action that is this arm

    def touches(self) -> frozenset[str]:
        """What this arm changes: two experiments must not change the same."""
        changes = set(self.without)
        if self.exploration is not None:
            changes.add("exploration")
        if self.bundle is not None:
            changes.add("bundle")
        return frozenset(changes)


class MetricSpec(JourneyPart, frozen=True, kw_only=True):
    """One number per customer, from what they do within `window_days` of their exposure.

    `any`: 1 where an event of the kinds happens; `count`: how many; `amount`: the sum of their
    amounts; `reward`: the sum of the rewards of their decisions.
    """

    id: Identifier
    measure: Measure
    events: list[Identifier] = []  # kinds of the journey file; of `reward`: none
    window_days: Positive = 14.0
    direction: Literal["higher", "lower"] = "higher"  # which way is good
    # of one customer's number, either way: what is beyond counts as this much
    cap: Positive | msgspec.UnsetType = msgspec.UNSET


class PrimarySpec(MetricSpec, frozen=True, kw_only=True):
    """The metric that decides."""

    least_effect: Positive  # the least difference that would matter, in the metric's unit


class GuardrailSpec(MetricSpec, frozen=True, kw_only=True):
    """A metric that must not get worse by `margin` or more."""

    margin: Positive  # in the metric's unit


class Experiment(JourneyPart, frozen=True, kw_only=True):
    """The whole experiment file. The first arm is the control."""

    version: Literal[1]
    id: Identifier
    hypothesis: Text
    arms: Annotated[list[ArmSpec], Meta(min_length=2)]
    primary: PrimarySpec
    secondary: list[MetricSpec] = []
    guardrails: list[GuardrailSpec] = []
    layer: Identifier = "main"
    share: Annotated[float, Meta(gt=0, le=1)] = 1.0  # of the layer's customers
    salt: Text | None = None  # of the draw of arms; none: the id
    allocation: Literal["share", "bandit"] = "share"  # bandit: the arms are actions that are drawn
    analysis: Literal["always_valid", "fixed"] = "always_valid"  # what a claim rests on
    customers: Count | None = None  # in all arms, after which the fixed analysis is made
    tuning_n: Count | None = None  # customers at which the always-valid interval is narrowest
    alpha: Level = 0.05  # the probability of a false claim
    min_days: Positive = 7.0  # no claim before: weekdays differ
    covariate_days: NonNegative = 28.0  # CUPED: the same metric so long before; 0: not used

    def arm(self, arm_id: str) -> ArmSpec | None:
        """The arm of this id."""
        return next((arm for arm in self.arms if arm.id == arm_id), None)

    @property
    def metrics(self) -> list[MetricSpec]:
        """All of them, the primary first."""
        return [self.primary, *self.secondary, *self.guardrails]

    def label(self, arm: ArmSpec) -> str:
        """As decisions log it."""
        return f"{self.id}.{arm.id}"

    def draw(self, customer_id: str) -> ArmSpec | None:
        """The arm that the customer's id gives; None for who is in none of them."""
        at = position(f"experiment:{self.salt or self.id}", customer_id)
        for arm in self.arms:
            at -= arm.share
            if at < 0.0:
                return arm
        return None

    def touches(self) -> frozenset[str]:
        """What any arm changes."""
        return frozenset[str]().union(*(arm.touches() for arm in self.arms))


class Slot(msgspec.Struct, frozen=True, array_like=True):
    """A segment of a layer: positions from `low` up to, and without, `high`."""

    low: float
    high: float


class Started(msgspec.Struct, frozen=True, kw_only=True):
    """An experiment that was started, with what was fixed then."""

    experiment: Experiment
    slots: tuple[Slot, ...]  # of its layer; of a bandit's arms: none
    started_at: datetime
    tuning_n: int
    by: str
    why: str
    catalogue_version: str
    ended_at: datetime | None = None
    shipped: str | None = None  # the arm that is to become how everybody is decided

    @property
    def running(self) -> bool:
        return self.ended_at is None

    def arm_of(self, customer_id: str) -> ArmSpec | None:
        """The customer's arm, running or not; None for who is not in it."""
        at = position(f"layer:{self.experiment.layer}", customer_id)
        if not any(slot.low <= at < slot.high for slot in self.slots):
            return None
        return self.experiment.draw(customer_id)


class ExperimentSet(msgspec.Struct, frozen=True):
    """Every experiment that was started, ended ones too; in the order of their starts."""

    started: tuple[Started, ...] = ()

    @property
    def running(self) -> list[Started]:
        return [started for started in self.started if started.running]

    def named(self, experiment_id: str) -> Started | None:
        """The experiment of this id, None where it was never started."""
        return next(
            (started for started in self.started if started.experiment.id == experiment_id), None
        )

    def with_started(self, changed: Started) -> ExperimentSet:
        """With `changed` in place of the experiment of the same id, or at the end."""
        ids = [started.experiment.id for started in self.started]
        if changed.experiment.id not in ids:
            return ExperimentSet((*self.started, changed))
        at = ids.index(changed.experiment.id)
        return ExperimentSet((*self.started[:at], changed, *self.started[at + 1 :]))


def free_slots(share: float, taken: Iterable[Slot]) -> tuple[Slot, ...]:
    """Segments of a layer of this size together, from the lowest that are free.

    Raises InvalidInput where there is no room. Positions are rounded to 1e-9.
    """
    slots: list[Slot] = []
    low, missing = 0.0, share
    for slot in [*sorted(taken, key=lambda slot: slot.low), Slot(1.0, 1.0)]:
        free = min(slot.low - low, missing)
        if free > 1e-9:
            slots.append(Slot(low, round(low + free, 9)))
            missing -= free
        low = max(low, slot.high)
    if missing > 1e-9:
        left = share - missing
        remedy = f"{left:.1%} of the layer is free; stop one of its experiments, or take less"
        raise InvalidInput("share", share, remedy)
    return tuple(slots)


def taken_slots(running: Sequence[Started], layer: str) -> list[Slot]:
    """What running experiments hold of a layer."""
    return [
        slot for started in running if started.experiment.layer == layer for slot in started.slots
    ]
