"""What more data would bring: how much of it each next thing needs, and how much there is.

The numbers are those by which training, the cold start and off-policy answers go; of what is
counted effectively there (weights, parts of a split) it takes about as many, or more.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
import numpy as np

from models.learning.cold_start import FIRST
from nba.decisions.past_decision import has_propensity, is_past_decision
from nba.measurement.off_policy.logged_decisions import GATE_REQUIREMENTS, REQUIREMENTS
from nba.rewards.credit import Credit
from training.data.history import History
from training.data.rewards import attribution_of
from training.data.time_split import FEW_OF_EACH, FEW_ROWS
from training.data.training_sets import churn_labels

PARTS = 5  # a model's smallest part is a fifth of the rows


class Need(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that more data would bring."""

    brings: str
    of: str  # what is counted
    has: int
    needs: int

    @property
    def missing(self) -> int:
        return max(self.needs - self.has, 0)


class DataNeeds(msgspec.Struct, frozen=True, kw_only=True):
    """What there is, and what each next thing needs."""

    needs: tuple[Need, ...]
    past_decisions: int  # of another system
    past_without_propensity: int  # of these: no off-policy answer reads them


def data_needs(history: History) -> DataNeeds:
    """Of a whole log, by the journey file's reward and churn rules."""
    journey = history.fold.schema.journey
    attribution = attribution_of(history, journey.reward)
    settled = [
        credit
        for credit in attribution.credits(history.events, history.end_s)
        if credit.counted and credit.closed
    ]
    past = [event for event in history.events if is_past_decision(event)]
    needs = (*_decision_needs(history, settled), *_churn_needs(history))
    return DataNeeds(
        needs=needs,
        past_decisions=len(past),
        past_without_propensity=sum(not has_propensity(event) for event in past),
    )


def _decision_needs(history: History, settled: list[Credit]) -> Iterator[Need]:
    model, rows, each = "the touchpoint model", PARTS * FEW_ROWS, PARTS * FEW_OF_EACH
    answers, promotion = "what-ifs and rule prices from rewards", "promotion by the gates"
    known = [credit for credit in settled if has_propensity(credit.decision)]
    live, counted = len(history.candidates), "settled decisions with a propensity"
    yield Need(brings="guesses by customer", of="live decisions", has=live, needs=FIRST)
    yield Need(brings=model, of="settled decisions", has=len(settled), needs=rows)
    yield Need(
        brings=model, of="settled decisions with an outcome", has=_answered(settled), needs=each
    )
    yield Need(brings=answers, of=counted, has=len(known), needs=int(REQUIREMENTS.ess))
    yield Need(
        brings=answers,
        of="settled decisions with a propensity and an outcome",
        has=_answered(known),
        needs=int(REQUIREMENTS.positives),
    )
    yield Need(brings=promotion, of=counted, has=len(known), needs=int(GATE_REQUIREMENTS.ess))


def _answered(credits: list[Credit]) -> int:
    return sum(credit.answered for credit in credits)


def _churn_needs(history: History) -> Iterator[Need]:
    rule = history.fold.schema.journey.churn
    _, _, labels = churn_labels(history, rule)
    every = "weeks" if rule.every_days == 7.0 else f"spans of {rule.every_days:g} days"
    model, least = "the churn model", PARTS * FEW_OF_EACH
    waited = f"{every} of a customer, known {rule.horizon_days:g} days later"
    left, stayed = int(np.sum(labels > 0)), int(np.sum(labels == 0))
    yield Need(brings=model, of=waited, has=len(labels), needs=PARTS * FEW_ROWS)
    yield Need(brings=model, of=f"{every} before leaving", has=left, needs=least)
    yield Need(brings=model, of=f"{every} before staying", has=stayed, needs=least)
