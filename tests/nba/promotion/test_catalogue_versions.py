"""The catalogue in the log: published, rolled back, taken up by a replica that runs."""

from __future__ import annotations

import logging
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from nba.errors import InvalidInput, NotFound
from nba.journey.file import JourneyFile
from nba.journey_file.loader import load_journey
from nba.promotion import catalogue_versions as catalogue
from nba.stores.log import Log
from nba.stores.memory.log import MemoryLog
from serving.replica.assembly import assemble
from serving.settings import Settings
from tests.fixtures.files import SMALL_JOURNEY
from tests.fixtures.governed_routes import GOVERNED, RESCUED, action_of, checked, routes_on
from tests.fixtures.outages import a_log_without_a_usable_champion
from tests.fixtures.routes_in_process import InProcess
from tests.fixtures.small_replica import JOURNEY, NOON, advance

SPRING = checked(replace(JOURNEY, name="spring", fallback=["card_offer"]))
SUMMER = checked(replace(JOURNEY, name="summer", fallback=[]))
COMPLAINT = {"name": "Complaint Filed"}


def publish(log: Log, *journeys: JourneyFile) -> list[str]:
    """Put them in force one after the other, an hour apart; their versions."""
    return [
        catalogue.publish(
            log, journey, NOON + timedelta(hours=n), by="ada", why=f"try {journey.name}"
        )
        for n, journey in enumerate(journeys)
    ]


def roll_back(log: Log, **fields: Any) -> str:
    return catalogue.roll_back(log, NOON + timedelta(days=1), by="bob", why="", **fields)


# Versions


def test_what_was_published_is_read_back_as_it_was_and_says_who_and_why() -> None:
    log = MemoryLog()
    spring, summer = publish(log, SPRING, SUMMER)
    assert (spring, summer) == (SPRING.catalogue_version(), SUMMER.catalogue_version())
    assert catalogue.stored_journey(log, spring) == SPRING
    assert log.alias(catalogue.IN_FORCE) == summer
    assert [
        (change.before, change.after, change.by, change.why) for change in catalogue.changes(log)
    ] == [
        (spring, summer, "ada", "try summer"),
        (None, spring, "ada", "try spring"),
    ]
    assert catalogue.changes(log, 1)[0].at == NOON + timedelta(hours=1)


def test_the_traits_keep_the_order_of_the_file_since_the_columns_follow_it() -> None:
    log = MemoryLog()
    journey = load_journey(SMALL_JOURNEY)
    assert list(journey.traits) != sorted(journey.traits)
    stored = catalogue.stored_journey(log, catalogue.keep(log, journey))
    assert list(stored.traits) == list(journey.traits)
    assert stored.catalogue_version() == journey.catalogue_version()


def test_a_rollback_puts_the_one_before_in_force_or_the_one_that_is_named() -> None:
    log = MemoryLog()
    spring, summer, small = publish(log, SPRING, SUMMER, JOURNEY)
    assert roll_back(log) == summer
    assert log.alias(catalogue.IN_FORCE) == summer
    assert roll_back(log, to=spring) == spring
    (last, before, *_) = catalogue.changes(log)
    assert (last.by, last.why) == ("bob", f"rollback from {summer}")
    assert (before.before, before.after) == (small, summer)


def test_a_version_that_was_published_twice_in_a_row_is_one_step_back() -> None:
    log = MemoryLog()
    spring, summer, _ = publish(log, SPRING, SUMMER, SUMMER)
    assert roll_back(log) == spring
    assert log.alias(catalogue.IN_FORCE) == spring


def test_before_the_first_that_was_published_is_the_file_that_served() -> None:
    log = MemoryLog()
    for hours, journey in ((3, SUMMER), (2, JOURNEY)):  # the file of a service, and the one after
        catalogue.note_served(log, journey, NOON - timedelta(hours=hours))
    publish(log, SPRING)
    catalogue.note_served(log, SPRING, NOON + timedelta(seconds=2))
    assert roll_back(log) == JOURNEY.catalogue_version()
    assert catalogue.journey_in_force(SMALL_JOURNEY, log) == JOURNEY
    with pytest.raises(NotFound, match="no catalogue was in force before this one"):
        roll_back(log)


def test_a_command_on_a_file_of_its_own_does_not_become_the_file_that_served() -> None:
    log = MemoryLog()
    catalogue.note_served(log, JOURNEY, NOON - timedelta(hours=2))
    tried = assemble(  # as `nba decide` on the file that is to be published
        Settings(),
        log=log,
        journey=SPRING,
        now=lambda: NOON - timedelta(hours=1),
        by=catalogue.COMMAND,
    )
    assert catalogue.stored_journey(log, SPRING.catalogue_version()) == SPRING  # it can be replayed
    tried.close()
    publish(log, SPRING)
    assert roll_back(log) == JOURNEY.catalogue_version()


def test_a_service_that_takes_up_what_a_command_had_tried_has_served_it() -> None:
    log = MemoryLog()
    for hours, by in ((3, catalogue.COMMAND), (2, catalogue.SERVICE), (1, catalogue.COMMAND)):
        catalogue.note_served(log, JOURNEY, NOON - timedelta(hours=hours), by=by)
    publish(log, SPRING)
    assert roll_back(log) == JOURNEY.catalogue_version()
    assert [change.by for change in log.alias_changes(catalogue.SERVED)] == ["service", "command"]


def test_going_back_twice_goes_two_steps_back_and_never_to_what_was_taken_back() -> None:
    log = MemoryLog()
    spring, summer, _ = publish(log, SPRING, SUMMER, JOURNEY)
    assert [roll_back(log), roll_back(log)] == [summer, spring]


