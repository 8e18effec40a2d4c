"""Scoring texts: what is read of them, and what a model of any language must bear."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, strategies as st

from features.text.model import CONTENT, MANIFEST, TextModel, load_text_model, n_grams, normalised
from nba.errors import InvalidBundle
from tests.fixtures.examples import examples

WEIGHTS = {
    "\tgood": 2.0, "\tawful": -3.0, "\tnot good": -4.0, " good": 0.5, "\t好": 1.5,
    "\t不 好": -3.5, "\t差": -2.0, "\t😡": -2.5, "\t😍": 2.5, "\t!": 0.1,
}  # fmt: skip


def model(**changes: float) -> TextModel:
    weights = {**WEIGHTS, **changes}
    return TextModel(
        grams=tuple(weights),
        scales=np.linspace(1, 2, len(weights)),
        weights=np.array(list(weights.values())),
        intercept=0.25,
    )


MODEL = model()


def valence(text: str) -> float:
    return float(MODEL.score([text])[0][0])


@pytest.mark.parametrize("text", ["", " \t\n", "\x00", "\ud800", "xyzzy", "Привет", "\u200d"])
def test_a_text_of_which_nothing_is_known_is_neutral_without_confidence(text: str) -> None:
    valences, confidences = MODEL.score([text])
    assert valences.tolist() == confidences.tolist() == [0.0]


def test_no_texts_have_no_scores() -> None:
    valences, confidences = MODEL.score([])
    assert valences.shape == confidences.shape == (0,)


def test_a_model_that_knows_nothing_is_neutral() -> None:
    empty = TextModel(grams=(), scales=np.empty(0), weights=np.empty(0), intercept=1.0)
    assert empty.score(["good"])[0].tolist() == [0.0]


def test_a_score_is_the_formula() -> None:
    """ "good good !": the word twice, its piece twice, one sign."""
    scales = dict(zip(MODEL.grams, MODEL.scales, strict=True))
    times = {"\tgood": 2, " good": 2, "\t!": 1}
    x = {gram: scales[gram] * (1 + np.log(n)) for gram, n in times.items()}
    margin = 0.25 + sum(WEIGHTS[gram] * x[gram] for gram in x) / np.linalg.norm(list(x.values()))
    assert valence("good good !") == pytest.approx(2 / (1 + np.exp(-margin)) - 1, abs=1e-12)


@pytest.mark.parametrize("text", ["GOOD", "ｇｏｏｄ", "  good\n", "go\ud83dod"])
def test_case_width_space_and_broken_characters_do_not_count(text: str) -> None:
    assert valence(text) == valence("good") > 0.5


def test_pairs_turn_a_word_round_in_any_script() -> None:
    assert valence("not good") < 0 < valence("good")
    assert valence("不好") < 0 < valence("好")


def test_emoji_and_mixed_languages_are_read() -> None:
    assert valence("😍😍") > 0.5 > -0.5 > valence("😡")
    assert valence("food 很差 awful 😡") < -0.5
    assert valence("good 好 👍🏽 ❤️ 👨‍👩‍👧") > 0.5


def test_head_and_tail_of_a_long_text_are_read_and_the_middle_is_not() -> None:
    filler = "x " * 2_000
    assert valence("good " + filler) > 0 > valence(filler + "awful")
    assert valence(filler + " good " + filler) == 0
    assert len(normalised("\ufdfa" * 100_000)) == 2_000


@given(st.lists(st.text(st.characters(codec=None, exclude_categories=())), max_size=4))
@examples(100)
def test_any_text_has_a_valence_within_bounds(texts: list[str]) -> None:
    valences, confidences = MODEL.score(texts)
    assert (np.abs(valences) <= 1).all()
    assert np.array_equal(confidences, np.abs(valences))


def test_a_text_scores_the_same_alone_and_among_others() -> None:
    texts = [f"good {'awful ' * (n % 5)} 不好 {'😍' * (n % 3)} {n}" for n in range(700)]
    together = MODEL.score(texts)[0]
    assert together.tolist() == [valence(text) for text in texts]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("don't stop", ["don", "'", "t", "stop"]),
        ("味道好", ["味", "道", "好"]),
        ("iphone很好", ["iphone", "很", "好"]),
        ("하늘 좋아", ["하늘", "좋아"]),
        ("हिन्दी अच्छी है।", ["हिन्दी", "अच्छी", "है", "।"]),
        ("great 😀!", ["great", "😀", "!"]),
        ("すごい", ["す", "ご", "い"]),
    ],
)
def test_words_of_many_scripts(text: str, words: list[str]) -> None:
    assert [gram[1:] for gram in n_grams(text) if gram[0] == "\t"][: len(words)] == words


def test_a_model_survives_its_files_bit_for_bit() -> None:
    texts = ["good", "awful 不好", "😡!", "", "not good at all"]
    loaded = load_text_model({**MODEL.to_files(), "other.txt": b"?"})
    assert loaded.score(texts)[0].tobytes() == MODEL.score(texts)[0].tobytes()
    assert loaded.to_files() == MODEL.to_files()
    assert loaded.model_id == MODEL.model_id
    assert MODEL.model_id.startswith("text-") and len(MODEL.model_id) == 21


def test_another_weight_is_another_model() -> None:
    assert model(**{"\tgood": 2.1}).model_id != MODEL.model_id


def test_a_model_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        MODEL.intercept = 1.0  # type: ignore[misc]
    with pytest.raises(ValueError, match="read-only"):
        MODEL.weights[0] = 1.0
    MODEL.to_files().clear()
    assert set(MODEL.to_files()) == {CONTENT, MANIFEST}


@pytest.mark.parametrize("name", [CONTENT, MANIFEST])
def test_a_missing_file_is_named(name: str) -> None:
    files = MODEL.to_files()
    del files[name]
    with pytest.raises(InvalidBundle, match=f"{name}: absent"):
        load_text_model(files)


@pytest.mark.parametrize("name", [CONTENT, MANIFEST])
def test_no_byte_of_a_file_can_be_changed(name: str) -> None:
    content = MODEL.to_files()[name]
    for place in range(len(content)):
        changed = bytes([*content[:place], content[place] ^ 1, *content[place + 1 :]])
        with pytest.raises(InvalidBundle):
            load_text_model({**MODEL.to_files(), name: changed})


@pytest.mark.parametrize("content", [b"", b"{}", b"\xff\xfe", b"[1]", b"null", b"{"])
@pytest.mark.parametrize("name", [CONTENT, MANIFEST])
def test_unreadable_files_are_refused(name: str, content: bytes) -> None:
    with pytest.raises(InvalidBundle, match=name):
        load_text_model({**MODEL.to_files(), name: content})


def test_altered_weights_and_unknown_formats_are_refused() -> None:
    files = MODEL.to_files()
    content = json.loads(files[CONTENT])
    content["weights"][0] = 9.0
    with pytest.raises(InvalidBundle, match="altered since training"):
        load_text_model({**files, CONTENT: json.dumps(content, separators=(",", ":")).encode()})
    content["weights"].pop()
    with pytest.raises(InvalidBundle, match="different lengths"):
        load_text_model({**files, CONTENT: json.dumps(content).encode()})
    later = json.dumps({**json.loads(files[MANIFEST]), "format": 2}).encode()
    with pytest.raises(InvalidBundle, match="format 2; this program reads 1"):
        load_text_model({**files, MANIFEST: later})


def test_scoring_imports_nothing_heavy() -> None:
    program = (
        "import sys, features.text.model; print({'sklearn', 'scipy', 'pandas'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout.strip() == "set()", done.stderr
