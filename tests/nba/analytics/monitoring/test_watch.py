"""The watch: days in sums, however often the log is read, by whom, and however it is cut off."""

from __future__ import annotations

from datetime import timedelta

import msgspec
import numpy as np
import pytest

from models.bundles.bundle import Bundle
from nba.analytics.monitoring.context_bins import ContextCounts
from nba.analytics.monitoring.daily_summary import DailySummary
from nba.analytics.monitoring.health_report import CHECKS
from nba.analytics.monitoring.log_summarizer import KEPT_DAYS, LogSummarizer, MonitoredJourney
from nba.analytics.monitoring.summary_store import HEALTH, SummaryCursors, SummaryStore
from nba.decisions.decision import Decision, Mode
from nba.events.event import Event
from nba.journey.actions import NO_ACTION
from nba.rewards.attribution import Attribution
from nba.rewards.changes import LeftOut
from nba.stores.log import Log
from nba.stores.memory.log import MemoryLog
from nba.stores.postgres.log import PostgresLog
from serving.metrics import Metrics
from serving.replica.replica import Replica
from serving.workers.health_watch import health_now, look_after, subject_of, watch_of
from tests.fixtures.learning_bank import Bank, answered, learner_on, promote, teachable
from tests.fixtures.small_replica import event
from tests.models.bundles.test_bundle import made

CUSTOMERS = [f"c{number}" for number in range(40)]


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return teachable(made())


def begun(bundle: Bundle, log: Log | None = None) -> tuple[Bank, Replica]:
    """A bank whose champion this is, and a replica of it."""
    bank = Bank(log or MemoryLog())
    promote(bank.log, bundle)
    return bank, bank.replica()


def lived(bank: Bank, replica: Replica, hours: int, seed: int) -> list[Decision]:
    """Decisions hour by hour, each answered within the next one, or never."""
    rng = np.random.default_rng(seed)
    found: list[Decision] = []
    for _ in range(hours):
        decisions = bank.decide(replica, CUSTOMERS)
        liked = answered(decisions, rng)
        bank.log.append_events([bank.outcome(one, "Action Accepted", hours=0.5) for one in liked])
        bank.log.append_events([event("page", bank.now, customer_id=one) for one in CUSTOMERS[:5]])
        found += decisions
    return found


def total(shelf: SummaryStore) -> DailySummary:
    return sum((day for _, day in shelf.dated), DailySummary())


def near(one: DailySummary, other: DailySummary) -> None:
    """Equal, but for the order in which floats were added, and where contexts were cut."""

    def plain(day: DailySummary) -> list[float]:
        numbers: list[float] = []

        def walk(value: object) -> None:
            if isinstance(value, list):
                for each in value:
                    walk(each)
            elif isinstance(value, dict):
                for each in value.values():
                    walk(each)
            elif isinstance(value, int | float):
                numbers.append(float(value))

        drawn = msgspec.structs.replace(day.decisions, contexts=ContextCounts())
        walk(msgspec.to_builtins(msgspec.structs.replace(day, decisions=drawn)))
        return numbers

    np.testing.assert_allclose(plain(one), plain(other), rtol=1e-9)


def test_every_decision_and_every_event_is_counted_on_its_day(
    bundle: Bundle, postgres_url: str
) -> None:
    log = PostgresLog.open(postgres_url)
    bank, replica = begun(bundle, log)
    decisions = lived(bank, replica, 30, 1)
    bank.now += timedelta(days=9)
    watch = watch_of(replica)
    seen = watch.step()
    assert seen is not None and seen.decisions == len(decisions) == 1_200 and not seen.more
    day = total(watch.summaries)
    assert day.decisions.modes.of("live") == sum(
        decision.mode is Mode.LIVE for decision in decisions
    )
    assert day.decisions.unsound == 0 and day.decisions.customers.count == len(CUSTOMERS)
    assert watch.summaries.bins is not None
    assert {column.n for column in day.decisions.contexts.columns(watch.summaries.bins)} == {1_200}
    shown = [decision for decision in decisions if decision.action_id != NO_ACTION]
    assert day.early.join.decisions == len(shown)
    accepted = len(log.outcomes_of([decision.decision_id for decision in decisions]))
    assert day.early.join.joined == day.settled.counts.learned == sum(day.settled.lags) == accepted
    assert sum(bins.total for bins in day.settled.calibration) == len(shown)
    assert day.settled.counts.decided == 1_200 and day.settled.counts.difference == 0
    assert day.events.kinds.of("page") == 150
    by_date = {decision.decided_at.date() for decision in decisions}
    assert {when for when, kept in watch.summaries.dated if kept.decisions.modes.total} == by_date
    assert watch.step() is not None and total(watch.summaries) == day
    log.close()


