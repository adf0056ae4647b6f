"""Smoothing of ModernBERT's linear layers (SmoothQuant, arXiv 2211.10438), moved into the weights before them."""

from collections.abc import Mapping

from assay_export.graphs.architectures.modernbert.config import ModernBertConfig
from assay_export.graphs.writer import Array

__all__ = ["absorb", "absorbable"]


def absorbable(config: ModernBertConfig) -> set[str]:
    """Return the names of the linear layers whose smoothing `absorb` can move into earlier weights."""
    layers = range(len(config.is_global))
    names = {f"layers.{index}.{part}" for index in layers for part in ("attn.Wqkv", "attn.Wo", "mlp.Wi", "mlp.Wo")}
    return names - {"layers.0.attn.Wqkv"}


def absorb(config: ModernBertConfig, weights: Mapping[str, Array], smoothing: Mapping[str, Array]) -> dict[str, Array]:
    """Divide the inputs of layers by `smoothing` (layer name to [in]) by changing the weights before them, exactly.

    Norm gains absorb it for the projections that read only them, the value projection for the output projection, and
    the gate half of mlp.Wi, which has no activation, for mlp.Wo. Layer 0 has no norm before its attention.
    """
    result = dict(weights)

    def divide(name: str, rows: slice, scale: Array) -> None:
        for kind in ("weight", "bias"):
            array = result.get(f"{name}.{kind}")
            if array is not None:
                array = array.copy()
                array[rows] /= scale[:, None] if array.ndim == 2 else scale
                result[f"{name}.{kind}"] = array

    for index in range(len(config.is_global)):
        layer = f"layers.{index}"
        for consumer, producer, rows in (
            ("attn.Wqkv", "attn_norm", slice(None)),
            ("attn.Wo", "attn.Wqkv", slice(2 * config.hidden_size, None)),
            ("mlp.Wi", "mlp_norm", slice(None)),
            ("mlp.Wo", "mlp.Wi", slice(weights[f"model.{layer}.mlp.Wo.weight"].shape[1], None)),
        ):
            scale = smoothing.get(f"{layer}.{consumer}")
            if scale is not None and f"model.{layer}.{producer}.weight" in result:
                divide(f"model.{layer}.{producer}", rows, scale)
    return result
