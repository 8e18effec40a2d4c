"""How often our tests are wrong, in simulated experiments whose truth is known.

    .venv/bin/python benchmarks/error_rates/error_rates.py --json [--quick]

One entry a test: what was measured, the gate that it is held to, and whether it is inside; controls
are tests that must fail, so that the table shows that it bites. `outside_gate` names what is not.
With --quick a twentieth of the runs, and three binomial standard errors of slack at every gate.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import numpy as np

from benchmarks.error_rates import (
    error_trials as trials,
    error_trials_bandit as bandits,
    error_trials_calibration as weekly,
)
from nba.measurement.statistics.confidence_sequences import TUNING_N

SEED = 20_261_122
BASE = 0.05
SIZE = 100_000


@dataclass(slots=True)
class Table:
    """Entries as they come, printed at once."""

    quick: bool
    entries: dict[str, dict[str, object]] = field(default_factory=dict)
    started: float = field(default_factory=time.perf_counter)

    def runs(self, full: int) -> int:
        return max(full // 20, 50) if self.quick else full

    def put(
        self,
        name: str,
        measured: float,
        *,
        least: float = -math.inf,
        most: float = math.inf,
        runs: int,
        **more: float | None,
    ) -> None:
        """One entry; the gate is from `least` to `most`."""
        at = min(max(measured, 0.5 / runs), 1.0 - 0.5 / runs)
        slack = 3.0 * math.sqrt(at * (1.0 - at) / runs) if self.quick else 0.0
        ok = least - slack <= measured <= most + slack
        if math.isinf(least):
            gate = f"<= {most:g}"
        elif math.isinf(most):
            gate = f">= {least:g}"
        else:
            gate = f"{least:g} to {most:g}"
        entry: dict[str, object] = {"measured": round(measured, 4), "gate": gate, "ok": ok}
        entry |= {"runs": runs} | {k: v if v is None else round(v, 4) for k, v in more.items()}
        self.entries[name] = entry
        beside = "  ".join(f"{k} {v}" for k, v in entry.items() if k in more)
        spent = time.perf_counter() - self.started
        mark = "" if ok else "OUTSIDE"
        print(f"{spent:5.0f} s  {name:38} {measured:8.4f}  {gate:13} {mark:8}{beside}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="the figures as JSON on the last line")
    parser.add_argument("--data", help="not used: the experiments are simulated")
    parser.add_argument("--quick", action="store_true", help="a twentieth of the runs")
    parser.add_argument("--seed", type=int, default=SEED)
    given = parser.parse_args()
    table = Table(given.quick)
    seeds = np.random.SeedSequence(given.seed).spawn(6)
    for part, seed in zip(
        (fixed_arms, sample_ratio, bandit_arms, off_policy, audits_and_drift, calibrated),
        seeds,
        strict=True,
    ):
        part(table, np.random.default_rng(seed))
    outside = [name for name, entry in table.entries.items() if not entry["ok"]]
    print(f"{len(table.entries)} tests, outside their gate: {', '.join(outside) or 'none'}")
    if given.json:
        print(json.dumps({**table.entries, "outside_gate": outside}))


def fixed_arms(table: Table, rng: np.random.Generator) -> None:
    runs = table.runs(4_000)
    same = trials.successes(rng, runs, SIZE, (BASE, BASE))
    table.put("aa_fixed_horizon", trials.one_look_at(same, SIZE), least=0.04, most=0.06, runs=runs)
    table.put("aa_t_peeked_14_control", trials.peeked_t(same, SIZE, 7), least=0.15, runs=runs)
    table.put("aa_t_peeked_100_control", trials.peeked_t(same, SIZE, 1), least=0.15, runs=runs)
    for tuning_n in (5_000, 50_000):
        found = trials.peeked_always(same, SIZE, tuning_n)
        table.put(f"aa_always_valid_{tuning_n}", found.claimed, most=0.05, runs=runs)
    runs = table.runs(1_000)
    better = trials.successes(rng, runs, SIZE, (BASE, 0.056))
    table.put("power_fixed_horizon", trials.one_look_at(better, SIZE), least=0.95, runs=runs)
    for tuning_n in (5_000, 50_000):
        found = trials.peeked_always(better, SIZE, tuning_n)
        table.put(
            f"power_always_valid_{tuning_n}",
            found.claimed,
            least=0.85,
            runs=runs,
            median_stop=found.median_n,
        )
    runs = table.runs(2_000)
    by_customer, by_decision = trials.clustered(rng, runs, 300, 0.3)
    table.put("aa_clustered_by_customer", by_customer, most=0.06, runs=runs)
    table.put("aa_by_decision_control", by_decision, least=0.15, runs=runs)
    runs = table.runs(4_000)
    raw, holm, hochberg = trials.any_false(rng, runs, 20)
    table.put("twenty_metrics_raw_control", raw, least=0.15, runs=runs)
    table.put("twenty_metrics_holm", holm, most=0.06, runs=runs)
    table.put("twenty_metrics_benjamini_hochberg", hochberg, most=0.06, runs=runs)


def sample_ratio(table: Table, rng: np.random.Generator) -> None:
    runs = table.runs(4_000)
    once, peeked, anytime = trials.mismatch_peeked(rng, runs, SIZE)
    table.put("mismatch_chi2_once", once, most=0.003, runs=runs)
    table.put("mismatch_chi2_peeked_control", peeked, least=0.005, runs=runs)
    table.put("mismatch_anytime", anytime, most=0.001, runs=runs)
    runs = table.runs(2_000)
    for n in (10_000, 100_000, 1_000_000):
        told = trials.told_loss(n)
        table.put(
            f"mismatch_told_loss_{n}",
            trials.mismatch_power(rng, runs, n, told),
            least=0.77,
            most=0.83,
            runs=runs,
            told_loss=told,
            power_at_3_percent=trials.mismatch_power(rng, runs, n, 0.03),
        )


def bandit_arms(table: Table, rng: np.random.Generator) -> None:
    equal, one_better = (0.1, 0.1, 0.1), (0.1, 0.1, 0.14)
    runs = table.runs(4_000)
    naive, ipw, aipw, mean = bandits.bandit_end(bandits.play(rng, runs, 2_000, equal, 0.02), 3)
    table.put("bandit_aa_end_aipw", aipw, most=0.07, runs=runs, ipw=ipw)
    table.put("bandit_aa_end_naive_control", naive, least=0.07, runs=runs, bias=mean - 0.1)
    runs = table.runs(600)
    for floor, least in ((0.02, 0.05), (0.05, 0.05), (0.1, 0.0)):
        played = bandits.play(rng, runs, 3_000, equal, floor)
        claimed = bandits.bandit_peeked(
            played, 3, every=100, tuning_n=1_000, first=200, gated=False
        )
        table.put(f"bandit_aa_ungated_control_{floor:g}", claimed, least=least, runs=runs)
    slice_floor = 0.1 / 3 + 0.9 * 0.02
    runs = table.runs(800)
    for name, floor in (("", 0.02), ("_uniform_slice", slice_floor)):
        played = bandits.play(rng, runs, 10_000, equal, floor)
        gated = bandits.bandit_peeked(played, 3, every=100, tuning_n=TUNING_N)
        table.put(f"bandit_aa_gated{name}", gated, most=0.05, runs=runs)
        exact = bandits.bandit_exact(played, 3, every=100, floor=floor, tuning_n=TUNING_N)
        table.put(f"bandit_aa_exact{name}", exact, most=0.05, runs=runs)
    runs = table.runs(400)
    for floor in (slice_floor, 0.107):
        played = bandits.play(rng, runs, 10_000, one_better, floor)
        gated = bandits.bandit_peeked(played, 3, every=100, tuning_n=TUNING_N)
        exact = bandits.bandit_exact(played, 3, every=100, floor=floor, tuning_n=TUNING_N)
        name = f"bandit_power_gated_{floor:.3f}"
        table.put(name, gated, least=0.5, runs=runs, exact=exact)


def off_policy(table: Table, rng: np.random.Generator) -> None:
    runs = table.runs(1_000)
    by_z, by_sequence = trials.off_policy_gate(rng, runs, (BASE, BASE), 0.1)
    table.put("ope_gate_z_peeked_control", by_z, least=0.08, runs=runs)
    table.put("ope_gate_sequence", by_sequence, most=0.05, runs=runs)
    for least, gate in ((0.04, 0.6), (0.01, 0.0)):
        _, by_sequence = trials.off_policy_gate(rng, runs, (BASE, 0.08), least)
        table.put(f"ope_gate_power_{least:g}", by_sequence, least=gate, runs=runs)


def audits_and_drift(table: Table, rng: np.random.Generator) -> None:
    constant = np.array([[0.8, 0.05, 0.05, 0.05, 0.05]])
    mixed = np.array([[0.8, 0.1, 0.06, 0.04, 0.0], [0.0, 0.05, 0.05, 0.1, 0.8], [0.2] * 5])
    rare = np.array([[0.96, 0.001, 0.001, 0.02, 0.018]])
    for n in (1_000, 20_000):
        runs = table.runs(4_000 if n == 1_000 else 1_000)
        for name, logged in (("constant", constant), ("mixed", mixed), ("rare", rare)):
            low, alarm, _ = trials.audit_alarms(rng, runs, n, logged, logged)
            table.put(f"audit_correct_{name}_{n}", alarm, most=0.003, runs=runs, chi2=low)
    acting = np.array([[0.84, 0.04, 0.04, 0.04, 0.04]])
    for n, least in ((1_000, 0.0), (5_000, 0.99)):
        runs = table.runs(1_000)
        low, alarm, weight = trials.audit_alarms(rng, runs, n, constant, acting)
        table.put(f"audit_wrong_{n}", alarm, least=least, runs=runs, chi2=low, mean_weight=weight)
    runs = table.runs(2_000)
    for n, m in ((20_000, 200), (5_000, 5_000), (1_000, 50)):
        alarms = trials.drift_alarms(rng, runs, n, m)
        table.put(f"drift_index_{n}_{m}", alarms, most=0.05, runs=runs)


def calibrated(table: Table, rng: np.random.Generator) -> None:
    """A perfect model over weekly rows of the same customers."""
    runs = table.runs(1_000)
    for horizon in (30.0, 90.0):
        for customers in (100, 300, 1_000):
            name = f"{horizon:g}d_{customers}"
            found = weekly.calibration_trials(rng, runs, horizon_days=horizon, customers=customers)
            table.put(f"calibration_slope_{name}", found.covered, least=0.93, most=0.97, runs=runs)
            table.put(f"calibration_alarm_{name}", found.alarms, most=0.01, runs=runs)
            table.put(f"share_{name}", found.rate_covered, least=0.93, most=0.98, runs=runs)


if __name__ == "__main__":
    main()
