"""What one bundle costs a process: disk, start, memory and time per text.

    python -m benchmarks.footprint BUNDLE [BUNDLE ...]

Each bundle is loaded in a fresh process, as a user's would: from process start to the first answer, the peak resident
memory after it, and the median time of one text at a time at several lengths, all cores. Absolute times of a shared
machine drift; comparisons belong to runs in which both sides take turns, which this is not.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path

LENGTHS = (16, 64, 128, 512)  # tokens, special tokens included
RUNS = 15

# Runs in a process of its own, so that nothing of this one counts. /proc's VmHWM is the peak resident set.
PROBE = """
import json, sys, time
started = time.perf_counter()
import assay
from assay.models.base import runner_of
model = assay.load(sys.argv[1])
row = ("What causes rain?", "Rain forms when water vapor condenses.") if model.manifest.input == "pair" else "Why?"
model.logits([row])
first_answer = time.perf_counter() - started
status = dict(line.split(":", 1) for line in open("/proc/self/status"))
peak_mb = int(status["VmHWM"].split()[0]) * 1024 / 1e6
def row_of(length):
    words, text, number = "the rain in spring falls mainly on old roofs and young trees".split(), "", 0
    while True:
        text, number = text + words[number % len(words)] + " ", number + 1
        row = ("Why?", text) if model.manifest.input == "pair" else text
        if len(runner_of(model).tokenizer.encode([row], True, None)[0].ids) >= length:
            return row
medians = []
for length in json.loads(sys.argv[2]):
    row, times = row_of(length), []
    for _ in range(int(sys.argv[3]) + 3):
        begin = time.perf_counter()
        model.logits([row])
        times.append(time.perf_counter() - begin)
    medians.append(sorted(times[3:])[int(sys.argv[3]) // 2] * 1e3)
print(json.dumps({"first_answer": first_answer, "peak_mb": peak_mb, "medians": medians, "info": model.info}))
"""


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.footprint", description=__doc__.split("\n")[0])
    parser.add_argument("bundle", nargs="+", type=Path)
    bundles = parser.parse_args(arguments).bundle
    lengths = " / ".join(map(str, LENGTHS))
    columns = ["bundle", "variant", "on disk, MB", "start to first answer, s", "peak memory, MB"]
    print(f"| {' | '.join(columns)} | ms per text, {lengths} tokens |")
    print("|---|---|---|---|---|---|")
    for bundle in bundles:
        size = sum(path.stat().st_size for path in bundle.rglob("*") if path.is_file()) / 1e6
        command = [sys.executable, "-c", PROBE, str(bundle), json.dumps(LENGTHS), str(RUNS)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            print(f"error: {bundle}: {done.stderr.strip().splitlines()[-1]}", file=sys.stderr)
            return 1
        probe = json.loads(done.stdout)
        medians = " / ".join(f"{median:.0f}" for median in probe["medians"])
        print(
            f"| {bundle.name} | {probe['info']['variant']}, {probe['info']['dialect']} | {size:,.0f} | "
            f"{probe['first_answer']:.1f} | {probe['peak_mb']:,.0f} | {medians} |"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
