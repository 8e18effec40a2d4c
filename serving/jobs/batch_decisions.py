"""Batch decisions into a folder of Parquet parts: begun once, and gone on with after a kill."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import msgspec
from msgspec.structs import asdict

from nba.decisions.request import Request
from nba.engine.batch import CHUNK, Batch, BatchPlan
from nba.errors import InvalidFile, InvalidInput
from nba.events.parsing import MAX_ID_CHARS
from nba.journey.actions import NO_ACTION
from nba.stores.log import Log
from nba.stores.pages import event_pages
from serving.jobs.decision_files import DecisionParts, row_of
from serving.replica.replica import Replica


class BatchOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What the caller wants of a batch."""

    channel: str | None = None
    placement: str | None = None
    deferred: bool = False
    dry_run: bool = False
    whole: bool = False  # every decision also as canonical JSON
    seed: int | None = None


class BatchResult(msgspec.Struct, frozen=True, kw_only=True):
    """What a finished batch holds."""

    name: str
    folder: str
    customers: int
    went_on: bool  # a batch that was begun before
    logged: bool
    actions: dict[str, int]  # decisions by action, `no_action` among them
    modes: dict[str, int]


def run_batch(
    replica: Replica,
    folder: Path,
    ask: BatchOptions,
    customers: Callable[[], Iterable[str]],
    progress: Callable[[int], None] = lambda customers: None,
) -> BatchResult:
    """Decide for all customers; where `folder` holds a batch that was cut short, the rest of it.

    A part counts once it is complete. What of the next one is in the log already is answered from
    there: nobody is decided for twice. Raises InvalidInput, StoreUnavailable.
    """
    parts = DecisionParts(folder)
    plan = parts.begun()
    went_on = plan is not None
    if plan is None:
        plan = _new_plan(replica, folder, ask)
        _batch(replica, plan, {})  # what the request names is wrong before anything is written
        parts.begin(plan, customers())
    else:
        _check_same(replica, folder, ask, plan)
    batch: Batch | None = None
    count = 0
    for number, chosen in enumerate(parts.customers()):
        count += len(chosen)
        if not parts.complete(number):
            if batch is None:
                batch = _batch(replica, plan, parts.taken(number - 1) if number else {})
            rows = []
            for begin in range(0, len(chosen), CHUNK):
                decisions = batch.decide(chosen[begin : begin + CHUNK])
                rows += [row_of(decision, whole=ask.whole) for decision in decisions]
                progress(len(decisions))
            parts.write(number, rows, batch.taken)
        else:
            progress(len(chosen))
    counts = parts.counts()
    return BatchResult(
        name=plan.name,
        folder=str(folder),
        customers=count,
        went_on=went_on,
        logged=plan.logged,
        actions=_summed((action, n) for (_, action), n in counts.items()),
        modes=_summed((mode, n) for (mode, _), n in counts.items()),
    )


def customers_in(log: Log) -> Iterator[str]:
    """Every customer of whom the log holds an event, in the order of their first ones."""
    seen: set[str] = set()
    for page in event_pages(log):
        for event in page:
            if event.customer_id not in seen:
                seen.add(event.customer_id)
                yield event.customer_id


def customers_of(file: Path) -> Iterator[str]:
    """The customer ids of a text file, one a line; each counts once. Raises InvalidFile."""
    seen: set[str] = set()
    try:
        with file.open(encoding="utf-8") as lines:
            for number, line in enumerate(lines, start=1):
                customer_id = line.strip()
                if not customer_id or customer_id in seen:
                    continue
                if len(customer_id) > MAX_ID_CHARS:
                    remedy = f"at most {MAX_ID_CHARS} characters"
                    raise InvalidFile(str(file), number, "customer_id", customer_id, remedy)
                seen.add(customer_id)
                yield customer_id
    except (OSError, UnicodeDecodeError):
        remedy = "give a text file with one customer id a line"
        raise InvalidFile(str(file), 0, "customers", file.name, remedy) from None


def _new_plan(replica: Replica, folder: Path, ask: BatchOptions) -> BatchPlan:
    now = replica.now()
    scorer = replica.engine.pipeline.scorer
    moment = f"{now:%Y%m%dT%H%M%S%f}"  # kept of the longest name: it tells batches apart
    name = f"batch:{folder.name}"[: MAX_ID_CHARS - 1 - len(moment)] + f":{moment}"
    whole = Request(customer_id="", request_id=name)
    return BatchPlan(
        name=name,
        seed=replica.chance.seed_for(whole, name) if ask.seed is None else ask.seed,
        now=now,
        channel=ask.channel,
        placement=ask.placement,
        deferred=ask.deferred,
        logged=not ask.dry_run,
        catalogue_version=replica.engine.journey.catalogue_version(),
        bundle_id=None if scorer is None else scorer.bundle_id,
    )


def _check_same(replica: Replica, folder: Path, ask: BatchOptions, plan: BatchPlan) -> None:
    """Raise InvalidInput where the batch that was begun asked for something else."""
    wanted = asdict(_new_plan(replica, folder, ask))
    begun = asdict(plan)
    fixed = [name for name in begun if name not in ("name", "now", "seed")]
    fixed += [] if ask.seed is None else ["seed"]
    for name in fixed:
        if wanted[name] != begun[name]:
            remedy = f"the batch in {folder} was begun with {begun[name]!r}: name another folder"
            raise InvalidInput(name, wanted[name], remedy)


def _batch(replica: Replica, plan: BatchPlan, taken: dict[tuple[str, str], float]) -> Batch:
    return Batch(plan, replica.engine.decider, taken=taken)


def _summed(pairs: Iterable[tuple[str, int]]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for name, n in pairs:
        counts[name] = counts.get(name, 0) + n
    return dict(sorted(counts.items(), key=lambda item: (item[0] == NO_ACTION, -item[1], item[0])))
