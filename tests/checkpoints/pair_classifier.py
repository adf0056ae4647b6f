"""Train the pair-classifier stand-in: a small DeBERTa-v3-shaped cross-encoder with the five osmosis classes."""

import random
from pathlib import Path
from statistics import mean

import torch
from instruction_text import generate_instructions
from pair_targets import CLASSES, IGNORED, Row, padded_targets, rows_with_targets
from pair_text import LABELS, AnnotatedPair, generate_annotated_pairs, joined
from tiny_tokenizers import common_words, save_tokenizer, train_unigram
from torch.nn.functional import cross_entropy
from training_loop import length_sorted_batches, pad, take_step
from transformers import DebertaV2Config, DebertaV2ForSequenceClassification

MAX_LENGTH = 512  # tokens
PEAK_LEARNING_RATE = 3e-3
ROWS_PER_STAGE = 12000
# (most aspects, filler sentences, steps). The model learns to match one question with one fact first, or not at all.
STAGES = ((1, False, 450), (3, False, 450), (3, True, 700))
# Which layer's output (1 is the first) each token-level head reads: words, then whether they match, then what it means.
LAYER_OF_HEAD = {"topic": 1, "subject": 1, "aspect": 1, "relation": 2, "role": 3}
WEIGHT_OF_HEAD = {"topic": 0.3, "subject": 0.3, "aspect": 0.3, "relation": 1.0, "role": 1.0}


def classifier_config(vocab_size: int) -> DebertaV2Config:
    """Return the configuration of DeBERTa-v3-base with smaller sizes and without dropout.

    32 position buckets put distances from 16 on into logarithmic buckets, and most rows are longer than that.
    """
    config = DebertaV2Config(
        vocab_size=vocab_size,
        hidden_size=64,
        num_hidden_layers=3,
        num_attention_heads=4,
        intermediate_size=128,
        hidden_act="gelu",
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
        max_position_embeddings=MAX_LENGTH,
        type_vocab_size=0,
        initializer_range=0.12,  # about 1/sqrt(hidden_size); the published 0.02 suits 768
        layer_norm_eps=1e-7,
        relative_attention=True,
        max_relative_positions=-1,
        position_buckets=32,
        norm_rel_ebd="layer_norm",
        share_att_key=True,
        pos_att_type=["p2c", "c2p"],
        position_biased_input=False,
        pad_token_id=0,
        pooler_dropout=0,
        pooler_hidden_act="gelu",
        pooler_hidden_size=64,
    )
    config.id2label = dict(enumerate(LABELS))
    config.label2id = {label: index for index, label in enumerate(LABELS)}
    return config


def build(folder: Path, *, seed: int = 7) -> None:
    """Train the classifier and save it, with its tokenizer, to `folder`."""
    stages = [
        generate_annotated_pairs(ROWS_PER_STAGE, seed=seed, held_out=False, most_aspects=most, filler=filler)
        for most, filler, _ in STAGES
    ]
    tokenizer = train_unigram(_tokenizer_texts(stages[-1], seed), 2000)
    vocab_size = -(-tokenizer.get_vocab_size() // 64) * 64  # rounded up, as the published vocabulary is

    torch.manual_seed(seed)
    model = DebertaV2ForSequenceClassification(classifier_config(vocab_size))
    heads = torch.nn.ModuleDict({name: torch.nn.Linear(64, count) for name, count in CLASSES.items()})
    optimizer = torch.optim.AdamW([*model.parameters(), *heads.parameters()], lr=0.0, weight_decay=0.02)
    rng = random.Random(seed)
    all_steps = sum(steps for *_, steps in STAGES)
    step = 0
    recent: list[dict[str, float]] = []
    for number, (pairs, (*_, steps)) in enumerate(zip(stages, STAGES, strict=True), start=1):
        rows = rows_with_targets(tokenizer, pairs)
        targets = torch.tensor([LABELS.index(pair.label) for pair in pairs])
        for batch in length_sorted_batches([row.ids for row in rows], steps=steps, tokens_per_batch=2048, rng=rng):
            loss, right = _loss(model, heads, [rows[row] for row in batch], targets[batch])
            take_step(optimizer, loss, step=step, steps=all_steps, peak=PEAK_LEARNING_RATE)
            recent.append(right)
            step += 1
            if step % 100 == 0:
                shares = ", ".join(f"{name} {mean(each[name] for each in recent):.3f}" for name in recent[0])
                print(f"  pair classifier: stage {number}, step {step}/{all_steps}, right: {shares}", flush=True)
                recent.clear()
    save_tokenizer(tokenizer, folder, MAX_LENGTH)
    model.save_pretrained(folder)


def _loss(
    model: DebertaV2ForSequenceClassification, heads: torch.nn.ModuleDict, rows: list[Row], labels: torch.Tensor
) -> tuple[torch.Tensor, dict[str, float]]:
    """Return the loss of one batch, over class and token-level targets, and the share of each that is predicted."""
    layers = model.deberta(**pad([row.ids for row in rows], 0), output_hidden_states=True).hidden_states
    logits = model.classifier(model.pooler(layers[-1]))
    # Smoothing keeps the logits moderate, so that a comparison to 1e-4 is meaningful.
    loss = cross_entropy(logits, labels, label_smoothing=0.05)
    right = {"class": (logits.argmax(-1) == labels).float().mean().item()}
    for name, head in heads.items():
        targets = padded_targets(rows, name)
        there = targets != IGNORED
        predicted = head(layers[LAYER_OF_HEAD[name]][there])
        loss = loss + WEIGHT_OF_HEAD[name] * cross_entropy(predicted, targets[there])
        right[name] = (predicted.argmax(-1) == targets[there]).float().mean().item()
    return loss, right


def _tokenizer_texts(pairs: list[AnnotatedPair], seed: int) -> list[str]:
    """Return the text that pieces are learned from: pairs, instructions, and everyday words that neither contains."""
    texts = [joined(passages) for pair in pairs for passages in (pair.objective, pair.response)]
    instructions = generate_instructions(2000, seed=seed, held_out=False)
    return texts + [instruction.text for instruction in instructions] + [common_words()] * 3
