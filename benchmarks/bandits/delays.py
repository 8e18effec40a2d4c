"""What the residual says of an action whose rewards come late, by days since it was first shown.

    .venv/bin/python benchmarks/bandits/delays.py --json [--seeds N] [--rate N]

Every decision shows the action, its chance of a response is known, the batch score is .10, and
responses count within 7 days. Printed is the mean estimate of the seeds, as the learner publishes
it, the share of them within 2 of its own standard errors of the truth, and below it what is
estimated when each exposure counts as a whole at once.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from models.residual.discount import CountedSums
from models.residual.features import ResidualSpec
from models.residual.past_delays import PastDelays
from models.residual.pending import PendingExposures
from models.residual.posterior import ResidualPosterior, ResidualPrior, fit_prior
from models.residual.sums import ResidualSums
from nba.durations import DAY_S

Floats = NDArray[np.float64]
WINDOW_DAYS, P0, BEGIN_S = 7.0, 0.10, 1.79e9
DAYS = (1, 2, 4, 7, 14, 30)
Delays = Callable[[np.random.Generator, int], Floats]  # days until a response comes


class Setting(NamedTuple):
    """One world: an action for each of its delays and truths."""

    delays: Sequence[Delays]
    truth: Sequence[float] = (0.10,)
    forgetting_days: float | None = None
    shown_days: float = 30.0  # from the beginning on; fewer: a burst
    recalled: int = 0  # rewards of earlier decisions, whose delays the bundle brings


class Estimate(NamedTuple):
    """Of one action on one day."""

    mean: float
    error: float  # its standard deviation
    at_once: float  # the mean when exposures count as a whole


def uniform(low: float, high: float) -> Delays:
    return lambda rng, n: rng.uniform(low, high, n)


def exponential(rng: np.random.Generator, n: int) -> Floats:
    """With mean 2 days, cut at the window."""
    cut = 1.0 - np.exp(-WINDOW_DAYS / 2.0)
    found: Floats = -2.0 * np.log1p(-cut * rng.random(n))
    return found


def two_waves(rng: np.random.Generator, n: int) -> Floats:
    """Half of them within an hour, half about the sixth day."""
    first, second = rng.uniform(0.0, 1 / 24, n), rng.uniform(5.5, 6.5, n)
    return np.where(rng.random(n) < 0.5, first, second)


ANY_DAY = uniform(0.0, WINDOW_DAYS)
SETTINGS: Mapping[str, Setting] = {
    "uniform": Setting([ANY_DAY]),
    "uniform, forgetting 7": Setting([ANY_DAY], forgetting_days=7.0),
    "exponential": Setting([exponential]),
    "exponential, forgetting 7": Setting([exponential], forgetting_days=7.0),
    "twice the score": Setting([ANY_DAY], truth=[0.20]),
    "half the score": Setting([ANY_DAY], truth=[0.05]),
    "a burst on one day": Setting([ANY_DAY], shown_days=1.0),
    "an hour .10, 6 days .12": Setting(
        [uniform(0.0, 1 / 24), uniform(5.5, 6.5)], truth=[0.10, 0.12], forgetting_days=7.0
    ),
    "thrice the score, an hour": Setting([uniform(0.0, 1 / 24)], truth=[0.30]),
    "half an hour, half 6 days": Setting([two_waves]),
    "6 days": Setting([uniform(5.5, 6.5)]),
    "6 days, known before": Setting([uniform(5.5, 6.5)], recalled=500),
    "an hour": Setting([uniform(0.0, 1 / 24)]),
    "an hour, known before": Setting([uniform(0.0, 1 / 24)], recalled=500),
}


def play(
    setting: Setting, seed: int, *, rate: int = 500, days: Sequence[int] = DAYS
) -> dict[int, list[Estimate]]:
    """The estimates of each action on these days; `rate`: exposures of each on a day."""
    rng = np.random.default_rng(seed)
    actions = [f"a{number}" for number in range(len(setting.delays))]
    spec = ResidualSpec(
        columns=(), means=(), deviations=(), with_score=False,
        half_life_days=setting.forgetting_days,
    )  # fmt: skip
    sums = ResidualSums(spec, actions)
    pending = PendingExposures(spec, actions, [WINDOW_DAYS * DAY_S] * (2 * len(actions) + 2))
    if setting.recalled:
        pending.recall(_past(setting, pending, rng))
    n = int(rate * setting.shown_days)
    made = [np.sort(rng.uniform(0.0, setting.shown_days, n)) for _ in actions]
    came = [
        np.where(rng.random(n) < truth, at + delays(rng, n), np.inf)
        for at, truth, delays in zip(made, setting.truth, setting.delays, strict=True)
    ]
    found, prior, last = {}, ResidualPrior(), 0
    for day in range(1, max(days) + 1):
        for code in range(len(actions)):
            new = (made[code] > last) & (made[code] <= day)
            answered = (came[code] > last) & (came[code] <= day)
            _learn(sums, pending, code, made[code][new], exposed=True)
            _learn(sums, pending, code, made[code][answered], exposed=False)
            for at, then in zip(made[code][answered], came[code][answered], strict=True):
                pending.arrive(code, BEGIN_S + at * DAY_S, [(BEGIN_S + then * DAY_S, 1.0)])
        as_of_s, last = BEGIN_S + day * DAY_S, day
        pending.advance(as_of_s)
        if day in days:
            counted = CountedSums(sums, pending.discount(sums, as_of_s))
            prior = fit_prior(counted, as_of_s, prior)
            codes = np.arange(len(actions))
            mean, error = _corrected(counted, prior, as_of_s, codes)
            whole = CountedSums(sums, None)
            at_once, _ = _corrected(whole, fit_prior(whole, as_of_s), as_of_s, codes)
            found[day] = list(map(Estimate, mean.tolist(), error.tolist(), at_once.tolist()))
    return found


def _past(setting: Setting, pending: PendingExposures, rng: np.random.Generator) -> PastDelays:
    """What the decisions of an earlier bundle say of delays."""
    earlier = PendingExposures(pending.spec, pending.actions, pending.waits_s.tolist())
    for code, delays in enumerate(setting.delays):
        for days in delays(rng, setting.recalled).tolist():
            earlier.arrive(code, 0.0, [(days * DAY_S, 1.0)])
    return earlier.delays()


def _learn(
    sums: ResidualSums, pending: PendingExposures, code: int, at: Floats, *, exposed: bool
) -> None:
    n = len(at)
    if n == 0:
        return
    x, codes, p0, at_s = np.ones((n, 1)), np.full(n, code), np.full(n, P0), BEGIN_S + at * DAY_S
    if exposed:
        sums.expose(x, codes, p0, at_s)
        pending.expose(x, codes, p0, np.zeros(n), at_s)
    else:
        sums.reward(x, codes, p0, np.ones(n), at_s)


def _corrected(
    sums: CountedSums, prior: ResidualPrior, as_of_s: float, codes: NDArray[np.int64]
) -> tuple[Floats, Floats]:
    posterior = ResidualPosterior.of(sums, prior, as_of_s)
    return posterior.correct(np.ones((len(codes), 1)), codes, np.full(len(codes), P0))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="the figures as JSON on the last line")
    parser.add_argument("--data", help="not used: the rewards are simulated")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--rate", type=int, default=500)
    given = parser.parse_args()
    figures: dict[str, list[dict[str, float]]] = {}
    print(f"{'':34}" + "".join(f"{'day ' + str(day):>15}" for day in DAYS))
    for name, setting in SETTINGS.items():
        plays = [play(setting, seed, rate=given.rate) for seed in range(given.seeds)]
        for code, truth in enumerate(setting.truth):
            of_days = [np.array([played[day][code] for played in plays]) for day in DAYS]
            lines = [
                {
                    "day": day,
                    "truth": truth,
                    "mean": float(found[:, 0].mean()),
                    "within": float((abs(found[:, 0] - truth) <= 2.0 * found[:, 1]).mean()),
                    "at_once": float(found[:, 2].mean()),
                }
                for day, found in zip(DAYS, of_days, strict=True)
            ]
            cells = "".join(f"{one['mean']:9.3f}{one['within']:6.0%}" for one in lines)
            print(f"{name if code == 0 else '':28}{truth:6.2f}{cells}")
            print(f"{'at once':>34}" + "".join(f"{one['at_once']:9.3f}{'':6}" for one in lines))
            figures[f"{name}, action {code}"] = lines
    if given.json:
        print(json.dumps(figures))


if __name__ == "__main__":
    main()
