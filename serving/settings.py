"""Settings: read once from the environment, here and nowhere else."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, get_type_hints

import msgspec
from msgspec import Meta

from nba.errors import InvalidInput, did_you_mean

PREFIX = "NBA_"
ESTIMATOR = r"^[A-Za-z_][\w.]*:[A-Za-z_][\w.]*$"
NOT_SETTINGS = {"NBA_DATA"}  # where tests look for public data sets
SECRETS = {"database_url", "mlflow_url", "webhook_url", "webhook_secret"}  # or may hold one
NOT_SHOWN = "(not shown)"


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """What an operator may choose; each field is the environment variable NBA_<FIELD>."""

    home: Path = Path(".nba")  # the service's own folder
    journey: Path = Path("examples/bank/journey.yaml")  # the journey file
    database_url: str | None = None  # PostgreSQL; none: a private server in `home`
    mlflow_url: str | None = None  # tracking server; none: SQLite in `home`
    host: str = "127.0.0.1"
    port: Annotated[int, Meta(ge=1, le=65535)] = 3000
    workers: Annotated[int, Meta(ge=1, le=64)] = 1
    reload_s: Annotated[float, Meta(gt=0, le=3600)] = 2.0  # how often a new champion is looked for
    learn_s: Annotated[float, Meta(gt=0, le=86_400)] = 5.0  # how often outcomes are learned from
    policy_versions: Annotated[int, Meta(ge=1)] = 500  # of what was learned, that are kept
    retrain_days: Annotated[float, Meta(gt=0)] = 7.0  # after so long nba retrain is due
    retrain_cool_down_days: Annotated[float, Meta(gt=0)] = 3.0  # and after drift, no sooner
    # of scikit-learn's API, package.module:name, in place of the models of nba train
    churn_estimator: Annotated[str, Meta(pattern=ESTIMATOR)] | None = None
    touchpoint_estimator: Annotated[str, Meta(pattern=ESTIMATOR)] | None = None
    body_bytes: Annotated[int, Meta(ge=1024)] = 524_288  # the largest body that is read
    batch_events: Annotated[int, Meta(ge=1)] = 2_500  # the most events in one call
    seed: Annotated[int, Meta(ge=0)] | None = None  # makes the draws repeatable; none: entropy
    shutdown_s: Annotated[int, Meta(ge=1)] = 20  # how long accepted requests may take to finish
    # past this the owner's fallback is answered
    deadline_ms: Annotated[float, Meta(gt=0)] = 1_000.0
    breaker_misses: Annotated[int, Meta(ge=1)] = 3  # in a row that open the breaker
    breaker_s: Annotated[float, Meta(gt=0)] = 10.0  # how long it then rests before it probes
    webhook_url: Annotated[str, Meta(pattern=r"^https?://\S+$")] | None = (
        None  # of outbound actions
    )
    webhook_secret: Annotated[str, Meta(min_length=16)] | None = None  # signs what goes there
    webhook_dry_run: bool = False  # outbound actions are logged as delivered, and not sent
    webhook_attempts: Annotated[int, Meta(ge=1, le=100)] = 8  # then a message is dead

    def __repr__(self) -> str:
        fields = [
            f"{name}={NOT_SHOWN if name in SECRETS and value is not None else repr(value)}"
            for name in self.__struct_fields__
            for value in [getattr(self, name)]
        ]
        return f"Settings({', '.join(fields)})"

    @property
    def tracking_url(self) -> str:
        """Where MLflow keeps runs and bundles."""
        return self.mlflow_url or f"sqlite:///{self.home.resolve() / 'mlflow.db'}"

    @property
    def artifacts(self) -> Path | None:
        """Where runs keep their files; None: where the tracking server says."""
        return None if self.mlflow_url else self.home / "artifacts"

    def environ(self) -> dict[str, str]:
        """The same settings as environment variables, for a child process."""
        return {
            PREFIX + name.upper(): str(value)
            for name in self.__struct_fields__
            if (value := getattr(self, name)) is not None
        }


def read_settings(environ: Mapping[str, str] | None = None) -> Settings:
    """The settings in the environment.

    Raises InvalidInput naming the variable, its value and the remedy.
    """
    variables = os.environ if environ is None else environ
    hints = get_type_hints(Settings, include_extras=True)
    known = {PREFIX + name.upper(): name for name in Settings.__struct_fields__}
    values: dict[str, Any] = {}
    for variable in sorted(variables):
        if not variable.startswith(PREFIX) or variable in NOT_SETTINGS:
            continue
        if variable not in known:
            # its value might be a password
            raise InvalidInput(variable, "set", did_you_mean(variable, known))
        name, text = known[variable], variables[variable].strip()
        if not text:
            raise InvalidInput(variable, text, "unset it or give it a value")
        try:
            if hints[name] is Path:
                values[name] = Path(text).expanduser()
            else:
                values[name] = msgspec.convert(text, hints[name], strict=False)
        except msgspec.ValidationError as error:
            seen = NOT_SHOWN if name in SECRETS else text
            raise InvalidInput(variable, seen, str(error)) from None
    return Settings(**values)


def prepare_environment(settings: Settings) -> None:
    """Set what other packages read from the environment, before any of them is imported."""
    cache = settings.home.resolve() / "numba"
    for variable, value in {
        "NUMBA_CACHE_DIR": str(cache),
        "BENTOML_DO_NOT_TRACK": "True",
        "BENTOML_HOME": str(settings.home.resolve() / "bentoml"),
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "4",  # half a minute; its own 7 are four
        "MLFLOW_TRACKING_URI": settings.tracking_url,
        "MPLBACKEND": "Agg",
        "OMP_WAIT_POLICY": "passive",
        "GIT_PYTHON_REFRESH": "quiet",
    }.items():
        os.environ.setdefault(variable, value)
