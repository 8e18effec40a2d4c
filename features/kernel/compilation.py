"""How the kernel's functions are compiled, and where the compiled code is kept."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from numba import njit
from numba.core import config

# Arrays are lent from call to call and never made inside: without reference counting of them
# the fold is three times as fast.
_OPTIONS: dict[str, Any] = {"nogil": True, "_nrt": False}


def compiled(function: Callable[..., Any]) -> Any:
    """Compile and cache; where no folder can be written, compile without a cache."""
    try:
        return njit(cache=True, **_OPTIONS)(function)
    except RuntimeError:
        return njit(**_OPTIONS)(function)


def compiled_sources() -> list[Path]:
    """The files of this folder, and those of `nba` whose constants they compile in."""
    here = Path(__file__).parent
    own = sorted(here.glob("*.py"))
    text = "\n".join(file.read_text(encoding="utf-8") for file in own)
    modules = sorted(set(re.findall(r"^from (nba\.[\w.]+) import", text, re.MULTILINE)))
    return own + [
        here.parents[1].joinpath(*module.split(".")).with_suffix(".py") for module in modules
    ]


def _separate_caches() -> None:
    """A cache of its own for these very sources: numba looks at one file's date alone, and would
    run a kernel compiled with an older detector."""
    content = b"".join(file.read_bytes() for file in compiled_sources())
    digest = hashlib.sha256(content).hexdigest()[:12]
    base = Path(getattr(config, "CACHE_DIR", "") or Path(__file__).parent / "__pycache__")
    setattr(config, "CACHE_DIR", str(base / digest))  # noqa: B010


_separate_caches()
