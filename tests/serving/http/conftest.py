"""What the tests of this folder share."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from serving.jobs.server import free_port
from serving.settings import Settings
from tests.fixtures.files import ROOT
from tests.fixtures.routes_in_process import InProcess
from tests.fixtures.service_process import JOURNEY, Service


@pytest.fixture(scope="module")
def service(shared_data_folder: Path) -> Iterator[Service]:
    settings = Settings(
        deadline_ms=20_000.0,  # a busy machine is no outage
        home=shared_data_folder,
        journey=JOURNEY,
        port=free_port("127.0.0.1"),
        reload_s=0.2,
    )
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("NBA_")}
    output = shared_data_folder / "service.log"
    with output.open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-c", "from serving.cli import main; main()", "serve"],
            cwd=ROOT,
            env={**inherited, **settings.environ()},
            stdout=log,
            stderr=log,
        )
    with httpx.Client(base_url=f"http://127.0.0.1:{settings.port}", timeout=30) as client:
        service = Service(settings, process, client, output)
        try:
            service.until(service.is_ready)
            yield service
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(settings.shutdown_s + 10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


@pytest.fixture(scope="module")
def client(shared_client: InProcess) -> Iterator[InProcess]:
    """Routes with one decision in the log, dec-1."""
    assert shared_client.decide()["decision_id"] == "dec-1"
    yield shared_client
