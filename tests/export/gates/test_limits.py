"""The limit of the fp32 gate follows PyTorch's own rounding error, and a wrong graph fails however large logits are."""

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer

from assay.cli.main import main
from assay_export import export
from assay_export.checkpoint.configs.config_dialects import to_transformers_4
from assay_export.checkpoint.reference import Feed, ReferenceModel
from assay_export.checkpoint.rounding import ERRORS, FP32_MAX_DELTA, Rounding, measure_rounding
from assay_export.errors import ParityError
from assay_export.gates import limits, parity
from assay_export.gates.limits import NEAR
from assay_export.gates.parity import Case, Logits
from assay_export.graphs.writer import Array, Dialect
from assay_export.progress import Silent
from tests.export import tiny

INPUTS = ("input_ids", "attention_mask")
CONFIGS = {
    "DeBERTa": tiny.deberta_config(max_position_embeddings=130),
    "DeBERTa, 12 layers": tiny.deberta_config(max_position_embeddings=130, num_hidden_layers=12),
    "ModernBERT": tiny.modernbert_config(max_position_embeddings=130),
    "ModernBERT, 12 layers": tiny.modernbert_config(max_position_embeddings=130, num_hidden_layers=12),
}
SCALES = (1.0, 1e4)


def make_model(config: dict[str, Any], scale: float) -> Any:
    """Build a tiny model, its logits multiplied by `scale`."""
    module = tiny.model(config)
    for parameter in module.classifier.parameters():
        parameter.data *= scale
    return module


def make_cases(module: Any, tokenizer: Tokenizer) -> list[Case]:
    return parity.make_cases(ReferenceModel(module), tokenizer, [("abc",), ("hello",)], 130, 0, INPUTS)


def measure(module: Any, config: dict[str, Any], cases: list[Case], folder: Path) -> dict[str, Any]:
    """Return the entry of the portable graph of `module`, as the exporter has it before the limits are checked."""
    session = tiny.session(tiny.author(module, to_transformers_4(config), folder)[Dialect.PORTABLE])

    def run(feed: Feed) -> Logits:
        return np.asarray(session.run(["logits"], dict(feed))[0])

    report = parity.measure(run, cases, len(config["id2label"]), "onnx/model.onnx")
    return {"portable": {"file": "onnx/model.onnx", "parity": report}}


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_a_correct_graph_is_within_half_of_the_limit(
    config: dict[str, Any], scale: float, tokenizer: Tokenizer, tmp_path: Path
) -> None:
    module = make_model(config, scale)
    cases = make_cases(module, tokenizer)
    graphs = measure(module, config, cases, tmp_path)
    rounding = measure_rounding(ReferenceModel(module), [(case.feed, case.expected) for case in cases])
    ratio = graphs["portable"]["parity"]["max_abs_delta"] / rounding.error
    print(f"largest |logit| {rounding.largest:.3g}: delta / PyTorch's own error = {ratio:.2f}")
    assert ratio < ERRORS / 2
    limits.check_all(graphs, ReferenceModel(module), cases, Silent())
    report = graphs["portable"]["parity"]
    assert report["threshold"] == rounding.limit == max(FP32_MAX_DELTA, ERRORS * rounding.error)
    assert ("reference_error" in report) == (scale > 1)


def enlarge_epsilon(config: dict[str, Any], _: dict[str, torch.Tensor]) -> None:
    config["layer_norm_eps" if config["model_type"] == "deberta-v2" else "norm_eps"] = 1e-3


def swap_heads(config: dict[str, Any], state: dict[str, torch.Tensor]) -> None:
    """Exchange the values of the first two heads in the last layer."""
    if config["model_type"] == "deberta-v2":
        name, start = f"deberta.encoder.layer.{config['num_hidden_layers'] - 1}.attention.self.value_proj.weight", 0
    else:
        name, start = f"model.layers.{config['num_hidden_layers'] - 1}.attn.Wqkv.weight", 2 * config["hidden_size"]
    size = config["hidden_size"] // config["num_attention_heads"]
    rows = state[name].clone()
    state[name][start : start + size] = rows[start + size : start + 2 * size]
    state[name][start + size : start + 2 * size] = rows[start : start + size]


def nudge_one_weight(_: dict[str, Any], state: dict[str, torch.Tensor]) -> None:
    """Change one weight of the first feed-forward layer's output."""
    names = ("deberta.encoder.layer.0.output.dense.weight", "model.layers.0.mlp.Wo.weight")
    next(state[name] for name in names if name in state)[0, 0] += 0.05


