"""Candidate set: variants are taken out, and an action is refused with its last one."""

from __future__ import annotations

import numpy as np
from hypothesis import given, strategies as st

from nba.governance.candidate_set import CandidateSet, Variants
from nba.journey.policies import EngagementRule
from tests.fixtures.examples import examples
from tests.fixtures.random_catalogues import IDS, OPEN
from tests.fixtures.small_replica import JOURNEY

VARIANTS = Variants(OPEN)  # help_popup has two treatments: five variants of four actions


def refuse(candidate_set: CandidateSet, *positions: int) -> tuple[str, ...]:
    mask = np.isin(np.arange(len(VARIANTS.code)), positions)
    return candidate_set.refuse(mask, "not_suitable", rule="rule", detail=lambda: "why")


def left(candidate_set: CandidateSet) -> tuple[str, ...]:
    return tuple(IDS[code] for code in candidate_set.codes)


def test_every_treatment_is_a_variant() -> None:
    assert VARIANTS.code.tolist() == [0, 0, 1, 2, 3] and not VARIANTS.alike
    assert Variants(JOURNEY).alike


def test_an_action_is_refused_with_its_last_variant() -> None:
    candidate_set = CandidateSet(VARIANTS)
    assert refuse(candidate_set, 0) == () and candidate_set.codes == [0, 1, 2, 3]
    assert candidate_set.treatments(0) == [1]
    assert refuse(candidate_set, 1, 2) == ("help_popup", "card_offer")
    assert [(one.action_id, one.detail) for one in candidate_set.refused] == [
        *(("help_popup", "why"), ("card_offer", "why")),
    ]
    assert (
        refuse(candidate_set, 0, 1, 2) == () and len(candidate_set.refused) == 2
    )  # nobody is refused twice
    assert left(candidate_set) == ("agent_callback", "loan_offer")


def test_a_detail_is_computed_only_where_it_is_needed() -> None:
    candidate_set = CandidateSet(VARIANTS)
    nothing = np.zeros(5, dtype=bool)
    assert candidate_set.refuse(nothing, "no_consent", rule="r", detail=lambda: 1 / 0) == ()  # type: ignore


def test_a_scope_is_what_group_channel_and_list_share() -> None:
    def concerned(**scope: object) -> list[int]:
        rule = EngagementRule(id="r", layer="eligibility", when="x", **scope)
        return np.flatnonzero(VARIANTS.mask(rule)).tolist()

    assert concerned() == [0, 1, 2, 3, 4]
    assert concerned(group="help") == [0, 1]
    assert concerned(channel="web", group="sales") == [4]
    assert concerned(actions=["agent_callback"], channel="web") == []


@examples(100)
@given(st.lists(st.sets(st.integers(0, 4)), max_size=6))
def test_what_is_left_and_what_is_refused_is_everything(refusals: list[set[int]]) -> None:
    candidate_set = CandidateSet(VARIANTS)
    for positions in refusals:
        refuse(candidate_set, *positions)
    refused = [one.action_id for one in candidate_set.refused]
    assert sorted([*refused, *left(candidate_set)]) == sorted(IDS)
    gone = set().union(*refusals)
    assert np.flatnonzero(candidate_set.alive).tolist() == sorted(set(range(5)) - gone)
