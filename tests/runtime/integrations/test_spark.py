"""A local Spark of one core. Starting it takes most of the time of these tests."""

import json
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import assay
from assay import Classifier, InputError, Scorer

pyspark = pytest.importorskip("pyspark", reason="pyspark is not installed: pip install pyspark")
pytest.importorskip("pandas", reason="pandas is not installed, which Spark's batches need: pip install pandas")
pytest.importorskip("pyarrow", reason="pyarrow is not installed, which Spark's batches need: pip install pyarrow")
if shutil.which("java") is None and "JAVA_HOME" not in os.environ:
    pytest.skip("Spark needs Java, and there is neither java on the PATH nor JAVA_HOME", allow_module_level=True)


@pytest.fixture(scope="module")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    from pyspark.sql import SparkSession

    # Workers are processes of their own: they must find the sources that are tested here.
    with pytest.MonkeyPatch.context() as patch:
        sources = [str(Path(assay.__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
        patch.setenv("PYTHONPATH", os.pathsep.join(sources))
        patch.setenv("PYSPARK_PYTHON", sys.executable)
        session = (
            SparkSession.builder.master("local[1]")
            .config("spark.ui.enabled", "false")
            .config("spark.sql.shuffle.partitions", "1")
            .config("spark.driver.bindAddress", "127.0.0.1")
            .config("spark.driver.host", "127.0.0.1")
            .config("spark.local.dir", str(tmp_path_factory.mktemp("spark")))
            .config("spark.sql.warehouse.dir", str(tmp_path_factory.mktemp("warehouse")))
            .getOrCreate()
        )
        session.sparkContext.setLogLevel("OFF")
        yield session
        session.stop()


def udf(bundle: Path, **options: Any) -> Any:
    from pyspark.ml.functions import predict_batch_udf

    shape = {name: value for name, value in options.items() if name in ("columns", "on_error")}
    return predict_batch_udf(
        assay.integrations.spark.predict_batch_fn(bundle, **options),
        return_type=assay.integrations.spark.return_type(bundle, **shape),
        batch_size=2,
    )


def test_several_labels_are_a_list_as_json(spark: Any, text_bundle: Path, tagger: Classifier) -> None:
    texts = ["rain is water", "a", "b c d"]
    frame = spark.createDataFrame([(text,) for text in texts], ["text"])
    asked = udf(text_bundle, columns=["labels"], threshold=0.3)
    answered = [json.loads(row.answer.labels) for row in frame.select(asked("text").alias("answer")).collect()]
    assert answered == [prediction.labels for prediction in tagger.predict_batch(texts, threshold=0.3)]


def test_spark_answers_as_the_model(spark: Any, pair_bundle: Path, judge: Classifier) -> None:
    rows = [("what causes", "rain"), ("a", ""), ("b c", "d")]
    frame = spark.createDataFrame(rows, ["q", "r"])
    asked = udf(pair_bundle, columns=["label", "score", "scores"])
    answered = frame.withColumn("answer", asked("q", "r")).select("q", "answer.*").collect()
    for row, got, prediction in zip(rows, answered, judge.predict_batch(rows), strict=True):
        assert (got["q"], got["label"]) == (row[0], prediction.label)
        assert got["score"] == pytest.approx(prediction.score, rel=1e-6)
        assert dict(zip(judge.labels, got["scores"], strict=True)) == pytest.approx(prediction.scores)


def test_a_null_is_null_in_the_answer_or_an_error_with_its_row(spark: Any, score_bundle: Path, scorer: Scorer) -> None:
    frame = spark.createDataFrame([("a",), (None,), ("b c",)], ["text"]).coalesce(1)
    asked = udf(score_bundle, columns=["score", "evol_complexity"], scale=(0, 10), on_error="null", threads=1)
    good, null, last = frame.select(asked("text").alias("answer")).select("answer.*").collect()
    assert good.asDict() == {
        "score": pytest.approx(scorer.score("a", scale=(0, 10)), rel=1e-6),
        "evol_complexity": scorer.evol_complexity("a"),
        "error": None,
    }
    assert (null["score"], null["evol_complexity"]) == (None, None)
    assert "expected a text" in null["error"]
    assert last["evol_complexity"] == scorer.evol_complexity("b c")
    with pytest.raises(pyspark.errors.PythonException, match=r"row 1: .*expected a text"):
        frame.select(udf(score_bundle)("text")).collect()


def test_the_type_follows_the_bundle(pair_bundle: Path, score_bundle: Path) -> None:
    made = assay.integrations.spark.return_type
    assert made(pair_bundle).simpleString() == "struct<label:string,score:float>"
    assert made(pair_bundle, columns=["scores"]).simpleString() == "struct<scores:array<float>>"
    assert (
        made(score_bundle, columns=["score", "evol_complexity"], on_error="null").simpleString()
        == "struct<score:float,evol_complexity:int,error:string>"
    )
    with pytest.raises(InputError, match="columns: found 'label'"):
        made(score_bundle, columns=["label"])
