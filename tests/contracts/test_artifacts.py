"""What every log promises of snapshots and bundles."""

from __future__ import annotations

from nba.stores.log import Log, Snapshot
from tests.fixtures.log_records import at_once
from tests.fixtures.small_replica import NOON


def snapshot(seq: int, state: bytes, customer_id: str = "ada", kernel: str = "k") -> Snapshot:
    return Snapshot(customer_id=customer_id, kernel=kernel, seq=seq, state=state)


def test_a_newer_snapshot_replaces_an_older_one_only(log: Log) -> None:
    log.save_snapshots([snapshot(5, b"five")])
    log.save_snapshots([snapshot(4, b"four")])
    assert log.snapshots(["ada", "bob"], "k") == {"ada": snapshot(5, b"five")}
    log.save_snapshots([snapshot(7, b"seven\x00"), snapshot(6, b"six"), snapshot(1, b"b", "bob")])
    assert log.snapshots(["ada", "bob"], "k") == {
        "ada": snapshot(7, b"seven\x00"),
        "bob": snapshot(1, b"b", "bob"),
    }
    log.save_snapshots([])


def test_a_snapshot_keeps_its_ledger(log: Log) -> None:
    first = Snapshot(customer_id="ada", kernel="k", seq=5, state=b"s", contact_history=b"\x00[1]")
    log.save_snapshots([first, snapshot(5, b"bob", "bob")])
    assert log.snapshots(["ada", "bob"], "k") == {"ada": first, "bob": snapshot(5, b"bob", "bob")}
    log.save_snapshots([snapshot(6, b"t")])
    assert log.snapshots(["ada"], "k")["ada"].contact_history == b""


def test_each_kernel_has_its_own_snapshots(log: Log) -> None:
    log.save_snapshots([snapshot(5, b"old"), snapshot(3, b"new", kernel="l")])
    assert log.snapshots(["ada"], "l") == {"ada": snapshot(3, b"new", kernel="l")}
    assert log.snapshots(["ada"], "m") == {}


def test_racing_snapshots_leave_the_newest(log: Log) -> None:
    names = [f"c{number}" for number in range(20)]

    def save(number: int) -> None:
        order = names[:: 1 if number % 2 else -1]
        for seq in range(5):
            log.save_snapshots([snapshot(seq * 8 + number, b"s", name) for name in order])

    at_once(save)
    assert {one.seq for one in log.snapshots(names, "k").values()} == {4 * 8 + 7}


def test_a_bundle_is_kept_as_it_was_first_saved(log: Log) -> None:
    files = {"manifest.json": b"{}", "große.bin": bytes(range(256)) * 4096, "empty": b""}
    log.save_bundle("b", files)
    log.save_bundle("b", {"manifest.json": b"other"})
    found = log.bundle("b")
    assert found is not None and (found.bundle_id, found.files) == ("b", files)
    log.save_bundle("bare", {})
    bare = log.bundle("bare")
    assert bare is not None and bare.files == {}


def test_a_stripped_bundle_keeps_its_name_unless_an_alias_points_at_it(log: Log) -> None:
    for name in ("old", "served", "unnamed"):
        log.save_bundle(name, {"sums": b"1"})
    log.set_alias("policy", "old", NOON)
    log.set_alias("policy", "served", NOON)
    log.strip_bundles(["old", "served", "unheard"])
    log.strip_bundles([])
    found = [log.bundle(one) for one in ("old", "served", "unnamed", "unheard")]
    assert [one and one.files for one in found] == [{}, {"sums": b"1"}, {"sums": b"1"}, None]
    assert [change.after for change in log.alias_changes("policy")] == ["served", "old"]
    log.set_alias("policy", "old", NOON)
