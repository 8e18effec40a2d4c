"""An estimate as reports show it."""

from __future__ import annotations

from nba.measurement.statistics.estimate import Estimate, Undecided, as_json


def test_a_report_holds_the_interval_or_the_reason() -> None:
    assert as_json(Undecided(reason="nothing yet")) == {"undecided": "nothing yet"}
    found = Estimate(value=1.0, low=0.5, high=1.5, n=40, ess=31.0)
    assert as_json(found) == {"value": 1.0, "ci": [0.5, 1.5], "n": 40, "ess": 31.0}
