"""The bandits' peers on one stream, in an environment of their own: `make peers`.

    .peers/bin/python benchmarks/bandits/bandit_peers.py STREAM.npz --seed 0 [--algorithms a,b]

STREAM.npz is what `bandit_streams.save` wrote. Prints one JSON object: by algorithm the value and
the CPU microseconds of a decision with what is learned from it.

- Vowpal Wabbit from Python, by text lines with action-dependent features: contexts X, the action A,
  its features V, and the batch score's log-odds G. Settings are its defaults, and those that were
  found best on grids: large learning rates and gammas, `--mellowness .001`. `_xxa` adds products of
  two context columns. `--hash all`: without it VW takes numbers in names for hashes, and they
  collide. It cannot revise what it learned, so it learns a response when the window closes; to
  learn silence at once and the response later costs it far more.
- MABWiser's LinUCB and LinTS on contexts. It has neither action features nor changing candidates:
  the best expectation of an eligible action is taken. It gives no propensities.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any, Protocol

import numpy as np
from mabwiser.mab import MAB, LearningPolicy
from vowpalwabbit import Workspace

WINDOW = 1_000  # requests after which a response is not claimed any more
LINEAR = "--ignore_linear X -q XA -q XV"
REGCB = "--regcbopt --cb_min_cost -1 --cb_max_cost 0"  # it needs the span of what costs
SQUARES = f"{LINEAR} --interactions XXA"
VW: dict[str, str] = {
    "vw_epsilon": f"--epsilon 0.05 {LINEAR}",
    "vw_squarecb": f"--squarecb {LINEAR}",
    "vw_regcb": f"{REGCB} {LINEAR}",
    "vw_cover": f"--cover 5 {LINEAR}",
    "vw_epsilon_tuned": f"--epsilon 0.02 -l 2 {LINEAR}",
    "vw_squarecb_tuned": f"--squarecb --gamma_scale 1000 -l 2 {LINEAR}",
    "vw_regcb_tuned": f"{REGCB} --mellowness 0.001 -l 2 {LINEAR}",
    "vw_cover_tuned": f"--cover 5 --nounif -l 2 {LINEAR}",
    "vw_squarecb_xxa": f"--squarecb -l 2 {SQUARES}",
    "vw_regcb_xxa": f"{REGCB} --mellowness 0.001 -l 2 {SQUARES}",
}
MABWISER: dict[str, Callable[[], Any]] = {
    "mabwiser_linucb": lambda: LearningPolicy.LinUCB(alpha=0.3),
    "mabwiser_lints": lambda: LearningPolicy.LinTS(alpha=0.1),
}


class Peer(Protocol):
    def probabilities(self, at: int, eligible: np.ndarray) -> np.ndarray:
        """(n,) over the eligible actions of request `at`, ascending."""

    def learn(self, at: int, eligible: np.ndarray, n: int, p: float, reward: float) -> None:
        """The reward of the n-th eligible action, which was drawn with p."""


class VowpalWabbit:
    def __init__(self, arguments: str, stream: dict[str, np.ndarray], seed: int) -> None:
        self._vw = Workspace(
            f"--cb_explore_adf {arguments} --hash all --quiet --random_seed {seed + 1}"
        )
        self._stream = stream
        self._actions = [
            f"|A a{a}" + (f" |V {_numbers('v', row)}" if len(row) else "")
            for a, row in enumerate(stream["features"])
        ]
        self._scores = np.ptp(stream["p0"]) > 0
        for at, action in enumerate(stream["warm_action"]):
            among = np.flatnonzero(stream["warm_eligible"][at])
            p, reward = stream["warm_propensity"][at], stream["warm_reward"][at]
            lines = self._lines("warm_", at, among)
            self._learn(lines, int(np.searchsorted(among, action)), p, reward)

    def probabilities(self, at: int, eligible: np.ndarray) -> np.ndarray:
        p = np.array(self._vw.predict(self._lines("", at, eligible)))[: len(eligible)]
        return p / p.sum()

    def learn(self, at: int, eligible: np.ndarray, n: int, p: float, reward: float) -> None:
        self._learn(self._lines("", at, eligible), n, p, reward)

    def _learn(self, lines: list[str], n: int, p: float, reward: float) -> None:
        lines[1 + n] = f"0:{-reward}:{p} {lines[1 + n]}"
        self._vw.learn(lines)

    def _lines(self, kind: str, at: int, eligible: np.ndarray) -> list[str]:
        lines = [f"shared |X c:1 {_numbers('x', self._stream[kind + 'x'][at])}"]
        if not self._scores:
            return lines + [self._actions[a] for a in eligible]
        p0 = np.clip(self._stream[kind + "p0"][at, eligible], 1e-3, 1 - 1e-3)
        odds = np.log(p0 / (1 - p0))
        return lines + [
            f"{self._actions[a]} |G g:{g:.4f}" for a, g in zip(eligible, odds, strict=True)
        ]


class MabWiser:
    def __init__(self, policy: Any, stream: dict[str, np.ndarray], seed: int) -> None:
        self._x = np.hstack([np.ones((len(stream["x"]), 1)), stream["x"]])
        arms = list(range(stream["p0"].shape[1]))
        self._mab = MAB(arms, policy, seed=seed)
        warm = np.hstack([np.ones((len(stream["warm_x"]), 1)), stream["warm_x"]])
        if len(warm):
            self._mab.fit(stream["warm_action"], stream["warm_reward"], warm)
        else:
            self._mab.fit([0], [0.0], np.zeros((1, self._x.shape[1])))

    def probabilities(self, at: int, eligible: np.ndarray) -> np.ndarray:
        expected = self._mab.predict_expectations(self._x[at : at + 1])
        best = np.array([expected[a] for a in eligible])
        chosen = best == best.max()
        return chosen / chosen.sum()

    def learn(self, at: int, eligible: np.ndarray, n: int, p: float, reward: float) -> None:
        self._mab.partial_fit([int(eligible[n])], [reward], self._x[at : at + 1])


def played(peer: Peer, stream: dict[str, np.ndarray], seed: int) -> float:
    """The mean of what the drawn actions are expected to get."""
    rng = np.random.default_rng([seed, 7])
    eligible, truth, rewards = stream["eligible"], stream["truth"], stream["reward"]
    delay, logged = stream["delay"], stream["logged"]
    wait = WINDOW if delay.max() > 0 else 0
    value = 0.0
    waiting: deque[tuple[int, np.ndarray, int, float]] = deque()
    for at in range(len(truth)):
        among = np.flatnonzero(eligible[at])
        p = peer.probabilities(at, among)
        if len(logged):
            n, propensity = int(logged[at]), 1 / len(among)
            value += p[n] * truth[at, n]
        else:
            n = int(rng.choice(len(among), p=p))
            propensity = p[n]
            value += truth[at, among[n]]
        waiting.append((at, among, n, propensity))
        while waiting and waiting[0][0] + wait <= at:
            then, those, m, q = waiting.popleft()
            arrived = rewards[then, those[m]] * (delay[then] <= WINDOW)
            peer.learn(then, those, m, q, float(arrived))
    return value / len(truth)


def made(
    names: list[str], stream: dict[str, np.ndarray], seed: int
) -> Iterator[tuple[str, Callable[[], Peer]]]:
    for name in names:
        if name in VW:
            yield name, lambda name=name: VowpalWabbit(VW[name], stream, seed)
        else:
            yield name, lambda name=name: MabWiser(MABWISER[name](), stream, seed)


def _numbers(prefix: str, row: np.ndarray) -> str:
    return " ".join(f"{prefix}{n}:{value:.4f}" for n, value in enumerate(row) if value)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("stream")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--algorithms", default=",".join([*VW, *MABWISER]))
    given = parser.parse_args()
    with np.load(given.stream) as file:
        stream = {name: file[name] for name in file.files}
    found = {}
    for name, make in made(given.algorithms.split(","), stream, given.seed):
        peer = make()
        begun = time.process_time()
        value = played(peer, stream, given.seed)
        seconds = time.process_time() - begun
        found[name] = [value, seconds / len(stream["truth"]) * 1e6]
    print(json.dumps(found))


if __name__ == "__main__":
    main()
