"""The examples for clusters, run on this machine."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import assay
from tests.conftest import ROOT
from tests.runtime import tiny

TEXTS = ["a", "what causes rain", "nan", "b c"]


@pytest.mark.parametrize("name", ["ray", "spark"])
def test_the_example_writes_every_row_with_its_answer(tmp_path: Path, name: str) -> None:
    if name == "ray":
        pytest.importorskip("ray.data", reason="Ray Data is not installed: pip install 'ray[data]'")
    else:
        pytest.importorskip("pyspark", reason="pyspark is not installed: pip install pyspark")
        if shutil.which("java") is None and "JAVA_HOME" not in os.environ:
            pytest.skip("Spark needs Java, and there is neither java on the PATH nor JAVA_HOME")
    parquet = pytest.importorskip("pyarrow.parquet", reason="pyarrow is not installed: pip install 'assay[parquet]'")
    bundle = tiny.write(tmp_path / "bundle", **tiny.REGRESSION)
    (tmp_path / "in.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in TEXTS))
    sources = os.pathsep.join([str(Path(assay.__file__).parents[1]), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "PYTHONPATH": sources, "PYSPARK_PYTHON": sys.executable, "SPARK_LOCAL_IP": "127.0.0.1"}
    command = [sys.executable, str(ROOT / f"examples/{name}_cluster.py"), str(bundle), "in.jsonl", "out"]
    command = [str(tmp_path / word) if word in ("in.jsonl", "out") else word for word in command]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2_000:]
    rows = {row["text"]: row for row in parquet.read_table(tmp_path / "out").to_pylist()}
    assert sorted(rows) == sorted(TEXTS)
    with assay.load_scorer(bundle, threads=1) as scorer:
        for text in TEXTS:
            if text == "nan":
                assert rows[text]["error"]
            else:
                assert rows[text]["score"] == pytest.approx(scorer.score(text), rel=1e-6)
                assert rows[text]["error"] is None