def test_it_makes_no_difference_how_often_the_log_is_read(bundle: Bundle) -> None:
    bank, replica = begun(bundle)
    watches = [watch_of(replica) for _ in range(2)]  # two replicas, in turn
    for n in range(12):
        lived(bank, replica, 4, n)
        watches[n % 2].step()
    bank.now += timedelta(days=9)
    watches[0].step()
    once = watch_of(replica)
    once.summaries = SummaryStore(
        MemoryLog(), KEPT_DAYS
    )  # nothing is saved there: the whole log at once
    once.step()
    near(total(watches[0].summaries), total(once.summaries))


def test_a_watch_that_is_killed_is_gone_on_with_by_the_next(bundle: Bundle) -> None:
    bank, replica = begun(bundle)
    lived(bank, replica, 20, 1)
    first = watch_of(replica)
    first.step()
    saved = total(first.summaries)
    lived(bank, replica, 10, 2)
    first.summaries.add(bank.now.date(), DailySummary())  # read, and not saved: it dies here
    second = watch_of(replica)
    second.summaries.load()
    assert total(second.summaries) == saved
    second.step()
    assert total(second.summaries).decisions.modes.total == 1_200


def test_only_one_replica_reads_at_a_time(bundle: Bundle) -> None:
    bank, replica = begun(bundle)
    with bank.log.turn(HEALTH) as mine:
        assert mine and watch_of(replica).step() is None


def test_what_no_index_names_any_more_is_stripped(bundle: Bundle) -> None:
    bank, replica = begun(bundle)
    watch = watch_of(replica)
    for n in range(8):
        lived(bank, replica, 1, n)
        watch.step()
    names = dict.fromkeys(
        alias_change.after for alias_change in bank.log.alias_changes(HEALTH, 1_000)
    )
    held = [name for name in names if (kept := bank.log.bundle(name)) and kept.files]
    assert len(names) >= 8 and len(held) <= 4


@pytest.mark.parametrize("fails_for_h", [1, 30])
def test_a_customer_who_could_not_be_settled_is_counted_when_they_can_be(
    bundle: Bundle, fails_for_h: int
) -> None:
    """Before: 40 of 1,600 decisions were in no outcome for good, of whoever failed at the time."""
    bank, replica = begun(bundle)
    failing = {"c7"}

    def subject() -> MonitoredJourney:
        found = subject_of(replica)
        kind = replica.engine.fold.encoder.kind

        def told(one: Event) -> str | None:
            if one.customer_id in failing:
                raise OverflowError("intermediate overflow in fsum")
            return kind(one)

        rule = Attribution(replica.engine.fold.schema.journey, told)
        return found._replace(attribution=rule)

    watch = LogSummarizer(bank.log, subject, replica.now)
    lived(bank, replica, 40, 1)
    bank.now += timedelta(days=9)
    watch.step()
    day = total(watch.summaries)
    assert day.early.rewards.customers.count == 39 and day.settled.counts.decided == 39 * 40
    assert watch.summaries.cursors.left_out == ("c7",)

    bank.now += timedelta(hours=fails_for_h)
    watch.step()  # tried again, in vain: nobody is forgotten
    failing.clear()
    watch.step()  # not ten minutes later
    assert watch.summaries.cursors.left_out == ("c7",)
    bank.now += timedelta(minutes=10)
    other = LogSummarizer(bank.log, subject, replica.now)  # another replica goes on
    other.step()
    assert other.summaries.cursors.left_out == ()
    clean = LogSummarizer(bank.log, subject, replica.now)
    clean.summaries = SummaryStore(MemoryLog(), KEPT_DAYS)
    clean.step()
    near(total(other.summaries), total(clean.summaries))
    assert total(other.summaries).settled.counts.decided == 1_600


