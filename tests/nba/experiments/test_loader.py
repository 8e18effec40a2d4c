"""The experiment file: every error has its line and its remedy."""

from __future__ import annotations

from functools import partial

import pytest

from nba.errors import InvalidJourney
from nba.experiments.checks import check_beside, check_experiment
from nba.experiments.experiment import ArmSpec, Experiment, ExplorationChange
from nba.experiments.loader import load_experiment
from nba.journey.file import JourneyFile
from nba.journey_file.loader import load_journey, parse_checked
from tests.fixtures.files import ROOT
from tests.fixtures.small_replica import JOURNEY, changed
from tests.nba.experiments.test_experiment import experiment, started

BANK = ROOT / "examples" / "bank"
TEXT = """\
version: 1
id: cap
hypothesis: The cap costs us.
arms:
  - {id: as_is, share: 0.5}
  - {id: no_cap, share: 0.5, without: [three_a_week]}
primary: {id: buyers, measure: any, events: [purchase], least_effect: 0.01}
"""


def parsed(text: str, journey: JourneyFile = JOURNEY) -> Experiment:
    check = partial(check_experiment, journey=journey)
    return parse_checked(text, "e.yaml", Experiment, check)


def errors(text: str) -> list[str]:
    with pytest.raises(InvalidJourney) as found:
        parsed(text)
    return str(found.value).splitlines()


def test_the_file_of_the_example_is_in_order() -> None:
    found = load_experiment(BANK / "experiment.yaml", load_journey(BANK / "journey.yaml"))
    assert [arm.id for arm in found.arms] == ["as_is", "no_pause"]


def test_a_file_is_what_it_says() -> None:
    found = parsed(TEXT)
    assert found.arms[1].without == ["three_a_week"]
    assert (found.primary.window_days, found.alpha, found.layer) == (14.0, 0.05, "main")


@pytest.mark.parametrize(
    ("old", "new", "line", "told"),
    [
        ("three_a_week", "three_a_weak", 6, "did you mean 'three_a_week'?"),
        ("[purchase]", "[purchases]", 7, "did you mean 'purchase'?"),
        ("[purchase]", "[]", 7, "list the kinds of event"),
        ("share: 0.5, without", "share: 0.6, without", 4, "add up to 1.1; at most 1"),
        ("id: as_is, share: 0.5", "id: as_is", 5, "write a number above 0"),
        ("id: no_cap", "id: as_is", 6, "already the id of arms[0]"),
        ("measure: any", "measure: amount", 0, ""),
        ("measure: any, events: [purchase]", "measure: amount, events: [page]", 7, "no amount"),
        ("measure: any", "measure: reward", 7, "leave them out"),
        ("hypothesis", "hypothesys", 3, "did you mean 'hypothesis'?"),
        ("without: [three_a_week]", "exploration: {policy: fixed}", 6, "list the actions"),
        ("without: [three_a_week]", "exploration: {}", 6, "name what it changes"),
        ("without: [three_a_week]", "action: loan_offer", 6, "allocation: bandit"),
        ("id: cap", "id: cap\nanalysis: fixed", 1, "say after how many"),
    ],
)
def test_an_error_has_its_line_and_its_remedy(old: str, new: str, line: int, told: str) -> None:
    text = TEXT.replace(old, new)
    if not told:
        assert parsed(text).primary.measure == "amount"
        return
    found = errors(text)
    assert any(one.startswith(f"e.yaml:{line}:") and told in one for one in found), found


def test_what_is_the_laws_or_hers_cannot_be_left_out() -> None:
    bank = load_journey(BANK / "journey.yaml")
    one = experiment(arms=[ArmSpec("a", 0.5), ArmSpec("b", 0.5, without=["marketing"])])
    (wrong,) = check_experiment(one, bank)
    assert "of consent, which no arm may leave out" in str(wrong)


def test_arms_that_do_the_same_are_an_error_but_for_a_test_of_the_test() -> None:
    change = ExplorationChange(policy="greedy")
    same = [ArmSpec("a", 0.3), ArmSpec("b", 0.3, change), ArmSpec("c", 0.3, change)]
    (wrong,) = check_experiment(experiment(arms=same), JOURNEY)
    assert "it does the same as b" in str(wrong)
    assert not list(check_experiment(experiment(), JOURNEY))


def test_two_layers_must_not_change_the_same() -> None:
    def with_cap_off(id: str, layer: str):
        arms = [ArmSpec("a", 0.5), ArmSpec("b", 0.5, without=["three_a_week"])]
        return experiment(id, arms=arms, layer=layer)

    running = [started(with_cap_off("one", "x"))]
    (wrong,) = check_beside(with_cap_off("two", "y"), running)
    assert "one in layer x changes three_a_week too" in str(wrong)
    assert not list(check_beside(with_cap_off("two", "x"), running))
    assert not list(check_beside(experiment("two", layer="y"), running))


def test_an_id_and_a_salt_are_used_once() -> None:
    running = [started(experiment("one", salt="s"))]
    assert "labels are in the log" in str(next(check_beside(experiment("one"), running)))
    (wrong,) = check_beside(experiment("two", salt="s"), running)
    assert "would not be independent" in str(wrong)


def test_arms_of_a_bandit_are_actions() -> None:
    arms = [ArmSpec("a", action="loan_offer"), ArmSpec("b", action="loan_ofer")]
    found = [str(e) for e in check_experiment(experiment(arms=arms, allocation="bandit"), JOURNEY)]
    assert any("did you mean 'loan_offer'?" in one for one in found)
    assert any("compared by reward" in one for one in found)


def test_a_reward_with_terms_of_training_cannot_be_a_metric() -> None:
    reward = type(JOURNEY.reward)(target="value", events=["purchase"], staying=True)
    text = TEXT.replace("measure: any, events: [purchase]", "measure: reward")
    with pytest.raises(InvalidJourney, match="terms that training alone reads"):
        parsed(text, changed(reward=reward))
