"""Helpers: put activation outliers, as in trained models, into a checkpoint without changing its float32 function."""

from collections.abc import Iterable

import torch


def inject_into_modernbert(state: dict[str, torch.Tensor], channels: Iterable[int], factor: float) -> None:
    """Scale a few channels up where they are produced and down where they are consumed, in every layer.

    The pairs are norm gains and the next projection, value rows and the output projection, and the gate half of mlp.Wi
    and mlp.Wo.
    """
    chosen = torch.tensor(list(channels))
    layers = 1 + max(int(name.split(".")[2]) for name in state if name.startswith("model.layers."))
    for index in range(layers):
        layer = f"model.layers.{index}"
        hidden = state[f"{layer}.attn.Wo.weight"].shape[1]
        intermediate = state[f"{layer}.mlp.Wo.weight"].shape[1]
        for producer, offset, consumer in (
            (f"{layer}.attn_norm", 0, f"{layer}.attn.Wqkv"),
            (f"{layer}.attn.Wqkv", 2 * hidden, f"{layer}.attn.Wo"),
            (f"{layer}.mlp_norm", 0, f"{layer}.mlp.Wi"),
            (f"{layer}.mlp.Wi", intermediate, f"{layer}.mlp.Wo"),
        ):
            if f"{producer}.weight" not in state:  # layer 0 has no norm before its attention
                continue
            for kind in ("weight", "bias"):
                if f"{producer}.{kind}" in state:
                    state[f"{producer}.{kind}"][chosen + offset] *= factor
            state[f"{consumer}.weight"][:, chosen] /= factor


def inject_into_deberta_values(state: dict[str, torch.Tensor], channels: Iterable[int], factor: float) -> None:
    """Scale value rows up and the columns of the output projection down. No other place in DeBERTa allows this."""
    chosen = torch.tensor(list(channels))
    for name in list(state):
        if name.endswith("attention.self.value_proj.weight"):
            layer = name.removesuffix("attention.self.value_proj.weight")
            state[name][chosen] *= factor
            state[f"{layer}attention.self.value_proj.bias"][chosen] *= factor
            state[f"{layer}attention.output.dense.weight"][:, chosen] /= factor
