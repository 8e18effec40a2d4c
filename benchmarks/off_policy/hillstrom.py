"""An e-mail test with three random arms: what the mails do, and whether it pays to personalise.

    .venv/bin/python benchmarks/off_policy/hillstrom.py --json [--seed N] [--placebos N]

Effects against no e-mail with Welch's 95 % intervals, after the arms' sizes were checked. Then a
policy that mails each customer what a DR-learner (Kennedy, Electronic Journal of Statistics 2023)
expects to do most for them, against the one mail that did best: both are learned on four fifths of
the customers and valued doubly robust on the last fifth, for each fifth. A win is claimed only
where the interval of the difference in visits lies above 0.

How often that claims what is not there: the same on placebos, whose visits are shuffled among the
customers of each run, so that no mail does anything for anybody; a 95 % interval lies above 0 in
one of forty.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
os.environ.setdefault("OMP_NUM_THREADS", "1")  # the trees are small: a second thread only waits

from examples.commands import measure_parser
from examples.raw_files import find
from nba.measurement.off_policy.cross_fitting import customer_folds
from nba.measurement.off_policy.evaluation import PolicyGain, policy_gain
from nba.measurement.off_policy.logged_decisions import Floats, logged_decisions
from nba.measurement.statistics.effect import Effect, fixed_horizon
from nba.measurement.statistics.estimate import Undecided
from nba.measurement.statistics.moments import moments, sample_mean
from nba.measurement.statistics.sample_ratio import ratio_mismatch

ARMS = ("No E-Mail", "Mens E-Mail", "Womens E-Mail")
KEYS = ("none", "mens", "womens")
OUTCOMES = ("visit", "conversion", "spend")
DECIDES = "visit"  # a win is claimed on this one alone
FOLDS, INNER = 5, 2


def main() -> None:
    parser = measure_parser(__doc__.splitlines()[0])
    parser.add_argument(
        "--placebos", type=int, default=20, help="runs in which no mail does a thing"
    )
    asked: argparse.Namespace = parser.parse_args()
    try:
        figures = measure(asked.data / "hillstrom", asked.seed, asked.placebos)
    except FileNotFoundError as error:
        raise SystemExit(f"hillstrom: {error}") from None
    if asked.json:
        print(json.dumps(figures))


def measure(folder: Path, seed: int, placebos: int) -> dict[str, Any]:
    """The figures of the customers in `folder`. Raises FileNotFoundError."""
    table = pd.read_csv(find(folder, "hillstrom.csv"))
    arm = table["segment"].map({name: code for code, name in enumerate(ARMS)}).to_numpy()
    counts = np.bincount(arm, minlength=len(ARMS))
    mismatch = ratio_mismatch(counts.tolist(), [1 / 3] * 3, KEYS)
    assert not isinstance(mismatch, Undecided)
    print(f"{len(table):,} customers in arms of {counts.tolist()}: p = {mismatch.p:.3f}")
    if mismatch.broken:
        print("the arms do not have their sizes: nothing is said of effects")
        return {"srm_p": mismatch.p, "effects": None, "win_claimed": False}
    features = features_of(table)
    gains = {
        name: personalised(features, arm, table[name].to_numpy(float), seed) for name in OUTCOMES
    }
    claimed = is_win(gains[DECIDES])
    for name, found in gains.items():
        print(f"personalised less best single, {name}: {_text(found)}")
    print(f"a personalised win is {'' if claimed else 'not '}claimed")
    decides = table[DECIDES].to_numpy(float)
    false_claims = sum(
        is_win(
            personalised(features, arm, np.random.default_rng([seed, n]).permutation(decides), n)
        )
        for n in range(placebos)
    )
    print(f"and is claimed in {false_claims} of {placebos} placebos")
    return {
        "effects": effects(table, arm),
        "srm_p": mismatch.p,
        "personalised_gain": {name: _json(found) for name, found in gains.items()},
        "win_claimed": claimed,
        "false_claims": false_claims,
        "placebos": placebos,
        "customers": len(table),
        "seed": seed,
    }


def is_win(gain: PolicyGain | Undecided) -> bool:
    """Whether choosing by customer is claimed to pay."""
    return isinstance(gain, PolicyGain) and gain.dr.low > 0.0


def effects(table: pd.DataFrame, arm: np.ndarray) -> dict[str, Any]:
    """Of each mail on each outcome, against no e-mail; `means` are those of the arms."""
    found: dict[str, Any] = {}
    for name in OUTCOMES:
        values = table[name].to_numpy(float)
        levels = [sample_mean(moments(values[arm == code])) for code in range(len(ARMS))]
        found[name] = {
            "means": {k: round(level.mean, 5) for k, level in zip(KEYS, levels, strict=True)}
        }
        for code in (1, 2):
            effect = fixed_horizon(levels[0], levels[code])
            assert isinstance(effect, Effect)
            found[name][KEYS[code]] = {
                "value": round(effect.value, 5),
                "ci": [round(effect.low, 5), round(effect.high, 5)],
            }
            print(
                f"{name:10s} {KEYS[code]:6s} {effect.value:+.4f}  "
                f"[{effect.low:+.4f}, {effect.high:+.4f}]  of {levels[code].mean:.4f}"
            )
    return found


def features_of(table: pd.DataFrame) -> Floats:
    """What was known before the mails went out."""
    known = table[["recency", "history", "mens", "womens", "newbie", "zip_code", "channel"]]
    return pd.get_dummies(known).to_numpy(float)


def personalised(x: Floats, arm: np.ndarray, y: Floats, seed: int) -> PolicyGain | Undecided:
    """The personalised policy less the best single arm, each learned without the customer."""
    n, row = len(y), np.arange(len(y))
    fold = customer_folds(row, FOLDS, seed)
    q, chosen, single = np.zeros((n, len(ARMS))), np.zeros(n, dtype=int), np.zeros(n, dtype=int)
    for held in range(FOLDS):
        mine, rest = fold == held, fold != held
        q[mine] = arm_models(x[rest], arm[rest], y[rest], x[mine], seed)
        scores = pseudo_outcomes(x[rest], arm[rest], y[rest], seed + held)
        single[mine] = int(scores.mean(axis=0).argmax())
        gained = np.column_stack(
            [
                boosted(x[rest], scores[:, code] - scores[:, 0], seed + held).predict(x[mine])
                for code in (1, 2)
            ]
        )
        chosen[mine] = np.column_stack([np.zeros(mine.sum()), gained]).argmax(axis=1)
    third = np.full(n, 1 / len(ARMS))
    target, champion = (
        logged_decisions(
            (arm == policy) * 1.0,
            third,
            y,
            q_logged=q[row, arm],
            q_target=q[row, policy],
        )
        for policy in (chosen, single)
    )
    return policy_gain(target, champion, seed=seed)


def pseudo_outcomes(x: Floats, arm: np.ndarray, y: Floats, seed: int) -> Floats:
    """(n, 3) q_a(x) + 1{a drawn} (y - q_a(x)) / p, with q from the other half."""
    fold = customer_folds(np.arange(len(y)), INNER, seed)
    q = np.zeros((len(y), len(ARMS)))
    for held in range(INNER):
        mine, rest = fold == held, fold != held
        q[mine] = arm_models(x[rest], arm[rest], y[rest], x[mine], seed)
    drawn = arm[:, None] == np.arange(len(ARMS))
    return q + drawn * (y[:, None] - q) * len(ARMS)


def arm_models(x: Floats, arm: np.ndarray, y: Floats, asked: Floats, seed: int) -> Floats:
    """(m, 3) the expected outcome of each arm."""
    return np.column_stack(
        [boosted(x[arm == a], y[arm == a], seed).predict(asked) for a in range(len(ARMS))]
    )


def boosted(x: Floats, y: Floats, seed: int) -> Any:
    """Few and shallow trees: effects are small beside the noise."""
    from sklearn.ensemble import HistGradientBoostingRegressor

    return HistGradientBoostingRegressor(
        max_iter=40,
        learning_rate=0.05,
        max_leaf_nodes=4,
        min_samples_leaf=200,
        early_stopping=False,
        random_state=seed,
    ).fit(x, y)


def _text(found: PolicyGain | Undecided) -> str:
    if isinstance(found, Undecided):
        return f"undecided: {found.reason}"
    return (
        f"{found.dr.value:+.4f}  [{found.dr.low:+.4f}, {found.dr.high:+.4f}] by DR, "
        f"{found.snips.value:+.4f} by SNIPS"
    )


def _json(found: PolicyGain | Undecided) -> dict[str, Any]:
    if isinstance(found, Undecided):
        return {"undecided": found.reason}
    dr = found.dr
    return {"value": dr.value, "ci": [dr.low, dr.high], "ess": dr.ess, "snips": found.snips.value}


if __name__ == "__main__":
    main()
