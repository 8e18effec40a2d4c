"""The names of streams, by which delays are kept."""

from __future__ import annotations

from models.residual.past_delays import stream_names


def test_deferred_decisions_are_streams_of_their_own_in_the_same_order() -> None:
    assert stream_names(("loan", "card")) == [
        "loan",
        "card",
        "no_action",
        "loan deferred",
        "card deferred",
        "no_action deferred",
    ]
