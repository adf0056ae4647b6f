"""assay verify: checks a bundle's files against its manifest, its tokenizer and its graphs against the golden rows."""

import argparse
from collections.abc import Iterator
from typing import Any

from assay.bundle.folder import Bundle, Choice
from assay.cli.options import add_bundle, add_device, add_json, open_asked, print_json
from assay.devices import Device, parse_device
from assay.errors import BundleError

__all__ = ["HELP", "add_arguments", "run", "verify_bundle"]

HELP = (
    "check every hash of a bundle, then compare its tokenizer and every variant on the device with the export's answers"
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_bundle(parser)
    add_device(parser)
    add_json(parser, "a JSON object: the files and tokenized rows checked, and how far each graph is from PyTorch")


def run(args: argparse.Namespace) -> int:
    device = parse_device(args.device)
    bundle = open_asked(args)
    files = bundle.manifest.files
    bundle.obtain(files)
    bundle.check_hashes(files)
    size = sum(record.size for record in files.values())
    if not args.json:
        print(f"{len(files)} files, {size / 1e6:,.1f} MB: sizes and sha256 as in assay.json")
    texts = _check_tokens(bundle)
    if not args.json:
        print(
            f"tokenizer: the token ids of the export, {texts} rows"
            if texts
            else "tokenizer: not compared, golden.json has no texts; export the bundle again"
        )
    graphs = []
    for choice, report in _compare_graphs(bundle, device, args.threads):
        graphs.append({"variant": choice.variant, "dialect": choice.dialect} | report)
        if not args.json:
            print(
                f"{choice.variant} {choice.dialect}: max |delta logit| {report['max_abs_delta']:.2g} of "
                f"{report['tolerance']:.2g} allowed on {device}, {report['rows']} rows"
            )
    if args.json:
        print_json(
            {
                "bundle": str(bundle.folder),
                "files": len(files),
                "bytes": size,
                "tokenizer_rows": texts,
                "graphs": graphs,
            }
        )
    return 0


def verify_bundle(bundle: Bundle, threads: int | None) -> Iterator[str]:
    """Check a local bundle as the command does on the CPU, and yield a line for each thing that was found right."""
    files = bundle.manifest.files
    bundle.check_hashes(files)
    yield f"{len(files)} files, {sum(record.size for record in files.values()) / 1e6:,.1f} MB: sizes and sha256 right"
    yield f"tokenizer: {_check_tokens(bundle)} rows compared with the export"
    for choice, report in _compare_graphs(bundle, parse_device("cpu"), threads):
        yield (
            f"{choice.variant} {choice.dialect}: max |delta logit| {report['max_abs_delta']:.2g} of "
            f"{report['tolerance']:.2g} allowed, {report['rows']} rows"
        )


def _check_tokens(bundle: Bundle) -> int:
    """Return on how many golden rows the tokenizer was compared with the export's."""
    from assay.building import open_tokenizer
    from assay.bundle import golden

    return golden.check_tokens(bundle, open_tokenizer(bundle, verify=False))


def _compare_graphs(bundle: Bundle, device: Device, threads: int | None) -> Iterator[tuple[Choice, dict[str, Any]]]:
    """Yield how far each graph for the device is from PyTorch on the golden rows."""
    from assay.load_options import LoadOptions
    from assay.loading import load_choice
    from assay.system.threads import usable_cores

    choices = [choice for choice in bundle.list_choices() if choice.dialect == "portable" or not device.on_gpu]
    if not choices:
        raise BundleError(f"{bundle.folder}: has no portable graph, so it does not run on {device}; export it again")
    options = LoadOptions(threads or usable_cores(), verify=False)
    for choice in choices:
        with load_choice(bundle, choice, device, options) as model:
            yield choice, model.verify()
