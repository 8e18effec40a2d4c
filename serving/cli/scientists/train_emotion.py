"""Commands that learn valences from the log: train emotion, train text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from serving.cli.terminal.options import Json, Seed
from serving.cli.terminal.session import command_settings
from serving.console import console, print_json, print_table, steps

if TYPE_CHECKING:
    from training.emotion.learned import LearnedEmotion


def train_emotion(seed: Seed = 1, json: Json = False) -> None:
    """Learn from the log how each kind of event feels, and what survey scores mean.

    Priors stay in force until the next `nba train` has fitted models on the learned valences and
    its bundle is promoted. Example: `nba train emotion`
    """
    from features.fold import Fold
    from models.bundles.registry import Registry
    from serving.replica.assembly import journey_in_force, opened_log, utc_now
    from training.data.history import read_history
    from training.emotion.learned import learn_emotion, learned_table, save_emotion

    settings = command_settings()
    with opened_log(settings) as log, steps("learning valences", 3) as step:
        step("reading the log")
        history = read_history(Fold(journey_in_force(settings, log)), log)
        step("fitting")
        learned = learn_emotion(history, seed=seed, before=learned_table(log))
        version = None
        if not learned.table.is_prior:
            step("registering in MLflow")
            registry = Registry(settings.tracking_url, settings.artifacts)
            version = save_emotion(learned, log, registry, seed=seed, now=utc_now())
    if json:
        print_json(emotion_json(version, learned))
        return
    print_emotion(learned)
    if version is not None:
        console.print(f"version {version}; next: nba train, nba evaluate, nba promote")


def train_text(seed: Seed = 1, json: Json = False) -> None:
    """Learn from this deployment's survey-linked texts how words feel, in any language.

    Events that arrive from then on have their words read on the way in. Example: `nba train text`
    """
    from features.fold import Fold
    from models.bundles.registry import Registry
    from nba.measurement.statistics.estimate import Undecided
    from serving.replica.assembly import journey_in_force, opened_log, utc_now
    from serving.reports.tables import models_json, print_models
    from training.data.history import read_history
    from training.emotion.learned import learn_text, save_text

    settings = command_settings()
    version = None
    with opened_log(settings) as log, steps("learning words", 3) as step:
        step("reading the log")
        history = read_history(Fold(journey_in_force(settings, log)), log)
        step("fitting")
        fitted = learn_text(history, seed=seed)
        if not isinstance(fitted, Undecided):
            step("registering in MLflow")
            registry = Registry(settings.tracking_url, settings.artifacts)
            version = save_text(fitted, log, registry, seed=seed, now=utc_now())
    figures = {"text": fitted if isinstance(fitted, Undecided) else fitted.metrics}
    if json:
        print_json({"version": version, **models_json(figures)})
        return
    print_models(figures, judged_on="a held-out fifth")
    if version is not None:
        console.print(f"version {version} reads the words of events from now on")


def print_emotion(learned: LearnedEmotion) -> None:
    """Each learned valence beside its prior, or why none was learned."""
    from nba.events.valences import ENOUGH_ANSWERS
    from nba.measurement.statistics.estimate import Undecided

    valences = learned.valences
    if isinstance(valences, Undecided):
        console.print(f"valences undecided: {valences.reason}; those in force stay")
    else:
        print_table(
            f"Valences, learned from {learned.losses} losses and {learned.low_surveys} low answers",
            ("kind", "touchpoint", "prior", "learned", "low", "high", "occurrences", ""),
            [
                (
                    valence.kind,
                    valence.touchpoint,
                    valence.prior,
                    valence.valence,
                    valence.low,
                    valence.high,
                    valence.occurrences,
                    "sign flipped" if valence.flipped else "",
                )
                for valence in sorted(valences, key=lambda valence: valence.valence)
            ],
        )
    rows = [
        (scale.kind, sum(scale.counts), "ranks" if sum(scale.counts) >= ENOUGH_ANSWERS else "scale")
        for scale in learned.table.surveys
    ]
    if rows:
        print_table("Surveys", ("kind", "answers", "scored by"), rows)


def emotion_json(version: str | None, learned: LearnedEmotion) -> dict[str, object]:
    """The same for scripts."""
    from nba.measurement.statistics.estimate import Undecided

    valences = learned.valences
    undecided = {"undecided": valences.reason} if isinstance(valences, Undecided) else {}
    return {
        "version": version,
        "table": learned.table.version,
        **undecided,
        "losses": learned.losses,
        "low_surveys": learned.low_surveys,
        "valences": learned.table.valences,
        "surveys": learned.table.surveys,
    }
