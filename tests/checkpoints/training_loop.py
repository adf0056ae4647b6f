"""Shared by both trainings: batches of rows of similar length, padding, and one optimiser step."""

import math
import random
from collections.abc import Iterator, Sequence

import torch
from transformers import PretrainedConfig


def length_sorted_batches(
    rows: Sequence[list[int]], *, steps: int, tokens_per_batch: int, rng: random.Random
) -> Iterator[list[int]]:
    """Yield `steps` lists of row numbers: rows of similar length, at most `tokens_per_batch` tokens with padding.

    Every row appears once per epoch. Each epoch shuffles the batches, and rows of equal length.
    """
    taken = 0
    while True:
        batches: list[list[int]] = [[]]
        for row in sorted(range(len(rows)), key=lambda row: (len(rows[row]), rng.random())):
            if batches[-1] and (len(batches[-1]) + 1) * len(rows[row]) > tokens_per_batch:
                batches.append([])
            batches[-1].append(row)
        rng.shuffle(batches)
        for batch in batches:
            if taken == steps:
                return
            taken += 1
            yield batch


def pad_token_of(config: PretrainedConfig) -> int:
    """Return the id of the padding token, which every stand-in has."""
    assert config.pad_token_id is not None
    return config.pad_token_id


def pad(rows: Sequence[list[int]], pad_token_id: int) -> dict[str, torch.Tensor]:
    """Return input_ids and attention_mask, int64 [batch, longest row], padded on the right."""
    longest = max(map(len, rows))
    input_ids = torch.tensor([row + [pad_token_id] * (longest - len(row)) for row in rows])
    attention_mask = torch.tensor([[1] * len(row) + [0] * (longest - len(row)) for row in rows])
    return {"input_ids": input_ids, "attention_mask": attention_mask}


def warm_up_then_cosine(step: int, steps: int, warm_up: int = 100) -> float:
    """Return the factor on the peak learning rate: linear from 0 over `warm_up` steps, then half a cosine down to 0."""
    if step < warm_up:
        return (step + 1) / warm_up
    return 0.5 * (1.0 + math.cos(math.pi * (step - warm_up) / max(1, steps - warm_up)))


def take_step(optimizer: torch.optim.Optimizer, loss: torch.Tensor, *, step: int, steps: int, peak: float) -> None:
    """Update the parameters with gradients clipped to norm 1, at the scheduled learning rate of `step`."""
    parameters = []
    for group in optimizer.param_groups:
        group["lr"] = peak * warm_up_then_cosine(step, steps)
        parameters.extend(group["params"])
    optimizer.zero_grad()
    loss.backward()
    torch.nn.utils.clip_grad_norm_(parameters, 1.0)
    optimizer.step()
