"""The files of SetFit and sentence-transformers: what is read, and what is refused by name."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from assay_export.checkpoint.setfit.sentences import is_setfit, read_setfit
from assay_export.errors import CheckpointError
from tests.export import setfit_models


@pytest.fixture
def folder(write_tokenizer: Callable[[Path], Path], tmp_path: Path) -> Path:
    return setfit_models.save(tmp_path / "model", write_tokenizer, labels=["bad", "fair", "good"])


def edit(path: Path, **changes: Any) -> None:
    path.write_text(json.dumps((json.loads(path.read_text()) if path.is_file() else {}) | changes))


def test_the_files_of_a_model_are_read(folder: Path) -> None:
    found = read_setfit(folder)
    assert (found.encoder, found.pooling, found.normalized) == (folder, "mean", False)
    assert (found.max_length, found.labels) == (setfit_models.LENGTH, ("bad", "fair", "good"))
    edit(folder / "config_setfit.json", normalize_embeddings=True)
    assert read_setfit(folder).normalized


def test_a_model_of_an_early_setfit_has_no_settings_and_names_pooling_by_flags(folder: Path) -> None:
    (folder / "config_setfit.json").unlink()
    flags = {"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False, "word_embedding_dimension": 32}
    (folder / "1_Pooling" / "config.json").write_text(json.dumps(flags))
    found = read_setfit(folder)
    assert (found.pooling, found.normalized, found.labels) == ("cls", False, ("0", "1", "2"))


def test_only_modules_with_a_pickled_head_are_taken_for_setfit(folder: Path) -> None:
    assert is_setfit(folder)
    (folder / "model_head.pkl").unlink()
    assert not is_setfit(folder)


@pytest.mark.parametrize(
    ("file", "changes", "message"),
    [
        ("1_Pooling/config.json", {"pooling_mode": "max"}, r"pooling_mode = \['max'\] is not supported"),
        ("1_Pooling/config.json", {"pooling_mode": ["cls", "mean"]}, "is not supported"),
        ("1_Pooling/config.json", {"embedding_dimension": 64}, "32 channels, and the encoder's have 64"),
        ("sentence_bert_config.json", {"do_lower_case": True}, "do_lower_case = True is not supported"),
        ("sentence_bert_config.json", {"tokenizer_args": {"use_fast": False}}, "tokenizer_args = "),
        ("sentence_bert_config.json", {"transformer_task": "fill-mask"}, "transformer_task = 'fill-mask'"),
        ("sentence_bert_config.json", {"max_seq_length": 0}, "max_seq_length = 0, expected a whole number"),
        ("sentence_bert_config.json", {"modality_config": {"image": {}}}, "modality_config = "),
        (
            "config_sentence_transformers.json",
            {"default_prompt_name": "query", "prompts": {"query": "query: "}},
            "default_prompt_name = 'query' is not supported",
        ),
        ("config_setfit.json", {"labels": ["bad", "fair"]}, "expected a name for each class of the head"),
        ("config_setfit.json", {"labels": ["bad", "bad", "good"]}, "there is the label 'bad' twice"),
        ("config_setfit.json", {"labels": ["bad", "", "good"]}, "there is an empty label"),
        ("config_setfit.json", {"labels": ["bad", "a\nb", "good"]}, r"has the control character U\+000A"),
        ("config_setfit.json", {"normalize_embeddings": "yes"}, "normalize_embeddings = 'yes'"),
        ("adapter_config.json", {}, "the encoder is an adapter"),
    ],
)
def test_what_no_bundle_can_express_is_refused_by_name(
    file: str, changes: dict[str, Any], message: str, folder: Path
) -> None:
    edit(folder / file, **changes)
    with pytest.raises(CheckpointError, match=message) as caught:
        read_setfit(folder)
    assert str(folder) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("kinds", "path", "message"),
    [
        (["Transformer", "Pooling", "Dense"], "", "expected Transformer and Pooling"),
        (["Transformer"], "", "expected Transformer and Pooling"),
        (["Transformer", "Pooling"], "../other", "expected a folder beside modules.json"),
        (["Transformer", "Pooling"], "/other", "expected a folder beside modules.json"),
    ],
)
def test_other_modules_and_places_are_refused(kinds: list[str], path: str, message: str, folder: Path) -> None:
    modules = [{"type": f"sentence_transformers.models.{kind}", "path": path} for kind in kinds]
    (folder / "modules.json").write_text(json.dumps(modules))
    with pytest.raises(CheckpointError, match=message):
        read_setfit(folder)


def test_a_module_of_the_checkpoints_own_code_is_refused(folder: Path) -> None:
    modules = [{"type": "custom.Transformer", "path": ""}, {"type": "custom.Pooling", "path": "1_Pooling"}]
    (folder / "modules.json").write_text(json.dumps(modules))
    with pytest.raises(CheckpointError, match=r"found the modules custom\.Transformer, custom\.Pooling"):
        read_setfit(folder)
