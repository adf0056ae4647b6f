"""The ungated int8 graphs, of both dialects and both architectures."""

from pathlib import Path

import numpy as np
import onnx
import pytest

from assay_export.graphs import cpu_session
from assay_export.graphs.kernels.packing import pack_rows
from assay_export.graphs.writer import Dialect
from benchmarks.standins import plain_int8
from tests.export import tiny

BOTH = pytest.mark.parametrize(
    "config", [tiny.deberta_config(), tiny.modernbert_config()], ids=["deberta", "modernbert"]
)


def save(config: dict[str, object], folder: Path, dialect: Dialect) -> Path:
    tiny.save(tiny.model(config), folder / "checkpoint", config)
    model = plain_int8.load(folder / "checkpoint")
    return plain_int8.save(model, plain_int8.PlainRecipes(), folder / "out", dialect)


@BOTH
def test_every_layer_for_the_kernels_is_int8_except_the_classifier(config: dict[str, object], tmp_path: Path) -> None:
    path = save(config, tmp_path, Dialect.KERNELS)
    assert path.name == "model_int8.onnx"
    session = cpu_session.load(path, uses_kernels=True)
    (logits,) = session.run(["logits"], pack_rows(list(tiny.token_ids(2, 9))))
    assert np.isfinite(logits).all()
    nodes = onnx.load(str(path), load_external_data=False).graph.node
    exact = [node.input[1] for node in nodes if node.op_type in ("FloatLinear", "MatMul")]
    assert [name for name in exact if "weight" in name] == ["head.classifier.weight"]
    assert any(node.op_type == "Linear" and node.domain == "assay" for node in nodes)


@BOTH
def test_every_layer_for_onnx_runtime_is_int8_except_the_classifier(config: dict[str, object], tmp_path: Path) -> None:
    path = save(config, tmp_path, Dialect.CPU)
    assert path.name == "model_int8_ort.onnx"
    session = cpu_session.load(path)
    (logits,) = session.run(["logits"], {"input_ids": tiny.token_ids(2, 9)})
    assert np.isfinite(logits).all()
    graph = onnx.load(str(path), load_external_data=False).graph
    constants = {constant.name for constant in graph.initializer}
    exact = [node.input[1] for node in graph.node if node.op_type == "MatMul" and node.input[1] in constants]
    assert exact == ["head.classifier.weight"]


def test_a_folder_without_a_checkpoint_is_one_line_and_exit_code_1(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert plain_int8.main([str(tmp_path), str(tmp_path / "out")]) == 1
    assert capsys.readouterr().err.startswith("error: ")
