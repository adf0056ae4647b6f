"""assay warmup: builds TensorRT's engines before the first request. assay.gpu.engine_cache says where they are kept."""

import argparse
import contextlib
import sys
import time

from assay.cli.options import (
    UsageError,
    add_bundle,
    add_json,
    add_threads,
    add_variant,
    open_asked,
    parse_positive,
    print_json,
)
from assay.errors import InputError

__all__ = ["HELP", "add_arguments", "run"]

HELP = "build the TensorRT engines of a bundle ahead of its first request (minutes per length)"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_bundle(parser)
    parser.add_argument("--device", required=True, help="tensorrt: other devices build nothing")
    add_variant(parser)
    add_threads(parser)
    parser.add_argument(
        "--up-to",
        type=parse_positive,
        metavar="TOKENS",
        help="only the lengths for rows of up to TOKENS tokens; default: all",
    )
    add_json(parser, "a JSON object: each length with whether its engine was built now, and the seconds it took")


def run(args: argparse.Namespace) -> int:
    from assay.devices import parse_device

    device = parse_device(args.device)
    if device.kind != "tensorrt":
        raise InputError(f"device is {str(device)!r}, expected 'tensorrt': other devices build nothing ahead")
    bundle = open_asked(args)
    from assay.gpu.buckets import choose_bucket, list_buckets

    longest = bundle.manifest.max_length
    if args.up_to is not None and args.up_to > longest:
        raise UsageError(f"--up-to is {args.up_to:,}, the model reads {longest:,} tokens")
    last = choose_bucket(args.up_to or longest, longest)
    lengths = [length for length in list_buckets(longest) if length <= last]

    from assay.gpu.libraries import prepare
    from assay.load_options import LoadOptions
    from assay.loading import load_choice
    from assay.models.base import runner_of
    from assay.ort import installation
    from assay.system.threads import usable_cores

    options = LoadOptions(args.threads or usable_cores())
    choice = bundle.choose(args.variant, device.kind)
    prepare(installation.onnxruntime(), device)  # a missing provider is reported before any progress
    print(f"{choice.variant} ({choice.why}): {len(lengths)} lengths up to {last:,} tokens", file=sys.stderr)
    engines = []
    with contextlib.ExitStack() as stack:
        model = None
        for number, length in enumerate(lengths, start=1):
            print(f"[{number}/{len(lengths)}] {length:,} tokens ...", end="", flush=True, file=sys.stderr)
            start = time.monotonic()
            if model is None:  # loading builds the shortest
                model = stack.enter_context(load_choice(bundle, choice, device, options))
            built = runner_of(model).build(length)
            seconds = time.monotonic() - start
            print(f" {'built' if built else 'was built before'}, {seconds:.1f} s", file=sys.stderr)
            engines.append({"length": length, "built": built, "seconds": round(seconds, 1)})
    if args.json:
        print_json({"bundle": str(bundle.folder), "variant": choice.variant, "engines": engines})
    return 0
