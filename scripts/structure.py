"""The structure of the source tree, read from its imports: folders, rooms, floors, arrows, lines.

    python -m scripts.structure                 a table of folders
    python -m scripts.structure --json           the same as JSON, the totals on the last line
    python -m scripts.structure --root FOLDER    of another checkout
    python -m scripts.structure --draw           the pictures of README and docs/architecture.md

Nothing is imported or run: files are parsed. Every import counts, those inside functions and under
TYPE_CHECKING too. A folder is a package or a package's subfolder, a room is one of its files. Its
floor is one above the highest folder that it imports; `arrows` are the folders that it imports.
"""

from __future__ import annotations

import argparse
import ast
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

PACKAGES = ("nba", "features", "models", "training", "serving")
ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Folder:
    """One folder: its files without `__init__`, and the folders of the tree that it imports."""

    name: str
    files: tuple[str, ...]
    lines: int
    floor: int
    arrows: tuple[str, ...]
    purpose: str  # the first line of what it says of itself

    @property
    def rooms(self) -> int:
        return len(self.files)


def sources(root: Path = ROOT) -> dict[str, Path]:
    """The file of each module of the five packages."""
    return {
        module_name(path.relative_to(root)): path
        for package in PACKAGES
        for path in sorted((root / package).rglob("*.py"))
    }


def module_name(path: Path) -> str:
    """The dotted name of a file, given from the root."""
    parts = list(path.with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imported(module: str, tree: ast.Module, modules: Mapping[str, Path]) -> frozenset[str]:
    """Every module that `module` imports, in full; `from a import b` is a.b where that is one."""
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                is_folder = modules[module].name == "__init__.py"
                own = module if is_folder else module.rpartition(".")[0]
                above = own.split(".")[: len(own.split(".")) - node.level + 1]
                base = ".".join([*above, base] if base else above)
            for alias in node.names:
                deeper = f"{base}.{alias.name}"
                found.add(deeper if deeper in modules else base)
    return frozenset(found)


def folder_of(module: str, modules: Mapping[str, Path]) -> str:
    """The folder that a module lies in, dotted."""
    return module if modules[module].name == "__init__.py" else module.rpartition(".")[0]


def folder_arrows(modules: Mapping[str, Path]) -> dict[str, dict[str, set[str]]]:
    """For each folder the folders that it imports, each with the modules that do."""
    arrows: dict[str, dict[str, set[str]]] = {}
    for module, path in modules.items():
        here = arrows.setdefault(folder_of(module, modules), {})
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for other in imported(module, tree, modules):
            if other in modules and (there := folder_of(other, modules)) != folder_of(
                module, modules
            ):
                here.setdefault(there, set()).add(module)
    return arrows


def circles(arrows: Mapping[str, Mapping[str, object]]) -> list[tuple[str, ...]]:
    """The groups of folders that reach each other, in order of their names."""
    reach = {folder: _reached(folder, arrows) for folder in arrows}
    groups = {
        tuple(sorted(other for other in reach[folder] if folder in reach[other]))
        for folder in arrows
        if folder in reach[folder]
    }
    return sorted(groups)


def _reached(start: str, arrows: Mapping[str, Mapping[str, object]]) -> set[str]:
    seen: set[str] = set()
    waiting = list(arrows[start])
    while waiting:
        folder = waiting.pop()
        if folder not in seen:
            seen.add(folder)
            waiting += arrows[folder]
    return seen


def floors(arrows: Mapping[str, Mapping[str, object]]) -> dict[str, int]:
    """The floor of each folder: 0 where it imports no other, else one above the highest of them.

    Folders of a circle stand on one floor.
    """
    together = {folder: set(group) for group in circles(arrows) for folder in group}
    known: dict[str, int] = {}

    def floor(folder: str) -> int:
        if folder not in known:
            group = together.get(folder, {folder})
            below = {other for member in group for other in arrows[member]} - group
            level = 1 + max(map(floor, below), default=-1)
            known.update(dict.fromkeys(group, level))
        return known[folder]

    return {folder: floor(folder) for folder in arrows}


def folders(root: Path = ROOT) -> list[Folder]:
    """Every folder of the tree in order of its name."""
    modules = sources(root)
    arrows = folder_arrows(modules)
    floor = floors(arrows)
    rooms: dict[str, list[Path]] = {}
    for module, path in modules.items():
        rooms.setdefault(folder_of(module, modules), []).append(path)
    return [
        Folder(
            name=name,
            files=tuple(path.stem for path in rooms[name] if path.name != "__init__.py"),
            lines=sum(len(path.read_text(encoding="utf-8").splitlines()) for path in rooms[name]),
            floor=floor[name],
            arrows=tuple(sorted(arrows[name])),
            purpose=_purpose(modules[name]),
        )
        for name in sorted(rooms)
    ]


def _purpose(package: Path) -> str:
    says = ast.get_docstring(ast.parse(package.read_text(encoding="utf-8"))) or ""
    return says.split("\n", 1)[0]


def totals(root: Path = ROOT) -> dict[str, object]:
    """Of the whole tree: folders, rooms, lines, arrows between folders, circles of folders."""
    every = folders(root)
    largest = max(every, key=lambda folder: folder.rooms)
    return {
        "folders": len(every),
        "rooms": sum(folder.rooms for folder in every),
        "lines": sum(folder.lines for folder in every),
        "arrows": sum(len(folder.arrows) for folder in every),
        "circles": [list(group) for group in circles(folder_arrows(sources(root)))],
        "most_rooms": {largest.name: largest.rooms},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--root", type=Path, default=ROOT, help="a checkout; this one by default")
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    parser.add_argument("--draw", action="store_true", help="write docs/pictures/*.svg")
    given = parser.parse_args()
    if given.draw:
        from scripts.drawing import loop, source_tree

        pictures = given.root / "docs" / "pictures"
        (pictures / "source_tree.svg").write_text(
            source_tree(folders(given.root)), encoding="utf-8"
        )
        (pictures / "loop.svg").write_text(loop(), encoding="utf-8")
        return
    for folder in folders(given.root):
        if given.json:
            print(json.dumps(asdict(folder)))
        else:
            print(
                f"{folder.name:32} {folder.rooms:3} rooms {folder.lines:6,} lines  "
                f"floor {folder.floor:2}  imports {', '.join(folder.arrows) or 'nothing'}"
            )
    print(json.dumps(totals(given.root)))


if __name__ == "__main__":
    main()
