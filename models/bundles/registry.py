"""The registry: bundles as versions of one model in MLflow, with the aliases that name them.

A version holds the bundle's own files, its figures and pictures, a signature and an input
example. Nothing in it is pickled, and loading reads text and JSON only.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, NamedTuple

from models.bundles.bundle import Bundle, load_bundle
from models.bundles.mlflow_runs import CARD, ModelRun, shortened
from nba.errors import NotFound, StoreUnavailable
from nba.stores.versioned import CHAMPION

if TYPE_CHECKING:
    import pandas as pd
    from mlflow import MlflowClient

MODEL = "nba"
EXPERIMENT = "nba"
CHALLENGER = "challenger"
NOTE = "mlflow.note.content"  # the tag that is shown as a run's description
_OF_PARENT = ("mlflow.user", "mlflow.source.name", "mlflow.source.type", "mlflow.source.git.commit")
EMOTION, TEXT = "emotion", "text"  # aliases in the store, and models nba-emotion, nba-text


class RegisteredBundle(NamedTuple):
    """A bundle with its version in MLflow."""

    version: str
    bundle: Bundle


class Registry:
    """Bundles in the MLflow server at `url`; a new experiment keeps its files in `artifacts`.

    Every method raises StoreUnavailable where the server cannot be reached.
    """

    def __init__(self, url: str, artifacts: Path | None = None) -> None:
        import mlflow
        from mlflow.exceptions import MlflowException

        logging.getLogger("mlflow").setLevel(logging.WARNING)
        logging.getLogger("alembic").setLevel(logging.WARNING)
        self._url = url
        self._error = MlflowException
        mlflow.set_tracking_uri(url)
        try:
            experiment = mlflow.get_experiment_by_name(EXPERIMENT)
            self._experiment = (
                experiment.experiment_id
                if experiment
                else mlflow.create_experiment(
                    EXPERIMENT,
                    artifact_location=artifacts.resolve().as_uri() if artifacts else None,
                )
            )
        except MlflowException as error:
            raise StoreUnavailable(f"MLflow at {url}: {error}") from None

    def save(
        self,
        bundle: Bundle,
        *,
        example: pd.DataFrame,
        params: Mapping[str, Any],
        metrics: Mapping[str, float],
        tags: Mapping[str, str],
        pictures: Mapping[str, bytes],
        journey: bytes,
        models: Mapping[str, ModelRun] | None = None,
        card: str = "",
        registered_as: str = CHALLENGER,
    ) -> str:
        """Log a run with the bundle, register it, and point an alias at it; gives the version.

        `example`: a few rows of the touchpoint model's columns. `pictures`: PNG by file name.
        `models`: a run each, under the bundle's. `card`: Markdown, a file of the run and, as far
        as it fits, the version's description.
        """
        import mlflow

        with mlflow.start_run(experiment_id=self._experiment, run_name=bundle.bundle_id) as run:
            mlflow.log_params(dict(params))
            mlflow.log_metrics(dict(metrics))
            mlflow.set_tags({**tags, "bundle_id": bundle.bundle_id, NOTE: shortened(card)})
            mlflow.log_input(_dataset(example, bundle.manifest.dataset), context="training")
            with TemporaryDirectory() as folder:
                _write(Path(folder), bundle, example, pictures, journey)
                (Path(folder) / CARD).write_text(card)
                mlflow.log_artifacts(folder)
            source = f"{run.info.artifact_uri}/bundle"
            for name, model_run in (models or {}).items():
                self._model_run(run.info.run_id, name, model_run)
        return self._version(
            MODEL,
            about="Bundles of the nba service",
            source=source,
            run_id=run.info.run_id,
            bundle_id=bundle.bundle_id,
            alias=registered_as,
            description=shortened(card),
        )

    def _model_run(self, parent_id: str, name: str, model_run: ModelRun) -> None:
        """The run of one model, finished."""
        from mlflow.entities import Metric, Param

        client = self._client()
        parent = client.get_run(parent_id)
        inherited = {key: parent.data.tags[key] for key in _OF_PARENT if key in parent.data.tags}
        run = client.create_run(
            self._experiment,
            run_name=name,
            tags={
                **inherited,
                **model_run.tags,
                "mlflow.parentRunId": parent_id,
                "mlflow.loggedArtifacts": model_run.logged_tables(),
            },
        )
        at = int(run.info.start_time)
        client.log_batch(
            run.info.run_id,
            metrics=[Metric(key, value, at, 0) for key, value in model_run.metrics.items()],
            params=[Param(key, str(value)) for key, value in model_run.params.items()],
        )
        with TemporaryDirectory() as folder:
            for path, content in model_run.files.items():
                (Path(folder) / path).parent.mkdir(exist_ok=True)
                (Path(folder) / path).write_bytes(content)
            client.log_artifacts(run.info.run_id, folder)
        client.set_terminated(run.info.run_id)

    def save_files(
        self,
        kind: str,
        name: str,
        files: Mapping[str, bytes],
        *,
        params: Mapping[str, Any],
        metrics: Mapping[str, float],
    ) -> str:
        """Log a run with these files and register it as `nba-<kind>`; gives the version."""
        import mlflow

        with mlflow.start_run(experiment_id=self._experiment, run_name=name) as run:
            mlflow.log_params(dict(params))
            mlflow.log_metrics(dict(metrics))
            with TemporaryDirectory() as folder:
                for file, content in files.items():
                    (Path(folder) / file).write_bytes(content)
                mlflow.log_artifacts(folder, kind)
            source = f"{run.info.artifact_uri}/{kind}"
        return self._version(
            f"{MODEL}-{kind}",
            about=f"What nba train {kind} learned",
            source=source,
            run_id=run.info.run_id,
            bundle_id=name,
            alias=CHAMPION,
        )

    def _version(
        self,
        model: str,
        *,
        about: str,
        source: str,
        run_id: str,
        bundle_id: str,
        alias: str,
        description: str = "",
    ) -> str:
        client = self._client()
        try:
            client.get_registered_model(model)
        except self._error:
            client.create_registered_model(model, description=about)
        version = client.create_model_version(
            model,
            source=source,
            run_id=run_id,
            tags={"bundle_id": bundle_id},
            description=description,
        )
        client.set_registered_model_alias(model, alias, version.version)
        return str(version.version)

    def load(self, which: str) -> RegisteredBundle:
        """The bundle of an alias or a version number.

        Raises NotFound for an unknown one, InvalidBundle for files that do not match.
        """
        import mlflow

        client = self._client()
        try:
            if which.isdecimal():
                version = client.get_model_version(MODEL, which)
            else:
                version = client.get_model_version_by_alias(MODEL, which)
        except self._error:
            raise NotFound(
                f"{which!r}: no such version or alias of {MODEL!r} in MLflow at {self._url}; "
                "run nba train first"
            ) from None
        with TemporaryDirectory() as folder:
            path = Path(
                mlflow.artifacts.download_artifacts(artifact_uri=version.source, dst_path=folder)
            )
            files = {file.name: file.read_bytes() for file in path.iterdir() if file.is_file()}
        return RegisteredBundle(str(version.version), load_bundle(files))

    def trained_at(self) -> datetime | None:
        """When the newest version was registered, None before the first."""
        try:
            versions = self._client().search_model_versions(
                f"name = '{MODEL}'", order_by=["creation_timestamp DESC"], max_results=1
            )
        except self._error as error:
            raise StoreUnavailable(f"MLflow at {self._url}: {error}") from None
        if not versions:
            return None
        return datetime.fromtimestamp(versions[0].creation_timestamp / 1_000, tz=UTC)

    def point(self, alias: str, version: str) -> None:
        """Point an alias at a version."""
        self._client().set_registered_model_alias(MODEL, alias, version)

    def note(self, version: str, metrics: Mapping[str, float]) -> None:
        """Add figures to the run behind a version."""
        client = self._client()
        run_id = str(client.get_model_version(MODEL, version).run_id)
        for name, value in metrics.items():
            client.log_metric(run_id, name, value)

    def _client(self) -> MlflowClient:
        from mlflow import MlflowClient

        return MlflowClient(self._url)


def _dataset(example: pd.DataFrame, fingerprint: str) -> Any:
    from mlflow.data.pandas_dataset import from_pandas

    return from_pandas(example, name="log", digest=fingerprint)


def _write(
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
