"""What the files of `assay annotate` cost beside the answers themselves.

    python -m benchmarks.annotating BUNDLE [--rows 512] [--rounds 7]

In turns, with one model loaded for throughput: its answers to rows in memory, and annotate_file from a JSONL file of
the same rows to another. Rows are those of the suite's throughput: real text where it is, else of the same lengths.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import assay
from assay.annotate import annotate_file
from assay.inputs.tokenization import BundleTokenizer
from assay.models.classifier import Classifier
from benchmarks.suite import texts
from benchmarks.suite.statistics import ratio


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.annotating", description=__doc__.split("\n")[0])
    parser.add_argument("bundle", type=Path, metavar="BUNDLE")
    parser.add_argument("--rows", type=int, default=512, metavar="N")
    parser.add_argument("--rounds", type=int, default=7, metavar="N")
    options = parser.parse_args(arguments)
    model = assay.load(options.bundle, mode="throughput")
    manifest = model.manifest
    data = (options.bundle / "tokenizer.json").read_bytes()
    tokenizer = BundleTokenizer(data, manifest.input, manifest.max_length, "longest_first")
    rows, source = texts.throughput_rows(tokenizer, manifest.input, manifest.max_length, options.rows)

    with tempfile.TemporaryDirectory() as folder:
        given, written = Path(folder) / "rows.jsonl", Path(folder) / "answers.jsonl"
        names = ("text", "text_pair")
        lines = [dict(zip(names, (row,) if isinstance(row, str) else row, strict=False)) for row in rows]
        given.write_text("".join(f"{json.dumps(line)}\n" for line in lines), encoding="utf-8")

        def in_memory() -> None:
            if isinstance(model, Classifier):
                model.predict_batch(rows, truncate=True)
            else:
                model.score_batch(rows, truncate=True)

        def from_file() -> None:
            annotate_file(model, given, written, truncate=True, force=True)

        turns: dict[str, Callable[[], None]] = {"in memory": in_memory, "file to file": from_file}
        times: dict[str, list[float]] = {name: [] for name in turns}
        for number in range(options.rounds + 1):
            for name, turn in turns.items():
                start = time.perf_counter()
                turn()
                if number:  # the first warms up
                    times[name].append(time.perf_counter() - start)
    print(f"{len(rows)} rows ({source}), {model.info['variant']}, {model.info['threads']} threads")
    for name, seconds in times.items():
        print(f"{name}: {len(rows) / sorted(seconds)[len(seconds) // 2]:.1f} rows/s")
    print(f"file to file / in memory: {ratio(times['file to file'], times['in memory'])}")


if __name__ == "__main__":
    main()
