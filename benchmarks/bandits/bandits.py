"""Our bandit against Vowpal Wabbit and MABWiser on the same streams.

    make peers
    .venv/bin/python benchmarks/bandits/bandits.py --json
        [--data FOLDER] [--seeds N] [--streams a,b]

The value of an algorithm is the mean reward of what it draws (1 - progressive loss on the
classification sets; expected responses in `bank`; clicks by importance weights in `obd`), the mean
over seeds with its 95% interval (Student's t). `us_per_decision` is CPU time for a decision and
what is learned from it, from Python, on one thread. Ours has one setting for all streams: what
differs (prior, scaling, products of columns where they are few) it finds itself. Peers run with
their defaults and with settings tuned on such streams in hindsight. See `bandit_streams.py`.

`mean_value_ratio_to_best_peer`: ours (Thompson) over the best peer of each stream, the mean over
the streams but `obd`, whose clicks are too few to rank; `..._to_best_single_peer`: over the one
peer that is best on that mean.
"""

from __future__ import annotations

import argparse
import json
import os

os.environ["OPENBLAS_NUM_THREADS"] = "1"  # read when numpy is imported
os.environ["OMP_NUM_THREADS"] = "1"

import heapq
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from scipy.special import stdtrit

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from benchmarks.bandits.bandit_streams import NAMES, WINDOW, Stream, save, stream_of
from examples.raw_files import data_folder
from models.learning.bandit import Bandit
from models.policies.epsilon_greedy import EpsilonGreedy
from models.policies.gap_weighting import GapWeighting
from models.policies.greedy import Greedy
from models.policies.thompson import Thompson
from models.residual.features import fit_spec
from nba.engine.policy import Policy

ROOT = Path(__file__).resolve().parents[2]
PEERS_PYTHON = ROOT / ".peers" / "bin" / "python"
OURS: Mapping[str, Policy] = {
    "thompson": Thompson(),
    "gap_weighting": GapWeighting(),
    "epsilon_greedy": EpsilonGreedy(0.05),
    "greedy": Greedy(),
}
FLOOR = 0.005  # of ours: the least share of the draw that the service allows
ROWS = {"digits": 1_797, "pendigits": 4_000, "letter": 5_000, "bank": 10_000, "obd": 8_000}
Figures = dict[str, tuple[float, float]]  # by algorithm: value, us_per_decision


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="the figures as JSON on the last line")
    parser.add_argument("--data", type=Path, default=data_folder())
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--streams", default=",".join(NAMES))
    parser.add_argument("--rows", type=int, help="of each stream, at most")
    parser.add_argument("--algorithms", help="only these, separated by commas")
    parser.add_argument("--jobs", type=int, default=1)
    given = parser.parse_args()
    if not PEERS_PYTHON.is_file():
        print(f"{PEERS_PYTHON.relative_to(ROOT)} is missing: ours alone; `make peers` adds them")
    figures: dict[str, object] = {"seeds": given.seeds, "rows": {}}
    values: dict[str, dict[str, float]] = {}
    for name in given.streams.split(","):
        rows = min(ROWS[name], given.rows or ROWS[name])
        work = partial(one_seed, name, data=given.data, rows=rows, chosen=given.algorithms)
        with ProcessPoolExecutor(given.jobs, mp_context=get_context("fork")) as pool:
            found = list(pool.map(work, range(given.seeds)))
        print(f"{name}, {rows} requests")
        figures[name] = told = summary(found)
        figures["rows"][name] = rows  # type: ignore[index]
        values[name] = {algorithm: one["value"] for algorithm, one in told.items()}
    figures |= ratios({name: of for name, of in values.items() if name != "obd"})
    if given.json:
        print(json.dumps(figures))


def one_seed(name: str, seed: int, *, data: Path, rows: int, chosen: str | None) -> Figures:
    """Every algorithm on this stream with this seed."""
    stream = stream_of(name, seed, data, rows)
    wanted = chosen.split(",") if chosen else None
    found: Figures = {}
    for algorithm, policy in OURS.items():
        if wanted is None or algorithm in wanted:
            found[algorithm] = played(stream, policy, seed)
    others = [one for one in wanted or () if one not in OURS]
    if PEERS_PYTHON.is_file() and (wanted is None or others):
        found |= peers(stream, seed, others)
    return found


