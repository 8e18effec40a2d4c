"""Days of a simulated loop: customers come, are decided for, and answer, as the world has it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta

import msgspec
import numpy as np

from nba.analytics.monitoring.daily_record import (
    DailyRecord,
    DecisionCounts,
    EarlyOutcomes,
    EventCounts,
    SettledOutcomes,
    lags_of,
    scores_of,
)
from nba.analytics.monitoring.offers_and_joins import OutcomeJoin, offers
from nba.analytics.monitoring.report import Dated, Learning, ServingFacts
from nba.analytics.monitoring.sketches import (
    BinEdges,
    Source,
    binned,
    cut_of,
    distinct,
    rewards_of,
    sources_of,
    tally_of,
)
from nba.durations import HOUR_S
from nba.measurement.off_policy.propensity_audit import draw_counts
from nba.measurement.statistics.calibration import calibration_bins
from nba.rewards.credit import SettledCounts

FIRST = date(2026, 1, 5)  # a Monday
ACTIONS = ("call", "mail", "no_action", "popup")
COLUMNS = tuple(f"signal{n}" for n in range(12))
SCHEMA, BUNDLE = "schema-1", "bundle-1"
CUT: BinEdges = cut_of(SCHEMA, COLUMNS, np.random.default_rng(0).normal(size=(4_000, 12)), BUNDLE)


class World(msgspec.Struct, frozen=True, kw_only=True):
    """How the days are; each field that differs is a fault."""

    decisions: int = 1_000  # a day, each of a customer of her own
    events: int = 3_000
    moved: float = 0.0  # standard deviations, of the first signal
    tilt: float = 0.0  # of the log odds of what was predicted
    answer: float = 1.0  # factor of the response
    joined: float = 1.0  # share of the outcomes that arrive
    logged: tuple[float, ...] = (0.1, 0.2, 0.3, 0.4)
    acted: tuple[float, ...] = (0.1, 0.2, 0.3, 0.4)
    fallback: float = 0.0
    unknown: str = ""  # an event that comes with a tenth of the others
    unlisted: float = 0.002  # share of categories
    unit: float = 1.0
    null: bool = False
    schema: str = SCHEMA
    lag_h: float = 4.0


CLEAN = World()


def simulated(world: World, rng: np.random.Generator) -> DailyRecord:
    """One day of it."""
    n = world.decisions
    hashes = rng.integers(0, 2**64, n, dtype=np.uint64)
    rows = rng.normal(size=(n, len(COLUMNS)))
    rows[:, 0] += world.moved
    p = 1.0 / (1.0 + np.exp(2.0 - 0.5 * rows[:, 1]))
    chance = p * world.answer
    if world.tilt:
        chance = chance / (chance + (1.0 - chance) * np.exp(-world.tilt))
    came = (rng.random(n) < chance) & (rng.random(n) < world.joined)
    drawn = rng.choice(len(ACTIONS), size=n, p=world.acted)
    probabilities = np.tile(world.logged, (n, 1))
    away = int(world.fallback * n)
    return DailyRecord(
        told=_told(world, rng),
        drawn=DecisionCounts(
            modes=tally_of({"live": n - away, "fallback": away}),
            schemas=tally_of({world.schema: n}),
            customers=distinct(hashes.tolist()),
            draws=draw_counts(ACTIONS, probabilities, drawn),
            offers=offers(ACTIONS, probabilities, drawn),
            least=min(p for p in world.logged if p > 0.0),
            cut=SCHEMA,
            contexts=binned(rows, CUT),
            bundles=(BUNDLE,),
            scores=(scores_of(p, p / 2.0),),
        ),
        early=EarlyOutcomes(
            join=OutcomeJoin(decisions=n, joined=int(came.sum())),
            rewards=rewards_of(hashes, came.astype(float)),
        ),
        settled=SettledOutcomes(
            counts=SettledCounts(decided=n, learned=int(came.sum()), default=int((~came).sum())),
            lags=lags_of(rng.exponential(world.lag_h * HOUR_S, int(came.sum()))),
            bundles=(BUNDLE,),
            calibration=(calibration_bins(p, came),),
        ),
    )


def _told(world: World, rng: np.random.Generator) -> EventCounts:
    events = int(rng.poisson(world.events))
    unknown = {world.unknown: events // 10} if world.unknown else {}
    logs = rng.normal(3.0, 1.0, 300) + np.log(world.unit)
    number = Source(300, 0, 0) if world.null else Source(
        300, 300, 0, 300, float(logs.sum()), float(logs @ logs)
    )  # fmt: skip
    odd = int(rng.binomial(400, world.unlisted))
    return EventCounts(
        events=events,
        kinds=tally_of({"page": events - sum(unknown.values())}),
        unmapped=tally_of(unknown),
        sources=sources_of(
            {"purchase.revenue": number, "traits.segment": Source(400, 400 - odd, odd)}
        ),
    )


def days_of(worlds: Sequence[World], seed: int) -> list[Dated]:
    """A day of each world, from FIRST on."""
    rng = np.random.default_rng(seed)
    return [(FIRST + timedelta(days=n), simulated(world, rng)) for n, world in enumerate(worlds)]


def end_of(days: Sequence[Dated]) -> datetime:
    """Shortly before midnight of the last day."""
    return datetime.combine(days[-1][0], time(23, 50), tzinfo=UTC)


def facts(promoted_after: int = 28, **fields: object) -> ServingFacts:
    """What serves: a champion that was promoted after so many days."""
    anchor = datetime.combine(FIRST + timedelta(days=promoted_after), time(0), tzinfo=UTC)
    found = ServingFacts(
        champion=BUNDLE,
        anchor=anchor,
        cut=CUT,
        schema=SCHEMA,
        catalogue=ACTIONS[:2] + ACTIONS[3:],
        learning=Learning(behind=0),
    )
    return msgspec.structs.replace(found, **fields)
