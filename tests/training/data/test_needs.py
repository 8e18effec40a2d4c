"""What more data would bring: what there is, as training and off-policy answers count it."""

from __future__ import annotations

from tests.fixtures.small_replica import event
from tests.fixtures.training_history import after, decided, history, outcome
from training.data.needs import Need, data_needs


def missing(needs: tuple[Need, ...]) -> dict[tuple[str, str], int]:
    return {(need.brings, need.of): need.missing for need in needs}


def test_past_decisions_bring_a_model_and_no_what_if() -> None:
    made = history(
        *(decided(f"d{n}", after(n / 10)) for n in range(600)),
        *(outcome("Action Accepted", f"d{n}", after(n / 10 + 1)) for n in range(70)),
    )
    needs = data_needs(made)
    left = missing(needs.needs)
    assert needs.past_decisions == needs.past_without_propensity == 600
    assert left["the touchpoint model", "settled decisions"] == 0
    assert left["the touchpoint model", "settled decisions with an outcome"] == 0
    assert (
        left["what-ifs and rule prices from rewards", "settled decisions with a propensity"] == 200
    )
    assert left["promotion by the gates", "settled decisions with a propensity"] == 500
    assert left["guesses by customer", "live decisions"] == 100


def test_a_known_propensity_counts_for_what_ifs_once_the_window_is_over() -> None:
    made = history(*(decided(f"d{n}", after(n), propensity=0.5) for n in range(20)), end_days=19)
    has = {(need.brings, need.of): need.has for need in data_needs(made).needs}
    assert has["what-ifs and rule prices from rewards", "settled decisions with a propensity"] == 13
    assert data_needs(made).past_without_propensity == 0


def test_weeks_of_customers_count_for_churn_once_their_horizon_is_over() -> None:
    visits = [event("page", after(7 * n)) for n in range(10)]
    has = {need.of: need.has for need in data_needs(history(*visits, end_days=100)).needs}
    assert has["weeks of a customer, known 30 days later"] > 0
    assert has["weeks before leaving"] == 0
    assert has["weeks before staying"] == has["weeks of a customer, known 30 days later"]
