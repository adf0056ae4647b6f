"""What the tests of the Hub upload and how they load it: a bundle of two variants."""

from pathlib import Path
from typing import Any

import pytest

import assay
from assay import Classifier
from tests.runtime import tiny

NAME = "acme/judge"
ROW = ("what causes rain", "rain forms when water is a b")
COMMON = ["assay.json", "config.json", "golden.json", "tokenizer.json", "tokenizer_config.json"]
FP32 = ["onnx/model.onnx", "onnx/model_cpu.onnx", "onnx/model.onnx_data"]
INT8 = ["onnx/model_int8.onnx", "onnx/model_int8.onnx_data"]
TWO_VARIANTS = tiny.document()["variants"] | {
    "int8": {"cpu": tiny.entry("onnx/model_int8.onnx", ["input_ids"], "model_int8.onnx_data")}
}


def load(name: Any = NAME, **options: Any) -> Classifier:
    model = assay.load(name, threads=1, **options)
    assert isinstance(model, Classifier)
    return model


def refusal(error: type[assay.AssayError], *words: str, name: Any = NAME, **options: Any) -> str:
    """Loading is refused with all of `words`, on one line."""
    with pytest.raises(error) as caught:
        assay.load(name, threads=1, **options)
    message = str(caught.value)
    assert "\n" not in message
    for word in words:
        assert word in message
    return message


def two_variants(folder: Path, seed: int) -> Path:
    """A bundle whose answers depend on `seed`. Its two files of weights differ, as the Hub keeps equal ones once."""
    document = tiny.document(variants=TWO_VARIANTS)
    tiny.write(folder, tiny.weights(3, seed), **document)
    with (folder / INT8[1]).open("ab") as file:
        file.write(b"read by nobody")
    tiny.reseal(folder, document)
    return folder


def newer(tmp_path: Path) -> Path:
    """A bundle of other weights, and so of other answers."""
    return two_variants(tmp_path / "newer", seed=1)
