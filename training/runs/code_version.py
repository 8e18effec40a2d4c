"""Which code has trained: the commit of a checkout, else the version of the package."""

from __future__ import annotations

import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

ROOT = Path(__file__).parents[2]
_ASK = ("describe", "--always", "--dirty", "--abbrev=40", "--exclude=*")


def code_version(root: Path = ROOT) -> str:
    """`git:<commit>`, with `-dirty` where files differ from it, or `nba <version>`."""
    if (root / ".git").exists():
        try:
            described = subprocess.run(
                ["git", "-C", str(root), *_ASK], capture_output=True, text=True, timeout=10
            )
        except (OSError, subprocess.TimeoutExpired):
            described = None
        if described is not None and described.returncode == 0:
            return f"git:{described.stdout.strip()}"
    try:
        return f"nba {version('nba')}"
    except PackageNotFoundError:
        return "unknown"
