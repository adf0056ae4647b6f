"""The ungated int8 graph: it is one that the runtime's session takes, for both architectures."""

from pathlib import Path

import numpy as np
import onnx
import pytest

from assay_export.graphs import cpu_session
from benchmarks.standins import plain_int8
from tests.export import tiny


@pytest.mark.parametrize("config", [tiny.deberta_config(), tiny.modernbert_config()], ids=["deberta", "modernbert"])
def test_every_layer_of_the_plain_graph_is_int8_but_the_classifier(config: dict[str, object], tmp_path: Path) -> None:
    tiny.save(tiny.model(config), tmp_path / "checkpoint", config)
    path = plain_int8.save(plain_int8.load(tmp_path / "checkpoint"), plain_int8.PlainRecipes(), tmp_path / "out")
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
