"""The streams on which bandits are compared, each the same for every algorithm of a seed.

- `digits`, `pendigits`, `letter`: classification as a bandit. The class is the right action, the
  reward 1 for it and 0 for all others; only that of the chosen action is seen, at once.
- `bank`: a simulated bank. 30 actions, about 11 of them eligible at each request; responses arrive
  after Exp(300) requests, one in twenty is lost, and none is claimed after 1,000; 6 actions change
  a third of the way, 3 appear at half time that no model has seen. All start from 5,000 requests
  that were drawn at random: a LightGBM model of them gives the scores, out of fold on themselves.
- `obd`: 8,000 of 10,000 logged requests of the Open Bandit Dataset (men, uniformly random, 34
  items). Each is learned from, and counts for the value with the probability of its action:
  progressive replay without the coin. About 37 clicks: it shows that learning from a log works,
  and ranks nobody.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from examples.raw_files import find, open_text

Floats = NDArray[np.float64]
WINDOW = 1_000  # requests after which a response is not claimed any more
WARM = 5_000
FOLDS = 5


class Log(NamedTuple):
    """Requests whose action was drawn at random among the eligible."""

    x: Floats
    eligible: NDArray[np.bool_]
    action: NDArray[np.int64]
    propensity: Floats
    reward: Floats
    p0: Floats  # (n, K) batch scores, out of fold


class Stream(NamedTuple):
    """T requests of K actions, as a bandit meets them and as its judge knows them."""

    name: str
    x: Floats  # (T, c), standardised
    eligible: NDArray[np.bool_]  # (T, K)
    p0: Floats  # (T, K) batch scores
    reward: Floats  # (T, K) what each action would get
    truth: Floats  # (T, K) what it is expected to get
    delay: NDArray[np.int64]  # (T,) requests until the reward arrives; beyond WINDOW: never
    features: Floats  # (K, f) of the actions
    new: NDArray[np.int64]  # actions that the scores know nothing of
    warm: Log
    logged: NDArray[np.int64]  # (T,) the action that a log holds, empty where we choose


def stream_of(name: str, seed: int, data: Path, rows: int) -> Stream:
    """At most `rows` requests of the stream of this name."""
    if name == "bank":
        return bank(seed, rows)
    if name == "obd":
        return obd(seed, data / "obd" / "random" / "men", rows)
    return classification(name, *CLASSIFICATION[name](data), seed=seed, rows=rows)


def save(stream: Stream, path: Path) -> None:
    """As one .npz, which a process without this module reads."""
    warm = {f"warm_{name}": array for name, array in stream.warm._asdict().items()}
    arrays = {name: array for name, array in stream._asdict().items() if name != "warm"}
    np.savez(path, **arrays, **warm)


def digits(data: Path) -> tuple[Floats, NDArray[np.int64]]:
    from sklearn.datasets import load_digits

    x, y = load_digits(return_X_y=True)
    return x, y.astype(np.int64)


def arff(name: str) -> Callable[[Path], tuple[Floats, NDArray[np.int64]]]:
    """The reader of an ARFF file of numbers whose last column is the class."""

    def read(data: Path) -> tuple[Floats, NDArray[np.int64]]:
        with open_text(find(data / "multiclass", f"{name}.arff")) as file:
            lines = (line.strip() for line in file)
            for line in lines:
                if line.lower() == "@data":
                    break
            rows = [line.split(",") for line in lines if line and not line.startswith("%")]
        x = np.array([[float(cell) for cell in row[:-1]] for row in rows])
        y = np.unique([row[-1].strip() for row in rows], return_inverse=True)[1]
        return x, y.astype(np.int64)

    return read


CLASSIFICATION: Mapping[str, Callable[[Path], tuple[Floats, NDArray[np.int64]]]] = {
    "digits": digits,
    "pendigits": arff("pendigits"),
    "letter": arff("letter"),
}
NAMES = (*CLASSIFICATION, "bank", "obd")


def classification(name: str, x: Floats, y: NDArray[np.int64], *, seed: int, rows: int) -> Stream:
    order = np.random.default_rng(seed).permutation(len(y))[:rows]
    x, y = standard(x)[order], y[order]
    n, k = len(y), int(y.max()) + 1
    right = (y[:, None] == np.arange(k)).astype(float)
    return Stream(
        name=name,
        x=x,
        eligible=np.ones((n, k), dtype=bool),
        p0=np.full((n, k), 1.0 / k),
        reward=right,
        truth=right,
        delay=np.zeros(n, dtype=np.int64),
        features=np.empty((k, 0)),
        new=np.empty(0, dtype=np.int64),
        warm=no_log(x.shape[1], k),
        logged=np.empty(0, dtype=np.int64),
    )


def standard(x: Floats) -> Floats:
    """Columns that vary, with mean 0 and standard deviation 1."""
    varying = x[:, x.std(axis=0) > 0]
    found: Floats = (varying - varying.mean(axis=0)) / varying.std(axis=0)
    return found


def no_log(columns: int, actions: int) -> Log:
    empty = np.empty(0)
    scores = np.empty((0, actions))
    return Log(
        x=np.empty((0, columns)),
        eligible=scores.astype(bool),
        action=empty.astype(np.int64),
        propensity=empty,
        reward=empty,
        p0=scores,
    )


def bank(seed: int, rows: int) -> Stream:
    """Responses are logistic in: the action's level, a linear part that its features explain for
    one half, a bend, and two thresholds that meet."""
    rng = np.random.default_rng([seed, 1])
    k, c, f = 30, 12, 5
    features = rng.normal(size=(k, f))
    new = np.arange(k - 3, k)
    n = WARM + rows
    x = rng.normal(size=(n, c))

    def taste() -> tuple[Floats, Floats, Floats, Floats]:
        by_features = features @ rng.normal(size=(f, c)) / np.sqrt(f)
        linear = (by_features + rng.normal(size=(k, c))) * 0.25
        bend = rng.normal(size=(k, c)) * 0.5
        steps = rng.normal(size=k) * 1.2
        return rng.normal(-3.5, 0.5, k), linear, bend, steps

    pairs = rng.permuted(np.tile(np.arange(c), (k, 1)), axis=1)[:, :2]
    before, after = taste(), taste()

    def truth_of(of: tuple[Floats, Floats, Floats, Floats], contexts: Floats) -> Floats:
        level, linear, bend, steps = of
        met = (contexts[:, pairs[:, 0]] > 0.3) & (contexts[:, pairs[:, 1]] > -0.2)
        found: Floats = expit(
            level + contexts @ linear.T + np.tanh(contexts @ bend.T) + steps * met
        )
        return found

    truth = truth_of(before, x)
    changed = rng.permutation(k - 3)[:6]
    truth[WARM + rows // 3 :, changed] = truth_of(after, x[WARM + rows // 3 :])[:, changed]
    eligible = rng.random((n, k)) < 0.37
    eligible[: WARM + rows // 2, new] = False
    eligible[np.arange(n), rng.integers(0, k - 3, n)] = True  # somebody always is
    reward = (rng.random((n, k)) < truth).astype(float)
    delay = np.ceil(rng.exponential(300.0, n)).astype(np.int64)
    delay[rng.random(n) < 0.05] = n  # lost
    warm, p0 = scored(x, reward, eligible, features, rng)
    late = slice(WARM, n)
    return Stream(
        name="bank",
        x=x[late],
        eligible=eligible[late],
        p0=p0,
        reward=reward[late],
        truth=truth[late],
        delay=delay[late],
        features=features,
        new=new,
        warm=warm,
        logged=np.empty(0, dtype=np.int64),
    )


def scored(
    x: Floats,
    reward: Floats,
    eligible: NDArray[np.bool_],
    features: Floats,
    rng: np.random.Generator,
) -> tuple[Log, Floats]:
    """The first requests as a random log, with scores out of fold, and the scores of the rest."""
    from models.predictors.lightgbm_trees import fit_trees

    actions = np.array([rng.choice(np.flatnonzero(row)) for row in eligible[:WARM]])
    codes = np.arange(len(features), dtype=float)
    codes[~np.isin(np.arange(len(features)), actions)] = np.nan  # judged by their features
    table = np.column_stack([codes, features])
    columns = [f"x{n}" for n in range(x.shape[1])]
    columns += ["action", *(f"action.{n}" for n in range(features.shape[1]))]
    seen = reward[np.arange(WARM), actions]
    rows = np.hstack([x[:WARM], table[actions]])

    def scores(fitted: NDArray[np.bool_], held: NDArray[np.bool_], contexts: Floats) -> Floats:
        trees = fit_trees(
            rows[fitted], seen[fitted], rows[held], seen[held], columns=columns, seed=1,
            categorical=["action"],
        )  # fmt: skip
        crossed = np.repeat(contexts, len(table), axis=0)
        actions_of = np.tile(table, (len(contexts), 1))
        return trees.predict(np.hstack([crossed, actions_of])).reshape(len(contexts), -1)

    fold = rng.integers(0, FOLDS, WARM)
    p0 = np.empty((WARM, len(features)))
    for one in range(FOLDS):
        held = fold == (one + 1) % FOLDS
        p0[fold == one] = scores((fold != one) & ~held, held, x[:WARM][fold == one])
    propensity = 1.0 / eligible[:WARM].sum(axis=1)
    log = Log(x[:WARM], eligible[:WARM], actions, propensity, seen, p0)
    return log, scores(fold > 0, fold == 0, x[WARM:])


def obd(seed: int, folder: Path, rows: int) -> Stream:
    """Four fifths of the log in the order of time, another draw for each seed.

    Without replacement: the copies of a bootstrap lie side by side, and whoever remembers the last
    request has the answer to the next.
    """
    with open_text(find(folder, "men.csv")) as file:
        table = list(csv.DictReader(file))
    with open_text(find(folder, "item_context.csv")) as file:
        items = sorted(csv.DictReader(file), key=lambda row: int(row["item_id"]))
    shuffled = np.random.default_rng(seed).permutation(len(table))
    chosen = np.sort(shuffled[: min(rows, len(table) * 4 // 5)])
    table = [table[n] for n in chosen]
    n, k = len(table), len(items)
    action = np.array([int(row["item_id"]) for row in table])
    reward = np.zeros((n, k))
    reward[np.arange(n), action] = [float(row["click"]) for row in table]
    names = ["position", *(f"user_feature_{one}" for one in range(4))]
    x = standard(np.hstack([one_hot([row[name] for row in table]) for name in names]))
    item_names = [f"item_feature_{one}" for one in range(1, 4)]
    return Stream(
        name="obd",
        x=x,
        eligible=np.ones((n, k), dtype=bool),
        p0=np.full((n, k), 0.005),
        reward=reward,
        truth=reward * k,  # of the logged action, over its propensity 1 / k
        delay=np.zeros(n, dtype=np.int64),
        features=np.hstack([one_hot([row[name] for row in items]) for name in item_names]),
        new=np.empty(0, dtype=np.int64),
        warm=no_log(x.shape[1], k),
        logged=action,
    )


def one_hot(cells: list[str]) -> Floats:
    levels = sorted(set(cells))
    return (np.array(cells)[:, None] == levels).astype(float)
