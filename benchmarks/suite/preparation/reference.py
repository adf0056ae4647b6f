"""Asks PyTorch for the float32 answers that all peers are compared with, and counts the operations of an answer.

python -m benchmarks.suite.preparation.reference SETUP FOLDER    reads FOLDER/rows.json, writes reference.json
"""

import sys
from pathlib import Path
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from benchmarks.suite.samples import REFERENCE, ROWS, read_json, write_json
from benchmarks.suite.setup import Setup

__all__ = ["main"]

# Tokens. A transformer's operations are a polynomial of degree 2 in them (limits.count_operations).
PROBES = (16, 32, 64)


def count_operations(model: Any, vocabulary: int, tokens: int) -> int:
    """Count the multiplications and additions of one sequence in PyTorch's eager attention.

    Eager attention multiplies every token with every other, also in layers whose attention is local.
    """
    ids = torch.arange(tokens)[None] % vocabulary
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        model(input_ids=ids, attention_mask=torch.ones_like(ids))
    return int(counter.get_total_flops())


def count_weights(model: Any) -> dict[str, int]:
    """Count the weights that an answer reads: all matrices once, and one row of the embeddings per token."""
    tables = [module for module in model.modules() if isinstance(module, torch.nn.Embedding)]
    widths = {table.embedding_dim for table in tables if table.num_embeddings == model.config.vocab_size}
    rest = sum(weight.numel() for weight in model.parameters()) - sum(table.weight.numel() for table in tables)
    return {"matrices": rest, "per_token": max(widths, default=0)}


def describe_local_attention(config: Any) -> dict[str, int] | None:
    """Describe the layers in which a token attends only to its neighbours (ModernBERT), or return None."""
    every = getattr(config, "global_attn_every_n_layers", None)
    window = getattr(config, "local_attention", None)
    if not every or not window:
        return None
    layers = sum(1 for layer in range(config.num_hidden_layers) if layer % every)
    return {"layers": layers, "window": window, "hidden": config.hidden_size}


def main() -> None:
    """Write the reference of the run named on the command line."""
    setup, folder = Setup.from_json(sys.argv[1]), Path(sys.argv[2])
    rows = read_json(folder / ROWS)
    torch.set_num_threads(setup.threads)
    tokenizer = AutoTokenizer.from_pretrained(setup.bundle)
    model: Any = (
        AutoModelForSequenceClassification.from_pretrained(
            setup.checkpoint, dtype=torch.float32, attn_implementation="eager", local_files_only=True
        )
        .eval()
        .requires_grad_(False)
    )  # otherwise the counter hooks into gradients
    logits = []
    with torch.inference_mode():
        for row in rows["parity"]:
            texts = (row,) if isinstance(row, str) else row
            feed = tokenizer(*texts, truncation=True, max_length=setup.max_length, return_tensors="pt")
            logits.append(model(**feed).logits[0].tolist())
    counts = {str(tokens): count_operations(model, model.config.vocab_size, tokens) for tokens in PROBES}
    write_json(
        folder / REFERENCE,
        {
            "logits": logits,
            "operations": counts,
            "weights": count_weights(model),
            "local_attention": describe_local_attention(model.config),
        },
    )


if __name__ == "__main__":
    main()
