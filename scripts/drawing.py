"""The pictures of README and docs/architecture.md, as SVG.

`source_tree`: floors, folders, files and their purposes as read from the source, and the four ways
through them, which are named here; `tests/test_architecture.py` holds each step to a module that
exists. `loop`: who uses the service, and what becomes of an event.
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
WIDTH, BOX, HIGH, GAP, LEFT = 1240, 184, 106, 12, 24
LOOP_WIDTH = 1060
STEPS = (
    ("Events", "clicks, calls, searches, surveys, in any order"),
    ("Context", "one compiled fold: history, emotion, stage"),
    ("Rules", "consent, caps, quiet hours, eligibility, with reasons"),
    ("Scores", "risk of leaving, chance of a yes for each action"),
    ("Decision", "one action drawn, its propensity logged"),
    ("Learning", "outcomes change the policy, and the context, within seconds"),
)
INK, FAINT, PAPER, BORDER = "#1d2430", "#5b6675", "#ffffff", "#c9d1db"
TINTS = {
    "serving": "#eef4fb",
    "training": "#f4effa",
    "features": "#eef8f0",
    "models": "#fdf4ea",
    "nba": "#f4f5f7",
}


def source_tree(folders: Sequence[Folder]) -> str:
    """The source tree; the same folders give the same text."""
    parts: list[str] = []
    y = _legend(parts, 8)
    for band in BANDS:
        y = _band(parts, band, folders, y)
    title = "The floors and folders of the source tree, and the ways through them"
    return _svg(parts, WIDTH, y, title)


def loop() -> str:
    """The loop: three users, one log, and the steps from an event to what is learned of it."""
    parts: list[str] = []
    users = (
        ("Channels", "web, app, IVR, branch, agent desktop", "serving"),
        ("Product owners", "the journey file: map, rules, values", "nba"),
        ("Data scientists", "models, experiments, MLflow", "training"),
    )
    wide = (LOOP_WIDTH - 2 * LEFT - 2 * GAP) // 3
    for n, (name, what, tint) in enumerate(users):
        x = LEFT + n * (wide + GAP)
        parts.append(_frame(x, 16, wide, 48, TINTS[tint]))
        parts.append(_text(x + wide // 2, 37, name, size=14, anchor="middle", bold=True))
        parts.append(_text(x + wide // 2, 54, what, size=12, anchor="middle", colour=FAINT))
    width = (LOOP_WIDTH - 2 * LEFT - GAP * (len(STEPS) - 1)) // len(STEPS)
    for n, (step, what) in enumerate(STEPS):
        x = LEFT + n * (width + GAP)
        tip = x + width + GAP - 3
        points = f"{x},88 {x + width},88 {tip},138 {x + width},188 {x},188 {x + GAP - 3},138"
        parts.append(f'<polygon points="{points}" fill="#e4eaf2" stroke="{BORDER}"/>')
        parts.append(_text(x + 18, 112, step, size=14, bold=True))
        for row, line in enumerate(wrap(what, 21)):
            parts.append(_text(x + 18, 132 + 15 * row, line, size=12, colour=FAINT))
    parts.append(_frame(LEFT, 212, LOOP_WIDTH - 2 * LEFT, 40, TINTS["features"]))
    log = "One log in PostgreSQL: events, decisions, outcomes, consents, versions; never edited"
    parts.append(_text(LOOP_WIDTH // 2, 237, log, size=13, anchor="middle"))
    for n in range(len(STEPS)):
        x = LEFT + n * (width + GAP) + width // 2
        parts.append(f'<path d="M{x} 190V210" stroke="{FAINT}" stroke-dasharray="3 3"/>')
    return _svg(parts, LOOP_WIDTH, 268, "From events to a decision, and what is learned of it")


def _svg(parts: Sequence[str], width: int, height: int, title: str) -> str:
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        f'font-family="system-ui, sans-serif" role="img" aria-label="{title}">'
    )
    paper = f'<rect width="{width}" height="{height}" fill="{PAPER}"/>'
    return "\n".join([head, paper, *parts, "</svg>", ""])


def _legend(parts: list[str], y: int) -> int:
    x = LEFT
    for letter, (name, colour, steps) in WAYS.items():
        parts.append(_badge(x + 14, y + 18, f"{letter}1", colour))
        text = f"the way of {name}, {letter}1 to {letter}{len(steps)}"
        parts.append(_text(x + 34, y + 22, text, size=13))
        x += 300
    note = "Within a package a folder imports only what stands after it; packages import downwards."
    parts.append(_text(LEFT, y + 46, note, size=12, colour=FAINT))
    return y + 58


def _band(parts: list[str], packages: Sequence[str], folders: Sequence[Folder], y: int) -> int:
    """The packages of one floor of the house side by side, their folders row by row."""
    width = (WIDTH - 2 * LEFT - GAP * (len(packages) - 1)) // len(packages)
    columns = (width - GAP) // (BOX + GAP)
    rows = [_rows(package, folders, columns) for package in packages]
    height = 34 + max(map(len, rows)) * (HIGH + GAP)
    for n, package in enumerate(packages):
        x = LEFT + n * (width + GAP)
        (root,) = (folder for folder in folders if folder.name == package)
        parts.append(_frame(x, y, width, height, TINTS[package]))
        parts.append(_text(x + GAP, y + 22, f"{package}/", size=15, bold=True))
        title = x + GAP + 16 + 10 * len(package)
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
    yield _frame(x, y, BOX, HIGH, PAPER)
    name = folder.name.partition(".")[2].replace(".", "/") or f"{folder.name}/*.py"
    yield _text(x + 8, y + 18, name, size=13, bold=True)
    yield _text(x + 8, y + HIGH - 8, f"{folder.rooms} files", size=10, colour=FAINT)
    says = folder.purpose if "." in folder.name else ", ".join(folder.files)
    for row, line in enumerate(wrap(says, 27)[:4]):
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


def _frame(x: int, y: int, width: int, height: int, fill: str) -> str:
    return (
        f'<rect x="{x}" y="{y}" width="{width}" height="{height}" rx="6" fill="{fill}" '
        f'stroke="{BORDER}"/>'
    )


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
