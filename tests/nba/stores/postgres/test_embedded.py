"""The private PostgreSQL of a data folder: started, joined, killed, stopped."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import psutil
import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from nba.errors import UnknownSchema
from nba.events.event import Event
from nba.stores.postgres import embedded, schema
from nba.stores.postgres.log import PostgresLog
from tests.fixtures.files import ROOT

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture
def folder(shared_data_folder: Path) -> Path:
    """A data folder whose server the tests of this file start, kill and stop."""
    return shared_data_folder


def postmaster(folder: Path) -> int:
    return int((folder / "postgres" / "postmaster.pid").read_text().splitlines()[0])


def answers(url: str) -> bool:
    with psycopg.connect(url) as connection:
        return connection.execute("SELECT 1").fetchone() == (1,)


def elsewhere(call: str, folder: Path) -> str:
    """What another process prints for `call`."""
    program = (
        "import sys; from pathlib import Path; from nba.stores.postgres import embedded; "
        f"print(embedded.{call}(Path(sys.argv[1])))"
    )
    words = [sys.executable, "-W", "error", "-c", program, str(folder)]
    here = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        words, check=True, capture_output=True, text=True, env=here
    ).stdout.strip()


def test_a_second_process_joins_the_running_server(folder: Path) -> None:
    url = embedded.start(folder)
    before = postmaster(folder)
    assert elsewhere("start", folder) == url == embedded.start(folder)
    assert postmaster(folder) == before  # and the other process's end has not stopped it
    assert answers(url)


def test_the_server_is_out_of_reach_of_the_terminals_signals(folder: Path) -> None:
    embedded.start(folder)
    assert os.getsid(postmaster(folder)) != os.getsid(0)
    assert os.getpgid(postmaster(folder)) != os.getpgid(0)


def test_only_its_own_user_can_reach_data_and_socket(folder: Path) -> None:
    url = embedded.start(folder)
    assert stat.S_IMODE((folder / "postgres").stat().st_mode) == 0o700
    with psycopg.connect(url) as connection:
        assert connection.execute("SHOW listen_addresses").fetchone() == ("",)
        assert connection.execute("SHOW unix_socket_permissions").fetchone() == ("0700",)


def test_a_killed_server_is_started_again_with_all_it_had_acknowledged(folder: Path) -> None:
    url = embedded.start(folder)
    schema.migrate(url)
    log = PostgresLog.open(url)
    for number in range(50):
        log.append_events(
            [
                Event(
                    event_id=str(number),
                    customer_id="ada",
                    name="Seen",
                    occurred_at=NOON,
                    received_at=NOON,
                )
            ]
        )
    os.kill(postmaster(folder), signal.SIGKILL)
    assert embedded.start(folder) == url
    assert [event.event_id for event in log.page_events()] == [str(number) for number in range(50)]
    log.close()


def test_a_pid_that_belongs_to_another_program_is_not_the_server(folder: Path) -> None:
    url = embedded.start(folder)
    assert embedded.stop(folder)
    mark = folder / "postgres" / "postmaster.pid"
    mine = "\n".join([str(os.getpid()), str(mark.parent), "1", "5432", str(mark.parent), "", "0 0"])
    mark.write_text(mine + "\nready\n")
    assert embedded.stop(folder) is False  # and does not signal us
    assert embedded.start(folder) == url
    assert answers(url)


def test_it_stops_from_another_process_and_stops_once(folder: Path) -> None:
    embedded.start(folder)
    process = psutil.Process(postmaster(folder))
    assert elsewhere("stop", folder) == "True"
    assert not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    assert embedded.stop(folder) is False
    assert answers(embedded.start(folder))


def test_it_stops_if_unused_only_when_nobody_is_connected(folder: Path) -> None:
    with psycopg.connect(embedded.start(folder)):
        assert embedded.stop_if_unused(folder) is False
    assert embedded.stop_if_unused(folder) is True
    assert embedded.stop_if_unused(folder) is False


def test_a_log_that_was_just_closed_does_not_count_as_a_user(folder: Path) -> None:
    url = embedded.start(folder)
    schema.migrate(url)
    PostgresLog.open(url).close()
    assert embedded.stop_if_unused(folder) is True


def test_a_folder_without_a_server_has_nothing_to_stop(data_folder: Path) -> None:
    assert embedded.stop(data_folder / "none") is False
    assert embedded.stop_if_unused(data_folder / "none") is False
    assert not (data_folder / "none").exists()


def test_a_path_too_long_for_a_socket_works(data_folder: Path) -> None:
    deep = data_folder.joinpath(*["a folder with 'quotes'"] * 5)
    try:
        url = embedded.start(deep)
        assert answers(url)
        assert "host=/tmp/nba-" in url
    finally:
        assert embedded.stop(deep) is True
    assert not Path(str(conninfo_to_dict(url)["host"])).exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root runs the server as another user")
def test_a_private_folder_is_opened_for_passing_through_only(data_folder: Path) -> None:
    home = data_folder / "home"
    home.mkdir(mode=0o700)
    try:
        assert answers(embedded.start(home / "data"))
        assert stat.S_IMODE(home.stat().st_mode) == 0o701
    finally:
        embedded.stop(home / "data")


def test_a_creation_that_was_cut_short_is_begun_again(data_folder: Path) -> None:
    (data_folder / "postgres.unfinished").mkdir()
    (data_folder / "postgres.unfinished" / "PG_VERSION").write_text("18\n")
    try:
        assert answers(embedded.start(data_folder))
        assert not (data_folder / "postgres.unfinished").exists()
    finally:
        embedded.stop(data_folder)


def test_data_of_another_postgresql_is_refused_with_the_remedy(data_folder: Path) -> None:
    (data_folder / "postgres").mkdir()
    (data_folder / "postgres" / "PG_VERSION").write_text("9.6\n")
    with pytest.raises(UnknownSchema, match=r"written by PostgreSQL 9\.6.*use a new data folder"):
        embedded.start(data_folder)
