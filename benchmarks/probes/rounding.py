"""Measures how far rounding alone moves a model's answers.

    python -m benchmarks.probes.rounding CHECKPOINT BUNDLE [--rows 128]

PyTorch runs in float32, with the inputs or the weights of every linear layer rounded as each line says. All else is
exact, so that a graph in this arithmetic throughout is hardly more exact. Each line has the measures of the int8 gate,
and before them the largest, over its limit: above 1 the gate would fail. Where 8-bit weights or bfloat16 alone miss the
limits, layers must stay in float32. The rows are built-in calibration rows that the search of the export does not see.
"""

import argparse
import contextlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch

from assay.bundle import manifest
from assay.bundle.manifest import MANIFEST_NAME, TOKENIZER_NAME, Manifest
from assay.inputs.tokenization import BundleTokenizer
from assay_export.checkpoint import loading
from assay_export.checkpoint.files import open_files
from assay_export.checkpoint.reference import Feed
from assay_export.gates.answers import run_pytorch
from assay_export.variants.int8 import gate
from benchmarks.command_line import make_parser, parse_count, run_measurement
from benchmarks.inputs.calibration import read_calibration
from benchmarks.standins.plain_int8 import PROBE

__all__ = ["ARITHMETIC", "main", "rounded"]

Round = Callable[[torch.Tensor], torch.Tensor]

LEVELS = 127  # of symmetric int8


def to_int8(values: torch.Tensor, group: int | None = None) -> torch.Tensor:
    """Round `values` [..., columns] to int8 with one scale per row, or per row and `group` columns."""
    columns = values.shape[-1]
    size = group or columns
    padded = torch.nn.functional.pad(values, (0, -columns % size)).unflatten(-1, (-1, size))
    scale = padded.abs().amax(-1, keepdim=True) / LEVELS
    scale = torch.where(scale == 0, torch.ones_like(scale), scale)
    return ((padded / scale).round() * scale).flatten(-2)[..., :columns]


def to_bfloat16(values: torch.Tensor) -> torch.Tensor:
    """Round `values` to bfloat16."""
    return values.bfloat16().float()


def to_float16(values: torch.Tensor) -> torch.Tensor:
    """Round `values` to float16."""
    return values.half().float()


def keep(values: torch.Tensor) -> torch.Tensor:
    """Return `values`."""
    return values


# By name: what becomes of a layer's inputs [..., in] and of its weight [out, in].
ARITHMETIC: dict[str, tuple[Round, Round]] = {
    "float16": (to_float16, to_float16),
    "bfloat16": (to_bfloat16, to_bfloat16),
    "int8 weights, a scale per output": (keep, to_int8),
    "int8 inputs, a scale per token": (to_int8, keep),
    "int8 inputs, a scale per token and 64 columns": (lambda values: to_int8(values, 64), keep),
    "int8 inputs and weights": (to_int8, to_int8),
}


@contextlib.contextmanager
def rounded(model: torch.nn.Module, inputs: Round, weights: Round) -> Iterator[None]:
    """Round the inputs and weights of every linear layer of `model` inside the block. A classifier stays exact."""
    layers = [module for module in model.modules() if isinstance(module, torch.nn.Linear) and module.out_features > 16]
    exact = [layer.weight.data for layer in layers]
    handles = [
        layer.register_forward_pre_hook(lambda _, arguments: (inputs(arguments[0]), *arguments[1:])) for layer in layers
    ]
    try:
        for layer in layers:
            layer.weight.data = weights(layer.weight.data)
        yield
    finally:
        for layer, handle, weight in zip(layers, handles, exact, strict=True):
            layer.weight.data = weight
            handle.remove()


def main(arguments: list[str] | None = None) -> int:
    """Run the command line.

    Returns:
        The exit code: 0, or 1 with one line on standard error.
    """
    parser = make_parser("rounding", __doc__)
    parser.add_argument("checkpoint", type=Path, metavar="CHECKPOINT")
    parser.add_argument("bundle", type=Path, metavar="BUNDLE", help="its bundle, for the tokenizer and the activation")
    parser.add_argument(
        "--rows", type=parse_count, default=128, metavar="N", help="held-out calibration rows; default: 128"
    )
    return run_measurement(measure, parser.parse_args(arguments))


def measure(options: argparse.Namespace) -> None:
    """Measure every arithmetic, and print a line for each.

    Raises:
        AssayError: The checkpoint or the bundle cannot be read.
    """
    described = manifest.read(options.bundle / MANIFEST_NAME)
    feeds = encode(options.bundle, described, options.rows)
    reference = loading.load(open_files(options.checkpoint), [PROBE]).reference
    scores = described.task == "regression" and described.activation == "sigmoid"
    activation = "sigmoid score" if scores else described.activation
    expected = run_pytorch(reference, feeds)
    lines = [f"{len(feeds)} held-out rows:"]
    for name, (inputs, weights) in ARITHMETIC.items():
        with rounded(reference.module, inputs, weights):
            report = gate.measure(run_pytorch(reference, feeds), expected, activation)
        lines.append(f"{gate.excess(report, gate.Limits()):8.2f}  {name}: {gate.describe(report)}")
    print("\n".join(lines))


def encode(bundle: Path, described: Manifest, rows: int) -> list[Feed]:
    """Encode the first `rows` of the calibration rows that the search of the export does not see."""
    texts = read_calibration(described.input)
    data = (bundle / TOKENIZER_NAME).read_bytes()
    tokenizer = BundleTokenizer(data, described.input, described.max_length, described.truncation)
    feeds = []
    for tokens in tokenizer.encode(texts[len(texts) // 3 :][:rows], True, 0):
        feed = {"input_ids": tokens.ids[None], "attention_mask": np.ones_like(tokens.ids)[None]}
        if "token_type_ids" in described.variants["fp32"]["portable"].inputs:
            feed["token_type_ids"] = tokens.type_ids[None]
        feeds.append(feed)
    return feeds


if __name__ == "__main__":
    sys.exit(main())
