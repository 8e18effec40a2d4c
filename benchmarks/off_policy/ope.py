"""Off-policy evaluation against a peer, against a known truth, and where it must refuse.

    .venv/bin/python benchmarks/off_policy/ope.py --json [--data FOLDER] [--replications N]

Three questions. Equality: IPS, SNIPS, DM, DR, SWITCH-DR and DRos on the Open Bandit Dataset (men,
10,000 rows logged by each of two policies) against obp 0.5.7 on the same folds and the same
predictions of its reward model (`make obp` makes its environment; without it, against the figures
that it gave where no prediction is needed). Coverage: a simulated bank is lived through once; of
its customers some are drawn again and again, a Thompson policy that learns decides on them with a
floor and a challenger's share, and each 95 % interval is asked whether it holds the bank's truth.
Refusal: targets that the log cannot answer for.
"""

from __future__ import annotations

import argparse
import gzip
import json
import subprocess
import sys
import time
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from benchmarks.off_policy.ope_bank import METHODS, Bank, lived, replicate
from examples.raw_files import data_folder
from nba.measurement.off_policy import estimators
from nba.measurement.off_policy.estimators import RatioEstimate, TruncatedEstimate
from nba.measurement.off_policy.evaluation import policy_values
from nba.measurement.off_policy.logged_decisions import LoggedDecisions, logged_decisions
from nba.measurement.statistics.estimate import Undecided

ROOT = Path(__file__).resolve().parents[2]
PEER = ROOT / ".obp" / "bin" / "python"
LOGS = ("random", "bts")
# bts -> random needs no prediction for these two, so that they can be held without the peer
PINNED = {"ips": 0.0030086263272564836, "snips": 0.003189423162277392}
ITEMS = 34
Arrays = dict[str, np.ndarray]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="the figures as JSON on the last line")
    parser.add_argument("--data", type=Path, default=data_folder(), help="folder of the data sets")
    parser.add_argument("--peer", type=Path, default=PEER, help="the Python that has obp")
    parser.add_argument("--replications", type=int, default=600)
    parser.add_argument("--customers", type=int, default=300, help="of each replication")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=2)
    given = parser.parse_args()
    figures: dict[str, Any] = {}
    folder = given.data / "obd"
    if folder.is_dir():
        figures |= against_peer(folder, given.peer)
    else:
        print(f"{folder} is absent: nothing to compare with the peer")
        figures |= {"max_abs_difference_to_peer": None, "peer": "no data"}
    figures |= coverage(given.replications, given.customers, given.seed, given.jobs)
    if given.json:
        print(json.dumps(figures))


def against_peer(folder: Path, peer: Path) -> dict[str, Any]:
    """Our figures beside the peer's, and what comes of targets without overlap."""
    if not peer.exists():
        return without_peer(folder)
    differences: dict[str, float] = {}
    refused: dict[str, bool] = {}
    with TemporaryDirectory() as scratch:
        for name in LOGS:
            unpack(folder, Path(scratch))
            out = Path(scratch) / f"{name}.npz"
            script = str(ROOT / "benchmarks" / "off_policy" / "ope_peer.py")
            subprocess.run([str(peer), "-W", "ignore", script, scratch, name, str(out)], check=True)
            found: Arrays = dict(np.load(out))
            evidence = evidence_of(found)
            print(f"\n{name} -> {'bts' if name == 'random' else 'random'}: ours, obp 0.5.7")
            for method, value in ours(evidence, found).items():
                theirs = float(found[f"obp_{method}"])
                differences[f"{name}:{method}"] = abs(value - theirs)
                print(f"  {method:10s} {value:.12f} {theirs:.12f}")
            refused |= {f"{name}: {k}": v for k, v in refusals(found).items()}
    for target, answer in refused.items():
        print(f"  {target}: {'refused' if answer else 'ANSWERED'}")
    return {
        "max_abs_difference_to_peer": max(differences.values()),
        "differences": differences,
        "peer": "obp 0.5.7",
        "refused_thin_support": all(refused.values()),
        "refused": refused,
    }


def without_peer(folder: Path) -> dict[str, Any]:
    """What can be held without obp: IPS and SNIPS of the log by bts, with a uniform target."""
    import pandas as pd

    print("obp is not here (make obp): only IPS and SNIPS are compared, with its pinned figures")
    rows = pd.read_csv(folder / "bts" / "men" / "men.csv.gz", index_col=0)
    rewards, propensity = rows["click"].to_numpy(float), rows["propensity_score"].to_numpy(float)
    evidence = logged_decisions(np.full(len(rows), 1 / ITEMS), propensity, rewards)
    found = ours(evidence, {})
    differences = {f"bts:{name}": abs(found[name] - value) for name, value in PINNED.items()}
    action = rows["item_id"].to_numpy()
    best = np.bincount(action, weights=rewards / propensity, minlength=ITEMS).argmax()
    refused = {
        "bts: one item for all": _refused(
            logged_decisions((action == best) * 1.0, propensity, rewards)
        )
    }
    return {
        "max_abs_difference_to_peer": max(differences.values()),
        "differences": differences,
        "peer": "obp 0.5.7, pinned figures of IPS and SNIPS; make obp for all",
        "refused_thin_support": all(refused.values()),
        "refused": refused,
    }


