"""What it costs to run the rows of an int8 graph one by one instead of together.

    python -m benchmarks.shared_calls GRAPH [GRAPH ...]

Rows in one call share the activations' scale and zero point, so that each one's answer depends on the others. This is
the price of not sharing: the time of ROWS calls of one row over that of one call of ROWS rows, in turns, all cores.
"""

import argparse
from pathlib import Path

import numpy as np

from assay.bundle.manifest import Graph
from assay.threads import usable_cores
from benchmarks import peers
from benchmarks.int8_peers import round_robin
from benchmarks.suite.statistics import ratio

ROWS = 8
LENGTHS = (16, 32, 64, 128, 256)
ROUNDS = 9
CALLS = 4


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.shared_calls", description=__doc__.split("\n")[0])
    parser.add_argument("graph", nargs="+", type=Path, metavar="GRAPH", help="onnx/model_int8.onnx of a bundle")
    random = np.random.default_rng(0)
    print(f"| graph | tokens | ms per row, {ROWS} in a call | {ROWS} calls / 1 call |\n| --- | --- | --- | --- |")
    for path in parser.parse_args(arguments).graph:
        if not path.is_file():
            parser.error(f"{path}: no such file, expected onnx/model_int8.onnx of a bundle")
        model = peers.require("onnx").load(str(path), load_external_data=False)
        labels = model.graph.output[0].type.tensor_type.shape.dim[1].dim_value
        call = peers.assay_int8(path, Graph(path.name, (), ("input_ids",), "basic", {}), labels, usable_cores())

        def one_by_one(ids: peers.Ids, call: peers.Call = call) -> None:
            for row in ids:
                call(row[None])

        turns = {"together": peers.one_at_a_time(call), "one by one": peers.one_at_a_time(one_by_one)}
        for length in LENGTHS:
            texts = [random.integers(5, 1_000, (ROWS, length)) for _ in range(CALLS)]
            times = round_robin(turns, texts, ROUNDS)
            together = float(np.median(times["together"])) / ROWS
            cost = ratio(times["one by one"], times["together"])
            print(f"| {path} | {length} | {together:.1f} | {cost} |", flush=True)


if __name__ == "__main__":
    main()
