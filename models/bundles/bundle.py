"""Bundle: all that is promoted as one, as text and JSON with a checked manifest.

Files: `manifest.json`, `churn.txt`, `touchpoint.txt` (LightGBM text; `.onnx` where the deployment
has an estimator of its own; `.guesses.json` where no touchpoint model was trained),
`valences.json` where valences were learned, and `residual.bin`, the warm start of what is learned
online; `terms.txt` where the reward has terms. The bundle's id is the hash of its manifest, which
holds the hash of every other file; loading checks them and runs no code of the bundle's. A part
that could not be trained is absent, and the manifest says why.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

import msgspec

from models.predictors.guesses import SUFFIX as GUESSES, guesses_from_json
from models.predictors.lightgbm_trees import SUFFIX as TREES, trees_from_text
from models.predictors.onnx_graph import SUFFIX as ONNX, OnnxModel
from models.predictors.platt_scaling import PlattScaling
from models.predictors.predictor import Predictor
from models.predictors.with_terms import WithTerms
from models.residual.warm_start import FILE as RESIDUAL, WarmStart, WarmStartPart, load_warm_start
from nba.content_ids import content_id
from nba.errors import InvalidBundle, shown
from nba.events.valences import (
    VALENCES_FILE,
    ValenceTable,
    valences_from_json,
    valences_json,
)
from nba.journey.goals import Bounds

FORMAT = 1
MANIFEST = "manifest.json"


class ModelPart(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One model of the bundle."""

    file: str
    sha256: str
    columns: tuple[str, ...]
    calibration: PlattScaling | None
    metrics: dict[str, float] = {}


class RecipeNote(msgspec.Struct, frozen=True, kw_only=True):
    """How a model was fitted, where otherwise than by default."""

    parameters: dict[str, float | int | str] = {}  # LightGBM's
    estimator: str | None = None  # the setting that named it; only training imports it


class Manifest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the bundle is, without its boosters."""

    format: int
    schema_hash: str  # of the context columns that both models were trained on
    catalogue_version: str  # the journey file at training
    target: str  # of the touchpoint model: response or value
    horizon_days: float  # of the churn model
    actions: tuple[str, ...]  # action ids in the order of their codes in the touchpoint model
    action_features: tuple[str, ...]
    dataset: str  # fingerprint of the training data
    seed: int
    churn: ModelPart | None
    touchpoint: ModelPart | None
    valences: str | None = None  # sha256 of valences.json; None: the priors
    missing: dict[str, str] = {}  # part -> why it was not trained
    recipes: dict[str, RecipeNote] = {}  # by part
    residual: WarmStartPart | None = None  # the warm start of what is learned online
    # `nba.rewards.terms.score_definition` at training; unset in bundles written before it
    asked: dict[str, str] | msgspec.UnsetType = msgspec.UNSET
    terms: ModelPart | msgspec.UnsetType = msgspec.UNSET  # of the reward's terms, where it has any
    # of `value` where the journey file sets none, as learned from the training data; unset: none
    reward_bounds: Bounds | msgspec.UnsetType = msgspec.UNSET


@dataclass(frozen=True, slots=True, eq=False)
class Bundle:
    """A manifest with its models in memory."""

    manifest: Manifest
    churn: Predictor | None
    touchpoint: Predictor | None
    table: ValenceTable = ValenceTable()
    warm: WarmStart | None = None

    @property
    def reward_bounds(self) -> Bounds | None:
        """Between which EUR it has learned that rewards are kept."""
        return self.manifest.reward_bounds or None

    @property
    def bundle_id(self) -> str:
        return bundle_id(_encoded(self.manifest))

    def files(self) -> dict[str, bytes]:
        """Every file of the bundle by name; the same bundle gives the same bytes."""
        files = {MANIFEST: _encoded(self.manifest)}
        for part, model in ((self.manifest.churn, self.churn),
                            (self.manifest.touchpoint, self.touchpoint)):  # fmt: skip
            if part is not None and model is not None:
                files[part.file] = model.to_bytes()
        if isinstance(self.touchpoint, WithTerms) and isinstance(self.manifest.terms, ModelPart):
            files[self.manifest.terms.file] = self.touchpoint.terms.to_bytes()
        if self.manifest.valences is not None:
            files[VALENCES_FILE] = valences_json(self.table)
        if self.warm is not None:
            files[RESIDUAL] = self.warm.sums.to_bytes()
        return files


def part(name: str, model: Predictor, metrics: dict[str, float]) -> ModelPart:
    """The manifest's entry of a model."""
    return ModelPart(
        file=f"{name}{model.suffix}",
        sha256=hashlib.sha256(model.to_bytes()).hexdigest(),
        columns=model.columns,
        calibration=model.calibration,
        metrics=metrics,
    )


