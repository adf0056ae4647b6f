"""Rows per second of a whole file: assay int8, OpenVINO int8 with the best batches, and transformers' pipeline.

    python -m benchmarks.probes.many_rows CHECKPOINT BUNDLE [--rows 768] [--block 128] [--sample 32] [--ungated]

The rows are real text if there is any (QNLI's pairs; Arena-Hard's prompts and self-instruct's instructions), in random
order, cut into blocks. In every round each contender answers one block from text, tokenisation included, and the next
round has the next block; ratios are taken within a block.

- assay: `assay.load(bundle, variant="int8", mode="throughput").logits(rows)`.
- OpenVINO: NNCF's int8 of the portable graph with PERFORMANCE_HINT THROUGHPUT and AsyncInferQueue; rows sorted by
  length in padded batches of each size in BATCHES, with one stream, one per core, and as many as OpenVINO chooses. All
  of these settings answer the first block twice, and the fastest FINALISTS go on to the rounds.
- The pipeline in float32 with batch_size 1 and 32 and padding, as users run it, on the first `--sample` rows of a
  block, because it is slow.
"""

import argparse
import importlib.metadata
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import assay
from assay.bundle import manifest
from assay.inputs.tokenization import BundleTokenizer
from assay.inputs.validation import Row
from assay.optional_packages import require
from benchmarks.command_line import add_json, add_nncf_options, make_parser, run_measurement
from benchmarks.engines import openvino
from benchmarks.engines.pytorch import open_pipeline
from benchmarks.inputs.texts import choose_throughput_rows
from benchmarks.machine import peaks, usable_cores
from benchmarks.standins.ungated import choose_bundle
from benchmarks.timing import ratio, rotate

__all__ = ["main"]

ASSAY = "assay int8, throughput"
BATCHES = (1, 4, 8, 16, 32)
PIPELINE_BATCHES = (1, 32)
FINALISTS = 3

Answer = Callable[[Sequence[Row]], object]
"""Answers rows from text."""


