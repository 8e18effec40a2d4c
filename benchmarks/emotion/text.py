"""Valence of text on public data: AUC on texts never seen, and the time of one score.

    .venv/bin/python benchmarks/emotion/text.py --json --data FOLDER

English comments (emotions of the positive against the negative group; a text with any label
outside its group is left out), Chinese delivery and shop reviews, and shop reviews to delivery
reviews. Within a set, a fifth is held out; times are CPU times of one core.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import json
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from features.text.model import TextModel
from nba.measurement.statistics.estimate import Undecided
from training.emotion.text import FittedText, distinct, fit_text

SEED = 5
ALONE = 300  # texts scored one by one
POSITIVE = {
    *("admiration", "amusement", "approval", "caring", "desire", "excitement"),
    *("gratitude", "joy", "love", "optimism", "pride", "relief"),
}
NEGATIVE = {
    *("anger", "annoyance", "disappointment", "disapproval", "disgust", "embarrassment"),
    *("fear", "grief", "nervousness", "remorse", "sadness"),
}
Texts = tuple[list[str], np.ndarray]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="the figures as JSON on the last line")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="public data")
    given = parser.parse_args()
    readers: dict[str, Callable[[Path], Texts]] = {
        "goemotions": goemotions, "zh_waimai": waimai, "zh_shopping10": shopping10,
    }  # fmt: skip
    print(f"{'':20}{'AUC':>8}{'Brier':>8}{'us/text':>9}{'alone us':>10}{'fit s':>8}{'MB':>6}")
    figures = {name: shown(name, *held_out(*read(given.data))) for name, read in readers.items()}
    figures["shopping_to_waimai"] = shown(
        "shopping_to_waimai", shopping10(given.data), waimai(given.data)
    )
    if given.json:
        print(json.dumps(figures))


def shown(name: str, train: Texts, test: Texts) -> dict[str, float]:
    """Fit on one set, score another, print the line."""
    found = measure(train, test)
    print(f"{name:20}{found['auc']:8.4f}{found['brier']:8.4f}{found['us_per_text']:9.0f}"
          f"{found['us_alone']:10.0f}{found['fit_s']:8.1f}{found['mb']:6.2f}",
          flush=True)  # fmt: skip
    return found


def measure(train: Texts, test: Texts) -> dict[str, float]:
    from sklearn.metrics import roc_auc_score

    started = time.process_time()
    fitted = fit_text(*train, seed=SEED)
    fit_s = time.process_time() - started
    if isinstance(fitted, Undecided):
        raise SystemExit(fitted.reason)
    assert isinstance(fitted, FittedText)
    model, (texts, labels) = fitted.model, test
    started = time.process_time()
    valences, _ = model.score(texts)
    us_per_text = (time.process_time() - started) / len(texts) * 1e6
    return {
        "auc": float(roc_auc_score(labels, valences)),
        "brier": float(np.mean(((valences + 1) / 2 - labels) ** 2)),
        "us_per_text": us_per_text,
        "us_alone": alone(model, texts[:ALONE]),
        "fit_s": fit_s,
        "mb": sum(map(len, model.to_files().values())) / 1e6,
        "n": len(train[0]),
        "n_test": len(texts),
    }


def alone(model: TextModel, texts: list[str]) -> float:
    """Median CPU time of texts scored one by one, in microseconds."""
    times = []
    for text in texts:
        started = time.process_time()
        model.score([text])
        times.append(time.process_time() - started)
    return float(np.median(times)) * 1e6


def held_out(texts: list[str], labels: np.ndarray) -> tuple[Texts, Texts]:
    """Four fifths to fit on and the fifth, each text once."""
    data = distinct(texts, labels, seed=SEED)
    parts = []
    for mask in (data.folds != 0, data.folds == 0):
        parts.append(([data.texts[n] for n in np.flatnonzero(mask)], data.labels[mask]))
    return parts[0], parts[1]


def goemotions(data: Path) -> Texts:
    names = (data / "goemotions" / "labels.txt").read_text(encoding="utf-8").split()
    texts, labels = [], []
    for part in ("train", "dev"):
        path = data / "goemotions" / f"{part}.tsv.gz"
        with gzip.open(path, "rt", encoding="utf-8", newline="") as lines:
            for text, codes, _ in csv.reader(lines, delimiter="\t", quoting=csv.QUOTE_NONE):
                emotions = {names[int(code)] for code in codes.split(",")}
                if emotions <= POSITIVE or emotions <= NEGATIVE:
                    texts.append(text)
                    labels.append(emotions <= POSITIVE)
    return texts, np.array(labels)


def waimai(data: Path) -> Texts:
    return reviews(data / "zh_waimai" / "waimai_10k.csv.gz")


def shopping10(data: Path) -> Texts:
    return reviews(data / "zh_shopping10" / "online_shopping_10_cats.csv.gz")


def reviews(path: Path) -> Texts:
    rows = list(_rows(path))
    return [row["review"] for row in rows], np.array([row["label"] == "1" for row in rows])


def _rows(path: Path) -> Iterator[dict[str, str]]:
    with gzip.open(path, "rt", encoding="utf-8", newline="") as lines:
        yield from csv.DictReader(lines)


if __name__ == "__main__":
    main()
