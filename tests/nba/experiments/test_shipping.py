"""Shipping: the journey file changed in place, and nothing in it but what the arm says."""

from __future__ import annotations

import difflib

import pytest
from msgspec.structs import replace

from nba.errors import InvalidInput
from nba.experiments.experiment import ArmSpec, ExplorationChange
from nba.experiments.shipping import shippable, shipped, shipped_text
from nba.governance.rule_ablation import rule_parts
from nba.journey_file.loader import load_journey, parse_journey
from nba.stores.memory.log import MemoryLog
from tests.fixtures.files import BANK_JOURNEY, SMALL_JOURNEY
from tests.fixtures.running_experiment import an_experiment, in_force

FILE = BANK_JOURNEY
TEXT = FILE.read_text(encoding="utf-8")
BANK = load_journey(FILE)
LEFT_OUT = ("engagement", "inline", "cap", "cool-down", "pause", "weight", "lever")
PARTS = [part for part in rule_parts(BANK) if part.kind in LEFT_OUT]
IDS = list({(part.kind, part.id.count(".")): part.id for part in PARTS}.values())


def removed(new: str, old: str = TEXT) -> list[str]:
    diff = difflib.ndiff(old.splitlines(), new.splitlines())
    return [line for line in diff if line[0] in "+-"]


@pytest.mark.parametrize("name", IDS)
def test_a_part_of_each_kind_can_be_taken_out_of_its_text(name: str) -> None:
    arm = ArmSpec("b", without=[name])
    new = shipped_text(TEXT, arm, "journey.yaml")
    assert parse_journey(new) == shipped(BANK, arm) != BANK
    assert 1 <= len(removed(new)) <= 5


def test_comments_and_order_stay() -> None:
    new = shipped_text(TEXT, ArmSpec("b", without=["selling", "selling_again"]), "journey.yaml")
    assert removed(new) == [
        "-     - {id: selling,         times: 2, days: 14, per: group,   group: sales,",
        "-        lifted_share: 0.05} # one in twenty is spared it, so that we learn what it costs",
        "-   cool_downs:",
        "-     - {id: selling_again,   hours: 72, per: group, group: sales}",
    ]


def test_an_exploration_is_written_over_the_one_that_is_there() -> None:
    change = ExplorationChange(policy="softmax", temperature_eur=2.5)
    new = shipped_text(TEXT, ArmSpec("b", exploration=change), "journey.yaml")
    assert parse_journey(new).exploration == change.on(BANK.exploration)
    assert len([line for line in removed(new) if line.startswith("+")]) == 1
    plain = TEXT.replace("exploration: {epsilon: 0.1}\n", "")
    assert parse_journey(shipped_text(plain, ArmSpec("b", exploration=change), "j")).exploration
    order = ExplorationChange(policy="fixed", order=["loan_offer", "no_action"])
    new = shipped_text(TEXT, ArmSpec("b", exploration=order), "journey.yaml")
    assert parse_journey(new).exploration.order == ["loan_offer", "no_action"]


def test_a_block_of_lines_is_taken_out_as_a_whole() -> None:
    small = SMALL_JOURNEY.read_text("utf-8")
    new = shipped_text(small, ArmSpec("b", without=["loan_offer.eligible"]), "journey.yaml")
    assert parse_journey(new).actions[-1].eligible is None
    assert len(removed(new, small)) == 3


def test_what_is_gone_already_is_said() -> None:
    once = shipped_text(TEXT, ArmSpec("b", without=["selling"]), "journey.yaml")
    with pytest.raises(InvalidInput, match="not in this journey file any more"):
        shipped_text(once, ArmSpec("b", without=["selling"]), "journey.yaml")


def test_a_text_that_cannot_be_changed_safely_is_left_to_the_owner() -> None:
    anchored = TEXT.replace(
        "    - {id: selling,         times: 2, days: 14, per: group,   group: sales,\n"
        "       lifted_share: 0.05} #",
        "    - {id: selling, <<: &times {times: 2, days: 14}, per: group, group: sales,\n"
        "       lifted_share: 0.05} #",
    ).replace("id: calls,           times: 2, days: 30", "id: calls, <<: *times, days: 30")
    assert anchored != TEXT and parse_journey(anchored)
    with pytest.raises(InvalidInput, match=r"change it by hand \(selling\)"):
        shipped_text(anchored, ArmSpec("b", without=["selling"]), "journey.yaml")


def test_only_an_arm_that_changes_something_is_shipped() -> None:
    started = in_force(an_experiment(), MemoryLog())
    with pytest.raises(InvalidInput, match="like this arm already"):
        shippable(started, "a")
    with pytest.raises(InvalidInput, match="known names: a, b"):
        shippable(started, "zzz")
    drawn = replace(started.experiment, allocation="bandit")
    with pytest.raises(InvalidInput, match="it is an action"):
        shippable(replace(started, experiment=drawn), "b")
