"""Who runs a private PostgreSQL: ourselves, or where we are root somebody who is said aloud."""

from __future__ import annotations

import logging
import os
import pwd
import sys
from pathlib import Path

import pytest

from nba.errors import StoreUnavailable
from nba.stores.postgres import system_user as module
from nba.stores.postgres.system_user import SystemUser, system_user

NOBODY = pwd.getpwnam("nobody").pw_uid
only_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root runs it as another user")


@only_root
def test_where_root_can_make_no_user_nobody_runs_it_and_that_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "_ROOTS_USER", "no:such")  # useradd refuses the name
    with caplog.at_level(logging.WARNING):
        assert system_user(tmp_path / "postgres").uid == NOBODY
    [message] = caplog.messages
    assert message.startswith("PostgreSQL runs as the user nobody: it does not run as root, and")
    assert "no user no:such can be made: useradd failed: useradd: invalid user name" in message


@only_root
def test_data_that_is_there_is_run_by_who_owns_it(tmp_path: Path) -> None:
    data = tmp_path / "postgres"
    data.mkdir()
    os.chown(data, NOBODY, -1)
    assert system_user(data).uid == NOBODY


def test_an_ordinary_user_runs_it_but_not_the_data_of_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = tmp_path / "postgres"
    monkeypatch.setattr(os, "geteuid", lambda: NOBODY)
    assert system_user(data).become == {}
    data.mkdir()
    monkeypatch.setattr(os, "geteuid", lambda: NOBODY - 1)
    with pytest.raises(StoreUnavailable, match=r"belongs to user id \d+: .* set NBA_HOME"):
        system_user(data)


def test_a_user_id_without_an_entry_is_named_with_the_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 4_000_001)
    with pytest.raises(StoreUnavailable, match="user id 4000001 has no entry .* NBA_DATABASE_URL"):
        system_user(tmp_path / "postgres")


def test_a_program_that_is_not_there_fails_in_one_line() -> None:
    with pytest.raises(StoreUnavailable, match="/no/such cannot be run: No such file"):
        SystemUser(os.geteuid(), os.getegid(), {}).run(["/no/such"])
    code = "import sys; sys.exit('broken')"
    with pytest.raises(StoreUnavailable, match="failed: broken"):
        SystemUser(os.geteuid(), os.getegid(), {}).run([sys.executable, "-c", code])


def test_a_full_disk_is_one_line_with_the_remedy() -> None:
    said = "echo 'FATAL:  could not write: No space left on device' >&2; echo child >&2; exit 1"
    with pytest.raises(StoreUnavailable) as raised:
        SystemUser(os.geteuid(), os.getegid(), {}).run(["/bin/sh", "-c", said])
    assert str(raised.value).startswith("sh failed: could not write: No space left on device: make")
    assert "\n" not in str(raised.value)
