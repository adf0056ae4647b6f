"""Whole exports of folders whose tokenizer files contradict tokenizer.json: the answers are those of transformers."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers
from tokenizers import Tokenizer

import assay
from assay.cli.main import main
from assay_export import export
from assay_export.errors import TokenizerError
from tests.conftest import CHECKPOINTS
from tests.export import slow_tokenizers, tiny
from tests.export.checkpoints import edit_json

LONG = ("Explain rain in detail please. " * 40, "Rain forms when water vapour cools and falls down. " * 60)


def ask_pytorch(folder: Path, row: tuple[str, str]) -> np.ndarray:
    """Return the probabilities [labels] that transformers answers for the folder, at the tokenizer's own limit."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    model = transformers.AutoModelForSequenceClassification.from_pretrained(folder, dtype=torch.float32).eval()
    with torch.inference_mode():
        logits = model(**tokenizer(*row, return_tensors="pt", truncation=True)).logits[0]
    return np.asarray(logits.softmax(-1).numpy())


@pytest.mark.parametrize("changed", ["model_max_length of 64", "model_max_length of 1,024", "left truncation"])
def test_a_long_pair_is_answered_as_transformers_answers_it(changed: str, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(CHECKPOINTS / "pair-classifier", tmp_path / "checkpoint"))
    expected_length = 512
    if changed == "left truncation":
        own = Tokenizer.from_file(str(folder / "tokenizer.json"))
        own.enable_truncation(32, direction="left")
        own.save(str(folder / "tokenizer.json"))
    else:
        expected_length = 64 if changed.endswith("64") else 1_024
        edit_json(folder / "tokenizer_config.json", model_max_length=expected_length)
    manifest = export(folder, tmp_path / "bundle")
    assert manifest.max_length == expected_length
    judge = assay.load_classifier(tmp_path / "bundle", threads=1)
    answer = judge.predict(*LONG)
    found = [answer.scores[label] for label in manifest.labels]
    assert np.allclose(found, ask_pytorch(folder, LONG), atol=1e-4)
    assert main(["verify", str(tmp_path / "bundle")]) == 0


def test_a_checkpoint_that_the_slow_tokenizer_saved_is_exported(tmp_path: Path) -> None:
    config = tiny.deberta_config(vocab_size=520)
    folder = tiny.save(tiny.model(config), tmp_path / "checkpoint", config)
    slow_tokenizers.save_deberta(folder, added=("[OBJ]", "[RESP]"))
    manifest = export(folder, tmp_path / "bundle")
    assert manifest.source["tokenizer"] == "spm.model"
    row = ("[OBJ] What causes rain?", "It is [RESP] rain.")
    slow = transformers.DebertaV2Tokenizer.from_pretrained(folder)
    bundle = transformers.AutoTokenizer.from_pretrained(tmp_path / "bundle")
    assert bundle(*row)["input_ids"] == slow(*row)["input_ids"]


def test_nothing_is_written_if_the_tokenizers_of_a_folder_contradict_each_other(tmp_path: Path) -> None:
    config = tiny.deberta_config(vocab_size=520)
    folder = tiny.save(tiny.model(config), tmp_path / "checkpoint", config)
    slow_tokenizers.save_deberta(folder, has_bytes=False)
    transformers.AutoTokenizer.from_pretrained(folder).save_pretrained(folder)
    edit_json(folder / "tokenizer_config.json", do_lower_case=True)
    with pytest.raises(TokenizerError, match=r"WHAT CAUSES RAIN\?"):
        export(folder, tmp_path / "bundle")
    assert not (tmp_path / "bundle").exists()


def test_special_tokens_in_a_text_are_split_by_the_bundle_if_the_checkpoint_splits_them(tmp_path: Path) -> None:
    folder = Path(shutil.copytree(CHECKPOINTS / "pair-classifier", tmp_path / "checkpoint"))
    edit_json(folder / "tokenizer_config.json", split_special_tokens=True)
    manifest = export(folder, tmp_path / "bundle")
    assert manifest.split_special_tokens
    row = ("What [SEP] causes rain?", "[CLS] Rain forms.")
    answer = assay.load_classifier(tmp_path / "bundle", threads=1).predict(*row)
    found = [answer.scores[label] for label in manifest.labels]
    assert np.allclose(found, ask_pytorch(folder, row), atol=1e-4)
    assert json.loads((tmp_path / "bundle" / "tokenizer_config.json").read_text())["split_special_tokens"] is True
