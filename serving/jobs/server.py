"""The server process: BentoML as a child, ended with what it accepted finished."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from nba.errors import InvalidInput, StoreUnavailable
from nba.journey_file.loader import load_journey
from nba.promotion.catalogue_versions import IN_FORCE
from serving.console import console
from serving.replica.assembly import close_log, open_log
from serving.settings import Settings

READY_S = 180.0  # a first start compiles the kernel


def serve_until_stopped(settings: Settings) -> int:
    """Serve in the foreground; gives the exit code.

    What cannot work is said before anything starts: raises InvalidFile, UnknownSchema,
    StoreUnavailable.
    """
    check_first(settings)
    child = start(settings)

    def hand_on(number: int, frame: Any) -> None:
        child.send_signal(signal.SIGTERM)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, hand_on)
    code = child.wait()
    return 0 if code in (0, -signal.SIGTERM) else abs(code)


def check_first(settings: Settings) -> None:
    """Raise what would stop every worker: a wrong journey file, a taken port, no log."""
    version = load_journey(settings.journey).catalogue_version()
    if not is_free(settings.host, settings.port):
        remedy = f"{settings.host} cannot be listened on there; stop what does, or choose another"
        raise InvalidInput("NBA_PORT", settings.port, remedy)
    try:
        socket.getaddrinfo("localhost", None)
    except OSError:
        remedy = "add the line `127.0.0.1 localhost` to /etc/hosts"
        raise InvalidInput("localhost", "no address", remedy) from None
    log = open_log(settings)
    published = log.alias(IN_FORCE)
    close_log(settings, log)
    if published not in (None, version):
        console.print(
            f"{settings.journey} is not what is in force, which is {published}: nba publish it, or "
            "nba changes to see who published what",
            highlight=False,
        )


def start(settings: Settings, log: Path | None = None) -> subprocess.Popen[bytes]:
    """Start the server; its output goes to `log`, or to this process's."""
    command = [
        sys.executable,
        "-m",
        "bentoml",
        "serve",
        "serving.http.service:NextBestAction",
        "--host",
        settings.host,
        "--port",
        str(settings.port),
        "--timeout-graceful-shutdown",
        str(settings.shutdown_s),
    ]
    output = log.open("ab") if log is not None else None
    try:
        # its own session: Ctrl-C reaches this process, which ends the child in order
        return subprocess.Popen(
            command,
            env={**os.environ, **settings.environ()},
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    finally:
        if output is not None:
            output.close()


@contextmanager
def running(settings: Settings, log: Path) -> Iterator[str]:
    """A server for the length of the block; yields its URL.

    Raises StoreUnavailable, with the end of its log, where it does not come up.
    """
    check_first(settings)
    child = start(settings, log)
    url = f"http://{settings.host}:{settings.port}"
    try:
        _wait(child, url, log)
        yield url
    finally:
        child.send_signal(signal.SIGTERM)
        try:
            child.wait(settings.shutdown_s + 10)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


def _wait(child: subprocess.Popen[bytes], url: str, log: Path) -> None:
    until = time.monotonic() + READY_S
    while time.monotonic() < until and child.poll() is None:
        try:
            if httpx.get(f"{url}/readyz", timeout=2).status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.2)
    tail = log.read_text(errors="replace")[-2000:] if log.exists() else ""
    raise StoreUnavailable(f"the service did not come up at {url}; its log {log} ends:\n{tail}")


def is_free(host: str, port: int) -> bool:
    """Whether a server can listen there now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def free_port(host: str) -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])