def differences(manifest: Manifest, other: Manifest) -> list[str]:
    """What two manifests say otherwise, in words: a field, or the field of a part, each with both
    values; of a model whose file is another, that."""
    found: list[str] = []
    for name in manifest.__struct_fields__:
        one, two = getattr(manifest, name), getattr(other, name)
        if one == two:
            continue
        if not (isinstance(one, msgspec.Struct) and type(one) is type(two)):
            found.append(f"{name} is {shown(one)}, and {shown(two)} again")
            continue
        for part_name in one.__struct_fields__:
            was, now = getattr(one, part_name), getattr(two, part_name)
            if was != now and part_name == "sha256":
                found.append(f"the fitted {name} is another")
            elif was != now:
                found.append(f"{name}.{part_name} is {shown(was)}, and {shown(now)} again")
    return found


def terms_part(model: Predictor | None) -> ModelPart | msgspec.UnsetType:
    """The manifest's entry of the terms of a touchpoint model, unset where it has none."""
    return part("terms", model.terms, {}) if isinstance(model, WithTerms) else msgspec.UNSET


def valences_hash(table: ValenceTable) -> str | None:
    """The manifest's entry of a table, None for the priors."""
    return None if table.is_prior else hashlib.sha256(valences_json(table)).hexdigest()


def load_bundle(files: Mapping[str, bytes]) -> Bundle:
    """The bundle in these files.

    Raises InvalidBundle for a missing, altered or unreadable file, or an unknown format.
    """
    if MANIFEST not in files:
        raise InvalidBundle(f"{MANIFEST}: absent; promote the bundle again")
    try:
        manifest = msgspec.json.decode(files[MANIFEST], type=Manifest)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidBundle(f"{MANIFEST}: {error}; promote the bundle again") from None
    if manifest.format != FORMAT:
        raise InvalidBundle(f"{MANIFEST}: format {manifest.format}; this program reads {FORMAT}")
    return Bundle(
        manifest=manifest,
        churn=_load(files, manifest.churn),
        touchpoint=_touchpoint(files, manifest),
        table=_table(files, manifest.valences),
        warm=_warm(files, manifest.residual),
    )


def bundle_id(manifest: bytes) -> str:
    """The id of the bundle with this manifest."""
    return content_id("bundle", manifest)


def _load(files: Mapping[str, bytes], part: ModelPart | None) -> Predictor | None:
    if part is None:
        return None
    content = _checked(files, part.file, part.sha256)
    if part.file.endswith(ONNX):
        return OnnxModel(content, part.columns, part.calibration)
    if part.file.endswith(GUESSES):
        return guesses_from_json(content, part.columns)
    if not part.file.endswith(TREES):
        raise InvalidBundle(f"{part.file}: a model is {TREES} or {ONNX}; promote the bundle again")
    try:
        return trees_from_text(content.decode(), part.columns, part.calibration)
    except UnicodeDecodeError:
        raise InvalidBundle(f"{part.file}: no text of trees; promote the bundle again") from None


def _touchpoint(files: Mapping[str, bytes], manifest: Manifest) -> Predictor | None:
    observed = _load(files, manifest.touchpoint)
    if observed is None or not isinstance(manifest.terms, ModelPart):
        return observed
    terms = _load(files, manifest.terms)
    assert terms is not None
    return WithTerms(observed, terms)


def _table(files: Mapping[str, bytes], sha256: str | None) -> ValenceTable:
    return (
        ValenceTable()
        if sha256 is None
        else valences_from_json(_checked(files, VALENCES_FILE, sha256))
    )


def _warm(files: Mapping[str, bytes], part: WarmStartPart | None) -> WarmStart | None:
    return None if part is None else load_warm_start(_checked(files, RESIDUAL, part.sha256), part)


def _checked(files: Mapping[str, bytes], name: str, sha256: str) -> bytes:
    content = files.get(name)
    if content is None:
        raise InvalidBundle(f"{name}: absent; promote the bundle again")
    if hashlib.sha256(content).hexdigest() != sha256:
        raise InvalidBundle(f"{name}: altered since training; promote the bundle again")
    return content


def _encoded(manifest: Manifest) -> bytes:
    return msgspec.json.format(msgspec.json.encode(manifest, order="deterministic"), indent=1)
