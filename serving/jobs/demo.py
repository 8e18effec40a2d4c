"""The demo: its own home, and its live customers, who act over HTTP."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import msgspec

from nba.errors import InvalidInput, StoreUnavailable
from serving.api.schemas import DecideAnswer, DecisionsAnswer, ReplayAnswer
from serving.console import print_table
from serving.jobs.server import free_port, is_free
from serving.settings import Settings

EventJson = dict[str, Any]
ADDRESSED_S = 20.0  # for the service to address a customer by itself


class DemoHome(msgspec.Struct, frozen=True, kw_only=True):
    """What a demo's home holds; `bundle` once its champion is in force."""

    customers: int
    seed: int
    bundle: str | None = None


def demo_settings(settings: Settings, seed: int) -> Settings:
    """The demo plays on its own private store, with repeatable draws and a port that is free.

    Raises InvalidInput where a database is set, which might be somebody's.
    """
    if settings.database_url is not None:
        remedy = "unset it: the demo plays on a private PostgreSQL in NBA_HOME"
        raise InvalidInput("NBA_DATABASE_URL", "set", remedy)
    port = settings.port if is_free(settings.host, settings.port) else free_port(settings.host)
    # on a machine that is busy the demo waits for its decisions rather than show fallbacks
    return msgspec.structs.replace(
        settings,
        port=port,
        seed=seed,
        workers=1,
        deadline_ms=max(settings.deadline_ms, 8_000.0),
        webhook_dry_run=True,
    )


def begin(home: Path, wanted: DemoHome, position: int) -> str | None:
    """Mark this home as the demo's; gives the bundle that an earlier run has put in force.

    Raises InvalidInput where the home holds anything else.
    """
    marker = home / "demo.json"
    made = msgspec.json.decode(marker.read_bytes(), type=DemoHome) if marker.exists() else None
    if made is None and position > 0:
        remedy = "it holds a log that no demo made; set NBA_HOME to another folder"
        raise InvalidInput("NBA_HOME", str(home), remedy)
    if made is not None and msgspec.structs.replace(made, bundle=None) != wanted:
        remedy = (
            f"it holds a demo of {made.customers} customers and seed {made.seed}; "
            "run make clean, or set NBA_HOME to another folder"
        )
        raise InvalidInput("NBA_HOME", str(home), remedy)
    if made is None:
        finished(home, wanted, None)
    return made.bundle if made else None


def finished(home: Path, wanted: DemoHome, bundle: str | None) -> None:
    """Note how far the demo's home has come."""
    made = msgspec.structs.replace(wanted, bundle=bundle)
    (home / "demo.json").write_bytes(msgspec.json.encode(made))


@dataclass(frozen=True, slots=True, kw_only=True)
class Visitor:
    """A live customer: what they did in the last minutes, and where the channel asks."""

    story: str
    customer_id: str
    events: Sequence[EventJson]
    channel: str | None  # None: nobody asks, and the service addresses them
    placement: str


def visitors(now: datetime, run: str, frustrated: Sequence[EventJson]) -> list[Visitor]:
    """Who comes in this run. `frustrated`: the events of one whose searches keep failing."""
    first = str(frustrated[0]["customer_id"])
    traits = dict(frustrated[0]["properties"])
    mass = {**traits, "segment": "mass", "age": 29, "tenure_months": 20, "monthly_income_eur": 2100}
    return [
        Visitor(
            story="searches keep failing, clicks in rage",
            customer_id=first,
            events=frustrated,
            channel="web",
            placement="web_search",
        ),
        _visitor(
            now, f"{run}-found", "same profile, finds what they want", "web", "web_search", traits,
            ("Products Searched", {"query": "home loan", "results_count": 14}),
            ("Product Viewed", {"product": "loan"}),
        ),
        _visitor(
            now, f"{run}-called", "call not resolved, then a complaint", "phone",
            "contact_centre", mass,
            ("Contact Started", {"issue": "payment", "announced_wait_s": 120}),
            ("Contact Ended", {"issue": "payment", "announced_wait_s": 120, "wait_s": 540,
                               "resolved": False}),
            ("Complaint Filed", {"topic": "payment"}),
        ),
        _visitor(
            now, f"{run}-angry", "the same, and opens the app", "app", "app_home", mass,
            ("Contact Ended", {"issue": "payment", "announced_wait_s": 120, "wait_s": 540,
                               "resolved": False}),
            ("Complaint Filed", {"topic": "payment"}),
            ("App Opened", {}),
        ),
        _visitor(
            now, f"{run}-happy", "paid, content, opens the app", "app", "app_home", mass,
            ("Payment Started", {}), ("Payment Completed", {}), ("App Opened", {}),
        ),
        _visitor(
            now, f"{run}-ivr", "got a bill, dials the telephone menu", "ivr", "ivr_menu", mass,
            ("Payment Notice Sent", {}), ("IVR Started", {}),
        ),
        _visitor(
            now, f"{run}-owes", "a payment is missing, nobody asks", None, "outbound_ivr", mass,
            ("Payment Notice Sent", {}), ("Payment Overdue", {}),
        ),
        Visitor(
            story="nobody has seen them before",
            customer_id=f"{run}-unknown",
            events=(),
            channel="web",
            placement="web_search",
        ),
    ]  # fmt: skip


