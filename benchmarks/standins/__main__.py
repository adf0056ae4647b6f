"""`python -m benchmarks.standins KIND OUT`: builds a stand-in."""

import argparse
import sys
import time
from pathlib import Path

import torch

from benchmarks.errors import BenchmarkError
from benchmarks.standins.standins import CONFIGS, build_adapter, build_checkpoint

__all__ = ["main"]


def main(arguments: list[str] | None = None) -> int:
    """Run the command line.

    Returns:
        The exit code: 0, or 1 with one line on standard error.
    """
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.standins",
        description="Build a full-size stand-in with random weights, which shows speed and memory, never accuracy.",
    )
    parser.add_argument("kind", choices=sorted(CONFIGS))
    parser.add_argument("out", type=Path, metavar="OUT", help="folder to create; an existing one is refused")
    for option, metavar, text in (
        ("--config", "FILE", "config.json of the model; default: that of the materials"),
        ("--adapter-config", "FILE", "maxwell-adapter: adapter_config.json; default: that of the materials"),
        ("--base", "FOLDER", "maxwell-adapter: build the adapter over this checkpoint instead of a new one"),
        ("--tokenizer", "FILE", "tokenizer.json; default: that of --base or of the materials"),
    ):
        parser.add_argument(option, type=Path, metavar=metavar, help=text)
    parser.add_argument("--seed", type=int, default=0, help="seed of all random weights; default: 0")
    options = vars(parser.parse_args(arguments))
    if options["kind"] != "maxwell-adapter" and (options["base"] or options["adapter_config"]):
        parser.error("--base and --adapter-config belong to maxwell-adapter")
    if options["base"] and options["config"]:
        parser.error("--base has its own config: leave out --config")

    # With one thread sums are taken in one order, so that a seed always makes the same weights.
    torch.set_num_threads(1)
    start = time.perf_counter()
    kind, out = options.pop("kind"), options.pop("out")
    print(f"building {out}: random weights, for speed and memory only", flush=True)
    try:
        if kind == "maxwell-adapter":
            print("PiSSA takes one singular value decomposition per adapted matrix: a minute or two", flush=True)
            build_adapter(out, **options)
        else:
            build_checkpoint(kind, out, config=options["config"], tokenizer=options["tokenizer"], seed=options["seed"])
    except BenchmarkError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(f"built {out} in {time.perf_counter() - start:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
