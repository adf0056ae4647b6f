"""The fp16 gate refuses what differs, flips or is no number, in the file itself and in what a GPU would store."""

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


def cases(module: Any, shift: float = 0.0) -> list[Case]:
    feeds = [half.feed(tiny.token_ids(1, length)) for length in (7, 21)]
    return [Case(f"length {f['input_ids'].size}", f, tiny.logits(module, f["input_ids"]) + shift) for f in feeds]


def hold(path: Path, shapes: list[Case], texts: list[Case], activation: str = "softmax") -> dict[str, Any]:
    return gate.hold(path, "onnx/model_fp16.onnx", shapes, Texts(texts, ROWS), 5, activation)


@pytest.fixture
def module() -> Any:
    return tiny.model(CONFIG)


@pytest.fixture
def path(module: Any, tmp_path: Path) -> Path:
    half.author(module, CONFIG, tmp_path / "model_fp16.onnx")
    return tmp_path / "model_fp16.onnx"


def test_a_graph_that_answers_as_pytorch_passes_with_a_report_of_the_rounded_twin(module: Any, path: Path) -> None:
    report = hold(path, cases(module), cases(module))
    assert 0 < report["as_it_is"]["max_abs_delta"] <= MAX_DELTA
    assert 0 < report["max_abs_delta"] <= report["threshold"] == MAX_DELTA
    assert (report["rows"], report["texts"], report["flips"]) == (4, 2, 0)
    assert sorted(entry.name for entry in path.parent.iterdir()) == ["model_fp16.onnx", "model_fp16.onnx_data"]


def test_a_delta_beyond_the_limit_is_refused(module: Any, path: Path) -> None:
    with pytest.raises(ParityError, match=r"model_fp16.onnx differs from PyTorch by .* allows 2e-02\); nothing was"):
        hold(path, cases(module, shift=0.04), cases(module))


def test_a_flipped_label_is_refused_whatever_the_logits(
    module: Any, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = cases(module)
    order = np.argsort(texts[1].expected[0])
    # PyTorch said that the two best labels were this near each other, in the other order.
    best, second = order[-1], order[-2]
    middle = texts[1].expected[0, [best, second]].mean()
    moved = Case("text", texts[1].feed, texts[1].expected.copy())
    moved.expected[0, best], moved.expected[0, second] = middle - 1e-4, middle + 1e-4
    monkeypatch.setattr(gate, "MAX_DELTA", 10.0)
    with pytest.raises(ParityError, match=r"gives 1 of 2 texts another label than PyTorch, the first \('c', 'd'\)"):
        hold(path, cases(module), [texts[0], moved])
    assert hold(path, cases(module), [texts[0], moved], "identity")["flips"] == 0


def test_the_labels_of_a_multi_label_classifier_are_the_signs_of_its_logits(
    module: Any, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = cases(module)
    flipped = Case("text", texts[0].feed, texts[0].expected.copy())
    smallest = np.abs(flipped.expected[0]).argmin()
    flipped.expected[0, smallest] *= -1
    monkeypatch.setattr(gate, "MAX_DELTA", 10.0)
    with pytest.raises(ParityError, match="1 of 2 texts another label"):
        hold(path, cases(module), [flipped, texts[1]], "sigmoid")


def test_a_graph_that_overflows_float16_is_refused_though_the_cpu_provider_answers_right(tmp_path: Path) -> None:
    # Feed-forward channels up, the layer that reads them down: with ReLU the same function in float32. The weights fit.
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
    every = cases(module)
    answers = [tiny.session(path).run(["logits"], case.feed)[0] for case in every]
    assert all(np.abs(answer - case.expected).max() <= MAX_DELTA for answer, case in zip(answers, every, strict=True))
    assert not np.isfinite(half.reference_logits(path, every[0].feed)).all()
    with pytest.raises(ParityError, match="every float16 value rounded answers NaN or infinity at length 7"):
        hold(path, every, every)
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["model_fp16.onnx", "model_fp16.onnx_data"]
