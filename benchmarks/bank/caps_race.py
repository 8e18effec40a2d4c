"""Whether caps, consents and replays hold while two services race for the same customers.

    .venv/bin/python benchmarks/bank/caps_race.py --json [--decisions N] [--replays N] (and --help)

Two services on one private PostgreSQL are asked for few customers at the same time, so that they
collide. Afterwards the log is read: each cap, and a daily capacity, is counted over the decisions'
times by brute force. A withdrawal of consent goes to one service, and the other is asked at once.
Decisions that were logged are replayed over HTTP.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import httpx

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import msgspec
import numpy as np

from benchmarks.speed.http_load import Load, post_all
from benchmarks.speed.measured_bank import fill
from nba.decisions.decision import Decision
from nba.durations import DAY_S
from nba.journey.actions import NO_ACTION
from nba.journey.file import JourneyFile
from nba.stores.log import Log
from nba.stores.pages import decision_pages
from serving.jobs.server import free_port, running
from serving.settings import Settings, prepare_environment

BANK = Path(__file__).parents[2] / "examples" / "bank" / "journey.yaml"
LOCAL = "127.0.0.1"
PROCESSES = 2
CLIENTS = 8
CUSTOMERS = 12  # few, so that they collide
IN_A_ROW = 8  # questions for the same customer
WINDOW_S = 1.0  # of the caps: short, so that there is room for one more again and again
AT_MOST = {"customer": 4, "channel": 3, "action": 2}
CALLS_A_DAY = 150
PURPOSE = "marketing"
# id, channel, touchpoint, purpose
OFFERS = (
    ("page_offer", "web", "product_page", PURPOSE),
    ("search_offer", "web", "web_search", PURPOSE),
    ("help_hint", "web", "help_pages", None),
    ("app_offer", "app", "app_home", PURPOSE),
    ("app_card", "app", "app_accounts", PURPOSE),
    ("call", "phone", "outbound_call", PURPOSE),
)
SEED = 5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="the figures as JSON on the last line")
    parser.add_argument("--data", help="not used: the load is simulated")
    parser.add_argument("--decisions", type=int, default=10_400)
    parser.add_argument("--withdrawals", type=int, default=1_000)
    parser.add_argument("--replays", type=int, default=1_000)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        figures = measure(Path(folder), given.decisions, given.withdrawals, given.replays)
    print(f"{figures['decisions']} decisions of {PROCESSES} processes for {CLIENTS} clients, "
          f"{figures['contacts']} contacts: {figures['exceeded']} over a cap, "
          f"{figures['capacity_used']} of {CALLS_A_DAY} calls a day, "
          f"{figures['capacity_exceeded']} over it")  # fmt: skip
    print(f"{figures['withdrawals']} withdrawals: {figures['ignored']} were ignored by the next "
          f"answer of the other process")  # fmt: skip
    print(f"{figures['replays']} decisions replayed: {figures['unequal']} unequal")
    if given.json:
        print(json.dumps(figures))
    broken = ("exceeded", "capacity_exceeded", "ignored", "unequal")
    if any(figures[name] for name in broken):
        raise SystemExit(1)


def measure(folder: Path, decisions: int, withdrawals: int, replays: int) -> dict[str, object]:
    """All figures, of services that are started and ended here."""
    home = folder / "home"
    first = Settings(
        home=home, journey=folder / "journey.json", port=free_port(LOCAL), deadline_ms=60_000.0
    )
    os.environ["NUMBA_CACHE_DIR"] = str(folder / "numba")
    prepare_environment(first)
    journey = make_journey()
    first.journey.write_bytes(msgspec.json.encode(journey))
    customers = fill(first, journey, CUSTOMERS).customers
    with ExitStack() as services:
        urls = []
        for number in range(PROCESSES):
            settings = msgspec.structs.replace(first, port=free_port(LOCAL))
            urls.append(services.enter_context(running(settings, folder / f"{number}.log")))
        race(urls, customers, decisions)
        from serving.replica.assembly import opened_log

        with opened_log(first) as log:
            made = logged(log)
        figures = counted(journey, made)
        started = time.perf_counter()
        offered, ignored = asyncio.run(withdrawn(urls, withdrawals))
        withdrawn_s = time.perf_counter() - started
        rng = np.random.default_rng(SEED)
        sample = rng.choice(len(made), min(replays, len(made)), replace=False)
        ids = [made[n].decision_id for n in sample]
        started = time.perf_counter()
        unequal = asyncio.run(replayed(urls, ids))
        replayed_s = time.perf_counter() - started
    return figures | {
        "clients": CLIENTS,
        "processes": PROCESSES,
        "customers": CUSTOMERS,
        "withdrawals": withdrawals,
        "offered_before": offered,
        "ignored": ignored,
        "replays": len(ids),
        "unequal": unequal,
        "withdrawals_s": round(withdrawn_s, 1),
        "replays_s": round(replayed_s, 1),
    }


def make_journey() -> JourneyFile:
    """The bank's map and events, under caps that are reached again and again."""
    from nba.journey.actions import Action
    from nba.journey.policies import Cap, Capacity, Consent, ContactRules
    from nba.journey_file.checks import check_journey
    from nba.journey_file.loader import load_journey

    rng = np.random.default_rng(SEED)
    actions = [
        Action(
            id=name,
            channel=channel,
            touchpoint=touchpoint,
            purpose=purpose,
            value_eur=float(rng.uniform(20, 60)),
            cost_eur=0.1,
            features={"sells": float(n % 2), "margin_eur": float(rng.uniform(5, 100))},
        )
        for n, (name, channel, touchpoint, purpose) in enumerate(OFFERS)
    ]
    caps = [
        Cap(id=f"per_{per}", times=times, days=WINDOW_S / DAY_S, per=per)  # type: ignore[arg-type]
        for per, times in AT_MOST.items()
    ]
    calls = Capacity(id="calls", most=CALLS_A_DAY, every="day", channel="phone")
    bank = load_journey(BANK)
    journey = JourneyFile(
        version=1,
        name="caps_race",
        scenes=bank.scenes,
        events=bank.events,
        churn=bank.churn,
        emotion=bank.emotion,
        traits=bank.traits,
        actions=actions,
        consents={PURPOSE: Consent(default="granted")},
        contact_policy=ContactRules(caps=caps, capacities=[calls]),
        fallback=[name for name, *_ in OFFERS],
        exploration=msgspec.structs.replace(bank.exploration, epsilon=0.5),
    )
    wrong = [str(error) for error in check_journey(journey)]
    if wrong:
        raise SystemExit("\n".join(wrong))
    return journey


