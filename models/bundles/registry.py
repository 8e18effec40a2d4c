"""The registry: bundles as versions of one model in MLflow, with the aliases that name them.

A version holds the bundle's own files, its figures and pictures, a signature and an input
example. Nothing in it is pickled, and loading reads text and JSON only.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, NamedTuple

from models.bundles.bundle import Bundle, load_bundle
from models.bundles.mlflow_client import (
    missing_library,
    mlflow_client,
    waiting,
    without_password,
)
from models.bundles.mlflow_runs import CARD, ModelRun, dataset, shortened, write_artifacts
from nba.errors import NotFound
from nba.stores.versioned import CHAMPION

if TYPE_CHECKING:
    import pandas as pd
    from mlflow import MlflowClient

MODEL = "nba"
EXPERIMENT = "nba"
CHALLENGER = "challenger"
NOTE = "mlflow.note.content"  # the tag that is shown as a run's description
_OF_PARENT = ("mlflow.user", "mlflow.source.name", "mlflow.source.type", "mlflow.source.git.commit")
_NOT_THERE = ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE")
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

        logging.getLogger("mlflow").setLevel(logging.WARNING)
        logging.getLogger("alembic").setLevel(logging.WARNING)
        self._url = url
        mlflow.set_tracking_uri(waiting(url))
        with mlflow_client(url) as client:
            experiment = client.get_experiment_by_name(EXPERIMENT)
            self._experiment = (
                experiment.experiment_id
                if experiment
                else client.create_experiment(
                    EXPERIMENT,
                    artifact_location=artifacts.resolve().as_uri() if artifacts else None,
                )
            )

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

        with (
            mlflow_client(self._url) as client,
            mlflow.start_run(experiment_id=self._experiment, run_name=bundle.bundle_id) as run,
        ):
            mlflow.log_params(dict(params))
            mlflow.log_metrics(dict(metrics))
            mlflow.set_tags({**tags, "bundle_id": bundle.bundle_id, NOTE: shortened(card)})
            mlflow.log_input(dataset(example, bundle.manifest.dataset), context="training")
            with TemporaryDirectory() as folder:
                write_artifacts(Path(folder), bundle, example, pictures, journey)
                (Path(folder) / CARD).write_text(card)
                mlflow.log_artifacts(folder)
            source = f"{run.info.artifact_uri}/bundle"
            for name, model_run in (models or {}).items():
                self._model_run(client, run.info.run_id, name, model_run)
        return self._version(
            MODEL,
            about="Bundles of the nba service",
            source=source,
            run_id=run.info.run_id,
            bundle_id=bundle.bundle_id,
            alias=registered_as,
            description=shortened(card),
        )

    def _model_run(
        self, client: MlflowClient, parent_id: str, name: str, model_run: ModelRun
    ) -> None:
        """The run of one model, finished."""
        from mlflow.entities import Metric, Param

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

        with (
            mlflow_client(self._url),
            mlflow.start_run(experiment_id=self._experiment, run_name=name) as run,
        ):
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
        from mlflow.exceptions import MlflowException

        with mlflow_client(self._url) as client:
            try:
                client.get_registered_model(model)
            except MlflowException:
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
        from mlflow.exceptions import MlflowException

        address = without_password(self._url)
        with mlflow_client(self._url) as client:
            try:
                if which.isdecimal():
                    version = client.get_model_version(MODEL, which)
                else:
                    version = client.get_model_version_by_alias(MODEL, which)
            except MlflowException as error:
                if error.error_code not in _NOT_THERE:
                    raise
                raise NotFound(
                    f"{which!r}: no such version or alias of {MODEL!r} in MLflow at {address}; "
                    "run nba train first"
                ) from None
        with TemporaryDirectory() as folder:
            try:
                path = Path(mlflow.artifacts.download_artifacts(version.source, dst_path=folder))
            except Exception as error:  # each store of files has a library with errors of its own
                remedy = "put them back, or run nba train again"
                if isinstance(error, ImportError):
                    remedy = missing_library(error)
                raise NotFound(
                    f"version {version.version} of {MODEL!r} in MLflow at {address}: its files at "
                    f"{version.source} cannot be read: {remedy}"
                ) from error
            files = {file.name: file.read_bytes() for file in path.iterdir() if file.is_file()}
        return RegisteredBundle(str(version.version), load_bundle(files))

    def trained_at(self) -> datetime | None:
        """When the newest version was registered, None before the first."""
        with mlflow_client(self._url) as client:
            versions = client.search_model_versions(
                f"name = '{MODEL}'", order_by=["creation_timestamp DESC"], max_results=1
            )
        if not versions:
            return None
        return datetime.fromtimestamp(versions[0].creation_timestamp / 1_000, tz=UTC)

    def point_champion(self, bundle_id: str, version: str | None = None) -> str | None:
        """Point the alias `champion` at a version of this bundle; None where MLflow has none.

        `version`: the one that was promoted; else the alias stays where it names this bundle
        already, and goes to the newest version of it where it does not.
        """
        with mlflow_client(self._url) as client:
            if version is None:
                found = client.search_model_versions(
                    f"name = '{MODEL}' and tags.bundle_id = '{bundle_id}'"
                )
                versions = {int(registered.version) for registered in found}
                if not versions:
                    return None
                named = client.get_registered_model(MODEL).aliases.get(CHAMPION)
                if named is not None and int(named) in versions:
                    return str(named)
                version = str(max(versions))
            client.set_registered_model_alias(MODEL, CHAMPION, version)
        return version

    def note(
        self,
        version: str,
        *,
        at: datetime,
        metrics: Mapping[str, float],
        tags: Mapping[str, str],
        files: Mapping[str, bytes],
    ) -> None:
        """Add figures, tags and text files to the run behind a version."""
        from mlflow.entities import Metric, RunTag

        with mlflow_client(self._url) as client:
            run_id = str(client.get_model_version(MODEL, version).run_id)
            at_ms = int(at.timestamp() * 1_000)
            client.log_batch(
                run_id,
                metrics=[Metric(name, value, at_ms, 0) for name, value in metrics.items()],
                tags=[RunTag(name, value) for name, value in tags.items()],
            )
            for name, content in files.items():
                client.log_text(run_id, content.decode(), name)
