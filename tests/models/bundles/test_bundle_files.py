"""Serving reads data formats with a checked manifest: nothing in a bundle can name code to run."""

from __future__ import annotations

import hashlib
import pickle
from pathlib import Path

import msgspec
import pytest

from models.bundles.bundle import MANIFEST, load_bundle
from nba.errors import InvalidBundle
from tests.models.bundles.test_bundle import made


class Trap:
    """A pickle that makes a file when it is loaded."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[Path]]:
        return Path.touch, (self.path,)


def with_model(name: str, content: bytes) -> dict[str, bytes]:
    """A bundle whose touchpoint model is this file, with the right hash in its manifest."""
    bundle = made()
    assert bundle.manifest.touchpoint is not None
    digest = hashlib.sha256(content).hexdigest()
    part = msgspec.structs.replace(bundle.manifest.touchpoint, file=name, sha256=digest)
    manifest = msgspec.structs.replace(bundle.manifest, touchpoint=part)
    return {**bundle.files(), MANIFEST: msgspec.json.encode(manifest), name: content}


def test_a_pickle_beside_the_models_is_never_opened(tmp_path: Path) -> None:
    trap = tmp_path / "sprung"
    bundle = made()
    files = {**bundle.files(), "model.pkl": pickle.dumps(Trap(trap)), "MLmodel": b"loader: os"}
    assert load_bundle(files).files() == bundle.files()
    assert not trap.exists()


@pytest.mark.parametrize("name", ["touchpoint.pkl", "touchpoint.py", "touchpoint", "model.joblib"])
def test_a_model_of_another_kind_is_refused_whatever_its_hash(tmp_path: Path, name: str) -> None:
    trap = tmp_path / "sprung"
    with pytest.raises(InvalidBundle, match=r"a model is \.txt or \.onnx"):
        load_bundle(with_model(name, pickle.dumps(Trap(trap))))
    assert not trap.exists()


def test_a_pickle_under_the_name_of_trees_is_refused(tmp_path: Path) -> None:
    trap = tmp_path / "sprung"
    with pytest.raises(InvalidBundle, match=r"touchpoint\.txt: no text of trees"):
        load_bundle(with_model("touchpoint.txt", pickle.dumps(Trap(trap))))
    assert not trap.exists()


@pytest.mark.parametrize("place", ["manifest", "touchpoint"])
def test_a_manifest_that_names_a_loader_is_refused(place: str) -> None:
    files = made().files()
    manifest = msgspec.json.decode(files[MANIFEST])
    (manifest if place == "manifest" else manifest[place])["loader_module"] = "os"
    with pytest.raises(InvalidBundle, match="unknown field `loader_module`"):
        load_bundle({**files, MANIFEST: msgspec.json.encode(manifest)})
