"""Fixtures for the tests of the export: one thread, quiet libraries, and a small tokenizer."""

import json
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
import transformers
from tokenizers import Tokenizer, models, pre_tokenizers, processors

from assay_export.checkpoint.reference import Feed
from tests.export import tiny


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> Iterator[None]:
    """Use one thread: on a busy machine, more threads make tiny models a hundred times slower."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    with warnings.catch_warnings():
        yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def tokenizer() -> Tokenizer:
    """Each letter and digit is a token; [CLS] A [SEP] B [SEP]; the vocabulary fits the tiny models."""
    words = ["[PAD]", "[CLS]", "[SEP]", "[UNK]", "[MASK]", *"abcdefghijklmnopqrstuvwxyz0123456789"]
    tokenizer = Tokenizer(models.WordLevel({word: row for row, word in enumerate(words)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    tokenizer.add_special_tokens(words[:5])
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", 1), ("[SEP]", 2)],
    )
    return tokenizer


@pytest.fixture
def write_tokenizer(tokenizer: Tokenizer) -> Callable[[Path], Path]:
    """Return a function that writes the tokenizer's files into the folder of a checkpoint."""

    def write(folder: Path) -> Path:
        (folder / "tokenizer.json").write_text(tokenizer.to_str())
        names = {f"{name}_token": f"[{name.upper()}]" for name in ("pad", "cls", "sep", "unk", "mask")}
        (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "TokenizersBackend", **names}))
        return folder

    return write


@pytest.fixture
def probes() -> list[Feed]:
    """Inputs on which a merged adapter is compared with the unmerged one."""
    return [{"input_ids": ids, "attention_mask": ids * 0 + 1} for ids in (tiny.token_ids(1, 9), tiny.token_ids(1, 30))]
