"""Load an experiment file from disk and check it against a journey file."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from nba.experiments.checks import check_experiment
from nba.experiments.experiment import Experiment
from nba.journey.file import JourneyFile
from nba.journey_file.loader import load_checked


def load_experiment(path: str | Path, journey: JourneyFile) -> Experiment:
    """The experiment in the file at `path`, UTF-8 YAML.

    Raises InvalidJourney with every error found, each with its line.
    """
    return load_checked(path, Experiment, partial(check_experiment, journey=journey))
