"""What does emotion add to churn? The same model on sets of columns, judged on later time.

    .venv/bin/python benchmarks/emotion/churn_emotion.py --json [--worlds N] [--data DIR]

`profile`: traits and days known. `counts`: and what happened, how often and when. `emotion`: and
signals, nodes and their aggregates. `emotion_without_counts`: these beside the profile. Whatever
happens where the relationship ends is left out: it tells that she is leaving already.

On simulated banks where customers leave over accumulated emotion, on the same banks with emotion
switched off, where the gain must vanish, and on public data where churn is silence (a shop and a
coffee chain, which have no friction events to speak of).
"""

from __future__ import annotations

import argparse
import json
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from features.fold import Fold
from nba.journey.file import JourneyFile
from nba.journey_file.loader import load_journey
from nba.measurement.statistics.estimate import Undecided
from training.data.history import History, events_from, history_of
from training.data.time_split import split_by_time
from training.data.training_sets import TrainingSet, churn_set
from training.emotion.learned import learn_emotion
from training.fitting.fit import fit_model
from training.fitting.recipe import Recipe
from training.simulation.history import RandomPolicy
from training.simulation.world import World, WorldConfig

ROOT = Path(__file__).parents[2]
LEFT_OUT = ("closing_viewed", "account_closed")  # of the bank: kinds that say she is leaving
SETS = {
    "profile": ("profile",),
    "counts": ("profile", "counts"),
    "emotion": ("profile", "counts", "emotion"),
    "emotion_without_counts": ("profile", "emotion"),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="the figures as JSON on the last line")
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    parser.add_argument("--worlds", type=int, default=3)
    parser.add_argument("--customers", type=int, default=3_000)
    parser.add_argument("--days", type=float, default=240.0)
    given = parser.parse_args()
    size = {"customers": given.customers, "days": given.days}
    seeds = range(1, given.worlds + 1)
    figures: dict[str, Any] = mean_of([aucs(bank(seed, 1.0, **size)) for seed in seeds])
    figures["emotion_off"] = mean_of([aucs(bank(seed, 0.0, **size)) for seed in seeds])
    for name in ("online_retail", "starbucks"):
        figures[name] = public(name, given.data)
    for name, found in {"bank": figures, **figures}.items():
        if isinstance(found, dict):
            shown = {key: value for key, value in found.items() if key in SETS}
            print(f"{name:14}", shown or found)
    if given.json:
        print(json.dumps(figures))


def bank(seed: int, emotion_effect: float, customers: int, days: float) -> History:
    """A simulated bank's log under a random policy."""
    config = WorldConfig(customers=customers, days=days, seed=seed, emotion_effect=emotion_effect)
    fold = Fold(without_the_end(load_journey(ROOT / "examples" / "bank" / "journey.yaml")))
    return history_of(fold, events_from(World(config).play(RandomPolicy(seed))))


def without_the_end(journey: JourneyFile) -> JourneyFile:
    """The journey in which nothing is felt at touchpoints where the relationship ends."""
    ends = ending(journey)
    events = [
        msgspec.structs.replace(mapping, touchpoint=None, valence=None)
        if mapping.touchpoint in ends
        else mapping
        for mapping in journey.events
    ]
    return msgspec.structs.replace(journey, events=events)


def ending(journey: JourneyFile) -> set[str]:
    """The touchpoints of the stages in which the relationship ends."""
    return {
        touchpoint.id
        for _, _, stage in journey.stages()
        if stage.leaving
        for touchpoint in stage.touchpoints
    }


def public(name: str, data: Path) -> dict[str, float | str]:
    """The same on a public set, or why not."""
    folder = data / name
    if not folder.is_dir():
        return {"skipped": f"no folder {name} in the data folder: give it with --data"}
    sys.path.insert(0, str(ROOT))
    convert = import_module(f"examples.{name}.convert")
    journey = load_journey(ROOT / "examples" / name / "journey.yaml")
    if name == "starbucks":  # three weeks hold no two horizons of a week
        short = msgspec.structs.replace(journey.churn, horizon_days=3.0, every_days=1.0)
        journey = msgspec.structs.replace(journey, churn=short)
    return aucs(history_of(Fold(journey), events_from(convert.events(folder))))


def aucs(history: History) -> dict[str, float | str]:
    """AUC on the latest part of the log by set of columns.

    Valences are learned from what lies before the part that is held out, where it has the losses.
    """
    data = churn_set(history, history.fold.schema.journey.churn)
    split = split_by_time(data)
    known = data.at_s[split.fit].max(initial=-np.inf) + data.horizon_s
    before = [event for event in history.events if event.received_at.timestamp() <= known]
    learned = learn_emotion(history_of(history.fold, before), seed=1)
    if learned.table.valences:
        history = history_of(Fold(history.fold.schema.journey, learned.table), list(history.events))
        data = churn_set(history, history.fold.schema.journey.churn)
    found: dict[str, float | str] = {}
    for name in SETS:
        fitted = fit_model(columns_of(data, history, name), split, Recipe(classes=True), seed=1)
        found[name] = (
            f"undecided: {fitted.reason}"
            if isinstance(fitted, Undecided)
            else round(fitted.metrics["auc"], 4)
        )
    return found


def columns_of(data: TrainingSet, history: History, name: str) -> TrainingSet:
    """The training set with the columns of one of the sets."""
    schema = history.fold.schema
    signals = set(schema.signals)

    def belongs(column: str) -> str:
        space = column.split(".")[0]
        if space in LEFT_OUT or space == "journey":
            return "left out"
        if space in ("traits", "customer"):
            return "profile"
        return "emotion" if space == "emotion" or space in signals else "counts"

    chosen = [at for at, column in enumerate(data.columns) if belongs(column) in SETS[name]]
    return TrainingSet(
        columns=tuple(data.columns[at] for at in chosen),
        rows=data.rows[:, chosen],
        labels=data.labels,
        at_s=data.at_s,
        horizon_s=data.horizon_s,
        customers=data.customers,
    )


def mean_of(found: list[dict[str, float | str]]) -> dict[str, Any]:
    """The mean over worlds, by set of columns."""
    return {name: round(float(np.mean([float(one[name]) for one in found])), 4) for name in SETS}


if __name__ == "__main__":
    main()
