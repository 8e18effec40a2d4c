"""Spark: the rows of the local engine bit for bit, and one line where something is missing.

`make spark && .venv/bin/pytest tests/features/replay/test_spark.py` runs all of it.
"""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pandas as pd
import pytest

from features.replay import spark
from nba.errors import InvalidInput
from nba.events.valences import LearnedValence, ValenceTable
from nba.stores import parquet
from tests.fixtures.files import SMALL_JOURNEY
from tests.fixtures.late_log import late_log

HERE = importlib.util.find_spec("pyspark") is not None and shutil.which("java") is not None
needs_spark = pytest.mark.skipif(
    not HERE,
    reason="needs Java 17 and pyspark: make spark, then pytest tests/features/replay/test_spark.py",
)
LEARNED = ValenceTable(  # what travels with the log reaches the workers
    valences=(
        LearnedValence(
            kind="complaint", touchpoint="complaint_desk", valence=-1 / 3, low=-0.4, high=-0.2,
            prior=-0.8, occurrences=900, flipped=False,
        ),
    )
)  # fmt: skip


def nba(*words: str | Path, **environ: str) -> subprocess.CompletedProcess[str]:
    """`nba WORDS` in a process of its own, so that no JVM stays behind."""
    program = Path(sys.executable).parent / "nba"
    journey = str(SMALL_JOURNEY)
    return subprocess.run(
        [program, *words],
        env={**os.environ, "NBA_JOURNEY": journey, "COLUMNS": "200", **environ},
        capture_output=True,
        text=True,
    )


@needs_spark
def test_sparks_rows_are_the_local_ones_bit_for_bit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parquet, "PAGE", 1_000)
    parquet.export(late_log(customers=150, events=4_000), tmp_path / "log", valences=LEARNED)
    tables = {}
    for engine in ("local", "spark"):
        out = tmp_path / f"{engine}.parquet"
        asked = ("replay", tmp_path / "log", "--out", out, "--engine", engine)
        done = nba(*asked, "--every-days", "3", "--json", NBA_HOME=str(tmp_path / "home"))
        assert done.returncode == 0, done.stderr
        assert "Traceback" not in done.stderr
        table = pd.read_parquet(out).sort_values(["customer_id", "as_of"], ignore_index=True)
        assert json.loads(done.stdout)["rows"] == len(table) > 1_500
        tables[engine] = table
    local, spark_ = tables["local"], tables["spark"]
    assert -1 / 3 in set(local["emotion.last"])
    assert list(local.columns) == list(spark_.columns)
    for column in local.columns:
        one, other = (t[column].to_numpy() for t in (local, spark_))
        assert one.dtype == other.dtype
        assert (one == other).all() if one.dtype == object else one.tobytes() == other.tobytes()
    left = {one.name for one in tmp_path.iterdir()}
    assert left <= {"log", "local.parquet", "spark.parquet", "home"}


@needs_spark
def test_what_a_worker_cannot_read_is_one_line(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    parquet.export(late_log(customers=3, events=20), tmp_path / "log")
    part = parquet.parts(tmp_path / "log")[0]
    table = pq.ParquetFile(part).read()
    at = table.schema.get_field_index("properties")
    broken = pa.array(["{"] * table.num_rows)
    pq.write_table(table.set_column(at, table.schema.field(at), broken), part)
    asked = ("replay", tmp_path / "log", "--out", tmp_path / "rows", "--engine", "spark")
    done = nba(*asked, "--cores", "1", NBA_HOME=str(tmp_path / "home"))
    assert (done.returncode, done.stdout) == (1, "")
    said = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert len(said) == 1 and "properties: '{': write one JSON object" in said[0]
    assert not (tmp_path / "rows").exists()


def test_without_pyspark_the_remedy_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyspark", None)
    with pytest.raises(InvalidInput, match="engine: 'spark': pyspark is not .* make spark"):
        spark.check_spark()


def test_without_java_the_remedy_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "pyspark", ModuleType("pyspark"))
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    with pytest.raises(InvalidInput, match="engine: 'spark': Spark needs Java 17 or later"):
        spark.check_spark()
    monkeypatch.delenv("JAVA_HOME")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(InvalidInput, match="Java 17"):
        spark.check_spark()
