"""Metrics: one number per customer, and what one absurd value does to it."""

from __future__ import annotations

from datetime import timedelta

import msgspec
import pytest

from nba.experiments.experiment import MetricSpec
from nba.experiments.metrics import MetricAccumulator
from nba.measurement.statistics.moments import Moments
from tests.fixtures.small_replica import FOLD, JOURNEY, NOON, event
from tests.nba.experiments.test_loader import TEXT, errors

SPENT = MetricSpec(id="spent", measure="amount", events=["purchase"])


def spent(metric: MetricSpec, amounts: dict[str, float]) -> Moments:
    """Everybody is exposed at noon and buys an hour later."""
    found = MetricAccumulator(
        JOURNEY,
        FOLD.encoder.kind,
        [metric],
        arm_of=lambda decision: "a",
        concerns=lambda customer: True,
        since_s=0.0,
        covariate_days=0.0,
    )
    events = [event("page", NOON + timedelta(days=40))]
    for customer, amount in amounts.items():
        who = {"customer_id": customer}
        events.append(event("Action Decided", NOON, {"action_id": "help_popup"}, **who))
        bought = {"revenue": amount}
        events.append(event("Order Completed", NOON + timedelta(hours=1), bought, **who))
    found.read(events)
    found.settle()
    return found.sums()["spent"]["a"]


def test_a_cap_holds_one_customers_absurd_amount() -> None:
    amounts = {"ada": 20.0, "bob": 1e6, "eve": 40.0}
    capped = msgspec.structs.replace(SPENT, cap=60.0)
    assert spent(capped, amounts).y == pytest.approx(20.0 + 60.0 + 40.0)
    assert spent(SPENT, amounts).y == pytest.approx(1e6 + 60.0)


def test_a_cap_on_whether_they_did_is_refused() -> None:
    found = errors(TEXT.replace("measure: any", "cap: 5, measure: any"))
    assert len(found) == 1 and "primary.cap: 5" in found[0] and "leave it out" in found[0]
