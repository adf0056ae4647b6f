"""assay info."""

import json
import sys
from pathlib import Path

import pytest

from tests.runtime import tiny
from tests.runtime.cli.running import run


def test_info_shows_the_manifest(pair_bundle: Path, score_bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run("info", pair_bundle, capsys=capsys)
    assert (code, err) == (0, "")
    for words in ("classification of pairs", "ADDR_DIRECT, ADDR_PARTIAL", "16 tokens", "onnx/model_cpu.onnx", "1e-06"):
        assert words in out
    for words in (
        "on cpu      fp32, onnx/model_cpu.onnx (auto: on cpu the bundle has no int8 and no int8_ort)",
        "on tensorrt fp32",
    ):
        assert words in out
    assert "Evol-Complexity 1 to 6" in run("info", score_bundle, capsys=capsys)[1]
    _, out, _ = run("info", pair_bundle, "--json", capsys=capsys)
    assert json.loads(out) == json.loads((pair_bundle / "assay.json").read_text())


def test_info_shows_the_gate_of_int8_and_what_each_layer_got(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    entry = tiny.entry("onnx/model_int8.onnx", ["input_ids"])
    entry["parity"] = {"summary": "0.00% label flips"}
    entry["layers"] = [
        {"layer": "layer.0.query_key_value", "recipe": "int8", "why": "relative output error 0.0100"},
        {"layer": "classifier", "recipe": "fp32", "why": "nothing else helped"},
    ]
    out = run("info", tiny.write(tmp_path / "bundle", variants={"int8": {"cpu": entry}}), capsys=capsys)[1]
    assert "onnx/model_int8.onnx, 0.0 MB, 0.00% label flips" in out
    assert "  layer.0.query_key_value  int8  relative output error 0.0100" in out
    assert "  classifier               fp32  nothing else helped" in out


def test_info_names_the_instruction_set_that_int8_would_run_on(
    int8_pair_bundle: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ASSAY_KERNELS_ISA", "plain")
    out = run("info", int8_pair_bundle, capsys=capsys)[1]
    assert "on cpu      int8 with plain, onnx/model_int8.onnx (auto: first choice on cpu)" in out
    monkeypatch.setitem(sys.modules, "assay_kernels", None)  # its import fails
    out = run("info", int8_pair_bundle, capsys=capsys)[1]
    assert "on cpu      fp32, onnx/model_cpu.onnx (auto: on cpu int8 is not used: the CPU kernels are not" in out
