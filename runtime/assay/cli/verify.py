"""assay verify: is every file of a bundle what the manifest says, and does every graph of it answer?"""

import argparse
from collections.abc import Iterator

from assay.bundle import Bundle, Choice, open_bundle
from assay.cli.options import add_bundle, add_device, add_json, print_json
from assay.errors import BundleError

HELP = "check every hash of a bundle, then load every variant and run one row through it"

_TEXT = "What causes rain?"
_TEXT_PAIR = "Rain forms when water vapor in the atmosphere condenses into droplets."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_bundle(parser)
    add_device(parser)
    add_json(parser, "a JSON object: the files checked, and the logits that each graph gave")


def run(args: argparse.Namespace) -> int:
    bundle = open_bundle(args.bundle)
    files = bundle.manifest.files
    bundle.check_hashes(files)
    size = sum(record.size for record in files.values())
    if not args.json:
        print(f"{len(files)} files, {size / 1e6:,.1f} MB: sizes and sha256 as in assay.json")
    graphs = []
    for choice, logits in _answers(bundle, args):
        graphs.append({"variant": choice.variant, "dialect": choice.dialect, "logits": logits})
        if not args.json:
            print(f"{choice.variant} {choice.dialect}: loads and answers on {args.device}")
    if args.json:
        print_json({"bundle": str(bundle.folder), "files": len(files), "bytes": size, "graphs": graphs})
    return 0


def _answers(bundle: Bundle, args: argparse.Namespace) -> Iterator[tuple[Choice, list[float]]]:
    """The logits that each graph made for the device gives for one row."""
    from assay.loading import load_choice
    from assay.session import parse_device
    from assay.threads import usable_cores

    device = parse_device(args.device)
    row = (_TEXT, _TEXT_PAIR) if bundle.manifest.input == "pair" else _TEXT
    choices = [choice for choice in bundle.choices() if choice.dialect == "portable" or not device.on_gpu]
    if not choices:
        raise BundleError(f"{bundle.folder}: has no portable graph, so nothing of it runs on {device}; export it again")
    for choice in choices:
        with load_choice(bundle, choice, device, args.threads or usable_cores(), verify=False) as model:
            yield choice, model.logits([row], truncate=True)[0].tolist()
