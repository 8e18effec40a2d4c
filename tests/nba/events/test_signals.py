"""The tables of signals, their docs, and what the journey file may say of them."""

from __future__ import annotations

import msgspec
import pytest

from nba.customer.appraisal import SurveyAppraisal
from nba.customer.context import emotion_columns
from nba.events.detectors import DETECTORS, Detector, detectors_of
from nba.events.prohibited_sources import biometric
from nba.events.signals import PRIORS, ROLES
from nba.events.valences import SurveyScale
from nba.journey.file import JourneyFile
from nba.journey.mapping import EmotionRule, EventMapping, SignalRule
from nba.journey_file.checks import check_journey
from tests.fixtures.customer_with_signals import JOURNEY_OF_SIGNALS
from tests.fixtures.files import ROOT
from tests.fixtures.small_replica import JOURNEY, changed

PAGE = (ROOT / "docs" / "signals.md").read_text()


def errors(journey: JourneyFile) -> list[str]:
    return [f"{error.field}: {error.remedy}" for error in check_journey(journey)]


def with_event(**fields: object) -> JourneyFile:
    fields = {"id": "extra", "event": "Extra", "touchpoint": "website"} | fields
    return changed(events=[*JOURNEY.events, EventMapping(**fields)])  # type: ignore[arg-type]


@pytest.mark.parametrize("detector", DETECTORS, ids=lambda d: d.signal)
def test_the_page_has_every_threshold(detector: Detector) -> None:
    row = f"| `{detector.signal}` | {', '.join(detector.roles)} | {detector.times} | "
    row += f"{detector.within_s:g} | {detector.beyond:g} | {detector.again:.3g} | "
    assert f"{row}{detector.rule} | {detector.source} |" in PAGE


@pytest.mark.parametrize("signal", PRIORS)
def test_the_page_has_every_prior(signal: str) -> None:
    valence, arousal, agency = PRIORS[signal]
    assert f"| `{signal}` | {valence:+g} | {arousal:g} | {agency} |" in PAGE
    assert -1 <= valence <= 1 and 0 <= arousal <= 1


@pytest.mark.parametrize("name", [*emotion_columns(10), *ROLES])
def test_the_page_has_every_column_and_role(name: str) -> None:
    assert f"`{name}`" in PAGE


def test_every_detected_signal_has_a_prior() -> None:
    assert {detector.signal for detector in DETECTORS} <= set(PRIORS)


def test_a_detector_runs_where_all_its_roles_are_mapped() -> None:
    assert [d.signal for d in detectors_of({"click"})] == ["rage_click"]
    assert [d.signal for d in detectors_of({"click", "error"})] == ["rage_click", "error_click"]
    assert "recovery" in [d.signal for d in detectors_of({"contact_end"})]
    assert JOURNEY.detectors() == []


def test_the_number_of_nodes_stands_in_the_names_of_the_columns() -> None:
    journey = changed(JOURNEY_OF_SIGNALS, emotion=EmotionRule(nodes=20))
    names = emotion_columns(journey.emotion.nodes)
    assert names[0] == "emotion.sum20" and "emotion.mean20" in names


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"signal": "rage_clik"}, "signal: unknown signal, did you mean 'rage_click'"),
        ({"role": "serch"}, "role: unknown role, did you mean 'search'"),
        ({"role": "search", "reads": {"querry": "q"}}, "events[13].reads.querry: did you mean"),
        ({"reads": {"query": "q"}}, "events[13].reads.query: give the event a role that reads it"),
        ({"arousal": 0.4, "touchpoint": None}, "events[13].arousal: what is felt belongs to"),
        ({"id": "voice_tone"}, "events[13].id: emotion is never read from the body"),
        ({"when": "properties.keystroke_ms > 4"}, "events[13].when: emotion is never read from"),
        ({"text": "voiceTone"}, "events[13].text: emotion is never read from the body"),
        ({"role": "field", "id": "form_abandoned"}, "events[13].id: the id of a signal that is"),
        ({"role": "click", "signal": "rage_click"}, "events[13].signal: also detected here"),
    ],
)
def test_a_mistake_in_an_event_is_named(fields: dict[str, object], message: str) -> None:
    assert any(message in error for error in errors(with_event(**fields))), errors(
        with_event(**fields)
    )


@pytest.mark.parametrize(
    ("signals", "message"),
    [
        ({"rage": SignalRule()}, "emotion.signals.rage: unknown signal"),
        ({"dwell": SignalRule()}, "no event brings it; map an event with role: view"),
        ({"zero_result": SignalRule(times=2)}, "zero_result does not read it; it reads within_s"),
        ({"repeated_view": SignalRule(times=5)}, "at most 4 are remembered"),
    ],
)
def test_a_mistake_in_a_signal_is_named(signals: dict[str, SignalRule], message: str) -> None:
    journey = changed(
        with_event(role="search", event="Extra"),
        emotion=EmotionRule(signals=signals),
    )
    assert any(message in error for error in errors(journey)), errors(journey)


@pytest.mark.parametrize("name", ["heart_rate", "facialScore", "Typing Rhythm", "cursor speed"])
def test_traits_and_facts_of_the_body_are_refused(name: str) -> None:
    assert biometric(name)
    trait = next(iter(JOURNEY.traits.values()))
    assert any("never read from the body" in e for e in errors(changed(traits={name: trait})))


@pytest.mark.parametrize("name", ["thrashed_cursor", "surface_area", "speech_bubble", "rate"])
def test_service_data_is_not_taken_for_the_body(name: str) -> None:
    assert not biometric(name)


@pytest.mark.parametrize("fields", [{"valence": -0.4}, {"role": "search"}, {"text": "comment"}])
def test_the_emotion_of_employees_is_refused(fields: dict[str, object]) -> None:
    journey = with_event(**fields)
    assert errors(journey) == []
    [scene] = journey.scenes
    trips = [msgspec.structs.replace(trip, actor="employee") for trip in scene.journeys]
    theirs = changed(journey, scenes=[msgspec.structs.replace(scene, journeys=trips)])
    assert any("events[13]" in e and "employees or partners" in e for e in errors(theirs))


@pytest.mark.parametrize(
    ("role", "score", "valence"),
    [("nps", 10, 1 / 3), ("nps", 0, -1), ("csat", 5, 1), ("csat", 2, -0.5), ("ces", 7, 1)],
)
def test_before_200_answers_the_scale_itself_counts(role: str, score: int, valence: float) -> None:
    few = SurveyScale(kind="x", scores=(1.0, 10.0), counts=(100, 99))
    assert SurveyAppraisal(role, few).valence(score) == pytest.approx(valence)
    assert SurveyAppraisal(role, None).valence(score) == pytest.approx(valence)


def test_from_200_answers_on_the_rank_counts() -> None:
    scale = SurveyScale(kind="x", scores=(0.0, 8.0, 9.0, 10.0), counts=(20, 60, 80, 40))
    feelings = SurveyAppraisal("nps", scale)
    found = [feelings.valence(score) for score in (0, 5, 8, 9, 10, 11)]
    assert found == pytest.approx([-0.9, -0.8, -0.5, 0.2, 0.8, 1.0])
    assert feelings.confidence == 1.0 and feelings.learned


def test_ranks_of_all_answers_average_to_zero() -> None:
    scale = SurveyScale(kind="x", scores=(1.0, 2.0, 5.0), counts=(30, 150, 70))
    feelings = SurveyAppraisal("csat", scale)
    weighted = [n * feelings.valence(s) for s, n in zip(scale.scores, scale.counts, strict=True)]
    assert sum(weighted) == pytest.approx(0.0, abs=1e-12)
