"""assay verify: is every file of a bundle what the manifest says, and does every graph of it answer as PyTorch did?"""

import argparse
from collections.abc import Iterator
from typing import Any

from assay.bundle.folder import Bundle, Choice
from assay.cli.options import add_bundle, add_device, add_json, bundle_of, print_json
from assay.devices import Device, parse_device
from assay.errors import BundleError

HELP = "check every hash of a bundle, then run every variant on the device and compare it with PyTorch's answers"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_bundle(parser)
    add_device(parser)
    add_json(parser, "a JSON object: the files checked, and how far each graph is from PyTorch")


def run(args: argparse.Namespace) -> int:
    device = parse_device(args.device)
    bundle = bundle_of(args)
    files = bundle.manifest.files
    bundle.obtain(files)
    bundle.check_hashes(files)
    size = sum(record.size for record in files.values())
    if not args.json:
        print(f"{len(files)} files, {size / 1e6:,.1f} MB: sizes and sha256 as in assay.json")
    graphs = []
    for choice, report in _reports(bundle, device, args.threads):
        graphs.append({"variant": choice.variant, "dialect": choice.dialect} | report)
        if not args.json:
            print(
                f"{choice.variant} {choice.dialect}: max |delta logit| {report['max_abs_delta']:.2g} of "
                f"{report['tolerance']:.2g} allowed on {device}, {report['rows']} rows"
            )
    if args.json:
        print_json({"bundle": str(bundle.folder), "files": len(files), "bytes": size, "graphs": graphs})
    return 0


def _reports(bundle: Bundle, device: Device, threads: int | None) -> Iterator[tuple[Choice, dict[str, Any]]]:
    """How far each graph that is made for the device is from PyTorch on the golden rows."""
    from assay.bundle import golden
    from assay.loading import LoadOptions, load_choice
    from assay.threads import usable_cores

    rows = golden.read(bundle)
    choices = [choice for choice in bundle.choices() if choice.dialect == "portable" or not device.on_gpu]
    if not choices:
        raise BundleError(f"{bundle.folder}: has no portable graph, so nothing of it runs on {device}; export it again")
    options = LoadOptions(threads or usable_cores(), verify=False)
    for choice in choices:
        allowed = golden.tolerance(choice.graph, rows)
        with load_choice(bundle, choice, device, options) as model:
            what = f"{bundle.folder / choice.graph.file} on {device}"
            yield choice, golden.compare(model.answers(rows.tokens), rows, allowed, what)
