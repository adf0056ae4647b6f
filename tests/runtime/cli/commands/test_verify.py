"""assay verify."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from assay.bundle import golden
from tests.runtime import pretend_gpu, tiny
from tests.runtime.cli.running import PAIR, run


def test_verify_checks_every_file_and_every_graph(own_bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run("verify", own_bundle, "--json", capsys=capsys)
    assert (code, err) == (0, "")
    answer = json.loads(out)
    assert answer["files"] == 7
    assert [(graph["variant"], graph["dialect"]) for graph in answer["graphs"]] == [
        ("fp32", "portable"),
        ("fp32", "cpu"),
    ]
    assert {(graph["rows"], graph["tolerance"]) for graph in answer["graphs"]} == {(3, 1e-4)}
    assert all(0 < graph["max_abs_delta"] < 1e-5 for graph in answer["graphs"])
    assert answer["tokenizer_rows"] == 3
    _, out, _ = run("verify", own_bundle, capsys=capsys)
    assert "7 files" in out
    assert "tokenizer: the token ids of the export, 3 rows" in out
    assert "fp32 portable: max |delta logit|" in out
    graph = own_bundle / "onnx/model.onnx"
    graph.write_bytes(graph.read_bytes()[:-1] + b"\0")
    code, out, err = run("verify", own_bundle, capsys=capsys)
    assert (code, out) == (1, "")
    assert "onnx/model.onnx: is damaged" in err


def test_verify_refuses_a_graph_that_answers_otherwise_than_pytorch_did(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tiny.write(tmp_path / "wrong")
    rows = tiny.golden_rows(tiny.weights(3))
    rows.logits[1, 2] += 0.001
    (folder / "golden.json").write_bytes(golden.dump(rows))
    tiny.reseal(folder, tiny.document())
    code, out, err = run("verify", folder, capsys=capsys)
    assert (code, err.count("\n")) == (1, 1)
    assert "7 files" in out
    assert "onnx/model.onnx on cpu: the logits of golden row 1 (4 tokens) are" in err


def test_verify_and_load_refuse_another_tokenizer_although_the_manifest_records_it(
    own_bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = own_bundle / "tokenizer.json"
    path.write_text(path.read_text().replace('"causes":7', '"forms":7').replace('"forms":9', '"causes":9'))
    tiny.reseal(own_bundle, tiny.document())
    for command in (("verify", own_bundle), ("predict", own_bundle, *PAIR)):
        code, _, err = run(*command, capsys=capsys)
        assert (code, err.count("\n")) == (1, 1)
        assert "tokenizer.json encodes golden row 1 (('what causes', '')) otherwise than at export" in err
        assert "token 2 is 'causes' (id 9), expected 'forms' (id 7)" in err


def test_verify_says_that_a_bundle_without_texts_has_its_tokenizer_not_compared(
    own_bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = tiny.golden_rows(tiny.weights(3))
    (own_bundle / "golden.json").write_bytes(golden.dump(golden.Golden(rows.tokens, rows.logits, {})))
    tiny.reseal(own_bundle, tiny.document())
    code, out, _ = run("verify", own_bundle, capsys=capsys)
    assert code == 0
    assert "tokenizer: not compared, golden.json has no texts; export the bundle again" in out


def test_verify_tells_to_export_a_bundle_without_golden_rows_again(
    own_bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (own_bundle / "golden.json").unlink()
    tiny.reseal(own_bundle, tiny.document())
    code, _, err = run("verify", own_bundle, capsys=capsys)
    assert code == 1
    assert "has no golden.json" in err
    assert run("predict", own_bundle, *PAIR, capsys=capsys)[0] == 0


def test_verify_runs_the_portable_graphs_on_a_gpu(
    own_bundle: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pretend_gpu.install(monkeypatch, tmp_path / "cache")
    rows = tiny.golden_rows(tiny.weights(3))
    bias = tiny.weights(3)["bias"]
    # The tiny graph takes its mean over the padding as well: here to 16 tokens.
    lengths = np.array([[len(row.ids)] for row in rows.tokens])
    padded = golden.Golden(rows.tokens, (rows.logits - bias) * lengths.astype(np.float32) / 16 + bias, {})
    (own_bundle / "golden.json").write_bytes(golden.dump(padded))
    tiny.reseal(own_bundle, tiny.document())
    code, out, err = run("verify", own_bundle, "--device", "cuda", "--json", capsys=capsys)
    assert (code, err) == (0, "")
    assert [graph["dialect"] for graph in json.loads(out)["graphs"]] == ["portable"]


def test_verify_runs_int8_on_each_instruction_set_that_is_forced(
    int8_pair_bundle: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for forced in ("", "plain"):
        if forced:
            monkeypatch.setenv("ASSAY_KERNELS_ISA", forced)
        code, out, err = run("verify", int8_pair_bundle, capsys=capsys)
        assert (code, err) == (0, "")
        assert "int8 kernels: max |delta logit|" in out


def test_verify_without_kernels_says_what_int8_needs(
    int8_pair_bundle: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "assay_kernels", None)  # its import fails
    code, out, err = run("verify", int8_pair_bundle, capsys=capsys)
    assert code == 1
    assert "fp32 cpu: max |delta logit|" in out
    assert "the CPU kernels are not installed" in err
    assert "pip install assay-kernels" in err
