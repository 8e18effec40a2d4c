"""Bundles: what comes back is what was promoted, and nothing else is accepted."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import msgspec
import numpy as np
import pytest
from hypothesis import HealthCheck, given, strategies as st
from scipy.special import expit, logit

from models.bundles.bundle import (
    FORMAT,
    MANIFEST,
    Bundle,
    Manifest,
    differences,
    load_bundle,
    part,
)
from models.bundles.scorer import REASONS, BundleScorer
from models.predictors.lightgbm_trees import fit_trees
from models.predictors.touchpoint_columns import (
    ACTION,
    action_rows,
    touchpoint_columns,
    touchpoint_rows,
)
from nba.customer.context import Context, ContextSchema, offered_columns
from nba.errors import InvalidBundle
from nba.journey.actions import NO_ACTION
from nba.journey.goals import RewardRule
from tests.fixtures.examples import examples
from tests.fixtures.small_replica import FOLD, JOURNEY, NOON, changed, event, failed_search

ACTIONS = (*(action.id for action in JOURNEY.actions), NO_ACTION)
FEATURES = ("selling", "human")
N_CONTEXT = len(FOLD.schema.columns)


def made(target: str = "response") -> Bundle:
    """Models of noise and of three facts: failed searches, selling, and earlier offers."""
    rng = np.random.default_rng(3)
    failed = FOLD.schema.index["search_failed.count_1h"]
    contexts = np.where(rng.random((900, N_CONTEXT)) < 0.1, np.nan, rng.random((900, N_CONTEXT)))
    times = rng.integers(0, 4, 900)
    offered = np.column_stack([np.where(times > 0, rng.random(900), np.nan), times])
    codes = rng.integers(0, len(ACTIONS), 900)
    actions = action_rows(JOURNEY, ACTIONS, FEATURES)[codes]
    rows = touchpoint_rows(contexts, offered, actions)
    margin = 3 * np.nan_to_num(contexts[:, failed]) - 3 * np.nan_to_num(actions[:, 1]) - times / 2
    labels = (rng.random(900) < expit(margin)).astype(float)
    answer = margin if target == "value" else labels
    columns = touchpoint_columns(FOLD.schema.columns, FEATURES)
    churn = fit_trees(
        *(contexts[:600], labels[:600], contexts[600:], labels[600:]),
        columns=FOLD.schema.columns,
        seed=1,
    )
    touchpoint = fit_trees(
        *(rows[:600], answer[:600], rows[600:], answer[600:]),
        columns=columns,
        seed=1,
        probability=target == "response",
        categorical=(ACTION,),
    )
    manifest = Manifest(
        format=FORMAT,
        schema_hash=FOLD.schema.schema_hash,
        catalogue_version=JOURNEY.catalogue_version(),
        target=target,
        horizon_days=30.0,
        actions=ACTIONS,
        action_features=FEATURES,
        dataset="data-0",
        seed=1,
        churn=part("churn", churn, {"auc": 0.75}),
        touchpoint=part("touchpoint", touchpoint, {}),
    )
    return Bundle(manifest, churn, touchpoint)


@pytest.fixture(scope="module")
def bundle() -> Iterator[Bundle]:
    yield made()


@pytest.fixture(scope="module")
def contexts() -> list[Context]:
    """A stranger, and customers with more and more behind them."""
    found = [FOLD.context("stranger", FOLD.empty, NOON)]
    events = [event("identify", NOON, {"segment": "mass", "tenure_months": 9})]
    for hour in range(5):
        at = NOON + timedelta(hours=hour)
        events += [failed_search(at), event("Action Decided", at, {"action_id": "help_popup"})]
        state = FOLD.advance(FOLD.empty, events)
        assert state is not None
        found.append(FOLD.context(f"c{hour}", state, at))
    return found


# The files


def test_the_files_load_to_the_same_bundle(bundle: Bundle, contexts: list[Context]) -> None:
    files = bundle.files()
    assert set(files) == {MANIFEST, "churn.txt", "touchpoint.txt"}
    again = load_bundle(files)
    assert again.manifest == bundle.manifest
    assert again.bundle_id == bundle.bundle_id
    assert again.files() == files
    codes = [[0, 1, 2, 3]] * len(contexts)
    scores = [BundleScorer(one, FOLD.schema).touchpoint(contexts, codes) for one in (bundle, again)]
    assert np.array_equal(*scores)


def test_the_id_follows_from_the_content(bundle: Bundle) -> None:
    assert made().bundle_id == bundle.bundle_id
    other = msgspec.structs.replace(bundle.manifest, seed=2)
    assert Bundle(other, bundle.churn, bundle.touchpoint).bundle_id != bundle.bundle_id


@given(st.sampled_from(["churn.txt", "touchpoint.txt"]), st.integers(0), st.integers(0, 7))
@examples(60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_one_flipped_bit_in_a_model_is_refused(
    bundle: Bundle, name: str, position: int, bit: int
) -> None:
    files = bundle.files()
    with pytest.raises(InvalidBundle, match=f"{name}: altered since training"):
        load_bundle({**files, name: flipped(files[name], position, bit)})


@given(st.integers(0), st.integers(0, 7))
@examples(200, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_one_flipped_bit_in_the_manifest_is_refused_or_shows_in_the_id(
    bundle: Bundle, position: int, bit: int
) -> None:
    files = bundle.files()
    try:
        loaded = load_bundle({**files, MANIFEST: flipped(files[MANIFEST], position, bit)})
    except InvalidBundle:
        return
    # the 17th digit of a number may say nothing
    assert loaded.bundle_id != bundle.bundle_id or loaded.manifest == bundle.manifest


def flipped(content: bytes, position: int, bit: int) -> bytes:
    changed_ = bytearray(content)
    changed_[position % len(content)] ^= 1 << bit
    return bytes(changed_)


@pytest.mark.parametrize("name", [MANIFEST, "churn.txt", "touchpoint.txt"])
def test_a_missing_file_is_named(bundle: Bundle, name: str) -> None:
    files = bundle.files()
    del files[name]
    with pytest.raises(InvalidBundle, match=f"{name}: absent; promote the bundle again"):
        load_bundle(files)


def test_another_format_is_refused(bundle: Bundle) -> None:
    other = Bundle(msgspec.structs.replace(bundle.manifest, format=2), None, None)
    with pytest.raises(InvalidBundle, match="format 2; this program reads 1"):
        load_bundle(other.files() | {"churn.txt": b"", "touchpoint.txt": b""})


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b"\xff\xfe", b'{"format": "1"}'])
def test_what_is_no_manifest_is_refused(bundle: Bundle, content: bytes) -> None:
    with pytest.raises(InvalidBundle, match=MANIFEST):
        load_bundle({**bundle.files(), MANIFEST: content})


def test_a_bundle_without_a_model_loads_and_says_what_it_misses(bundle: Bundle) -> None:
    why = {"touchpoint": "12 rows to fit, 200 are needed"}
    manifest = msgspec.structs.replace(bundle.manifest, touchpoint=None, missing=why)
    partial = load_bundle(Bundle(manifest, bundle.churn, None).files())
    assert partial.touchpoint is None and partial.churn is not None
    with pytest.raises(InvalidBundle, match="incomplete: touchpoint: 12 rows to fit"):
        BundleScorer(partial, FOLD.schema)


# The scorer


def test_a_bundle_of_other_columns_is_refused(bundle: Bundle) -> None:
    traits = {name: trait for name, trait in JOURNEY.traits.items() if name != "has_mortgage"}
    schema = ContextSchema(changed(traits=traits))
    with pytest.raises(InvalidBundle, match="train and promote again") as caught:
        BundleScorer(bundle, schema)
    assert FOLD.schema.schema_hash in str(caught.value) and schema.schema_hash in str(caught.value)


def test_scores_of_many_are_the_scores_of_each(bundle: Bundle, contexts: list[Context]) -> None:
    scorer = BundleScorer(bundle, FOLD.schema)
    codes = [[0, 1, 2, 3], [], [2], [3, 0], [1], [0, 1, 2]]
    flat = scorer.touchpoint(contexts, codes)
    one_by_one = [
        scorer.touchpoint([context], [[code]])[0]
        for context, chosen in zip(contexts, codes, strict=True)
        for code in chosen
    ]
    assert flat.tolist() == one_by_one
    assert ((flat > 0) & (flat < 1)).all()
    assert scorer.touchpoint(contexts[:2], [[], []]).shape == (0,)


def test_risks_and_scores_are_the_models_on_the_contexts_rows(
    bundle: Bundle, contexts: list[Context]
) -> None:
    assert bundle.churn is not None and bundle.touchpoint is not None
    scorer = BundleScorer(bundle, FOLD.schema)
    risks = [churn.risk for churn in scorer.churn(contexts)]
    values = np.vstack([context.values for context in contexts])
    assert risks == pytest.approx(bundle.churn.predict(values).tolist(), abs=1e-12)
    actions = action_rows(JOURNEY, ACTIONS, FEATURES)
    for code in (0, 2):  # offered before, and never
        rows = np.vstack(
            [
                np.concatenate([context.values, offered_columns(context, 4)[code], actions[code]])
                for context in contexts
            ]
        )
        expected = bundle.touchpoint.predict(rows)
        assert scorer.touchpoint(contexts, [[code]] * len(contexts)).tolist() == expected.tolist()


def test_reasons_are_few_ordered_and_say_what_they_did(
    bundle: Bundle, contexts: list[Context]
) -> None:
    scorer = BundleScorer(bundle, FOLD.schema)
    [reasons] = scorer.touchpoint_reasons([contexts[-1]], [1])
    assert 0 < len(reasons) <= REASONS
    sizes = [abs(reason.contribution) for reason in reasons]
    assert sizes == sorted(sizes, reverse=True)
    by_column = {reason.column: reason for reason in reasons}
    failed = by_column["search_failed.count_1h"]
    assert failed.value == contexts[-1].values[FOLD.schema.index["search_failed.count_1h"]]
    assert failed.contribution > 0 and failed.text.endswith("which raises p_accept")
    action = by_column[ACTION]
    assert action.text == "action is card_offer, which lowers p_accept"
    assert not any(reason.column.startswith("action.") for reason in reasons)


def test_an_unknown_fact_is_named_as_unknown(bundle: Bundle, contexts: list[Context]) -> None:
    scorer = BundleScorer(bundle, FOLD.schema)
    [churn] = scorer.churn(contexts[:1])
    unknown = [reason for reason in churn.reasons if reason.value is None]
    assert all(f"{reason.column} is unknown, which " in reason.text for reason in unknown)
    assert churn.horizon_days == 30.0
    assert all(reason.text.endswith("the risk") for reason in churn.reasons)


def test_a_new_action_is_scored_by_its_features(bundle: Bundle, contexts: list[Context]) -> None:
    card = JOURNEY.actions[1]
    new = [
        msgspec.structs.replace(card, id="second_card"),
        msgspec.structs.replace(card, id="advice", features={"selling": 0.0, "human": 1.0}),
    ]
    schema = ContextSchema(changed(actions=[*JOURNEY.actions, *new]))
    assert schema.schema_hash == FOLD.schema.schema_hash
    scorer = BundleScorer(bundle, schema)
    assert bundle.touchpoint is not None
    row = np.concatenate([contexts[0].values, [np.nan, 0.0], [np.nan], [1.0, 0.0]])
    sells, helps = scorer.touchpoint(contexts[:1], [[4, 5]])
    assert sells == bundle.touchpoint.predict(row[None, :])[0]
    assert logit(helps) > logit(sells)  # selling lowers it, whoever sells
    known = scorer.touchpoint(contexts[:1], [[0, 1, 2, 3]])
    before = BundleScorer(bundle, FOLD.schema).touchpoint(contexts[:1], [[0, 1, 2, 3]])
    assert known.tolist() == before.tolist()
    [[*reasons]] = scorer.touchpoint_reasons(contexts[:1], [4])
    assert any("second_card" in reason.text for reason in reasons if reason.column == ACTION)


def test_a_bundle_of_values_prices_no_action_too(contexts: list[Context]) -> None:
    rule = RewardRule(target="value", events=["purchase"])
    schema = ContextSchema(changed(FOLD.schema.journey, reward=rule), FOLD.schema.table)
    scorer = BundleScorer(made("value"), schema)
    assert scorer.learns_value
    scores = scorer.touchpoint(contexts[-1:], [[0, -1]])
    assert np.isfinite(scores).all()
    [[*reasons]] = scorer.touchpoint_reasons(contexts[-1:], [-1])
    assert all(reason.text.endswith("the value") for reason in reasons)


def test_what_differs_between_two_manifests_is_said_with_both_values(bundle: Bundle) -> None:
    manifest = bundle.manifest
    assert differences(manifest, manifest) == []
    assert manifest.churn is not None
    churn = msgspec.structs.replace(manifest.churn, sha256="0", metrics={"auc": 0.5})
    told = differences(manifest, msgspec.structs.replace(manifest, seed=99, churn=churn))
    assert f"seed is {manifest.seed}, and 99 again" in told
    assert "the fitted churn is another" in told
    assert any(text.startswith("churn.metrics is ") for text in told)
