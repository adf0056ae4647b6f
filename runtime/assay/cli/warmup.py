"""assay warmup: builds TensorRT's engines before the first request has to. engine_cache.py says where they are kept."""

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
    bundle_of,
    positive,
    print_json,
)
from assay.errors import InputError

HELP = "build the TensorRT engines of a bundle ahead of its first request (minutes per length)"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_bundle(parser)
    parser.add_argument("--device", required=True, help="tensorrt: no other device builds anything")
    add_variant(parser)
    add_threads(parser)
    parser.add_argument(
        "--up-to", type=positive, metavar="TOKENS", help="only lengths that rows of so many tokens need; default: all"
    )
    add_json(parser, "a JSON object: each length with whether its engine was built now, and the seconds it took")


def run(args: argparse.Namespace) -> int:
    from assay.devices import parse_device

    device = parse_device(args.device)
    if device.kind != "tensorrt":
        raise InputError(f"device is {str(device)!r}, expected 'tensorrt': nothing is built ahead for another device")
    bundle = bundle_of(args)
    from assay.gpu.buckets import all_lengths, padded_length

    longest = bundle.manifest.max_length
    if args.up_to is not None and args.up_to > longest:
        raise UsageError(f"--up-to is {args.up_to:,}, the model reads {longest:,} tokens")
    last = padded_length(args.up_to or longest, longest)
    lengths = [length for length in all_lengths(longest) if length <= last]

    from assay.gpu.libraries import prepare
    from assay.loading import LoadOptions, load_choice
    from assay.ort import installation
    from assay.threads import usable_cores

    options = LoadOptions(args.threads or usable_cores())
    choice = bundle.choose(args.variant, device.kind)
    prepare(installation.onnxruntime(), device)  # a provider that is not there is said before any progress is
    print(f"{choice.variant} ({choice.why}): {len(lengths)} lengths up to {last:,} tokens", file=sys.stderr)
    engines = []
    with contextlib.ExitStack() as stack:
        model = None
        for number, length in enumerate(lengths, start=1):
            print(f"[{number}/{len(lengths)}] {length:,} tokens ...", end="", flush=True, file=sys.stderr)
            start = time.monotonic()
            if model is None:  # loading builds the shortest
                model = stack.enter_context(load_choice(bundle, choice, device, options))
            built = model.build(length)
            seconds = time.monotonic() - start
            print(f" {'built' if built else 'was built before'}, {seconds:.1f} s", file=sys.stderr)
            engines.append({"length": length, "built": built, "seconds": round(seconds, 1)})
    if args.json:
        print_json({"bundle": str(bundle.folder), "variant": choice.variant, "engines": engines})
    return 0