def _visitor(
    now: datetime,
    customer_id: str,
    story: str,
    channel: str | None,
    placement: str,
    traits: EventJson,
    *did: tuple[str, EventJson],
) -> Visitor:
    steps = [("identify", traits), *did]
    events = [
        {
            "event_id": f"{customer_id}-{number}",
            "customer_id": customer_id,
            "name": name,
            "occurred_at": (now - timedelta(seconds=45 * (len(steps) - number))).isoformat(),
            "properties": properties
            if channel is None or name == "identify"
            else {"channel": channel, **properties},
        }
        for number, (name, properties) in enumerate(steps)
    ]
    return Visitor(
        story=story,
        customer_id=customer_id,
        events=events,
        channel=channel,
        placement=placement,
    )


def play(url: str, visitors: Sequence[Visitor]) -> list[tuple[Visitor, DecideAnswer]]:
    """Post each visitor's events, ask what to do, and report that it was shown."""
    answers = []
    with httpx.Client(base_url=url, timeout=10) as client:
        for visitor in visitors:
            if visitor.events:
                fields = ("event_id", "customer_id", "name", "occurred_at", "properties")
                sent = [{name: event[name] for name in fields} for event in visitor.events]
                client.post("/events", json={"events": sent}).raise_for_status()
            if visitor.channel is None:
                answers.append((visitor, _addressed(client, visitor.customer_id)))
                continue
            question = {
                "customer_id": visitor.customer_id,
                "channel": visitor.channel,
                "placement": visitor.placement,
                "decision_request_id": f"{visitor.customer_id}-1",
            }
            response = client.post("/decide", json=question).raise_for_status()
            answer = msgspec.json.decode(response.content, type=DecideAnswer)
            if answer.actions:
                outcome = {"decision_id": answer.decision_id, "outcome": "shown"}
                client.post("/feedback", json=outcome).raise_for_status()
            answers.append((visitor, answer))
    return answers


def _addressed(client: httpx.Client, customer_id: str) -> DecideAnswer:
    """The decision that the service takes by itself, once the orchestrator has looked.

    Raises StoreUnavailable where it takes none.
    """
    until = time.monotonic() + ADDRESSED_S
    while time.monotonic() < until:
        response = client.get("/decisions", params={"customer_id": customer_id}).raise_for_status()
        decisions = msgspec.json.decode(response.content, type=DecisionsAnswer).decisions
        if decisions:
            return decisions[0]
        time.sleep(0.2)
    raise StoreUnavailable(f"{customer_id}: the service did not address them in {ADDRESSED_S:g} s")


def replay(url: str, answer: DecideAnswer) -> ReplayAnswer:
    """The decision computed again from what it logged."""
    path = f"{url}/decisions/{answer.decision_id}/replay"
    response = httpx.post(path, timeout=10).raise_for_status()
    return msgspec.json.decode(response.content, type=ReplayAnswer)


def print_decisions(played: Sequence[tuple[Visitor, DecideAnswer]]) -> None:
    """The decisions as a table."""
    print_table(
        "Live decisions",
        ("customer", "at", "emotion", "churn", "action", "p_accept", "propensity", "refused"),
        [
            (
                visitor.story,
                visitor.placement,
                answer.emotion.get("sum10"),
                answer.churn.risk if answer.churn else None,
                answer.actions[0].action_id if answer.actions else f"none: {answer.note}",
                answer.actions[0].p_accept if answer.actions else None,
                answer.propensity,
                ", ".join(
                    action_id
                    for rule in answer.filtered_by_rule or ()
                    for action_id in rule.action_ids
                    if rule.stage != "available"
                ),
            )
            for visitor, answer in played
        ],
    )


def next_steps(settings: Settings) -> str:
    """What to run next."""
    return (
        f"\nNext:\n"
        f"  make serve                                   the same service, until Ctrl-C\n"
        f"  .venv/bin/nba evaluate champion              what the champion is worth on this log\n"
        f"  .venv/bin/mlflow ui --backend-store-uri {settings.tracking_url}\n"
        f"  .venv/bin/nba check {settings.journey}   the journey that was played\n"
        f"  .venv/bin/nba report rules                   what each rule costs\n"
        f"  .venv/bin/nba simulate                       policies compared with known truth"
    )