def race(urls: Sequence[str], customers: Sequence[str], decisions: int) -> None:
    """Ask all services at once, in the same order."""
    each = -(-decisions // len(urls))
    rng = np.random.default_rng(SEED)
    turns = rng.integers(0, len(customers), -(-each // IN_A_ROW))
    bodies = [
        msgspec.json.encode({"customer_id": customers[turn], "explain": False})
        for turn in np.repeat(turns, IN_A_ROW)[:each]
    ]

    def ask(url: str) -> Load:
        port = int(url.rsplit(":", 1)[1])
        return post_all(LOCAL, port, "/decide", bodies, connections=CLIENTS // len(urls))

    with ThreadPoolExecutor(len(urls)) as pool:
        loads = list(pool.map(ask, urls))
    for load in loads:
        bad = {status: n for status, n in load.statuses.items() if status != 200}
        if bad:
            raise SystemExit(f"answers that were not 200: {bad}")
        print(f"{load.rps:6.0f} req/s   p50 {load.p50_ms:7.1f} ms   p99 {load.p99_ms:7.1f} ms")


def logged(log: Log) -> list[Decision]:
    """Every decision that the services have logged."""
    return [decision for page in decision_pages(log) for decision in page]


def counted(journey: JourneyFile, made: Sequence[Decision]) -> dict[str, object]:
    """How often a cap was exceeded: contacts that are one too many in the window behind them."""
    channels = {action.id: action.channel for action in journey.actions}
    times: defaultdict[tuple[str, ...], list[float]] = defaultdict(list)
    calls: Counter[str] = Counter()
    contacts = [one for one in made if one.action_id != NO_ACTION]
    for contact in contacts:
        customer, channel, at_s = (
            contact.request.customer_id,
            channels[contact.action_id],
            _at_s(contact),
        )
        times["customer", customer].append(at_s)
        times["channel", customer, channel].append(at_s)
        times["action", customer, contact.action_id].append(at_s)
        if channel == "phone":
            calls[contact.decided_at.date().isoformat()] += 1
    exceeded = 0
    for key, at in times.items():
        seconds = np.sort(at)
        for end_s in seconds:
            within = np.count_nonzero((seconds > end_s - WINDOW_S) & (seconds <= end_s))
            exceeded += bool(within > AT_MOST[key[0]])
    return {
        "decisions": len(made),
        "contacts": len(contacts),
        "live": sum(one.mode.value == "live" for one in made),
        "exceeded": exceeded,
        "capacity_used": sum(calls.values()),
        "capacity_exceeded": sum(max(0, n - CALLS_A_DAY) for n in calls.values()),
    }


def _at_s(decision: Decision) -> float:
    return decision.decided_at.timestamp()


async def withdrawn(urls: Sequence[str], times: int) -> tuple[int, int]:
    """(offered before, ignored): a withdrawal at one service, and a question to the other."""
    bound = {name for name, _, _, purpose in OFFERS if purpose == PURPOSE}
    numbers = iter(range(times))
    offered = ignored = 0

    async def work(client: httpx.AsyncClient) -> None:
        nonlocal offered, ignored
        for number in numbers:
            here, there = urls[number % len(urls)], urls[(number + 1) % len(urls)]
            question = {"customer_id": f"withdraws-{number}"}
            before = await ask(client, there, question)
            offered += bool(bound & before)
            said = {**question, "name": "Consent Withdrawn", "properties": {"purpose": PURPOSE}}
            answer = await client.post(f"{here}/events", json=said)
            if answer.json().get("accepted") != 1:
                raise SystemExit(f"a withdrawal was not taken: {answer.text}")
            after = await ask(client, there, question)
            ignored += bool(bound & after)

    async with httpx.AsyncClient(timeout=60) as client:
        await asyncio.gather(*(work(client) for _ in range(CLIENTS)))
    return offered, ignored


async def ask(client: httpx.AsyncClient, url: str, question: dict[str, str]) -> set[str]:
    """The actions that an answer offers or considers."""
    response = await client.post(f"{url}/decide", json=question)
    if response.status_code != 200:
        raise SystemExit(f"{response.status_code}: {response.text}")
    answer = response.json()
    return {one["action_id"] for one in (*answer["actions"], *answer["candidates"])}


async def replayed(urls: Sequence[str], decision_ids: Sequence[str]) -> int:
    """How many decisions come out differently when they are computed again."""
    waiting = iter(enumerate(decision_ids))
    unequal = 0

    async def work(client: httpx.AsyncClient) -> None:
        nonlocal unequal
        for number, decision_id in waiting:
            url = urls[number % len(urls)]
            response = await client.post(f"{url}/decisions/{decision_id}/replay")
            if response.status_code != 200 or not response.json()["equal"]:
                unequal += 1
                print(f"{decision_id}: {response.text[:300]}")

    async with httpx.AsyncClient(timeout=120) as client:
        await asyncio.gather(*(work(client) for _ in range(CLIENTS)))
    return unequal


if __name__ == "__main__":
    main()
