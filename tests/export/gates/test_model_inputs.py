"""A graph takes the numbers of the texts if transformers gives them to the model, unless they change nothing."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers

import assay
from assay_export import export
from assay_export.checkpoint.reference import ReferenceModel
from assay_export.checkpoint.tokenizer import TokenizerFiles, read
from assay_export.errors import ExportError
from assay_export.gates.model_inputs import check
from tests.export import tiny
from tests.export.checkpoints import edit_json

IDS = ("input_ids", "attention_mask")
TYPES = (*IDS, "token_type_ids")
GPT2 = {
    "model_type": "gpt2",
    "architectures": ["GPT2ForSequenceClassification"],
    "vocab_size": tiny.VOCABULARY,
    "n_embd": 32,
    "n_layer": 2,
    "n_head": 4,
    "n_positions": 66,
    "pad_token_id": 0,
    "id2label": {"0": "no", "1": "yes"},
    "label2id": {"no": 0, "yes": 1},
}

Write = Callable[[Path], Path]


def open_tokenizer(folder: Path, names: tuple[str, ...], write: Write) -> TokenizerFiles:
    folder.mkdir()
    edit_json(write(folder) / "tokenizer_config.json", model_input_names=list(names))
    return read([folder], tiny.bert_config(), 32)


@pytest.mark.parametrize(
    ("given", "taken", "message"),
    [
        (TYPES, IDS, "has token_type_ids, but the graph does not take them, .*; if the model was trained without them"),
        (IDS, TYPES, "has no token_type_ids, but the graph takes them, .*; if the model was trained with them"),
    ],
)
def test_types_that_only_one_side_has_are_refused_where_they_change_the_logits(
    given: tuple[str, ...], taken: tuple[str, ...], message: str, write_tokenizer: Write, tmp_path: Path
) -> None:
    tokens = open_tokenizer(tmp_path / "tokenizer", given, write_tokenizer)
    reference = ReferenceModel(tiny.model(tiny.bert_config()))
    with pytest.raises(ExportError, match=f"model_input_names of the tokenizer {message}"):
        check(tokens, reference, "pair", taken)
    check(tokens, reference, "pair", given)
    check(tokens, reference, "text", taken)  # every token of a single text has type 0, given or not


def test_types_that_the_model_has_no_table_for_are_not_asked_for(write_tokenizer: Write, tmp_path: Path) -> None:
    tokens = open_tokenizer(tmp_path / "tokenizer", TYPES, write_tokenizer)
    check(tokens, ReferenceModel(tiny.model(tiny.bert_config(type_vocab_size=1))), "pair", IDS)


@pytest.mark.parametrize("names", [IDS, TYPES], ids=["without types", "with types"])
def test_gpt2_which_adds_a_word_per_type_is_answered_as_transformers_does_or_refused(
    names: tuple[str, ...], write_tokenizer: Write, tmp_path: Path
) -> None:
    module: Any = tiny.model(GPT2)
    folder = write_tokenizer(tiny.save(module, tmp_path / "checkpoint", GPT2))
    edit_json(folder / "tokenizer_config.json", model_input_names=list(names))
    if names == TYPES:
        with pytest.raises(ExportError, match="has token_type_ids, but the graph does not take them"):
            export(folder, tmp_path / "bundle", input="text")
        assert [path.name for path in tmp_path.iterdir()] == ["checkpoint"]
        return
    export(folder, tmp_path / "bundle", input="text")
    encoded = transformers.PreTrainedTokenizerFast.from_pretrained(folder)("where is it", return_tensors="pt")
    with torch.inference_mode():
        expected = module(**encoded).logits[0].numpy()
    assert (
        np.abs(assay.load(tmp_path / "bundle", threads=1).logits(["where is it"])[0] - expected).max() < tiny.ROUNDING
    )
