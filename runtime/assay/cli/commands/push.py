"""assay push: uploads a bundle to the Hub after it was verified, with a model card. See docs/guide/hub.md."""

import argparse
import sys

from assay.bundle import folder
from assay.cli.commands.verify import verify_bundle
from assay.cli.options import add_json, add_threads, print_json

__all__ = ["HELP", "add_arguments", "run"]

HELP = "verify a bundle and upload it to the Hub with a model card"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("bundle", metavar="BUNDLE", help="folder that assay export made")
    parser.add_argument("name", metavar="NAME", help="its name on the Hub: organisation/name")
    parser.add_argument("--create-pr", action="store_true", help="open a pull request instead of a commit on main")
    parser.add_argument("--private", action="store_true", help="make the model private if it does not exist yet")
    parser.add_argument("--replace-card", action="store_true", help="replace a model card that somebody else wrote")
    parser.add_argument("--measure", action="store_true", help="measure the speed on this machine, for the model card")
    parser.add_argument("--dry-run", action="store_true", help="verify, print the model card, and upload nothing")
    add_threads(parser)
    add_json(parser, "a JSON object: the address, how many files, and whether the card is among them")


def run(args: argparse.Namespace) -> int:
    from assay.publish.card import write_card
    from assay.publish.upload import CARD, check_name, push

    name = check_name(args.name)
    bundle = folder.open_bundle(args.bundle)
    for line in verify_bundle(bundle, args.threads):
        print(line, file=sys.stderr)
    measured = None
    if args.measure:
        from assay.publish.speed import measure

        measured = measure(bundle, args.threads)
    card = write_card(bundle.manifest, name, measured)
    if args.dry_run:
        print(card, end="")
        return 0
    done = push(bundle, name, card, create_pr=args.create_pr, private=args.private, replace_card=args.replace_card)
    if args.json:
        print_json({"url": done.url, "files": done.files, "card": done.has_card})
        return 0
    kept = "" if done.has_card else f"; the {CARD} on the Hub stays as it is (--replace-card)"
    print(f"{done.files} files uploaded{kept}", file=sys.stderr)
    print(done.url)
    return 0
