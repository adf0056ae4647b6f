"""The fp16 gate refuses large deltas, label flips and NaN, in the file itself and with float16 emulated."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from assay_export.errors import ParityError
from assay_export.gates.parity import Case
from assay_export.variants.fp16 import gate
from assay_export.variants.fp16.gate import MAX_DELTA, Texts
from tests.export import tiny
from tests.export.variants.fp16 import half

CONFIG = tiny.deberta_config()
ROWS = [("a", "b"), ("c", "d")]


def make_cases(module: Any, shift: float = 0.0) -> list[Case]:
    feeds = [half.make_feed(tiny.token_ids(1, length)) for length in (7, 21)]
    return [
        Case(f"length {f['input_ids'].size}", f, tiny.logits(module, f["input_ids"]) + np.float32(shift)) for f in feeds
    ]


def check(path: Path, shapes: list[Case], texts: list[Case], activation: str = "softmax") -> dict[str, Any]:
    return gate.check(path, "onnx/model_fp16.onnx", shapes, Texts(texts, ROWS), 5, activation)


@pytest.fixture
def module() -> Any:
    return tiny.model(CONFIG)


@pytest.fixture
def path(module: Any, tmp_path: Path) -> Path:
    half.author(module, CONFIG, tmp_path / "model_fp16.onnx")
    return tmp_path / "model_fp16.onnx"


def test_a_graph_that_answers_like_pytorch_passes(module: Any, path: Path) -> None:
    report = check(path, make_cases(module), make_cases(module))
    assert 0 < report["as_it_is"]["max_abs_delta"] <= MAX_DELTA
    assert 0 < report["max_abs_delta"] <= report["threshold"] == MAX_DELTA
    assert (report["rows"], report["texts"], report["flips"]) == (4, 2, 0)
    assert sorted(entry.name for entry in path.parent.iterdir()) == ["model_fp16.onnx", "model_fp16.onnx_data"]


def test_a_delta_beyond_the_limit_is_refused(module: Any, path: Path) -> None:
    with pytest.raises(ParityError, match=r"model_fp16.onnx differs from PyTorch by .* allows 2e-02\); nothing was"):
        check(path, make_cases(module, shift=0.04), make_cases(module))


def test_a_flipped_label_is_refused_even_if_the_delta_is_small(
    module: Any, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = make_cases(module)
    order = np.argsort(texts[1].expected[0])
    # Pretend that PyTorch ranked the two best labels the other way round, by a small margin.
    best, second = order[-1], order[-2]
    middle = texts[1].expected[0, [best, second]].mean()
    moved = Case("text", texts[1].feed, texts[1].expected.copy())
    moved.expected[0, best], moved.expected[0, second] = middle - 1e-4, middle + 1e-4
    monkeypatch.setattr(gate, "MAX_DELTA", 10.0)
    with pytest.raises(
        ParityError, match=r"labels 1 of 2 texts differently from PyTorch, the first of them \('c', 'd'\)"
    ):
        check(path, make_cases(module), [texts[0], moved])
    assert check(path, make_cases(module), [texts[0], moved], "identity")["flips"] == 0


def test_the_labels_of_a_multi_label_classifier_are_the_signs_of_its_logits(
    module: Any, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = make_cases(module)
    flipped = Case("text", texts[0].feed, texts[0].expected.copy())
    smallest = np.abs(flipped.expected[0]).argmin()
    flipped.expected[0, smallest] *= -1
    monkeypatch.setattr(gate, "MAX_DELTA", 10.0)
    with pytest.raises(ParityError, match="labels 1 of 2 texts differently"):
        check(path, make_cases(module), [flipped, texts[1]], "sigmoid")


def test_a_graph_that_overflows_float16_is_refused_although_the_cpu_provider_answers_correctly(tmp_path: Path) -> None:
    # Scale the feed-forward channels up and the layer that reads them down: with ReLU, the function in float32 stays
    # the same. The weights themselves fit into float16.
    config = tiny.deberta_config(hidden_act="relu")
    module = tiny.model(config)
    state = module.state_dict()
    factor = 16_000 / state["deberta.encoder.layer.0.intermediate.dense.weight"].abs().max()
    with torch.no_grad():
        for kind in ("weight", "bias"):
            state[f"deberta.encoder.layer.0.intermediate.dense.{kind}"] *= factor
        state["deberta.encoder.layer.0.output.dense.weight"] /= factor
    path = tmp_path / "model_fp16.onnx"
    half.author(module, config, path)
    every = make_cases(module)
    answers = [tiny.session(path).run(["logits"], case.feed)[0] for case in every]
    assert all(np.abs(answer - case.expected).max() <= MAX_DELTA for answer, case in zip(answers, every, strict=True))
    assert not np.isfinite(half.run_reference(path, every[0].feed)).all()
    with pytest.raises(ParityError, match="every float16 value rounded answers NaN or infinity at length 7"):
        check(path, every, every)
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["model_fp16.onnx", "model_fp16.onnx_data"]
