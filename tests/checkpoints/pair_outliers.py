"""Train the pair classifier with outlier channels: enlarge a few LayerNorm gains of the plain one and train it further.

The residual of a trained DeBERTa model has a few channels that are far larger than the rest. No rescaling removes them:
the residual is normalised after each addition, so a gain cannot be folded into other weights.

It starts from the plain classifier's weights because training with such gains from the start did not learn to match
the two texts within the plain classifier's steps (held-out accuracy 0.40 with gains 30 times too large). Enlarged, the
plain classifier falls from 0.96 to 0.64: the sizes are divided out again wherever they can be, but the large channels
dominate the mean and the variance of each LayerNorm.
"""

import random
import shutil
from pathlib import Path
from typing import cast

import torch
from measure import load_classifier
from pair_classifier import ROWS_PER_STAGE
from pair_text import LABELS, generate_pairs
from tokenizers import Tokenizer
from torch.nn.functional import cross_entropy
from training_loop import length_sorted_batches, pad, pad_token_of, take_step
from transformers import DebertaV2ForSequenceClassification
from transformers.models.deberta_v2.modeling_deberta_v2 import DebertaV2Layer

# Channels with a large gain after attention, and after the feed-forward layer. Each is shrunk again by the LayerNorm
# that follows: such a gain on the same channel in six LayerNorms in a row would leave nothing of the others.
ATTENTION_CHANNELS = (5, 23)
FEED_FORWARD_CHANNELS = (40, 58)
# More (25 to 30) can train into a function so steep that PyTorch's own float32 rounding moves logits by over 1e-4.
FACTOR = 20.0
STEPS = 500
PEAK_LEARNING_RATE = 5e-4  # the plain classifier's 3e-3 is too much where inputs are 20 times larger


def build(source: Path, folder: Path, *, seed: int = 7) -> None:
    """Enlarge gains of the trained classifier in folder `source`, train it further and save it to `folder`."""
    model, tokenizer = load_classifier(source), Tokenizer.from_file(str(source / "tokenizer.json"))
    enlarge_gains(model)
    pairs = generate_pairs(ROWS_PER_STAGE, seed=seed, held_out=False)
    rows = [encoding.ids for encoding in tokenizer.encode_batch([(pair.text, pair.text_pair) for pair in pairs])]
    targets = torch.tensor([LABELS.index(pair.label) for pair in pairs])
    model.train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.0, weight_decay=0.0)  # decay would shrink the gains
    batches = length_sorted_batches(rows, steps=STEPS, tokens_per_batch=2048, rng=random.Random(seed))
    for step, batch in enumerate(batches):
        logits = model(**pad([rows[row] for row in batch], pad_token_of(model.config))).logits
        loss = cross_entropy(logits, targets[batch], label_smoothing=0.05)
        take_step(optimizer, loss, step=step, steps=STEPS, peak=PEAK_LEARNING_RATE)
        if step % 100 == 99:
            print(f"  pair classifier with outliers: step {step + 1}/{STEPS}, loss {loss.item():.3f}", flush=True)
    model.save_pretrained(folder)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copyfile(source / name, folder / name)


def enlarge_gains(model: DebertaV2ForSequenceClassification) -> None:
    """Multiply gain and bias of the outlier channels by FACTOR, and divide the weights that read them by it.

    The following addition keeps the channel's scale, because the sublayer's rows are multiplied too, and the next
    LayerNorm removes it. That LayerNorm divides by a larger standard deviation, so its other gains are raised by the
    expected one, sqrt(1 + outliers * FACTOR^2 / hidden size), assuming that every channel had variance 1 before.
    """
    layers = _layers(model)
    readers_after_feed_forward = [
        *([a.query_proj, a.key_proj, a.value_proj] for a in (layer.attention.self for layer in layers[1:])),
        [model.pooler.dense],
    ]
    arriving: list[int] = []  # outlier channels in the residual
    with torch.no_grad():
        for layer, readers in zip(layers, readers_after_feed_forward, strict=True):
            for sublayer, channels, consumers in (
                (layer.attention.output, ATTENTION_CHANNELS, [layer.intermediate.dense]),
                (layer.output, FEED_FORWARD_CHANNELS, readers),
            ):
                norm, leaving = sublayer.LayerNorm, list(channels)
                sublayer.dense.weight[arriving] *= FACTOR
                sublayer.dense.bias[arriving] *= FACTOR
                norm.weight.mul_((1 + len(arriving) * FACTOR**2 / model.config.hidden_size) ** 0.5)
                norm.weight[arriving] /= FACTOR
                norm.weight[leaving] *= FACTOR
                norm.bias[leaving] *= FACTOR
                for consumer in consumers:
                    consumer.weight[:, leaving] /= FACTOR
                arriving = leaving


def smallest_gain_ratio(model: DebertaV2ForSequenceClassification) -> float:
    """Return the smallest |gain| of an outlier channel relative to the median |gain| of its LayerNorm."""
    ratios = []
    for layer in _layers(model):
        for sublayer, channels in (
            (layer.attention.output, ATTENTION_CHANNELS),
            (layer.output, FEED_FORWARD_CHANNELS),
        ):
            gains = sublayer.LayerNorm.weight.detach().abs()
            ratios.append((gains[list(channels)].min() / gains.median()).item())
    return min(ratios)


def _layers(model: DebertaV2ForSequenceClassification) -> list[DebertaV2Layer]:
    return cast(list[DebertaV2Layer], list(model.deberta.encoder.layer))
