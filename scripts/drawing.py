"""The picture of docs/architecture.md: floors, folders and the four ways through them, as SVG.

Floors, folders, rooms and their purposes are read from the source; the ways are named here, and
`tests/test_architecture.py` holds each step to a module that exists.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from html import escape
from textwrap import wrap

from scripts.structure import Folder

# each step is a module; the folders that it lies in get the way's badge
WAYS: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "E": (
        "an event",
        "#1a6fb0",
        (
            "serving.http.routes",
            "serving.api.handlers",
            "nba.events.event",
            "nba.stores.postgres.log",
            "features.fold",
            "nba.customer.context",
        ),
    ),
    "D": (
        "a decision",
        "#b3401a",
        (
            "serving.http.routes",
            "serving.api.handlers",
            "nba.engine.pipeline",
            "features.context_store",
            "nba.governance.governor",
            "models.bundles.scorer",
            "nba.engine.arbitration",
            "models.policies",
            "nba.decisions.decision",
            "nba.stores.postgres.log",
        ),
    ),
    "O": (
        "an outcome",
        "#2c7a3f",
        (
            "serving.http.routes",
            "nba.stores.postgres.log",
            "nba.rewards.attribution",
            "models.learning.learner",
            "models.residual.sums",
            "serving.replica.replica",
        ),
    ),
    "M": (
        "a model",
        "#7a3fa0",
        (
            "training.data.history",
            "training.fitting.fit",
            "training.gates.gates",
            "training.runs.promote",
            "nba.promotion.rollout",
            "models.bundles.bundle",
            "serving.replica.replica",
        ),
    ),
}
BANDS = (("serving",), ("training",), ("features", "models"), ("nba",))
WIDTH, BOX, HIGH, GAP, LEFT = 1240, 184, 92, 12, 24
LOOP = (
    "events",
    "context and emotion",
    "risk and scores",
    "one governed, explained decision",
    "outcome",
    "learning",
)
INK, FAINT, PAPER, BORDER = "#1d2430", "#5b6675", "#ffffff", "#c9d1db"
TINTS = {
    "serving": "#eef4fb",
    "training": "#f4effa",
    "features": "#eef8f0",
    "models": "#fdf4ea",
    "nba": "#f4f5f7",
}


def drawn(folders: Sequence[Folder]) -> str:
    """The picture; the same folders give the same text."""
    parts: list[str] = []
    y = _loop(parts)
    y = _legend(parts, y)
    for band in BANDS:
        y = _band(parts, band, folders, y)
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {y}" '
            'font-family="system-ui, sans-serif" role="img" '
            'aria-label="The floors and folders of the source tree, and the ways through them">',
            f'<rect width="{WIDTH}" height="{y}" fill="{PAPER}"/>',
            *parts,
            "</svg>",
            "",
        ]
    )


def _loop(parts: list[str]) -> int:
    """The loop on one line; gives where the next part begins."""
    width = (WIDTH - 2 * LEFT - GAP * (len(LOOP) - 1)) // len(LOOP)
    for n, step in enumerate(LOOP):
        x = LEFT + n * (width + GAP)
        tip = x + width + GAP - 3
        points = f"{x},20 {x + width},20 {tip},38 {x + width},56 {x},56 {x + GAP - 3},38"
        parts.append(f'<polygon points="{points}" fill="#e4eaf2" stroke="{BORDER}"/>')
        lines = wrap(step, 24)
        for row, line in enumerate(lines):
            at = 42 + 14 * row - 7 * (len(lines) - 1)
            parts.append(_text(x + width // 2 + 4, at, line, size=13, anchor="middle"))
    return 66


def _legend(parts: list[str], y: int) -> int:
    x = LEFT
    for letter, (name, colour, steps) in WAYS.items():
        parts.append(_badge(x + 14, y + 18, f"{letter}1", colour))
        text = f"the way of {name}, {letter}1 to {letter}{len(steps)}"
        parts.append(_text(x + 34, y + 22, text, size=13))
        x += 250
    note = "a folder imports only what stands after it"
    parts.append(_text(WIDTH - LEFT, y + 42, note, size=12, colour=FAINT, anchor="end"))
    return y + 50


def _band(parts: list[str], packages: Sequence[str], folders: Sequence[Folder], y: int) -> int:
    """The packages of one floor of the house side by side, their folders row by row."""
    width = (WIDTH - 2 * LEFT - GAP * (len(packages) - 1)) // len(packages)
    columns = (width - GAP) // (BOX + GAP)
    rows = [_rows(package, folders, columns) for package in packages]
    height = 34 + max(map(len, rows)) * (HIGH + GAP)
    for n, package in enumerate(packages):
        x = LEFT + n * (width + GAP)
        (root,) = (folder for folder in folders if folder.name == package)
        parts.append(
            f'<rect x="{x}" y="{y}" width="{width}" height="{height}" rx="8" '
            f'fill="{TINTS[package]}" stroke="{BORDER}"/>'
        )
        parts.append(_text(x + GAP, y + 22, f"{package}/", size=15, bold=True))
        title = x + GAP + 14 + 9 * len(package)
        parts.append(_text(title, y + 22, root.purpose, size=12, colour=FAINT))
        for row, members in enumerate(rows[n]):
            for column, folder in enumerate(members):
                left, top = x + GAP + column * (BOX + GAP), y + 34 + row * (HIGH + GAP)
                parts += _box(folder, left, top)
    return y + height + GAP


def _rows(package: str, folders: Sequence[Folder], columns: int) -> list[list[Folder]]:
    """Folders of a package, the highest floor first, at most so many in a row."""
    own = [f for f in folders if f.name.split(".")[0] == package and _shown(f)]
    ordered = sorted(own, key=lambda folder: (-folder.floor, folder.name))
    return [ordered[n : n + columns] for n in range(0, len(ordered), columns)]


def _shown(folder: Folder) -> bool:
    """Not the folders that only hold others, and not the migrations."""
    return folder.rooms > 0 and "migrations" not in folder.name


def _box(folder: Folder, x: int, y: int) -> Iterator[str]:
    yield (
        f'<rect x="{x}" y="{y}" width="{BOX}" height="{HIGH}" rx="5" fill="{PAPER}" '
        f'stroke="{BORDER}"/>'
    )
    name = folder.name.partition(".")[2].replace(".", "/") or f"{folder.name}/*.py"
    yield _text(x + 8, y + 18, name, size=13, bold=True)
    yield _text(x + 8, y + HIGH - 8, f"{folder.rooms} files", size=10, colour=FAINT)
    for row, line in enumerate(wrap(folder.purpose, 30)[:3]):
        yield _text(x + 8, y + 34 + 13 * row, line, size=11, colour=FAINT)
    for n, (badge, colour) in enumerate(_badges(folder.name)):
        yield _badge(x + BOX - 16 - 26 * n, y + HIGH - 6, badge, colour)


def _badges(folder: str) -> Iterable[tuple[str, str]]:
    for letter, (_, colour, steps) in WAYS.items():
        for n, module in enumerate(steps, start=1):
            if folder in (module, module.rpartition(".")[0]) and _nearest(folder, module):
                yield f"{letter}{n}", colour


def _nearest(folder: str, module: str) -> bool:
    """A step that is a folder itself belongs to that folder and not to the one above."""
    return folder == module or module != "models.policies"


def _badge(x: int, y: int, text: str, colour: str) -> str:
    return (
        f'<rect x="{x - 13}" y="{y - 9}" width="26" height="16" rx="8" fill="{colour}"/>'
        + _text(x, y + 3, text, size=10, colour=PAPER, anchor="middle", bold=True)
    )


def _text(
    x: int,
    y: int,
    text: str,
    *,
    size: int,
    colour: str = INK,
    anchor: str = "start",
    bold: bool = False,
) -> str:
    weight = ' font-weight="600"' if bold else ""
    return (
        f'<text x="{x}" y="{y}" font-size="{size}" fill="{colour}" '
        f'text-anchor="{anchor}"{weight}>{escape(text)}</text>'
    )
