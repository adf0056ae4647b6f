"""Where sentence-transformers keeps the activation of a CrossEncoder, and what else its files may say."""

import json
from pathlib import Path
from typing import Any

import pytest

from assay_export.checkpoint.configs.cross_encoder import read_activation, read_max_length
from assay_export.checkpoint.files import CheckpointFiles
from assay_export.checkpoint.source import Source
from assay_export.errors import CheckpointError

TRANSFORMER = {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.base.modules.transformer.Transformer"}
SIGMOID, IDENTITY = "torch.nn.modules.activation.Sigmoid", "torch.nn.modules.linear.Identity"
SETTINGS = "config_sentence_transformers.json"


def read(folder: Path, config: dict[str, Any] | None = None, **files: object) -> str | None:
    """Read the activation of a folder with `files`, each under its name without .json, and a config.json."""
    for name, content in files.items():
        (folder / f"{name}.json").write_text(content if isinstance(content, str) else json.dumps(content))
    source = Source(folder, "x", "x", None, None)
    return read_activation(CheckpointFiles(source, None, config or {}, {}, (), (), 1))


def settings(**changes: object) -> dict[str, Any]:
    return {
        "model_type": "CrossEncoder",
        "activation_fn": SIGMOID,
        "prompts": {},
        "default_prompt_name": None,
    } | changes


def test_the_newest_place_counts(tmp_path: Path) -> None:
    config = {"sentence_transformers": {"activation_fn": IDENTITY}, "sbert_ce_default_activation_function": SIGMOID}
    assert read(tmp_path, config) == "identity"
    files: dict[str, object] = {"modules": [TRANSFORMER], "config_sentence_transformers": settings()}
    assert read(tmp_path, config, **files) == "sigmoid"
    assert read(tmp_path, config, config_sentence_transformers=settings(activation_fn=None)) == "identity"


def test_settings_without_a_list_of_modules_are_not_read_as_in_sentence_transformers(tmp_path: Path) -> None:
    assert read(tmp_path, config_sentence_transformers=settings()) is None


def test_a_checkpoint_that_says_nothing_has_no_activation(tmp_path: Path) -> None:
    assert read(tmp_path) is read(tmp_path, {"sentence_transformers": {"version": "4.1.0"}}) is None
    assert read(tmp_path, modules=[TRANSFORMER]) is None
    assert read(tmp_path, modules=[TRANSFORMER | {"path": "."}]) is None


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (
            {"config_sentence_transformers": settings(activation_fn="mine.Activation")},
            "activation_fn = 'mine.Activation'",
        ),
        (
            {"config_sentence_transformers": settings(model_type="SentenceTransformer")},
            "model_type = 'SentenceTransformer'",
        ),
        ({"config_sentence_transformers": {"activation_fn": SIGMOID}}, "model_type = 'SentenceTransformer'"),
        ({"config_sentence_transformers": "[]"}, "contains a JSON list"),
        (
            {"config_sentence_transformers": settings(default_prompt_name="query", prompts={"query": "query: "})},
            "default_prompt_name = 'query' .* puts text before every row",
        ),
        ({"sentence_bert_config": {"transformer_task": "text-generation"}}, "transformer_task = 'text-generation'"),
        ({"modules": [TRANSFORMER, {"type": "sentence_transformers.models.Pooling"}]}, "found the modules .*Pooling"),
        ({"modules": []}, "found the modules"),
        (
            {"modules": [{"type": "a.Transformer"}]},
            "found the modules a.Transformer, expected",
        ),
        ({"modules": TRANSFORMER}, "expected a list of modules"),
        ({"modules": [TRANSFORMER | {"path": "0_Transformer"}]}, "the model is in the folder '0_Transformer'"),
        ({"modules": [TRANSFORMER | {"path": 1}]}, "the model is in the folder '1'"),
        ({"sentence_bert_config": {"modality_config": {"text": {"method_output_name": "x"}}}}, "modality_config = "),
        ({"sentence_bert_config": {"modality_config": {"image": {}}}}, "modality_config = "),
        ({"modules": "["}, "modules.json cannot be read as JSON"),
    ],
    ids=str,
)
def test_files_of_something_else_are_refused_by_name(files: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=message) as caught:
        read(tmp_path, None, **{"modules": [TRANSFORMER]} | files)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("do_lower_case", True),
        ("tokenizer_args", {"do_lower_case": True}),
        ("processor_kwargs", {"truncation_side": "left"}),
        ("processing_kwargs", {"text": {"max_length": 8}}),
        ("config_args", {"hidden_act": "relu"}),
    ],
)
def test_settings_of_the_module_that_change_how_a_row_is_read_are_refused_by_name(
    key: str, value: object, tmp_path: Path
) -> None:
    (tmp_path / "tokenizer_config.json").write_text('{"model_max_length": 512}')
    with pytest.raises(CheckpointError, match=f"sentence_bert_config.json: {key} = "):
        read(tmp_path, modules=[TRANSFORMER], sentence_bert_config={key: value})


@pytest.mark.parametrize("length", [0, -1, True, 16.0, "16", [16]])
def test_a_length_of_the_module_that_is_none_is_refused_by_name(length: object, tmp_path: Path) -> None:
    read(tmp_path, modules=[TRANSFORMER], sentence_bert_config={"max_seq_length": length})
    source = Source(tmp_path, "x", "x", None, None)
    with pytest.raises(CheckpointError, match=r"max_seq_length = .*, expected a whole number"):
        read_max_length(CheckpointFiles(source, None, {}, {}, (), (), 1))


def test_a_default_prompt_without_text_is_none(tmp_path: Path) -> None:
    empty = settings(default_prompt_name="query", prompts={"query": ""})
    assert read(tmp_path, modules=[TRANSFORMER], config_sentence_transformers=empty) == "sigmoid"


@pytest.mark.parametrize("value", ["Sigmoid", ["a"], 1, True])
def test_a_key_of_another_type_is_refused(value: object, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"sentence_transformers = .* is not a JSON object"):
        read(tmp_path, {"sentence_transformers": value})
