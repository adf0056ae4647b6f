"""Smoothing of DeBERTa-v2's linear layers (SmoothQuant, arXiv 2211.10438), moved into the weights before them."""

from collections.abc import Mapping

from assay_export.graphs.architectures.deberta_v2.config import DebertaConfig
from assay_export.graphs.writer import Array

__all__ = ["absorb", "absorbable"]


def absorbable(config: DebertaConfig) -> set[str]:
    """Return the names of the linear layers whose smoothing `absorb` can move into earlier weights."""
    names = {f"layer.{index}.attention.output.dense" for index in range(config.layers)}
    if config.content_to_position and config.position_to_content:
        names |= {f"layer.{index}.positions" for index in range(config.layers - 1)}
    return names


def absorb(config: DebertaConfig, weights: Mapping[str, Array], smoothing: Mapping[str, Array]) -> dict[str, Array]:
    """Divide the inputs of layers by `smoothing` (layer name to [in]) by changing the weights before them, exactly.

    The value projection absorbs the smoothing of the output projection, because attention averages values linearly.
    Queries and keys can be divided by numbers whose product is 1. Other layers cannot absorb any: a post-norm also
    feeds the residual stream, and GELU is not linear.
    """
    result = dict(weights)

    def divide(name: str, scale: Array) -> None:
        if f"{name}.weight" in result:
            result[f"{name}.weight"] = result[f"{name}.weight"] / scale[..., None]
            result[f"{name}.bias"] = result[f"{name}.bias"] / scale

    for index in range(config.layers):
        attention = f"deberta.encoder.layer.{index}.attention.self"
        scale = smoothing.get(f"layer.{index}.attention.output.dense")
        if scale is not None:
            divide(f"{attention}.value_proj", scale)
        of_query_and_key = smoothing.get(f"layer.{index}.positions")
        if of_query_and_key is not None:
            for part, scale in zip(("query", "key"), of_query_and_key, strict=True):
                divide(f"{attention}.{part}_proj", scale)
                divide(f"{attention}.pos_{part}_proj", scale)
    return result
