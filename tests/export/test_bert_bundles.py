"""Bundles of the BERT family end to end: a tiny pair classifier whose graphs take token types, and what is refused."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import transformers
from tokenizers import Tokenizer

import assay
from assay.ort import kernels
from assay_export import export
from assay_export.errors import ExportError
from tests.export import tiny
from tests.export.checkpoints import edit_json
from tests.export.variants.comparable import comparable

PAIRS = [("abc", "de"), ("a", ""), ("a b", "[SEP] c"), ("x[SEP]y", "z"), ("where", "is it")]


@pytest.fixture(scope="module")
def module() -> Any:
    return tiny.model(tiny.bert_config())


@pytest.fixture
def checkpoint(module: Any, tmp_path: Path, write_tokenizer: Callable[[Path], Path]) -> Path:
    return write_tokenizer(tiny.save(module, tmp_path / "checkpoint", tiny.bert_config()))


def ask_pytorch(module: Any, tokenizer: Tokenizer, pair: tuple[str, str], keep_types: bool) -> np.ndarray:
    first, second = pair
    encoding = tokenizer.encode(first, second) if second else tokenizer.encode(first)
    ids, types = (np.array([part], np.int64) for part in (encoding.ids, encoding.type_ids))
    answer: np.ndarray = tiny.logits(module, ids, token_type_ids=types * keep_types)[0]
    return answer


@pytest.mark.skipif(kernels.find_problem() is not None, reason="the CPU kernels are not installed")
def test_every_variant_of_a_pair_classifier_reads_token_types(
    module: Any, checkpoint: Path, tokenizer: Tokenizer, tmp_path: Path
) -> None:
    bundle = tmp_path / "bundle"
    # Random weights say nothing of what int8 does to answers: its gate is as wide as an option allows.
    variants = comparable("fp32", "int8", "int8_ort", "int8_qdq", "fp16")
    manifest = export(str(checkpoint), bundle, input="pair", variants=variants, max_flips=1.0, max_drift=1.0)
    assert (manifest.graph_origin, manifest.architecture, manifest.pooling) == ("authored", "bert", "cls")
    inputs = {
        (variant, name): graph.inputs for variant in variants for name, graph in manifest.variants[variant].items()
    }
    portable = ("input_ids", "attention_mask", "token_type_ids")
    expected_inputs = {
        ("fp32", "portable"): portable,
        ("fp32", "cpu"): ("input_ids", "token_type_ids"),
        ("int8", "kernels"): ("input_ids", "row_starts", "token_type_ids"),
        ("int8_ort", "cpu"): ("input_ids", "token_type_ids"),
        ("int8_qdq", "portable"): portable,
        ("fp16", "portable"): portable,
    }
    assert inputs == {key: names for key, names in expected_inputs.items() if key[0] in variants}
    expected, of_type_0 = (
        np.stack([ask_pytorch(module, tokenizer, pair, keep_types=keep) for pair in PAIRS]) for keep in (True, False)
    )

    def answer(variant: str) -> np.ndarray:
        return assay.load(bundle, variant=variant, threads=1).logits(PAIRS)

    assert np.abs(answer("fp32") - expected).max() < tiny.ROUNDING
    assert np.abs(answer("fp16") - expected).max() < 0.02
    # How close the int8 variants come, their gates say. Here: nearer to the answers with the types than without.
    for variant in comparable("int8", "int8_ort", "int8_qdq"):
        logits = answer(variant)
        assert np.abs(logits - expected).mean() < np.abs(logits - of_type_0).mean(), variant


def test_a_classifier_of_texts_reads_no_token_types(checkpoint: Path, tmp_path: Path) -> None:
    manifest = export(str(checkpoint), tmp_path / "bundle", input="text")
    assert {name: graph.inputs for name, graph in manifest.variants["fp32"].items()} == {
        "portable": ("input_ids", "attention_mask"),
        "cpu": ("input_ids",),
    }


def test_a_config_that_the_graph_does_not_support_is_refused_and_nothing_is_written(
    module: Any, tmp_path: Path, write_tokenizer: Callable[[Path], Path]
) -> None:
    config = tiny.bert_config(position_embedding_type="relative_key")
    write_tokenizer(tiny.save(module, tmp_path / "checkpoint", config))
    with pytest.raises(ExportError, match="position_embedding_type = 'relative_key' is not supported"):
        export(str(tmp_path / "checkpoint"), tmp_path / "bundle")
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint"]


def test_a_pair_classifier_whose_tokenizer_does_not_number_the_texts_answers_as_transformers_does(
    module: Any, checkpoint: Path, tokenizer: Tokenizer, tmp_path: Path
) -> None:
    edit_json(checkpoint / "tokenizer_config.json", model_input_names=["input_ids", "attention_mask"])
    manifest = export(str(checkpoint), tmp_path / "bundle", input="pair")
    assert manifest.variants["fp32"]["portable"].inputs == ("input_ids", "attention_mask")
    assert set(transformers.PreTrainedTokenizerFast.from_pretrained(checkpoint)("a", "b")) == {
        "input_ids",
        "attention_mask",
    }
    expected = np.stack([ask_pytorch(module, tokenizer, pair, keep_types=False) for pair in PAIRS])
    found = assay.load(tmp_path / "bundle", threads=1).logits(PAIRS)
    assert np.abs(found - expected).max() < tiny.ROUNDING