@pytest.mark.parametrize("change", [enlarge_epsilon, swap_heads, nudge_one_weight])
@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_a_graph_that_is_subtly_wrong_fails_whether_logits_are_small_or_large(
    config: dict[str, Any],
    scale: float,
    change: Callable[[dict[str, Any], dict[str, torch.Tensor]], None],
    tokenizer: Tokenizer,
    tmp_path: Path,
) -> None:
    cases = make_cases(make_model(config, scale), tokenizer)
    wrong, wrong_config = make_model(config, scale), dict(config)
    change(wrong_config, wrong.state_dict())
    graphs = measure(wrong, wrong_config, cases, tmp_path)
    with pytest.raises(ParityError, match=r"model\.onnx differs from PyTorch by .*own float32 logits differ from its"):
        limits.check_all(graphs, ReferenceModel(make_model(config, scale)), cases, Silent())


@pytest.mark.parametrize(
    ("error", "largest", "limit"),
    [
        (1e-6, 3.0, FP32_MAX_DELTA),
        (1e-2, 1e4, ERRORS * 1e-2),
        (1e-3, 2.0, 2e-3),  # PyTorch itself is uncertain in the third digit: the limit is a thousandth of the logits
        (0.5, 0.01, FP32_MAX_DELTA),
    ],
)
def test_the_limit_is_a_few_times_pytorchs_error_and_at_most_a_thousandth_of_the_logits(
    error: float, largest: float, limit: float
) -> None:
    assert Rounding(error, largest).limit == pytest.approx(limit)


class Counting(ReferenceModel):
    """Answers zeros, and counts how often it is asked in float64."""

    asked = 0

    def logits(self, feed: Feed) -> Array:
        return np.zeros((len(feed["input_ids"]), 1))

    @contextlib.contextmanager
    def in_float64(self) -> Any:
        self.asked += 1
        yield


def make_report(delta: float) -> dict[str, Any]:
    return {"max_abs_delta": delta, "worst": "somewhere"}


def one_case() -> list[Case]:
    ids = np.zeros((1, 2), np.int64)
    return [Case("length 2", {"input_ids": ids, "attention_mask": ids + 1}, np.zeros((1, 1), np.float32))]


@pytest.mark.parametrize(("deltas", "asked"), [((NEAR, NEAR / 2), 0), ((NEAR / 2, 1.01 * NEAR), 1)])
def test_pytorch_is_asked_in_float64_only_if_a_graph_is_near_the_limit(deltas: tuple[float, ...], asked: int) -> None:
    reference = Counting(torch.nn.Identity())
    graphs: dict[str, dict[str, Any]] = {
        str(number): {"file": f"{number}.onnx", "parity": make_report(delta)} for number, delta in enumerate(deltas)
    }
    limits.check_all(graphs, reference, one_case(), Silent())
    assert reference.asked == asked
    assert [graph["parity"]["threshold"] for graph in graphs.values()] == [FP32_MAX_DELTA] * 2
    assert all(("reference_error" in graph["parity"]) == bool(asked) for graph in graphs.values())


def test_a_model_that_does_not_compute_in_float64_keeps_the_absolute_limit() -> None:
    class OnlyFloat32(Counting):
        def logits(self, feed: Feed) -> Array:  # noqa: ARG002
            raise RuntimeError("expected scalar type Float but found Double")

    graphs = {"portable": {"file": "m.onnx", "parity": make_report(0.02)}}
    with pytest.raises(ParityError, match=r"allows 1e-04.; PyTorch does not answer in float64 \(expected scalar type"):
        limits.check_all(graphs, OnlyFloat32(torch.nn.Identity()), one_case(), Silent())


def test_weights_are_what_they_were_after_float64() -> None:
    module = tiny.model(CONFIGS["ModernBERT"])
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    reference, ids = ReferenceModel(module), tiny.token_ids(2, 9)
    feed = {"input_ids": ids, "attention_mask": np.ones_like(ids)}
    expected = reference.logits(feed)
    with reference.in_float64():
        exact = reference.logits(feed)
    assert [exact.dtype.name, expected.dtype.name] == ["float64", "float32"]
    assert 0 < np.abs(exact - expected).max() < tiny.ROUNDING
    assert all(torch.equal(tensor, before[name]) for name, tensor in module.state_dict().items())
    np.testing.assert_array_equal(reference.logits(feed), expected)


def test_a_model_with_large_logits_is_exported_and_verified_and_says_why_its_limit_is_larger(
    write_tokenizer: Callable[[Path], Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tiny.deberta_config()
    checkpoint = write_tokenizer(tiny.save(make_model(config, 1e4), tmp_path / "checkpoint", config))
    manifest = export(checkpoint, tmp_path / "bundle")
    report = manifest.variants["fp32"]["portable"].parity
    assert FP32_MAX_DELTA < report["max_abs_delta"] <= report["threshold"] == ERRORS * report["reference_error"]
    assert main(["verify", str(tmp_path / "bundle")]) == 0
    assert f"{report['threshold']:.2g} allowed" in capsys.readouterr().out
    assert main(["info", str(tmp_path / "bundle")]) == 0
    assert f"(PyTorch's own float32 error is {report['reference_error']:.2g})" in capsys.readouterr().out
