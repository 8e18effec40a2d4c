"""Are valences learned? Twelve types of events, an accumulating state, partly wrong priors.

    .venv/bin/python benchmarks/emotion/learned_valence.py --json [--seeds N]

Each of 40 nodes has one of 12 types with a true valence; the state fades by 0.88 a node and moves
the odds of leaving. The priors are +-1-ish, two of the twelve with the wrong sign, and a third of
the customers meet trouble more often. What is learned is compared by rank, by sign, and by whether
the 95 % intervals hold the truth times the one factor that fits a run best: the scale of a valence
is a convention.
"""

from __future__ import annotations

import argparse
import json
import time

import numpy as np
from scipy.stats import spearmanr

from nba.measurement.statistics.estimate import Undecided
from training.emotion.valences import NODES, ValenceEvidence, ValenceUnit, learn_valences

FIGURES = ("rank_correlation", "signs_right", "interval_coverage", "flips_right")
CUSTOMERS = (300, 1_000, 3_000)
TYPES, LENGTH, MEMORY = 12, 40, 0.88
BASE, EFFECT = -5.0, 1.0  # log-odds of leaving after a node; about 4 in 10 leave within 40


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="the figures as JSON on the last line")
    parser.add_argument("--data", help="not used: the customers are simulated")
    parser.add_argument("--seeds", type=int, default=10, help="worlds of each size")
    given = parser.parse_args()
    figures: dict[str, dict[str, float]] = {name: {} for name in (*FIGURES, "decided")}
    started = time.perf_counter()
    for customers in CUSTOMERS:
        runs = [figures_of(customers, seed) for seed in range(1, given.seeds + 1)]
        for name, by_size in figures.items():
            values = [run[name] for run in runs if np.isfinite(run[name])]
            by_size[str(customers)] = float(np.mean(values)) if values else float("nan")
        losses = np.mean([run["losses"] for run in runs])
        print(f"{customers:5} customers, {losses:6.0f} losses: " + "  ".join(
            f"{name} {by_size[str(customers)]:.3f}" for name, by_size in figures.items()
        ))  # fmt: skip
    print(f"{time.perf_counter() - started:.0f} s")
    if given.json:
        print(json.dumps(figures))


def figures_of(customers: int, seed: int) -> dict[str, float]:
    """Agreement of learned and true valences in one world; NaN where nothing was learned."""
    evidence, truth = evidence_of(customers, seed)
    learned = learn_valences(evidence, seed=seed)
    if isinstance(learned, Undecided):
        none = dict.fromkeys(FIGURES, float("nan"))
        return {**none, "decided": 0.0, "losses": float(evidence.losses)}
    found = np.array([one.valence for one in learned])
    low, high = (np.array([getattr(one, side) for one in learned]) for side in ("low", "high"))
    scaled = truth * float(found @ truth / (truth @ truth))
    scaled = np.clip(scaled, -1.0, 1.0)
    flipped = [
        one.prior * true < 0 for one, true in zip(learned, truth, strict=True) if one.flipped
    ]
    return {
        "rank_correlation": float(spearmanr(found, truth).statistic),
        "signs_right": float(np.mean(np.sign(found) == np.sign(truth))),
        "interval_coverage": float(np.mean((low <= scaled) & (scaled <= high))),
        "flips_right": float(np.mean(flipped)) if flipped else float("nan"),
        "decided": 1.0,
        "losses": float(evidence.losses),
    }


def evidence_of(customers: int, seed: int) -> tuple[ValenceEvidence, np.ndarray]:
    """A simulated deployment and its true valences, (12,)."""
    rng = np.random.default_rng(seed)
    truth = rng.uniform(-1.0, 1.0, TYPES)
    priors = np.sign(truth) * rng.uniform(0.5, 1.0, TYPES)
    priors[rng.choice(TYPES, 2, replace=False)] *= -1.0
    shares = np.full(TYPES, 1.0 / TYPES)
    trouble = np.where(truth < 0, 1.5, 1.0) * shares
    mixes = np.array([shares, trouble / trouble.sum()])
    drift = float(shares @ truth) / (1.0 - MEMORY)
    mix = (rng.random(customers) < 1 / 3).astype(int)
    kinds = np.empty((customers, LENGTH), dtype=int)
    for which in (0, 1):
        rows = mix == which
        kinds[rows] = rng.choice(TYPES, size=(int(rows.sum()), LENGTH), p=mixes[which])
    tenure = rng.normal(0.0, 1.0, customers)
    state, there = np.zeros(customers), np.ones(customers, dtype=bool)
    window = np.zeros((customers, TYPES))
    counts, controls, codes, labels = [], [], [], []
    for node in range(LENGTH):
        state = MEMORY * state + truth[kinds[:, node]]
        window[np.arange(customers), kinds[:, node]] += 1.0
        if node >= NODES:
            window[np.arange(customers), kinds[:, node - NODES]] -= 1.0
        chance = 1.0 / (1.0 + np.exp(-(BASE - EFFECT * (state - drift) - 0.3 * tenure)))
        left = there & (rng.random(customers) < chance)
        counts.append(window[there].copy())
        controls.append(tenure[there, None])
        codes.append(np.flatnonzero(there))
        labels.append(left[there])
        there &= ~left
    label = np.concatenate(labels)
    units = tuple(
        ValenceUnit(kind=f"kind_{i}", touchpoint="site", type=f"kind_{i}", prior=float(prior))
        for i, prior in enumerate(priors)
    )
    evidence = ValenceEvidence(
        counts=np.concatenate(counts),
        units=units,
        controls=np.concatenate(controls),
        customers=np.concatenate(codes),
        labels=label,
        losses=int(label.sum()),
        low_surveys=0,
    )
    return evidence, truth


if __name__ == "__main__":
    main()