def played(stream: Stream, policy: Policy, seed: int) -> tuple[float, float]:
    """(value, us_per_decision) of our bandit: exposures enter at once, responses as they come."""
    bandit = bandit_of(stream, policy)
    rng = np.random.default_rng([seed, 7])
    x, p0, n = stream.x, stream.p0, len(stream.x)
    due: list[tuple[int, int, int]] = []
    nothing, value = np.zeros(1), 0.0
    begun = time.process_time()
    for at in range(n):
        while due and due[0][0] <= at:
            _, then, action = heapq.heappop(due)
            code = np.array([action])
            bandit.reward(x[then : then + 1], code, p0[then, code], np.ones(1), nothing)
        codes = np.flatnonzero(stream.eligible[at])
        scores = p0[at, codes]
        if len(stream.logged):
            action = int(stream.logged[at])
            worth = bandit.worth(x[at], codes, scores)
            value += bandit.probabilities(worth)[action] * stream.truth[at, action]
        else:
            action = int(codes[bandit.choose(x[at], codes, scores, rng).at])
            value += stream.truth[at, action]
        code = np.array([action])
        bandit.expose(x[at : at + 1], code, p0[at, code], nothing)
        if stream.reward[at, action] and stream.delay[at] <= WINDOW:
            heapq.heappush(due, (at + int(stream.delay[at]), at, action))
    return value / n, (time.process_time() - begun) / n * 1e6


def bandit_of(stream: Stream, policy: Policy) -> Bandit:
    """Ours for this stream, with what the random log teaches on scores out of fold."""
    actions = [str(action) for action in range(stream.p0.shape[1])]
    columns = [f"x{n}" for n in range(stream.x.shape[1])]
    scored = bool(np.ptp(stream.p0) > 0)
    warm = stream.warm
    of = np.arange(len(warm.action))
    spec = fit_spec(
        columns,
        warm.x if scored else stream.x,
        warm.p0[of, warm.action] if scored else stream.p0[:, 0],
        with_score=scored,
    )
    bandit = Bandit(spec, actions, policy, floor=FLOOR, new=stream.new.tolist())
    if len(of):
        p0 = warm.p0[of, warm.action]
        bandit.learn(warm.x, warm.action, p0, warm.reward, np.zeros(len(of)))
    return bandit


def peers(stream: Stream, seed: int, algorithms: list[str]) -> Figures:
    """The peers on the same stream, in their own environment."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "stream.npz"
        save(stream, path)
        command = [
            str(PEERS_PYTHON),
            str(ROOT / "benchmarks" / "bandits" / "bandit_peers.py"),
            str(path),
        ]
        command += ["--seed", str(seed)]
        command += ["--algorithms", ",".join(algorithms)] if algorithms else []
        answer = subprocess.run(command, capture_output=True, text=True)
    if answer.returncode:
        raise RuntimeError(f"peers failed on {stream.name}, seed {seed}: {answer.stderr[-2000:]}")
    found = json.loads(answer.stdout.splitlines()[-1])
    return {name: (value, us) for name, (value, us) in found.items()}


def summary(found: list[Figures]) -> dict[str, dict[str, float | list[float]]]:
    told: dict[str, dict[str, float | list[float]]] = {}
    for algorithm in found[0]:
        values = np.array([one[algorithm][0] for one in found])
        us = float(np.mean([one[algorithm][1] for one in found]))
        value, half = float(values.mean()), float("nan")
        if len(values) > 1:
            half = float(stdtrit(len(values) - 1, 0.975) * values.std(ddof=1) / len(values) ** 0.5)
        told[algorithm] = {
            "value": round(value, 5),
            "ci": [round(value - half, 5), round(value + half, 5)],
            "us_per_decision": round(us, 1),
        }
        print(f"  {algorithm:20} {value:.4f} +- {half:.4f}  {us:8.0f} us", flush=True)
    return told


def ratios(values: Mapping[str, Mapping[str, float]]) -> dict[str, object]:
    """Thompson over the best peer of each stream, and over the best single peer."""
    names = [name for of in values.values() for name in of if name not in OURS]
    names = list(dict.fromkeys(names))
    if not names or any("thompson" not in of for of in values.values()):
        return {}
    over = {
        peer: float(np.mean([of["thompson"] / of[peer] for of in values.values()]))
        for peer in names
    }
    each = {
        stream: of["thompson"] / max(of[peer] for peer in names) for stream, of in values.items()
    }
    single = min(over, key=lambda peer: over[peer])
    found: dict[str, object] = {
        "value_ratio_to_best_peer": {name: round(ratio, 4) for name, ratio in each.items()},
        "mean_value_ratio_to_best_peer": round(float(np.mean(list(each.values()))), 4),
        "best_single_peer": single,
        "mean_value_ratio_to_best_single_peer": round(over[single], 4),
    }
    for name, one in found.items():
        print(f"{name}: {one}")
    return found


if __name__ == "__main__":
    main()