def test_who_is_left_out_is_named(bundle: Bundle) -> None:
    bank, replica = begun(bundle)
    lived(bank, replica, 2, 1)
    watch = watch_of(replica)
    watch.step()
    who = LeftOut(customer_id="c7", position=0, end_s=0.0, why="OverflowError")
    cursors = watch.summaries.cursors
    watch.summaries.cursors = msgspec.structs.replace(cursors, early_left_out=(who,))
    text = health_now(replica, watch.summaries).check("immature").text
    assert text.endswith("; the outcomes of 1 customer cannot be settled for now: 'c7'")


def test_cursors_of_before_read_and_are_written_as_they_were() -> None:
    written = b'{"told":4,"drawn":3,"early":2,"settled":1}'
    assert msgspec.json.encode(msgspec.json.decode(written, type=SummaryCursors)) == written


def test_another_champion_cuts_the_contexts_anew_and_loses_no_decision(bundle: Bundle) -> None:
    bank, replica = begun(bundle)
    watch = watch_of(replica)
    lived(bank, replica, 20, 1)
    watch.step()
    assert watch.summaries.bins is not None and watch.summaries.bins.bundle_id == bundle.bundle_id
    manifest = msgspec.structs.replace(bundle.manifest, seed=2)
    other = Bundle(manifest, bundle.churn, bundle.touchpoint, bundle.table, bundle.warm)
    promote(bank.log, other, bank.now)
    replica.reload()
    lived(bank, replica, 20, 2)
    watch.step()
    assert watch.summaries.bins.bundle_id == other.bundle_id
    day = total(watch.summaries)
    assert day.decisions.modes.total == 1_600
    assert {column.n for column in day.decisions.contexts.columns(watch.summaries.bins)} == {1_600}
    assert set(day.decisions.bundles) == {bundle.bundle_id, other.bundle_id}


def test_an_altered_summary_is_read_anew(bundle: Bundle) -> None:
    bank, replica = begun(bundle)
    lived(bank, replica, 20, 1)
    watch_of(replica).step()
    bank.log.save_bundle("health-0", {"index.json": b"nonsense"})
    bank.log.set_alias(HEALTH, "health-0", bank.now)
    watch = watch_of(replica)
    watch.step()
    assert total(watch.summaries).decisions.modes.total == 800


def test_a_dashboard_sees_every_check_and_how_far_the_learner_is(bundle: Bundle) -> None:
    bank, replica = begun(bundle)
    lived(bank, replica, 30, 1)
    learner_on(replica).step()
    readers = [(watch_of(replica), Metrics()) for _ in range(2)]
    assert not look_after(replica, *readers[0], lambda: False)
    with bank.log.turn(HEALTH):  # the other one only reads what the first has saved
        assert not look_after(replica, *readers[1], lambda: False)
    health = health_now(replica, readers[1][0].summaries)
    assert health.check("propensity_audit").state == "ok"
    assert health.check("context_drift").state == "undecided"  # nothing to compare with yet
    assert not health.red
    for _, metrics in readers:
        text = metrics.text().decode()
        for name in CHECKS:
            assert f'nba_health{{check="{name}"}} ' in text
            assert f'nba_health_red{{check="{name}"}} ' in text
        assert 'nba_health{check="propensity_audit"} 0.' in text
        assert 'nba_health{check="context_drift"} NaN' in text
        assert "nba_learner_behind_events 0.0" in text and "nba_learner_lessons " in text


def test_a_pass_that_is_stopped_says_that_there_is_more(bundle: Bundle) -> None:
    bank, replica = begun(bundle)
    lived(bank, replica, 2, 1)
    watch = watch_of(replica)
    seen = watch.step(lambda: True)
    assert seen is not None and seen.more and not watch.summaries.days
