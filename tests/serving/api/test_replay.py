"""A replay compares what is stored, and knows how reasons were once written."""

from __future__ import annotations

import msgspec

from nba.rules.types import in_words
from nba.stores.memory.log import MemoryLog
from serving.api.replay import differences
from tests.fixtures.governed_routes import routes_on
from tests.fixtures.small_replica import JOURNEY


def test_a_reason_that_once_escaped_the_letters_of_a_value_is_the_same_reason() -> None:
    with routes_on(MemoryLog(), JOURNEY) as client:
        decision = client.log.decision(client.decide()["decision_id"])
    assert decision is not None
    now = msgspec.structs.replace(
        decision, note=f"needs traits.grade == {in_words('金卡', 'text')}"
    )
    once = msgspec.structs.replace(now, note=r"needs traits.grade == '\u91d1\u5361'")
    other = msgspec.structs.replace(now, note=r"needs traits.grade == '\u91d1\u5362'")
    assert now.note == "needs traits.grade == '金卡'"
    assert differences(once, now) == differences(now, now) == []
    assert differences(other, now) == ["note"]
