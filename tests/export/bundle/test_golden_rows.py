"""golden.json of the exported demo checkpoints."""

from pathlib import Path

import numpy as np
import pytest

from assay.bundle import golden
from assay.bundle.folder import open_bundle
from assay.bundle.golden import Golden
from assay.cli.main import main
from assay.gpu.buckets import choose_bucket, list_buckets
from assay_export.bundle.golden_rows import write_golden_rows
from assay_export.checkpoint import tokenizer
from assay_export.checkpoint.files import open_files
from assay_export.checkpoint.head import Head
from assay_export.checkpoint.loading import Checkpoint, load
from assay_export.errors import ParityError
from tests.conftest import CHECKPOINTS


@pytest.fixture(params=["pair_bundle", "scorer_bundle"])
def bundle(request: pytest.FixtureRequest) -> Path:
    folder: Path = request.getfixturevalue(request.param)
    return folder


def checkpoint(name: str) -> Checkpoint:
    probe = {name: np.ones((1, 4), np.int64) for name in ("input_ids", "attention_mask")}
    return load(open_files(CHECKPOINTS / name), [probe])


def test_a_bundle_has_a_few_dozen_golden_rows_and_one_in_every_bucket_up_to_512(bundle: Path) -> None:
    opened = open_bundle(bundle)
    rows = golden.read(opened)
    assert 24 <= len(rows.tokens) <= 48
    longest = opened.manifest.max_length
    reached = {choose_bucket(len(row.ids), longest) for row in rows.tokens}
    assert {length for length in list_buckets(longest) if length <= 512} <= reached
    assert (bundle / golden.GOLDEN_NAME).stat().st_size < 50_000


def test_the_golden_logits_are_pytorchs(pair_bundle: Path) -> None:
    rows = golden.read(open_bundle(pair_bundle))
    reference = checkpoint("pair-classifier").reference
    for tokens, logits in zip(rows.tokens, rows.logits, strict=True):
        ids = tokens.ids[np.newaxis]
        answer = reference.logits({"input_ids": ids, "attention_mask": np.ones_like(ids)})
        assert np.allclose(answer[0], logits, atol=1e-5)


def test_every_graph_of_an_export_passes_verify_and_its_own_record(
    bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["verify", str(bundle)]) == 0
    out = capsys.readouterr().out
    opened = open_bundle(bundle)
    rows = golden.read(opened)
    for choice in opened.list_choices():
        assert f"{choice.variant} {choice.dialect}: max |delta logit|" in out
        assert 0 < rows.exported[choice.graph.file] <= golden.compute_tolerance(choice.graph, rows)


def test_a_graph_that_fails_its_gate_on_a_golden_row_stops_the_export(
    scorer_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded = checkpoint("complexity-adapter")
    tokens = tokenizer.read(loaded.files.folders, loaded.config, 512)
    head = Head("regression", "text", ("LABEL_0",), "identity")
    graph = {
        "file": "onnx/model_cpu.onnx",
        "inputs": ["input_ids"],
        "graph_optimization": "basic",
        "parity": {"threshold": 1e-12},
    }
    written: list[Golden] = []
    monkeypatch.setattr(golden, "dump", written.append)
    with pytest.raises(ParityError, match=r"model_cpu\.onnx differs from PyTorch by .* golden row .* allows 1e-12"):
        write_golden_rows(scorer_bundle, loaded, tokens, head, {"fp32": {"cpu": graph}}, 512)
    assert written == []
