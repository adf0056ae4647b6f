"""assay fetch: downloads a bundle to the Hub's cache, before the first request or for a machine without a network."""

import argparse
import sys

from assay.bundle import hub
from assay.bundle.folder import Bundle, Choice
from assay.cli.options import add_json, add_revision, add_variant, print_json
from assay.devices import parse_device

__all__ = ["HELP", "add_arguments", "run"]

HELP = "download a bundle from the Hub to its cache, check it, and print its folder"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", help="the bundle's name on the Hub: organisation/name")
    add_revision(parser)
    add_variant(parser)
    parser.add_argument("--device", default="cpu", help="the variant is chosen for: cpu (default), cuda or tensorrt")
    add_json(parser, "a JSON object: the folder, the commit, the variant, and how many files and bytes were checked")


def run(args: argparse.Namespace) -> int:
    from assay.ort.usable import find_unusable_dialects  # imports numpy

    device = parse_device(args.device)

    def choose(bundle: Bundle) -> Choice:
        # A variant that was asked for may be for another machine. "auto" is what this one would load.
        is_here = args.variant == "auto" and not device.on_gpu
        unusable = find_unusable_dialects(bundle.manifest.variants) if is_here else {}
        return bundle.choose(args.variant, device.kind, unusable)

    bundle, choice, files = hub.fetch(args.name, args.revision, choose, _say)
    size = sum(bundle.manifest.files[name].size for name in files)
    if args.json:
        print_json(
            {
                "folder": str(bundle.folder),
                "revision": bundle.commit,
                "variant": choice.variant,
                "files": len(files),
                "bytes": size,
            }
        )
        return 0
    _say(f"{choice.variant} ({choice.why}) of commit {bundle.commit}")
    _say(f"{len(files)} files, {size / 1e6:,.1f} MB: sizes and sha256 as in assay.json")
    print(bundle.folder)
    return 0


def _say(line: str) -> None:
    print(line, file=sys.stderr)
