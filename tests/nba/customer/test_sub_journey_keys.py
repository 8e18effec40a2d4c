"""Names of passages side by side, and what a contact history remembers of each."""

from __future__ import annotations

from datetime import timedelta

import msgspec
from hypothesis import given, strategies as st
from msgspec.structs import replace

from features.fold import Fold
from nba.customer.contact_history import ContactHistory
from nba.customer.contact_history_fold import advance, fold
from nba.customer.contact_history_limits import contact_history_rules
from nba.customer.sub_journey_keys import (
    MAX_KEYS,
    happened_s,
    key_of,
    run_name,
    runs,
    waiting_runs,
)
from nba.journey.mapping import EventMapping
from nba.journey.sub_journeys import Step, SubJourney
from tests.fixtures.examples import examples
from tests.fixtures.open_replica import OPEN
from tests.fixtures.small_replica import NOON, event

CART = SubJourney(
    id="cart", enter="cart_added.total > 0.5", per="cart_id", goal="purchase",
    steps=[Step(id="wait", wait_hours=1)],
)  # fmt: skip
JOURNEY = replace(
    OPEN,
    events=[*OPEN.events, EventMapping(id="cart_added", event="Product Added")],
    sub_journeys=[CART],
)
RULES = contact_history_rules(JOURNEY, JOURNEY.sub_journeys)


@given(key=st.text(min_size=1, max_size=100), step=st.sampled_from(["wait", "a.b"]))
@examples(200)
def test_a_key_comes_back_from_the_name_of_a_step(key: str, step: str) -> None:
    """Whatever it holds: colons, slashes, another alphabet; lone surrogates alone are replaced."""
    name = f"{run_name('cart', key)}:ada:1767225600000000/{step}"
    readable = key.encode("utf-8", "replace").decode("utf-8")
    assert key_of(name) == readable
    assert key_of(f"cart:ada:1767225600000000/{step}") is None


moves = st.lists(
    st.tuples(st.sampled_from(["cart_added", "purchase"]), st.integers(-1, 40)), max_size=120
)


def history_of(drawn: list[tuple[str, int]]) -> ContactHistory:
    names = {"cart_added": "Product Added", "purchase": "Order Completed"}
    return fold(
        [
            (
                event(
                    names[kind],
                    NOON + timedelta(minutes=n),
                    {} if key < 0 else {"cart_id": f"c{key}"},
                ),
                kind,
            )
            for n, (kind, key) in enumerate(drawn)
        ],
        RULES,
    )


@given(drawn=moves)
@examples(100)
def test_no_more_than_so_many_keys_are_remembered_and_the_newest_is(
    drawn: list[tuple[str, int]],
) -> None:
    history = history_of(drawn)
    known = runs(history, "cart")
    assert len(known) <= MAX_KEYS
    waiting = waiting_runs(history, "cart", ["cart_added"])
    assert set(waiting) == {run for run in known if any(happened_s(history, run, ["cart_added"]))}
    added = [key for kind, key in drawn if kind == "cart_added" and key >= 0]
    if added:
        assert waiting[-1] == f"cart#c{added[-1]}"


@given(drawn=moves)
@examples(50)
def test_a_history_is_the_same_after_a_restart_at_any_event(drawn: list[tuple[str, int]]) -> None:
    half = len(drawn) // 2
    stored = msgspec.json.encode(history_of(drawn[:half]))
    history = msgspec.json.decode(stored, type=ContactHistory)
    names = {"cart_added": "Product Added", "purchase": "Order Completed"}
    for n, (kind, key) in list(enumerate(drawn))[half:]:
        properties = {} if key < 0 else {"cart_id": f"c{key}"}
        one = event(names[kind], NOON + timedelta(minutes=n), properties)
        history = advance(history, one, kind, RULES)
    assert history == history_of(drawn)


def test_snapshots_of_another_property_are_not_used_and_those_without_one_stay() -> None:
    by_order = replace(JOURNEY, sub_journeys=[replace(CART, per="order_id")])
    plain = replace(JOURNEY, sub_journeys=[])
    hashes = {Fold(one).snapshot_hash for one in (JOURNEY, by_order, plain)}
    assert len(hashes) == 3
    assert contact_history_rules(plain, plain.sub_journeys).keyed == ()
