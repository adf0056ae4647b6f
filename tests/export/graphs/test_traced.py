"""Architectures without an authored graph are traced by optimum-onnx and pass the same gate."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
import transformers

import assay
from assay.cli.main import main
from assay_export import exporter
from assay_export.bundle import summary
from assay_export.checkpoint.rounding import FP32_MAX_DELTA
from assay_export.errors import ExportError, UnsupportedConfigError
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

BART_SIZES = (("layers", 1), ("attention_heads", 2), ("ffn_dim", 16))

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


def test_a_graph_with_an_input_that_the_runtime_does_not_have_is_refused(
    write_tokenizer: Write, tmp_path: Path
) -> None:
    config = COMMON | {
        "model_type": "longformer",
        "max_position_embeddings": 66,
        "pad_token_id": 1,
        "attention_window": 8,
    }
    write_checkpoint(tmp_path / "checkpoint", config, write_tokenizer)
    with pytest.raises(ExportError, match="'longformer' takes global_attention_mask, which the runtime does not have"):
        exporter.export(str(tmp_path / "checkpoint"), tmp_path / "bundle")
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint"]


def test_other_ids_are_tried_where_the_model_refuses_rows_with_unlike_numbers_of_end_tokens(
    write_tokenizer: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import optimum.exporters.onnx

    original, draws = optimum.exporters.onnx.onnx_export_from_model, []

    def export(*arguments: Any, **options: Any) -> Any:
        draws.append(int(torch.randint(1 << 30, (1,))))
        if len(draws) < 3:
            raise ValueError("All examples must have the same number of <eos> tokens.")
        return original(*arguments, **options)

    monkeypatch.setattr(optimum.exporters.onnx, "onnx_export_from_model", export)
    exporter.export(write_checkpoint(tmp_path / "checkpoint", ALBERT, write_tokenizer), tmp_path / "bundle")
    assert len(set(draws)) == 3


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
        # MPNet's positions do not follow pad_token_id
        ({"model_type": "mpnet", "max_position_embeddings": 514, "pad_token_id": 0}, 512),
        ({"model_type": "mpnet", "max_position_embeddings": 514, "pad_token_id": 600}, 512),
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


def test_a_model_that_pools_at_the_end_of_sequence_token_is_traced_and_gated(
    write_tokenizer: Write, tmp_path: Path
) -> None:
    config = {
        "model_type": "bart",
        "architectures": ["BartForSequenceClassification"],
        "vocab_size": tiny.VOCABULARY,
        "d_model": 16,
        **{f"{part}_{key}": size for part in ("encoder", "decoder") for key, size in BART_SIZES},
        "max_position_embeddings": 66,
        "pad_token_id": 0,
        "bos_token_id": 1,
        "eos_token_id": 2,
        "decoder_start_token_id": 2,
        "forced_eos_token_id": None,
        "id2label": COMMON["id2label"],
        "label2id": COMMON["label2id"],
    }
    manifest = exporter.export(
        write_checkpoint(tmp_path / "checkpoint", config, write_tokenizer), tmp_path / "bundle", input="pair"
    )
    assert (manifest.graph_origin, manifest.max_length) == ("traced", 66)
    shapes = {entry["shape"] for entry in manifest.variants["fp32"]["portable"].parity["shapes"]}
    assert {"batch 1, length 1", "batch 3, length 65, padded", "real text, batch 1"} <= shapes
    model = assay.load(tmp_path / "bundle")
    rows = [("what", "rain"), ("where it falls", "on hills")]
    assert np.abs(model.logits(rows) - np.concatenate([model.logits([row]) for row in rows])).max() < tiny.ROUNDING


MISH = tiny.deberta_config(hidden_act="mish")


def test_a_value_that_only_the_authored_graph_refuses_is_traced_and_said_everywhere(
    write_tokenizer: Write, tmp_path: Path, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write_checkpoint(tmp_path / "checkpoint", MISH, write_tokenizer)
    manifest = exporter.export(folder, tmp_path / "bundle")
    said = "config.json: hidden_act = 'mish' is not supported by the authored deberta-v2 graph"
    (record,) = [record for record in caplog.records if record.name == "assay"]
    assert record.levelname == "WARNING"
    assert said in record.getMessage()
    assert (manifest.graph_origin, list(manifest.variants)) == ("traced", ["fp32"])
    assert manifest.graph_origin_reason is not None
    assert said in manifest.graph_origin_reason
    assert manifest.variants["fp32"]["portable"].parity["max_abs_delta"] < FP32_MAX_DELTA
    assert main(["info", str(tmp_path / "bundle")]) == 0
    assert said in capsys.readouterr().out
    summary.show(manifest, tmp_path / "bundle")
    assert said in capsys.readouterr().out


def test_a_modernbert_with_an_unusual_activation_is_traced(write_tokenizer: Write, tmp_path: Path) -> None:
    config = tiny.modernbert_config(hidden_activation="mish")
    manifest = exporter.export(write_checkpoint(tmp_path / "checkpoint", config, write_tokenizer), tmp_path / "bundle")
    assert manifest.graph_origin == "traced"


def test_other_variants_of_a_model_that_would_be_traced_are_refused(write_tokenizer: Write, tmp_path: Path) -> None:
    folder = write_checkpoint(tmp_path / "checkpoint", MISH, write_tokenizer)
    with pytest.raises(UnsupportedConfigError, match=r"fp16: needs an authored graph, and config\.json: hidden_act"):
        exporter.export(folder, tmp_path / "bundle", variants=["fp32", "fp16"])
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint"]


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("layer_norm_eps", None),
        ("hidden_act", "no such activation"),
        ("conv_kernel_size", 2),
        ("num_attention_heads", 5),
        ("pooler_hidden_size", 16),
    ],
)
def test_a_value_with_which_pytorch_does_not_answer_stays_refused(
    key: str, value: object, write_tokenizer: Write, tmp_path: Path
) -> None:
    config = tiny.deberta_config()
    folder = write_checkpoint(tmp_path / "checkpoint", config, write_tokenizer)
    (folder / "config.json").write_text(json.dumps(config | {key: value}))
    with pytest.raises(
        UnsupportedConfigError, match=rf"config\.json: {key}\b.*; nor does PyTorch answer with it"
    ) as caught:
        exporter.export(folder, tmp_path / "bundle")
    assert "\n" not in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint"]


def test_a_value_that_neither_exporter_supports_is_refused_with_both_reasons(
    write_tokenizer: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import optimum.exporters.onnx

    def fail(*_: object, **__: object) -> None:
        raise NotImplementedError("no symbolic")

    monkeypatch.setattr(optimum.exporters.onnx, "onnx_export_from_model", fail)
    folder = write_checkpoint(tmp_path / "checkpoint", MISH, write_tokenizer)
    with pytest.raises(UnsupportedConfigError, match=r"hidden_act = 'mish' .*; optimum-onnx could not export"):
        exporter.export(folder, tmp_path / "bundle")
