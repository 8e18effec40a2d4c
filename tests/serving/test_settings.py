"""Settings: each variable read, each mistake named with its remedy."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, strategies as st

from nba.errors import InvalidInput
from serving.settings import Settings, prepare_environment, read_settings
from tests.fixtures.examples import examples
from tests.fixtures.files import ROOT

OTHER = {
    "NBA_HOME": ("/var/nba", Path("/var/nba")),
    "NBA_JOURNEY": ("shop.yaml", Path("shop.yaml")),
    "NBA_DATABASE_URL": ("postgresql://u@h/d", "postgresql://u@h/d"),
    "NBA_MLFLOW_URL": ("http://mlflow:5000", "http://mlflow:5000"),
    "NBA_HOST": ("0.0.0.0", "0.0.0.0"),
    "NBA_PORT": ("8080", 8080),
    "NBA_WORKERS": ("4", 4),
    "NBA_RELOAD_S": ("0.5", 0.5),
    "NBA_LEARN_S": ("60", 60.0),
    "NBA_POLICY_VERSIONS": ("10", 10),
    "NBA_RETRAIN_DAYS": ("14", 14.0),
    "NBA_RETRAIN_COOL_DOWN_DAYS": ("1.5", 1.5),
    "NBA_CHURN_ESTIMATOR": ("shop.models:leaving", "shop.models:leaving"),
    "NBA_TOUCHPOINT_ESTIMATOR": ("shop.models:answering", "shop.models:answering"),
    "NBA_BODY_BYTES": ("2048", 2048),
    "NBA_BATCH_EVENTS": ("10", 10),
    "NBA_SEED": ("7", 7),
    "NBA_SHUTDOWN_S": ("5", 5),
    "NBA_DEADLINE_MS": ("250", 250.0),
    "NBA_BREAKER_MISSES": ("5", 5),
    "NBA_BREAKER_S": ("2.5", 2.5),
    "NBA_WEBHOOK_URL": ("https://hooks.example.com/nba", "https://hooks.example.com/nba"),
    "NBA_WEBHOOK_SECRET": ("0123456789abcdef", "0123456789abcdef"),
    "NBA_WEBHOOK_DRY_RUN": ("true", True),
    "NBA_WEBHOOK_ATTEMPTS": ("3", 3),
}
FIELDS = [f"NBA_{name.upper()}" for name in Settings.__struct_fields__]


def test_nothing_in_the_environment_gives_the_defaults() -> None:
    assert read_settings({}) == Settings()
    assert read_settings({"HOME": "/root", "PATH": "/bin", "nba_port": "1"}) == Settings()


@pytest.mark.parametrize("variable", FIELDS)
def test_each_variable_sets_its_field_and_no_other(variable: str) -> None:
    text, value = OTHER[variable]
    field = variable.removeprefix("NBA_").lower()
    read = read_settings({variable: f" {text} "})
    assert getattr(read, field) == value != getattr(Settings(), field)
    for other in set(Settings.__struct_fields__) - {field}:
        assert getattr(read, other) == getattr(Settings(), other)


def test_the_tests_own_variable_is_no_setting() -> None:
    assert read_settings({"NBA_DATA": "/data"}) == Settings()


@pytest.mark.parametrize(
    ("variable", "remedy"),
    [
        ("NBA_PROT", "did you mean 'NBA_PORT'?"),
        ("NBA_DATABASE", "did you mean 'NBA_DATABASE_URL'?"),
        ("NBA_COLOUR_SCHEME", "known names: NBA_BATCH_EVENTS, NBA_BODY_BYTES"),
    ],
)
def test_an_unknown_variable_is_refused_with_the_nearest_known(variable: str, remedy: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        read_settings({variable: "postgresql://u:passw0rd@h/d"})
    assert caught.value.field == variable
    assert remedy in caught.value.remedy
    assert "passw0rd" not in str(caught.value)  # a mistyped NBA_DATABASE_URL


@pytest.mark.parametrize(
    ("variable", "text", "remedy"),
    [
        ("NBA_PORT", "0", "`int` >= 1"),
        ("NBA_PORT", "65536", "`int` <= 65535"),
        ("NBA_PORT", "http", "Expected `int`"),
        ("NBA_PORT", "80.5", "Expected `int`"),
        ("NBA_WORKERS", "0", "`int` >= 1"),
        ("NBA_WORKERS", "65", "`int` <= 64"),
        ("NBA_RELOAD_S", "0", "`float` > 0"),
        ("NBA_RELOAD_S", "soon", "Expected `float`"),
        ("NBA_RELOAD_S", "nan", "`float` > 0"),
        ("NBA_RELOAD_S", "inf", "`float` <= 3600"),
        ("NBA_BODY_BYTES", "1023", "`int` >= 1024"),
        ("NBA_BATCH_EVENTS", "-1", "`int` >= 1"),
        ("NBA_SEED", "-1", "`int` >= 0"),
        ("NBA_SEED", "seven", "Expected `int"),
        ("NBA_SHUTDOWN_S", "0", "`int` >= 1"),
        ("NBA_WEBHOOK_DRY_RUN", "maybe", "Expected `bool"),
        ("NBA_WEBHOOK_ATTEMPTS", "0", "`int` >= 1"),
        ("NBA_WEBHOOK_ATTEMPTS", "101", "`int` <= 100"),
        *((variable, "  ", "unset it or give it a value") for variable in FIELDS),
    ],
)
def test_a_wrong_value_names_the_variable_the_value_and_the_remedy(
    variable: str, text: str, remedy: str
) -> None:
    with pytest.raises(InvalidInput) as caught:
        read_settings({variable: text})
    assert caught.value.field == variable
    assert caught.value.value == repr(text.strip())
    assert remedy in caught.value.remedy
    assert str(caught.value) == f"{variable}: {text.strip()!r}: {caught.value.remedy}"


@pytest.mark.parametrize(
    ("variable", "text", "remedy"),
    [
        ("NBA_WEBHOOK_SECRET", "s3cret", "length >= 16"),
        ("NBA_WEBHOOK_URL", "ftp://u:s3cret@h", "regex"),
        ("NBA_WEBHOOK_URL", "https://h/ s3cret", "regex"),
    ],
)
def test_a_wrong_secret_is_named_and_not_shown(variable: str, text: str, remedy: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        read_settings({variable: text})
    assert caught.value.field == variable
    assert remedy in caught.value.remedy
    assert "s3cret" not in f"{caught.value}{caught.value.value}"


def test_settings_that_are_shown_show_no_secret() -> None:
    url = "postgresql://u:s3cret-s3cret-s3cret@h/d"
    chosen = Settings(
        database_url=url,
        mlflow_url="https://u:s3cret@h",
        webhook_url="https://h/s3cret",
        webhook_secret="s3cret-s3cret-s3cret",
        port=8080,
    )
    assert "s3cret" not in f"{chosen}{chosen!r}"
    assert "port=8080" in repr(chosen)
    assert "webhook_secret=(not shown)" in repr(chosen)
    assert "webhook_secret=None" in repr(Settings())


def test_all_settings_come_through_the_environment_of_a_child() -> None:
    chosen = read_settings({variable: text for variable, (text, _) in OTHER.items()})
    assert read_settings(chosen.environ()) == chosen
    assert read_settings(Settings().environ()) == Settings()
    assert set(chosen.environ()) == set(FIELDS)


numbers = {
    "port": st.integers(1, 65_535),
    "workers": st.integers(1, 64),
    "reload_s": st.floats(min_value=1e-6, max_value=3600),
    "body_bytes": st.integers(1024, 2**40),
    "batch_events": st.integers(1, 2**40),
    "seed": st.none() | st.integers(0, 2**63 - 1),
    "shutdown_s": st.integers(1, 2**31),
    "webhook_dry_run": st.booleans(),
    "webhook_attempts": st.integers(1, 100),
}


@given(st.fixed_dictionaries(numbers))
@examples(100, derandomize=True)
def test_environ_and_read_settings_are_inverses(fields: dict[str, int]) -> None:
    chosen = Settings(**fields)
    assert read_settings(chosen.environ()) == chosen


def test_what_mlflow_uses_lies_in_home_unless_a_server_is_named() -> None:
    own = Settings(home=Path("/var/nba"))
    assert own.tracking_url == "sqlite:////var/nba/mlflow.db"
    assert own.artifacts == Path("/var/nba/artifacts")
    shared = Settings(mlflow_url="http://mlflow:5000")
    assert shared.tracking_url == "http://mlflow:5000"
    assert shared.artifacts is None


def test_telemetry_is_off_and_caches_lie_in_home(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for variable in ("NUMBA_CACHE_DIR", "BENTOML_DO_NOT_TRACK", "MLFLOW_DISABLE_TELEMETRY"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://given")
    before = dict(os.environ)
    try:
        prepare_environment(Settings(home=tmp_path))
        assert os.environ["BENTOML_DO_NOT_TRACK"] == "True"
        assert os.environ["MLFLOW_DISABLE_TELEMETRY"] == "true"
        assert os.environ["NUMBA_CACHE_DIR"] == str(tmp_path / "numba")
        assert os.environ["MLFLOW_TRACKING_URI"] == "http://given"  # what is set stays
    finally:
        for variable in set(os.environ) - set(before):
            del os.environ[variable]


def test_reading_settings_imports_nothing_that_reads_the_environment_itself() -> None:
    program = (
        "import sys, serving.settings; "
        "print(*({'numba', 'bentoml', 'mlflow', 'matplotlib', 'lightgbm'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert done.stdout.strip() == ""
