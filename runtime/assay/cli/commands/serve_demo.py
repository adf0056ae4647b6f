"""assay serve-demo: a page in the browser on which a bundle is tried."""

import argparse

from assay.cli.options import add_bundle, add_device, add_variant, load_model, read_manifest

__all__ = ["HELP", "add_arguments", "run"]

HELP = "try a bundle on a page in the browser, on this machine only"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_bundle(parser)
    parser.add_argument(
        "--port", type=_parse_port, default=0, metavar="N", help="port of 127.0.0.1; default: any that is free"
    )
    add_variant(parser)
    add_device(parser, "auto")


def run(args: argparse.Namespace) -> int:
    read_manifest(args)
    from assay.demo.answering import Answering
    from assay.demo.server import HOST, listen

    with load_model(args) as model, listen(Answering(model), args.port) as server:
        print(f"http://{HOST}:{server.port}/ answers from {args.bundle}; Ctrl-C ends it", flush=True)
        server.serve_forever()
    return 0


def _parse_port(word: str) -> int:
    if not (word.isascii() and word.isdigit() and int(word) < 1 << 16):
        raise argparse.ArgumentTypeError(f"found {word!r}, expected a port from 0 to 65535")
    return int(word)
