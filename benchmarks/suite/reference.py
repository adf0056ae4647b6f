"""PyTorch's float32 answers that every peer's are held against, and the number of operations of an answer.

    python -m benchmarks.suite.reference SETUP FOLDER       reads FOLDER/rows.json, writes FOLDER/reference.json

A process of its own, which ends before anything is timed.
"""

import sys
from pathlib import Path
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from benchmarks.suite.samples import REFERENCE, ROWS, read_json, write_json
from benchmarks.suite.setup import Setup

PROBES = (16, 32, 64)  # tokens: a transformer's operations are a polynomial of degree 2 in them (limits.operations)


def operations(model: Any, vocabulary: int, tokens: int) -> int:
    """Multiplications and additions of one sequence, as PyTorch counts them in its eager attention: that of every
    token with every other, also in layers whose attention is local."""
    ids = torch.arange(tokens)[None] % vocabulary
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        model(input_ids=ids, attention_mask=torch.ones_like(ids))
    return int(counter.get_total_flops())


def main() -> None:
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
    )  # the counter hooks gradients where it finds them
    logits = []
    with torch.inference_mode():
        for row in rows["parity"]:
            texts = (row,) if isinstance(row, str) else row
            feed = tokenizer(*texts, truncation=True, max_length=setup.max_length, return_tensors="pt")
            logits.append(model(**feed).logits[0].tolist())
    counts = {str(tokens): operations(model, model.config.vocab_size, tokens) for tokens in PROBES}
    write_json(folder / REFERENCE, {"logits": logits, "operations": counts})


if __name__ == "__main__":
    main()