def main(arguments: list[str] | None = None) -> int:
    """Run the command line.

    Returns:
        The exit code: 0, or 1 with one line on standard error.
    """
    parser = make_parser("many_rows", __doc__)
    parser.add_argument("checkpoint", type=Path, metavar="CHECKPOINT", help="whole checkpoint, for the pipeline")
    parser.add_argument("bundle", type=Path, metavar="BUNDLE")
    parser.add_argument("--rows", type=int, default=768, metavar="N", help="rows in all; default: 768")
    parser.add_argument("--block", type=int, default=128, metavar="N", help="rows of a turn; default: 128")
    parser.add_argument("--sample", type=int, default=32, metavar="N", help="rows of the pipeline's turn; default: 32")
    add_nncf_options(parser)
    add_json(parser, "the rates of every turn")
    options = parser.parse_args(arguments)
    if not 1 <= options.sample <= options.block <= options.rows:
        parser.error("expected 1 <= --sample <= --block <= --rows")
    return run_measurement(measure, options)


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Take the turns and print a table.

    Returns:
        What --json writes.

    Raises:
        AssayError: A contender is not installed, or the bundle or the checkpoint cannot be loaded.
    """
    openvino.require_openvino()
    for package in ("torch", "transformers"):
        require(package, "'assay[export]'", "the comparison of many rows")
    cores = usable_cores()
    bundle = choose_bundle(options.bundle, options.checkpoint, options.work, options.ungated)
    described = manifest.read(bundle / manifest.MANIFEST_NAME)
    data = (bundle / "tokenizer.json").read_bytes()
    tokenizer = BundleTokenizer(data, described.input, described.max_length, "longest_first")
    rows, source = choose_throughput_rows(tokenizer, described.input, described.max_length, options.rows)
    blocks = [rows[start : start + options.block] for start in range(0, len(rows), options.block)]
    blocks = [block for block in blocks if len(block) == options.block]
    show_progress("loading and quantising, minutes the first time")
    quantised = openvino.quantise(bundle, described, options.work / openvino.name_quantised(described))
    model = assay.load(bundle, variant="int8", mode="throughput")
    pipeline = open_pipeline(options.checkpoint, bundle, described.max_length, cores)

    measured = peaks.measure()
    finalists = choose_finalists(open_settings(quantised, tokenizer, cores), blocks[0])
    contenders: dict[str, Answer] = {ASSAY: partial(model.logits, truncate=True), **finalists}
    for batch in PIPELINE_BATCHES:
        contenders[f"transformers pipeline fp32, batch_size {batch}"] = answer_sample(pipeline, options.sample, batch)
    rates = take_turns(contenders, blocks, {name: options.sample for name in contenders if "pipeline" in name})
    measured = measured.join(peaks.measure())
    versions = {name: importlib.metadata.version(name) for name in ("onnxruntime", "openvino", "nncf", "transformers")}
    tokens = sum(len(row.ids) for block in blocks for row in tokenizer.encode(block, True, 0))
    print(
        f"{described.name}: {sum(map(len, blocks))} rows ({source}), {tokens} tokens, blocks of {options.block}; ",
        end="",
    )
    print(", ".join(f"{name} {version}" for name, version in versions.items()))
    print(f"\n{format_table(rates)}\n\n{measured}")
    return {"model": described.name, "tokens": tokens, "versions": versions, "rows_per_second": rates}


def open_settings(quantised: Path, tokenizer: BundleTokenizer, cores: int) -> dict[str, Answer]:
    """Compile OpenVINO with each number of streams, and return a contender per number and batch size."""
    settings: dict[str, Answer] = {}

    def answer(rows: Sequence[Row], call: Callable[..., object], batch: int) -> object:
        return call([tokens.ids for tokens in tokenizer.encode(rows, True, 0)], batch)

    for streams in dict.fromkeys((1, cores, None)):
        call = openvino.open_batches(quantised, streams, cores)
        for batch in BATCHES:
            name = f"OpenVINO int8, {'its choice of' if streams is None else streams} streams, batches of {batch}"
            settings[name] = partial(answer, call=call, batch=batch)
    return settings


def choose_finalists(settings: Mapping[str, Answer], block: Sequence[Row]) -> dict[str, Answer]:
    """Return the fastest settings in their second answer to a block."""
    seconds = {}
    for name, answer in settings.items():
        answer(block)
        seconds[name] = time_call(answer, block)
        show_progress(f"{name}: {len(block) / seconds[name]:.1f} rows/s")
    return {name: settings[name] for name in sorted(settings, key=seconds.__getitem__)[:FINALISTS]}


def answer_sample(pipeline: Callable[[Sequence[Row], int], object], sample: int, batch: int) -> Answer:
    """Make a contender that answers the first `sample` rows of a block."""
    return lambda rows: pipeline(rows[:sample], batch)


def take_turns(
    contenders: Mapping[str, Answer], blocks: Sequence[Sequence[Row]], samples: Mapping[str, int]
) -> dict[str, list[float]]:
    """Give every contender one turn at each block, and return rows per second by contender and block.

    Args:
        contenders: What answers.
        blocks: The blocks, of equal size.
        samples: For contenders that answer only a part of each block, the number of rows.
    """
    for answer in contenders.values():
        answer(blocks[0])
    rates: dict[str, list[float]] = {name: [] for name in contenders}
    for number, block in enumerate(blocks):
        for name in rotate(list(contenders), number):
            rates[name].append(samples.get(name, len(block)) / time_call(contenders[name], block))
        show_progress(f"block {number + 1} of {len(blocks)}")
    return rates


def format_table(rates: Mapping[str, Sequence[float]]) -> str:
    """Format a Markdown table: rows per second, and assay's rate over each within the blocks."""
    lines = ["| contender | rows/s | assay's rate / this |", "|---|---|---|"]
    for name, values in rates.items():
        spread = f"{statistics.median(values):.1f} ({min(values):.1f}..{max(values):.1f})"
        lines.append(f"| {name} | {spread} | {ratio(rates[ASSAY], values)} |")
    best = max((name for name in rates if name.startswith("OpenVINO")), key=lambda name: statistics.median(rates[name]))
    return "\n".join(
        [*lines, "", f"Best of OpenVINO: {best}. assay's rate / this: {ratio(rates[ASSAY], rates[best])}."]
    )


def time_call(answer: Answer, rows: Sequence[Row]) -> float:
    """Return the seconds of one answer."""
    start = time.perf_counter()
    answer(rows)
    return time.perf_counter() - start


def show_progress(text: str) -> None:
    """Print progress on standard error."""
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
