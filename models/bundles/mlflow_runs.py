"""What an MLflow run holds beside a bundle's files."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from models.bundles.bundle import Bundle

if TYPE_CHECKING:
    import pandas as pd

CARD = "card.md"
DESCRIPTION = 5_000  # characters that MLflow keeps of one


class ModelRun(NamedTuple):
    """The run of one model, under that of its bundle."""

    params: Mapping[str, Any]
    metrics: Mapping[str, float]
    tags: Mapping[str, str]
    files: Mapping[str, bytes]  # by path

    def logged_tables(self) -> str:
        """MLflow's list of the tables among the files: JSON at the top."""
        tables = [path for path in self.files if "/" not in path and path.endswith(".json")]
        return json.dumps([{"path": path, "type": "table"} for path in tables])


def table_json(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> bytes:
    """A table as MLflow shows it: JSON of `columns` and `data`."""
    return json.dumps({"columns": list(columns), "data": [list(row) for row in rows]}).encode()


def shortened(card: str) -> str:
    """As much of a card as a description takes, cut at a line."""
    if len(card) <= DESCRIPTION:
        return card
    return card[: card.rindex("\n", 0, DESCRIPTION - 60)] + f"\n\nThe rest: {CARD} of the run.\n"


def dataset(example: pd.DataFrame, fingerprint: str) -> Any:
    from mlflow.data.pandas_dataset import from_pandas

    return from_pandas(example, name="log", digest=fingerprint)


def write_artifacts(
    folder: Path,
    bundle: Bundle,
    example: pd.DataFrame,
    pictures: Mapping[str, bytes],
    journey: bytes,
) -> None:
    """The run's artifacts: bundle/ with its MLmodel, pictures/, and the journey file."""
    from mlflow.models import Model, infer_signature

    files = folder / "bundle"
    files.mkdir()
    for name, content in bundle.files().items():
        (files / name).write_bytes(content)
    known = example.astype(object).where(example.notna(), None)  # JSON has no NaN
    rows = known.to_dict(orient="split", index=False)
    (files / "input_example.json").write_text(json.dumps(rows))
    model = Model(
        artifact_path="bundle",
        signature=infer_signature(example, example.iloc[:, 0].rename("score")),
        saved_input_example_info={
            "artifact_path": "input_example.json",
            "type": "dataframe",
            "pandas_orient": "split",
        },
    )
    model.add_flavor("nba", format=str(bundle.manifest.format), bundle_id=bundle.bundle_id)
    model.save(str(files / "MLmodel"))
    (folder / "pictures").mkdir()
    for name, content in pictures.items():
        (folder / "pictures" / name).write_bytes(content)
    (folder / "journey.json").write_bytes(journey)
