"""Architectures without an authored graph are traced by optimum-onnx and pass the same gate."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnxruntime
import pytest
import transformers

from assay_export import exporter
from assay_export.errors import ExportError
from assay_export.gates.parity import FP32_MAX_DELTA
from assay_export.graphs import traced
from tests.export import tiny

COMMON = {
    "vocab_size": tiny.VOCABULARY,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 40,
    "id2label": {"0": "no", "1": "yes", "2": "maybe"},
    "label2id": {"no": 0, "yes": 1, "maybe": 2},
}
SIZES = {"max_position_embeddings": 66, "pad_token_id": 0, "type_vocab_size": 2}
ALBERT = COMMON | SIZES | {"model_type": "albert", "embedding_size": 16}
# data2vec counts positions as RoBERTa does: the first is pad_token_id + 1, so with 66 positions it reads 64 tokens.
DATA2VEC = COMMON | SIZES | {"model_type": "data2vec-text", "pad_token_id": 1, "type_vocab_size": 1}

Write = Callable[[Path], Path]


def write_checkpoint(folder: Path, config: dict[str, Any], write_tokenizer: Write) -> Path:
    return write_tokenizer(tiny.save(tiny.model(config), folder, config))


@pytest.mark.parametrize(
    ("config", "inputs", "max_length", "findings"),
    [
        (ALBERT, ("input_ids", "attention_mask", "token_type_ids"), 66, []),
        # data2vec counts positions from the ids, by a CumSum of int32 and integer arithmetic on its result.
        (DATA2VEC, ("input_ids", "attention_mask"), 64, ["CumSum", "Gather"]),
    ],
    ids=["albert", "data2vec-text"],
)
def test_an_architecture_that_is_not_authored_is_traced_by_optimum(
    config: dict[str, Any],
    inputs: tuple[str, ...],
    max_length: int,
    findings: list[str],
    write_tokenizer: Write,
    tmp_path: Path,
) -> None:
    manifest = exporter.export(
        str(write_checkpoint(tmp_path / "checkpoint", config, write_tokenizer)), tmp_path / "bundle", input="pair"
    )
    assert (manifest.graph_origin, manifest.architecture) == ("traced", config["model_type"])
    assert (manifest.labels, manifest.max_length, manifest.pooling) == (("no", "yes", "maybe"), max_length, None)
    assert list(manifest.variants) == ["fp32"]
    assert list(manifest.variants["fp32"]) == ["portable"]
    graph = manifest.variants["fp32"]["portable"]
    assert set(graph.inputs) == set(inputs)
    assert graph.parity["max_abs_delta"] < FP32_MAX_DELTA
    recorded = manifest.document["variants"]["fp32"]["portable"]["tensorrt_findings"]
    assert [finding.split()[0] for finding in recorded] == findings
    assert {name for name in manifest.files if name.startswith("onnx/")} == set(graph.files)
    session = onnxruntime.InferenceSession(tmp_path / "bundle" / graph.file, providers=["CPUExecutionProvider"])
    assert tuple(node.name for node in session.get_inputs()) == graph.inputs
    tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path / "bundle")
    assert set(tokenizer("a", "b")) == set(inputs)


def test_an_architecture_that_optimum_does_not_know_is_refused_and_nothing_is_written(
    write_tokenizer: Write, tmp_path: Path
) -> None:
    write_checkpoint(tmp_path / "checkpoint", ALBERT | {"model_type": "yoso"}, write_tokenizer)
    with pytest.raises(ExportError, match="model_type = 'yoso' has neither an authored graph in assay nor"):
        exporter.export(str(tmp_path / "checkpoint"), tmp_path / "bundle")
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint"]


def test_a_tracer_that_fails_is_an_error_of_one_line_and_nothing_is_written(
    write_tokenizer: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import optimum.exporters.onnx

    def fail(*_: object, **__: object) -> None:
        raise NotImplementedError("no\nsymbolic")

    monkeypatch.setattr(optimum.exporters.onnx, "onnx_export_from_model", fail)
    write_checkpoint(tmp_path / "checkpoint", ALBERT, write_tokenizer)
    with pytest.raises(ExportError, match="optimum-onnx could not export 'albert': NotImplementedError: no symbolic"):
        exporter.export(str(tmp_path / "checkpoint"), tmp_path / "bundle")
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint"]


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({"model_type": "albert", "max_position_embeddings": 512, "pad_token_id": 0}, 512),
        ({"model_type": "flaubert", "n_positions": 512}, 512),
        ({"model_type": "xlm-roberta-xl", "max_position_embeddings": 514, "pad_token_id": 1}, 512),
        ({"model_type": "mpnet", "max_position_embeddings": 514, "pad_token_id": 1}, 512),
        ({"model_type": "data2vec-text", "max_position_embeddings": 514, "pad_token_id": 1}, 512),
        # transformers' default of pad_token_id is 1
        ({"model_type": "roberta-prelayernorm", "max_position_embeddings": 514}, 512),
    ],
)
def test_the_longest_input_follows_from_the_table_of_positions(config: dict[str, Any], expected: int) -> None:
    assert traced.read_max_length(config) == expected


@pytest.mark.parametrize("positions", [None, "512", 0, -1, True, 1.5])
def test_a_config_without_the_number_of_positions_is_refused(positions: object) -> None:
    with pytest.raises(ExportError, match="max_position_embeddings"):
        traced.read_max_length({"model_type": "albert", "max_position_embeddings": positions})