def test_what_cannot_be_put_in_force_is_refused_and_nothing_changes() -> None:
    log = MemoryLog()
    with pytest.raises(NotFound, match="publish one"):
        roll_back(log)
    (spring,) = publish(log, SPRING)
    with pytest.raises(NotFound, match="no catalogue was in force before this one"):
        roll_back(log)
    with pytest.raises(NotFound, match="catalogue-none: no catalogue of this version"):
        roll_back(log, to="catalogue-none")
    log.save_bundle("catalogue-old", {catalogue.FILE: b'{"version": 0}'})
    with pytest.raises(InvalidInput, match="written by another program version"):
        roll_back(log, to="catalogue-old")
    assert log.alias(catalogue.IN_FORCE) == spring


def test_the_file_counts_only_until_something_was_published() -> None:
    log = MemoryLog()
    file = load_journey(SMALL_JOURNEY)
    settings = Settings(journey=SMALL_JOURNEY)
    assert catalogue.journey_in_force(SMALL_JOURNEY, log) == file
    assert assemble(settings, log=log).engine.journey == file
    publish(log, SPRING)
    assert catalogue.journey_in_force(SMALL_JOURNEY, log) == SPRING
    assert assemble(settings, log=log).engine.journey == SPRING
    assert assemble(Settings(journey=Path("/nowhere.yaml")), log=log).engine.journey == SPRING


# A replica that runs


def told(client: InProcess, name: str, customer_id: str = "ada", **properties: Any) -> None:
    event = {"customer_id": customer_id, "name": name, "properties": properties}
    assert client.post("/events", json=event).json()["accepted"] == 1


def test_a_running_house_takes_up_what_was_published_and_keeps_what_it_knows() -> None:
    with routes_on(a_log_without_a_usable_champion(), JOURNEY) as client:
        told(client, "identify", segment="mass")
        told(client, "Products Searched", results_count=0)
        before = client.decide()
        assert action_of(before) == "help_popup"
        spring, summer = publish(client.log, SPRING, SUMMER)
        assert client.decide()["config_version"] == JOURNEY.catalogue_version()
        roll_back(client.log)
        assert client.replica.reload()
        after = client.decide()
        assert (after["config_version"], action_of(after)) == (spring, "card_offer")
        assert client.get("/readyz").status_code in (200, 404)
        assert client.replica.engine.contexts.cached() == ["ada"]
        assert client.get("/customers/ada").json()["traits"]["segment"] == "mass"
        for answer in (before, after):
            replay = client.post(f"/decisions/{answer['decision_id']}/replay").json()
            assert (replay["differs"], replay["config_version"]) == (
                [], answer["config_version"],
            )  # fmt: skip
        catalogue.roll_back(client.log, NOON, by="bob", why="", to=summer)
        assert client.replica.reload()
        assert client.decide()["no_action"] is True


@pytest.mark.parametrize(
    "files",
    [{}, {catalogue.FILE: b"{"}, {catalogue.FILE: b'{"version": 1, "name": "x"}'},
     {catalogue.FILE: msgspec.json.encode(replace(JOURNEY, fallback=["nothing_such"]))}],
)  # fmt: skip
def test_a_catalogue_that_cannot_be_read_leaves_the_present_one_in_force(
    files: dict[str, bytes], caplog: pytest.LogCaptureFixture
) -> None:
    with routes_on(MemoryLog(), GOVERNED) as client:
        client.log.save_bundle("catalogue-bad", files)
        client.log.set_alias(catalogue.IN_FORCE, "catalogue-bad", NOON)
        with caplog.at_level(logging.WARNING, "nba.serving"):
            client.replica.reload()
        assert "the catalogue stays as it is: " in caplog.text
        assert client.decide()["config_version"] == GOVERNED.catalogue_version()
        (spring,) = publish(client.log, SPRING)
        client.replica.reload()
        assert client.decide()["config_version"] == spring


def test_who_is_in_a_sub_journey_finishes_on_the_one_that_she_entered() -> None:
    (rescue,) = RESCUED.sub_journeys
    call, rest, _ = rescue.steps
    quicker = replace(rescue, steps=[call, replace(rest, wait_hours=0.1)])  # and without an offer
    changed = checked(replace(RESCUED, name="quicker", sub_journeys=[quicker]))
    with routes_on(a_log_without_a_usable_champion(), RESCUED) as client:

        def stands(customer_id: str) -> str | None:
            advance(client.replica, customer_id)
            found = client.get(f"/customers/{customer_id}").json()["sub_journeys"]
            return found[0]["step"] if found else None

        told(client, "Complaint Filed")
        assert stands("ada") == "call"
        publish(client.log, changed)
        assert client.replica.reload()
        told(client, "Complaint Filed", "bob")
        assert stands("bob") == "call"
        told(client, "Order Completed", revenue=9)
        client.clock.advance(minutes=1)
        assert (stands("ada"), stands("bob")) == ("rest", "call")  # one call a day for all
        client.clock.advance(minutes=30)
        assert stands("ada") == "rest"
        client.clock.advance(minutes=40)
        stands("ada")
        last = client.log.customer_decisions("ada", 1)[0]
        assert (last.action_id, last.step.endswith("/offer")) == ("card_offer", True)
        assert stands("ada") is None
        entered = [e for e in client.log.page_events() if e.name == "Sub-journey Entered"]
        assert [one.properties["definition"] for one in entered] == [
            rescue.definition(), quicker.definition(),
        ]  # fmt: skip
        left = [e for e in client.log.page_events() if e.name == "Sub-journey Left"]
        assert all(one.properties["exit"] != "gone" for one in left)
