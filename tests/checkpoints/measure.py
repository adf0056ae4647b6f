"""Load the stand-ins with PyTorch and measure them on held-out rows, for the trainings and the tests."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from peft import PeftModel
from scipy.stats import spearmanr
from tokenizers import Tokenizer
from training_loop import pad, pad_token_of
from transformers import AutoModelForSequenceClassification, DebertaV2ForSequenceClassification, PreTrainedModel
from transformers.utils import logging

ROWS_PER_BATCH = 16


def load_classifier(folder: Path) -> DebertaV2ForSequenceClassification:
    """Load the pair classifier in `folder`, in evaluation mode."""
    return AutoModelForSequenceClassification.from_pretrained(folder).eval()


def load_scorer(base: Path, adapter: Path, *, merge: bool) -> PreTrainedModel | PeftModel:
    """Load the base with its adapter, in evaluation mode; `merge` folds the adapter into the base's weights."""
    verbosity = logging.get_verbosity()
    logging.set_verbosity_error()  # the base has no classifier: the warning says so, and the adapter brings one
    try:
        model = AutoModelForSequenceClassification.from_pretrained(base, num_labels=1, problem_type="regression")
    finally:
        logging.set_verbosity(verbosity)
    adapted = PeftModel.from_pretrained(model, str(adapter))
    return (adapted.merge_and_unload() if merge else adapted).eval()


def logits_of(
    model: PreTrainedModel | PeftModel, tokenizer: Tokenizer, rows: Sequence[str | tuple[str, str]]
) -> np.ndarray:
    """Compute logits, float32 [rows, labels], in padded batches of rows of similar length."""
    encoded = [encoding.ids for encoding in tokenizer.encode_batch(list(rows))]
    order = sorted(range(len(encoded)), key=lambda row: len(encoded[row]))
    logits: list[np.ndarray] = [np.empty(0)] * len(encoded)
    with torch.inference_mode():
        for start in range(0, len(order), ROWS_PER_BATCH):
            chosen = order[start : start + ROWS_PER_BATCH]
            batch = pad([encoded[row] for row in chosen], pad_token_of(model.config))
            for row, values in zip(chosen, model(**batch).logits.numpy(), strict=True):
                logits[row] = values
    return np.stack(logits)


def score_instructions(model: PreTrainedModel | PeftModel, tokenizer: Tokenizer, texts: Sequence[str]) -> np.ndarray:
    """Compute the regression head's own output, float32 [texts]."""
    return logits_of(model, tokenizer, texts)[:, 0]


def accuracy(
    model: PreTrainedModel, tokenizer: Tokenizer, pairs: Sequence[tuple[str, str]], labels: Sequence[str]
) -> float:
    """Return the share of pairs whose highest logit is that of their label."""
    best = logits_of(model, tokenizer, pairs).argmax(axis=1)
    names = model.config.id2label or {}
    right = [names[int(index)] == label for index, label in zip(best, labels, strict=True)]
    return sum(right) / len(right)


def rank_correlation(scores: np.ndarray, targets: Sequence[float]) -> float:
    """Return Spearman's rank correlation."""
    return float(spearmanr(scores, targets).statistic)
