"""The bank that `/decide` is measured on: its journey file, its customers and a champion."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import numpy as np

from features.fold import Fold
from features.replay.point_in_time import ContextQuestions, encode, replay
from models.bundles.bundle import FORMAT, Bundle, Manifest, part
from nba.durations import DAY_S
from nba.events.event import Event
from nba.events.parsing import parse_event
from nba.journey.actions import Action
from nba.journey.file import JourneyFile
from nba.journey.policies import Cap, Capacity, ContactRules
from nba.journey_file.loader import load_journey
from nba.stores.versioned import CHAMPION
from serving.replica.assembly import opened_log
from serving.settings import Settings
from training.simulation.history import RandomPolicy
from training.simulation.world import World, WorldConfig

BANK = Path(__file__).resolve().parents[2] / "examples" / "bank" / "journey.yaml"
SIMULATED = 200  # customers
APPENDED = 50  # customers at once
SEED = 5


def make_journey(actions: int, rules: int) -> JourneyFile:
    """The bank's journey; with `actions`, as many on the web, under this many distinct rules."""

    journey = load_journey(BANK)
    if actions == 0:
        return journey
    rng = np.random.default_rng(SEED)
    kinds = [mapping.id for mapping in journey.events]
    texts = [
        f"emotion.sum10 >= {rng.uniform(-4, 1):.4f} or "
        f"{kinds[n % len(kinds)]}.count_7d > {rng.uniform(0, 2):.4f}"
        for n in range(max(1, rules))
    ]
    made = [
        Action(
            id=f"action_{n}",
            channel="web",
            touchpoint="web_search",
            value_eur=float(rng.uniform(5, 100)),
            cost_eur=float(rng.uniform(0, 1)),
            eligible=texts[n % len(texts)] if rules else None,
            features={"sells": float(n % 2), "margin_eur": float(rng.uniform(5, 100))},
        )
        for n in range(actions)
    ]
    limits = ContactRules(
        caps=[
            Cap(id="customer", times=200, days=7),
            Cap(id="each", times=50, days=7, per="action"),
        ],
        capacities=[Capacity(id="room", most=1e9)],
    )
    return msgspec.structs.replace(
        journey,
        actions=made,
        engagement=[rule for rule in journey.engagement if not (rule.group or rule.actions)][:1],
        contact_policy=limits,
        weights=[],
        levers=[],
        sub_journeys=[],
        fallback=[],
    )


@dataclass(frozen=True)
class Bank:
    """What is in the log."""

    customers: list[str]
    bundle: Bundle


def fill(settings: Settings, journey: JourneyFile, customers: int) -> Bank:
    """So many customers and a champion of a usual size into the log.

    SIMULATED are played, each of the others has the history of one of these.
    """
    now = datetime.now(UTC)
    config = WorldConfig(customers=SIMULATED, days=60, start=now - timedelta(days=60), seed=SEED)
    events = [
        parse_event(event, now, trusted=True) for event in World(config).play(RandomPolicy(SEED))
    ]
    bundle = make_bundle(Fold(journey), events)
    own: dict[str, list[Event]] = defaultdict(list)
    for event in events:
        own[event.customer_id].append(event)
    histories = list(own.values())
    names = [f"customer-{number}" for number in range(customers)]
    with opened_log(settings) as log:
        for begin in range(0, customers, APPENDED):
            log.append_events(
                [
                    _of_another(event, names[n])
                    for n in range(begin, min(begin + APPENDED, customers))
                    for event in histories[n % len(histories)]
                ]
            )
        log.save_bundle(bundle.bundle_id, bundle.files())
        log.set_alias(CHAMPION, bundle.bundle_id, now)
    return Bank(names, bundle)


def _of_another(event: Event, customer_id: str) -> Event:
    return msgspec.structs.replace(
        event, event_id=f"{event.event_id}-{customer_id}", customer_id=customer_id
    )


def make_bundle(fold: Fold, events: list[Event]) -> Bundle:
    """Models about as large as the bank's own: real contexts, labels that depend on ten columns."""
    from models.predictors.lightgbm_trees import fit_trees
    from models.predictors.touchpoint_columns import (
        action_rows,
        touchpoint_columns,
        touchpoint_rows,
    )

    rng = np.random.default_rng(SEED)
    journey = fold.schema.journey
    numbered = [msgspec.structs.replace(event, seq=n + 1) for n, event in enumerate(events)]
    rows = encode(fold, numbered)
    end = max(rows.received)
    n = 12_000
    moments = ContextQuestions.at(
        rng.choice(rows.customers, n), rng.uniform(end - 40 * DAY_S, end, n)
    )
    codes = rng.integers(0, len(journey.actions), n)
    moments = replace(moments, actions=codes)
    values, offered = replay(fold, rows, moments)
    trained = [action.id for action in journey.actions]
    features = list(journey.actions[0].features)
    table = touchpoint_rows(values, offered, action_rows(journey, trained, features)[codes])
    used = rng.choice(values.shape[1], 10, replace=False)
    signal = np.nan_to_num(values[:, used])
    signal = (signal - signal.mean(0)) / (signal.std(0) + 1e-9) @ rng.normal(0, 0.25, 10)

    def fitted(x, shift, columns, categorical=()):  # type: ignore[no-untyped-def]
        y = (rng.random(n) < 1 / (1 + np.exp(1.5 - signal - shift))).astype(float)
        cut = int(0.8 * n)
        return fit_trees(
            x[:cut], y[:cut], x[cut:], y[cut:], columns=columns, seed=SEED, categorical=categorical
        )

    churn = fitted(values, 0.0, fold.schema.columns)
    effect = rng.normal(0, 0.7, len(trained))[codes]
    columns = touchpoint_columns(fold.schema.columns, features)
    touchpoint = fitted(table, effect, columns, ("action",))
    manifest = Manifest(
        format=FORMAT,
        schema_hash=fold.schema.schema_hash,
        catalogue_version=journey.catalogue_version(),
        target="response",
        horizon_days=30.0,
        actions=tuple(trained),
        action_features=tuple(features),
        dataset="benchmark",
        seed=SEED,
        churn=part("churn", churn, {}),
        touchpoint=part("touchpoint", touchpoint, {}),
    )
    trees = {"churn": churn.booster.num_trees(), "touchpoint": touchpoint.booster.num_trees()}
    print(f"models: {trees} trees, {table.shape[1]} columns, {len(trained)} actions")
    return Bundle(manifest, churn, touchpoint)