def unpack(folder: Path, to: Path) -> None:
    """The data set as obp reads it."""
    for name in LOGS:
        for file in (folder / name / "men").glob("*.csv.gz"):
            target = to / name / "men" / file.stem
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(gzip.decompress(file.read_bytes()))


def evidence_of(found: Arrays) -> LoggedDecisions:
    return logged_decisions(
        found["target"],
        found["propensity"],
        found["rewards"].astype(float),
        q_logged=found["q_logged"],
        q_target=found["q_target"],
    )


def ours(evidence: LoggedDecisions, found: Arrays) -> dict[str, float]:
    """The values by our estimators; those that need a model only where there is one."""
    scores: dict[str, RatioEstimate | TruncatedEstimate | Undecided] = {
        "ips": estimators.ips(evidence),
        "snips": estimators.snips(evidence),
    }
    if "q_logged" in found:
        scores |= {
            "dm": estimators.dm(evidence),
            "dr": estimators.dr(evidence),
            "switch_dr": estimators.switch_dr(evidence, float(found["tau"])),
            "dros": estimators.dros(evidence, float(found["lam"])),
        }
    result = {}
    for method, score in scores.items():
        assert not isinstance(score, Undecided)
        result[method] = (score.scores if isinstance(score, TruncatedEstimate) else score).value
    return result


def refusals(found: Arrays) -> dict[str, bool]:
    """Whether targets that the log cannot answer for are refused, by every method but the model's.

    The model's favourite for each customer; the single item that did best; an item that the log
    never shows; and one drawn by the log in five rows.
    """
    n, action = len(found["rewards"]), found["action"]
    offered, rewards, propensity = found["offered"], found["rewards"], found["propensity"]
    best = int(np.bincount(action, weights=rewards / propensity).argmax())
    nobody = np.zeros(n)
    few = np.zeros(n)
    few[np.flatnonzero(rewards)[:5]] = 1.0
    targets = {
        "model's favourite": (offered.argmax(axis=1) == action) * 1.0,
        "one item for all": (action == best) * 1.0,
        "an item that is never shown": nobody,
        "five rows, all of them clicks": few,
    }
    return {name: _refused(evidence_of(found | {"target": t})) for name, t in targets.items()}


def _refused(evidence: LoggedDecisions) -> bool:
    return all(
        isinstance(one, Undecided)
        for method, one in policy_values(evidence).items()
        if method != "dm"
    )


def coverage(replications: int, customers: int, seed: int, jobs: int) -> dict[str, Any]:
    """The share of 95 % intervals that hold the truth of the simulated bank."""
    started = time.perf_counter()
    bank = lived(seed)
    print(
        f"\nsimulated bank: {len(bank.customers):,} decisions of {bank.size:,} customers; "
        f"true value of the target {bank.truth:.5f}"
    )
    with get_context("fork").Pool(jobs, _take, (bank, customers)) as pool:
        seeds = [seed * 1_000_003 + one for one in range(replications)]
        found = pool.map(_one, seeds, chunksize=10)
    held = {
        method: [one[method][0] for one in found if one[method] is not None] for method in METHODS
    }
    width = {
        method: float(np.mean([one[method][1] for one in found if one[method] is not None]))
        for method in METHODS
        if held[method]
    }
    share = {method: float(np.mean(held[method])) for method in width}
    for method in width:
        print(
            f"  {method:10s} holds it in {share[method]:.3f} of {len(held[method])} replications, "
            f"half width {width[method]:.5f}"
        )
    print(f"{time.perf_counter() - started:.0f} s")
    return {
        "coverage": share.get("dr"),
        "coverage_by_method": share,
        "half_width": width,
        "replications": replications,
        "decided": {method: len(held[method]) for method in METHODS},
    }


_bank: tuple[Bank, int]


def _take(bank: Bank, customers: int) -> None:
    global _bank
    _bank = (bank, customers)


def _one(seed: int) -> dict[str, tuple[bool, float] | None]:
    return replicate(*_bank, np.random.default_rng(seed))


if __name__ == "__main__":
    main()
