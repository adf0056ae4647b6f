"""What the example service answers."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import assay
from assay import Classifier, Scorer
from assay.bundle import golden
from tests.examples.container.running import SERVICE, Service
from tests.runtime import tiny

PAIR = {"text": "what causes rain", "text_pair": "rain forms when water is a b"}

# Waits with the golden check until a file exists.
HELD = """
import pathlib, runpy, sys, time
from assay.models.base import Model
verify = Model.verify
def wait(model):
    while not pathlib.Path(sys.argv[2]).exists():
        time.sleep(0.01)
    return verify(model)
Model.verify = wait
runpy.run_path(sys.argv[1], run_name="__main__")
"""


@pytest.fixture(scope="module")
def pairs(tiny_pairs: Path) -> Iterator[Service]:
    with Service(tiny_pairs, MAX_ROWS=4, MAX_CHARACTERS=1_000, MAX_BYTES=10_000) as service:
        yield service.wait_until_ready()


@pytest.fixture(scope="module")
def texts(tiny_texts: Path) -> Iterator[Service]:
    with Service(tiny_texts) as service:
        yield service.wait_until_ready()


def test_predict_answers_as_the_loaded_bundle(pairs: Service, tiny_pairs: Path) -> None:
    model = assay.load(tiny_pairs, threads=1)
    assert isinstance(model, Classifier)
    rows = [PAIR, {"text": "a b c", "text_pair": "d"}]
    answer = pairs.ask("POST", "/predict", {"rows": rows})
    assert answer.status == 200
    expected = model.predict_batch([(row["text"], row["text_pair"]) for row in rows])
    for found, prediction in zip(answer.json["predictions"], expected, strict=True):
        assert found["label"] == prediction.label
        assert found["score"] == pytest.approx(prediction.score, abs=1e-6)
        assert found["scores"] == pytest.approx(prediction.scores, abs=1e-6)


def test_score_answers_as_the_loaded_bundle(texts: Service, tiny_texts: Path) -> None:
    model = assay.load(tiny_texts, threads=1)
    assert isinstance(model, Scorer)
    rows = [{"text": "what causes rain"}, {"text": "a " * 30}]
    body = {"rows": rows, "scale": [1, 6], "truncate": True}
    answer = texts.ask("POST", "/score", body)
    assert answer.status == 200
    expected = model.score_batch([row["text"] for row in rows], scale=(1, 6), truncate=True)
    assert answer.json == {"scores": pytest.approx(expected.tolist(), abs=1e-6)}


def test_the_path_of_the_other_task_says_which_one_to_use(pairs: Service, texts: Service) -> None:
    for service, path, other in ((pairs, "/score", "/predict"), (texts, "/predict", "/score")):
        answer = service.ask("POST", path, {"rows": [{"text": "a"}]})
        assert answer.status == 404
        assert answer.json["error"].endswith(f"use {other}")


@pytest.mark.parametrize(
    ("body", "status", "message"),
    [
        (b'{"rows": ', 400, "JSON"),
        ({}, 422, "body.rows: "),
        ({"rows": []}, 422, "body.rows: "),
        ({"rows": [PAIR] * 5}, 422, "body.rows: "),
        ({"rows": [PAIR], "trunkate": True}, 422, "body.trunkate: "),
        ({"rows": [{"text": 1}]}, 422, "body.rows.0.text: "),
        ({"rows": [{"text": "a" * 1_001}]}, 422, "body.rows.0.text: "),
        ({"rows": [PAIR, {"text": "a"}]}, 422, "row 1: found a str of 1 characters, expected a pair"),
        ({"rows": [{"text": "\ud800", "text_pair": "a"}]}, 422, "body.rows.0.text: "),
        ({"rows": [{"text": "nan", "text_pair": "a"}]}, 500, "row 0: the text has the logits [nan"),
        ({"rows": ["a" * 10_000]}, 413, "the body has more than 10,000 bytes"),
    ],
)
def test_a_wrong_request_gets_one_line(body: object, status: int, message: str, pairs: Service) -> None:
    answer = pairs.ask("POST", "/predict", body)
    assert answer.status == status
    assert set(answer.json) == {"error"}
    assert message in answer.json["error"]
    assert "\n" not in answer.json["error"]
    assert pairs.ask("POST", "/predict", {"rows": [PAIR]}).status == 200


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"rows": [{"text": "a " * 30}]}, "row 0: the text has 32 tokens, the model reads 16"),
        ({"rows": [{"text": "a"}], "scale": [6, 1]}, "scale is (6.0, 1.0)"),
        ({"rows": [{"text": "a", "text_pair": "b"}]}, "row 0: found a tuple of 2, expected one text"),
    ],
)
def test_what_the_bundle_refuses_is_422_with_its_message(body: object, message: str, texts: Service) -> None:
    answer = texts.ask("POST", "/score", body)
    assert answer.status == 422
    assert message in answer.json["error"]


def test_a_request_that_takes_too_long_is_504(tiny_pairs: Path) -> None:
    with Service(tiny_pairs, TIMEOUT=0) as service:
        answer = service.wait_until_ready().ask("POST", "/predict", {"rows": [PAIR]})
    assert answer.status == 504
    assert "no answer within the timeout of 0 s" in answer.json["error"]


def test_a_request_id_is_kept_or_made_and_stands_in_the_log(pairs: Service) -> None:
    assert pairs.ask("GET", "/health", headers={"X-Request-ID": "abc-1.2"}).headers["x-request-id"] == "abc-1.2"
    assert pairs.wait_for_log(r"request=(abc-1\.2) GET /health 200 ")
    for bad in ("a b", "x" * 65, "\u00e9"):
        made = pairs.ask("GET", "/health", headers={"X-Request-ID": bad}).headers["x-request-id"]
        assert re.fullmatch("[0-9a-f]{32}", made)
        assert pairs.wait_for_log(f"request=({made}) GET /health 200 ")


def test_the_metrics_count_requests_rows_and_batches(texts: Service) -> None:
    from prometheus_client.parser import text_string_to_metric_families

    def read() -> dict[tuple[str, str], float]:
        text = texts.ask("GET", "/metrics").body.decode()
        samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
        return {(sample.name, ",".join(sample.labels.values())): sample.value for sample in samples}

    before = read()
    assert texts.ask("POST", "/score", {"rows": [{"text": "a"}, {"text": "b"}]}).status == 200
    assert texts.ask("GET", "/nothing/%0a").status == 404
    after = read()

    def grown(name: str, labels: str = "") -> float:
        return after[name, labels] - before.get((name, labels), 0)

    assert grown("assay_requests_total", "/score,200") == 1
    assert grown("assay_requests_total", "other,404") == 1
    assert grown("assay_request_seconds_count", "/score") == 1
    assert grown("assay_request_seconds_sum", "/score") > 0
    assert grown("assay_rows_total", "answered") == 2
    assert grown("assay_batch_rows_total") == 2
    assert 1 <= grown("assay_batches_total") <= 2
    assert after["assay_queue_rows", ""] == 0


def test_the_service_is_ready_only_after_the_golden_check(tiny_pairs: Path, tmp_path: Path) -> None:
    go = tmp_path / "go"
    with Service(tiny_pairs, command=("-c", HELD, str(SERVICE), str(go))) as service:
        for method, path in (("GET", "/ready"), ("POST", "/predict")):
            answer = service.ask(method, path, {"rows": [PAIR]})
            assert answer.status == 503
            assert "is being loaded and checked" in answer.json["error"]
        assert service.ask("GET", "/health").status == 200
        go.touch()
        service.wait_until_ready()
        assert service.ask("POST", "/predict", {"rows": [PAIR]}).status == 200


def test_a_damaged_bundle_is_never_ready_and_says_why(own_bundle: Path) -> None:
    data = own_bundle / "onnx" / tiny.DATA
    data.write_bytes(data.read_bytes()[:-1] + b"\0")
    assert_never_ready(own_bundle, f"{tiny.DATA}: is damaged or changed")


def test_a_bundle_that_answers_otherwise_than_pytorch_is_never_ready(own_bundle: Path) -> None:
    rows = tiny.golden_rows(tiny.weights(3))
    rows.logits[1, 2] += 0.001
    (own_bundle / golden.GOLDEN_NAME).write_bytes(golden.dump(rows))
    tiny.reseal(own_bundle, tiny.document())
    assert_never_ready(own_bundle, "the logits of golden row 1 (4 tokens) are")


def assert_never_ready(bundle: Path, message: str) -> None:
    with Service(bundle) as service:
        assert message in service.wait_for_log("not ready: (.*)")
        for method, path in (("GET", "/ready"), ("POST", "/predict")):
            answer = service.ask(method, path, {"rows": [PAIR]})
            assert answer.status == 503
            assert message in answer.json["error"]
        assert service.ask("GET", "/health").status == 200
        assert service.end() == 0


def test_a_setting_that_is_no_number_ends_the_service_with_one_line(tiny_pairs: Path) -> None:
    with pytest.raises(AssertionError, match="ASSAY_MAX_QUEUE is 'many', expected an integer of at least 0"):
        Service(tiny_pairs, MAX_QUEUE="many")


def test_the_service_imports_nothing_of_the_export(tiny_pairs: Path) -> None:
    import json
    import subprocess
    import sys

    code = (
        "import json, runpy, sys, assay\n"
        f"runpy.run_path({str(SERVICE)!r})\n"
        f"assay.load({str(tiny_pairs)!r}).verify()\n"
        "print(json.dumps(sorted({name.partition('.')[0] for name in sys.modules})))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded: list[Any] = json.loads(done.stdout)
    assert {"assay", "fastapi", "onnxruntime"} <= set(loaded)
    assert set(loaded).isdisjoint({"assay_export", "torch", "transformers", "onnx", "huggingface_hub", "google"})
