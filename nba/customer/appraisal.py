"""Appraise events: the valence, confidence, arousal and agency of each kind, prior or learned."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Literal

import msgspec
import numpy as np

from nba.events.signals import PRIOR_CONFIDENCE, PRIORS, SURVEYS, Agency, SignalPrior
from nba.events.valences import ENOUGH_ANSWERS, LearnedValence, SurveyScale, ValenceTable
from nba.journey.file import JourneyFile
from nba.journey.mapping import EventMapping, SignalRule

_NEUTRAL = SignalPrior(0.0, 0.1, "none")


class Appraisal(msgspec.Struct, frozen=True, kw_only=True):
    """How customers take one kind of event at one touchpoint."""

    valence: float  # -1 to 1
    confidence: float  # 0 to 1; 0 where the valence is 0
    arousal: float  # 0 to 1
    agency: Agency
    learned: bool


class AppraisedNode(msgspec.Struct, frozen=True, kw_only=True):
    """One visit as it counts in the emotion of a context."""

    touchpoint: str
    at: datetime  # UTC, its first event
    valence: float  # what it contributes to the sum, -1 to 1
    arousal: float  # 0 to 1
    confidence: float  # 0 to 1; 0 without evidence
    agency: Agency
    because: str | None  # the kind that weighed most, None without evidence
    source: Literal["prior", "learned", "said"]  # said: a survey answer or words


def appraisals_of(
    journey: JourneyFile, kinds: Iterable[str], table: ValenceTable
) -> dict[tuple[str, str | None], Appraisal]:
    """By (kind, touchpoint): what was learned; by (kind, None): the prior."""
    mappings = {mapping.id: mapping for mapping in journey.events}
    appraisals: dict[tuple[str, str | None], Appraisal] = {}
    for kind in kinds:
        mapping = mappings.get(kind)
        prior = (
            _mapping_prior(mapping, journey)
            if mapping is not None
            else _signal_prior(kind, journey)
        )
        appraisals[kind, None] = Appraisal(
            valence=prior.valence,
            confidence=PRIOR_CONFIDENCE if prior.valence else 0.0,
            arousal=prior.arousal,
            agency=prior.agency,
            learned=False,
        )
    for learned in table.valences:
        bare = appraisals.get((learned.kind, None))
        if bare is not None:
            appraisals[learned.kind, learned.touchpoint] = Appraisal(
                valence=learned.valence,
                confidence=_confidence(learned),
                arousal=bare.arousal,
                agency=bare.agency,
                learned=True,
            )
    return appraisals


class SurveyAppraisal:
    """Turn survey scores into valences: 2 F(score) - 1 by the mid-ranks of the answers seen;
    before 200 of them by the scale's own centre."""

    def __init__(self, role: str, scale: SurveyScale | None) -> None:
        self._centre, self._half_width = SURVEYS[role]
        self.learned = scale is not None and sum(scale.counts) >= ENOUGH_ANSWERS
        self.confidence = 1.0 if self.learned else PRIOR_CONFIDENCE
        if scale is not None and self.learned:
            self._scores = np.array(scale.scores)
            self._below = np.concatenate([[0.0], np.cumsum(scale.counts)])

    def valence(self, score: float) -> float:
        """-1 to 1.

        >>> SurveyAppraisal("nps", None).valence(9.0)
        0.2
        """
        if not self.learned:
            raw = (score - self._centre) / self._half_width
            return float(min(max(raw, -1.0), 1.0))
        left = int(np.searchsorted(self._scores, score, side="left"))
        right = int(np.searchsorted(self._scores, score, side="right"))
        rank = (self._below[left] + self._below[right]) / 2.0 / self._below[-1]
        return float(2.0 * rank - 1.0)


def _confidence(learned: LearnedValence) -> float:
    """Grows from the prior's to 1 with the occurrences, as the blend does."""
    if learned.valence == 0.0:
        return 0.0
    return PRIOR_CONFIDENCE + (1.0 - PRIOR_CONFIDENCE) * learned.weight


def _signal_prior(signal: str, journey: JourneyFile) -> SignalPrior:
    return _with_owners_rule(PRIORS.get(signal, _NEUTRAL), journey.emotion.signals, signal)


def _mapping_prior(mapping: EventMapping, journey: JourneyFile) -> SignalPrior:
    if mapping.signal is not None:
        prior = _signal_prior(mapping.signal, journey)
    else:
        valence = mapping.valence or 0.0
        prior = SignalPrior(valence, max(abs(valence), 0.1), "firm" if valence < 0 else "none")
    return SignalPrior(
        prior.valence if mapping.valence is None else mapping.valence,
        prior.arousal if mapping.arousal is None else mapping.arousal,
        prior.agency if mapping.agency is None else mapping.agency,
    )


def _with_owners_rule(
    prior: SignalPrior, rules: Mapping[str, SignalRule], signal: str
) -> SignalPrior:
    rule = rules.get(signal, SignalRule())
    return SignalPrior(
        prior.valence if rule.valence is None else rule.valence,
        prior.arousal if rule.arousal is None else rule.arousal,
        prior.agency if rule.agency is None else rule.agency,
    )
