"""Which offer, if any, is worth most? Learned on earlier waves, judged on a later one.

    python benchmarks/starbucks.py --json --data DIR [--test-wave HOUR] [--seed N]

Worth is what a customer spends in the 96 hours after a wave, less the rewards paid out. Every wave
was randomised with known probabilities, so any policy can be judged on it by self-normalised
inverse propensity weighting. Nothing after the opening of the test wave is learned from: an
earlier wave whose 96 hours reach into the test's is left out.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from examples.commands import measure_parser
from examples.learning import Bag, fit_bag, read_events
from examples.starbucks import convert
from features.frame import Moments, replay
from models.touchpoint import ACTION, action_rows, touchpoint_rows
from nba.events import NO_ACTION
from nba.measurement.estimate import Estimate, Undecided, as_json
from nba.measurement.off_policy import snips, weigh
from training.dataset import Decided, action_features, decided_set, trained_actions
from training.evaluate import priority
from training.history import History

JOURNEY = Path(__file__).with_name("journey.yaml")
TEST_WAVE = 408
# Chosen by cross-validation over the customers of the waves at hours 0 and 168. A few orders are
# many times the usual one and say nothing of the offer: what is learned from, never what is
# reported, is capped at this quantile.
CAP_QUANTILE = 0.995
PARAMETERS = {"num_leaves": 4, "learning_rate": 0.05}
POLICIES = ("nothing", "uniform", "best_single", "learned")


def main() -> None:
    parser = measure_parser(__doc__)
    parser.add_argument(
        "--test-wave", type=int, help=f"hour; default {TEST_WAVE}, or the last where it is absent"
    )
    asked = parser.parse_args()
    try:
        figures = measure(asked.data / "starbucks", asked.test_wave, asked.seed)
    except (ValueError, FileNotFoundError) as error:
        raise SystemExit(f"starbucks: {error}") from None
    for line in table(figures):
        print(line)
    if asked.json:
        print(json.dumps(figures))


def measure(folder: Path, test_wave: int | None = None, seed: int = 1) -> dict[str, Any]:
    """The worth of four policies on the test wave, in EUR per customer, with 95 % intervals.

    Raises ValueError where the wave is not complete or nothing before it can be learned from.
    """
    history = read_events(JOURNEY, convert.events(folder))
    decided = decided_set(history, history.fold.schema.journey.reward)
    hour = np.round((decided.set.at_s - convert.START.timestamp()) / 3600).astype(int)
    test_wave = _chosen_wave(np.unique(hour), test_wave)
    test = hour == test_wave
    learn = decided.set.at_s + decided.set.horizon_s <= decided.set.at_s[test][0]
    if not learn.any():
        waves = ", ".join(map(str, np.unique(hour)))
        raise ValueError(
            f"test wave {test_wave}: no wave before it is over by then; choose a later one of the "
            f"complete waves {waves}"
        )
    single = best_single(decided, learn)
    bag = learned_values(decided, learn, test, seed)
    chosen = {
        "nothing": (decided.actions == NO_ACTION)[test].astype(float),
        "uniform": np.array([1 / len(decided.candidates[n]) for n in np.flatnonzero(test)]),
        "best_single": (decided.actions == single)[test].astype(float),
        "learned": follows(history, decided, bag, test),
    }
    propensity, reward = decided.propensity[test], decided.reward_eur[test]
    worth = {name: snips(weigh(chosen[name], propensity, reward)) for name in POLICIES}
    gain = difference(chosen["learned"], chosen["best_single"], propensity, reward)
    return {
        **{name: as_json(worth[name]) for name in POLICIES},
        "learned_less_best_single": as_json(gain),
        "best_single_offer": single,
        "test_wave": test_wave,
        "training_waves": [int(wave) for wave in np.unique(hour[learn])],
        "customers": int(test.sum()),
        "seed": seed,
    }


def _chosen_wave(waves: np.ndarray, asked: int | None) -> int:
    if len(waves) == 0:
        raise ValueError("no wave is complete: the transcript ends within 96 hours of the first")
    if asked is None:
        return TEST_WAVE if TEST_WAVE in waves else int(waves[-1])
    if asked not in waves:
        raise ValueError(f"test wave {asked}: choose one of {', '.join(map(str, waves))}")
    return asked


def best_single(decided: Decided, learn: np.ndarray) -> str:
    """The offer with the highest worth on the rows `learn`, by the estimator of the test."""
    worth: dict[str, float] = {}
    for offer in sorted(set(decided.actions[learn]) - {NO_ACTION}):
        given = (decided.actions[learn] == offer).astype(float)
        value = snips(weigh(given, decided.propensity[learn], decided.reward_eur[learn]))
        if isinstance(value, Estimate):
            worth[offer] = value.value
    if not worth:
        raise ValueError("no offer went out often enough to be judged; give more customers")
    return max(worth, key=lambda offer: worth[offer])


def learned_values(decided: Decided, learn: np.ndarray, test: np.ndarray, seed: int) -> Bag:
    """What each action is worth to each customer, learned from the rows `learn` alone."""
    cap = np.quantile(decided.set.labels[learn], CAP_QUANTILE)
    lessons = replace(decided.set, labels=np.minimum(decided.set.labels, cap))
    return fit_bag(
        lessons,
        learn,
        test,
        seed=seed,
        classes=False,
        categorical=(ACTION,),
        parameters=PARAMETERS,
    )


def follows(history: History, decided: Decided, bag: Bag, test: np.ndarray) -> np.ndarray:
    """(n_test,) 1 where the drawn action is the one of highest priority among its candidates."""
    journey = history.fold.schema.journey
    codes: Mapping[str, int] = {action.id: code for code, action in enumerate(journey.actions)}
    scores = action_scores(history, decided.moments, bag, test)
    same = np.zeros(len(scores))
    for row, n in enumerate(np.flatnonzero(test)):
        offered = [codes[name] for name in decided.candidates[n] if name in codes]
        order = [*offered, -1]
        names = [*(journey.actions[code].id for code in offered), NO_ACTION]
        worth = [
            priority(journey, None, name, scores[row, code], True)
            for name, code in zip(names, order, strict=True)
        ]
        best = order[int(np.argmax(worth))]
        same[row] = decided.actions[n] == (NO_ACTION if best < 0 else journey.actions[best].id)
    return same


def action_scores(history: History, moments: Moments, bag: Bag, test: np.ndarray) -> np.ndarray:
    """(n_test, n_actions + 1) predicted worth in EUR of every action, `no_action` last."""
    rows = action_rows(
        history.fold.schema.journey, trained_actions(history), action_features(history)
    )

    def columns() -> Iterator[np.ndarray]:
        for code, row in enumerate(rows):
            asked = Moments(
                customers=moments.customers[test],
                as_of=moments.as_of[test],
                seen_seq=moments.seen_seq[test],
                seen_received=moments.seen_received[test],
                actions=np.full(int(test.sum()), code if code < len(rows) - 1 else -1),
            )
            contexts, offered = replay(history.fold, history.rows, asked)
            yield bag.predict(touchpoint_rows(contexts, offered, np.tile(row, (len(offered), 1))))

    return np.column_stack(list(columns()))


def difference(
    first: np.ndarray, second: np.ndarray, propensity: np.ndarray, reward: np.ndarray
) -> Estimate | Undecided:
    """How much more the first policy is worth than the second, on the same decisions.

    The difference of two self-normalised estimates, linearised as `snips` is, so that what both
    have in common cancels.
    """
    one, other = (snips(weigh(chosen, propensity, reward)) for chosen in (first, second))
    if isinstance(one, Undecided):
        return one
    if isinstance(other, Undecided):
        return other
    influence = np.zeros(len(reward))
    for sign, chosen, value in ((1.0, first, one.value), (-1.0, second, other.value)):
        weight = chosen / propensity
        influence += sign * weight * (reward - value) / weight.sum()
    half = 1.96 * float(np.sqrt(np.sum(influence**2)))
    gain = one.value - other.value
    ess = min(one.ess, other.ess)
    return Estimate(value=gain, low=gain - half, high=gain + half, n=len(reward), ess=ess)


def table(figures: Mapping[str, Any]) -> Iterator[str]:
    """The figures for people."""
    waves = ", ".join(map(str, figures["training_waves"]))
    yield (
        f"{figures['customers']} customers of the wave at hour {figures['test_wave']}; "
        f"learned on the waves at hours {waves}"
    )
    yield f"best single offer of those waves: {figures['best_single_offer']}"
    yield "net spend in 96 hours, EUR per customer, with 95 % interval"
    for name in (*POLICIES, "learned_less_best_single"):
        found = figures[name]
        if "undecided" in found:
            yield f"  {name:26s} undecided: {found['undecided']}"
        else:
            low, high = found["ci"]
            yield f"  {name:26s} {found['value']:6.2f}   [{low:.2f}, {high:.2f}]"


if __name__ == "__main__":
    main()
