"""assay triton: writes a bundle as a model repository for NVIDIA's Triton Inference Server."""

import argparse

from assay.cli.options import add_bundle, add_json, parse_positive, print_json

__all__ = ["HELP", "add_arguments", "run"]

HELP = "write a Triton model repository from a bundle"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_bundle(parser)
    parser.add_argument("out", metavar="OUT", help="folder to make; must not exist")
    parser.add_argument("--name", help="name of the models, before _cpu and _gpu; default: that of the bundle")
    parser.add_argument(
        "--max-batch",
        type=parse_positive,
        metavar="N",
        help="rows that Triton runs together, whatever their length; default: 8",
    )
    parser.add_argument(
        "--threads",
        type=parse_positive,
        metavar="N",
        help="threads of a run on the CPU; default: every core that ONNX Runtime sees",
    )
    add_json(parser, "a JSON object: each model with the variant and the graph that it serves")


def run(args: argparse.Namespace) -> int:
    from assay import triton

    max_batch = args.max_batch or triton.MAX_BATCH
    models = triton.write(args.bundle, args.out, args.name, max_batch, args.threads, args.revision)
    if args.json:
        served = {name: {"variant": choice.variant, "graph": choice.graph.file} for name, choice in models.items()}
        print_json({"repository": args.out, "models": served})
        return 0
    for name, choice in models.items():
        print(f"{args.out}/{name}: {choice.variant}, {choice.graph.file}")
    return 0
