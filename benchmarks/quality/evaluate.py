"""Runs `quality`: from its options to its results, a dict that `report` prints and --json writes."""

import argparse
import contextlib
import dataclasses
import hashlib
import importlib.metadata
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from assay.bundle.manifest import Manifest
from assay.errors import AssayError, InputError
from assay.models.activations import sigmoid, softmax
from assay.models.base import Float32
from assay_export.progress import Terminal
from benchmarks.quality import metrics, report
from benchmarks.quality.answers import Answers, ask, ask_torch, ask_variant, find_truncated
from benchmarks.quality.data import BadRow, LabelledRow, read
from benchmarks.quality.labels import make_class_parser, make_score_parser
from benchmarks.quality.peers import ask_peer, check_peers
from benchmarks.quality.task import Task, prepare

TORCH = "torch fp32"
TEXT_CHARACTERS = 80  # of a text in the report
PACKAGES = ("assay", "numpy", "onnxruntime", "onnxruntime-gpu", "scikit-learn", "scipy", "torch", "transformers")


def run(options: argparse.Namespace) -> int:
    """Run the command; see `benchmarks.quality.command.run`."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # a label outside the terminal's encoding must not fail a long run
            stream.reconfigure(errors="backslashreplace")
    _check_files(options)
    with contextlib.ExitStack() as stack:
        results = _evaluate(options, prepare(options, stack))
    try:
        if options.json is not None:
            options.json.write_text(json.dumps(results, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    except OSError as error:
        raise InputError(f"{options.json}: cannot be written ({error}); name another --json") from error
    finally:  # the report is printed even if the file cannot be written
        print(report.render(results, options.changed))
    return 1 if any("failure" in found for found in results["results"].values()) else 0


def _check_files(options: argparse.Namespace) -> None:
    """Check before the long run that the output can be written and the fields exist."""
    if options.json is not None and (options.json.is_dir() or not options.json.absolute().parent.is_dir()):
        raise InputError(
            f"--json {options.json}: is a folder, or its folder does not exist; pass a file in an existing folder"
        )
    good, bad = read(options.data, _fields(options), options.label, lambda _: 0)
    _require_good_rows(options, good, bad)


def _fields(options: argparse.Namespace) -> list[str]:
    """The field of the text, or the two of a pair."""
    return options.pair or [options.text]


def _require_good_rows(options: argparse.Namespace, good: Sequence[LabelledRow], bad: Sequence[BadRow]) -> None:
    if not good and not bad:
        raise InputError(f"{options.data}: has no rows: pass a file of labelled rows with --data")
    if not good:
        count = f"{len(bad):,} bad row{'s' if len(bad) > 1 else ''}"
        raise InputError(
            f"{options.data}: found no good row and {count}, first in line {bad[0].line}: {bad[0].reason}; "
            "check the fields in the options"
        )


def _evaluate(options: argparse.Namespace, task: Task) -> dict[str, Any]:
    manifest = task.bundle.manifest
    is_classifier = manifest.task == "classification"
    parse: Callable[[Any], float] = (
        make_class_parser(manifest.labels) if is_classifier else make_score_parser(task.limits)
    )
    evol = manifest.scale.evol_complexity if manifest.scale else None
    good, bad = read(options.data, _fields(options), options.label, parse)
    _require_good_rows(options, good, bad)
    peer_versions = check_peers(options.peers, task.source, task.bundle, str(options.environments))
    long = find_truncated(task.bundle, [row.row for row in good])
    answers = [_apply_sigmoid(manifest, found) for found in _ask_all(options, task, good)]
    return {
        "model": options.model,
        "checkpoint": task.source.id if task.source else None,
        "weights_sha256": manifest.source.get("weights_sha256"),
        "task": manifest.task,
        "labels": list(manifest.labels),
        "label_scale": list(task.limits) if task.limits else None,
        "evol_complexity": list(evol) if evol else None,
        "max_length": manifest.max_length,
        "device": options.device,
        "data": {
            "file": str(options.data),
            "sha256": _hash_file(options.data),
            "text": _fields(options),
            "label": options.label,
        },
        "versions": dict(_list_versions()) | peer_versions,
        "rows": {
            "good": len(good),
            "bad": [{"line": row.line, "reason": row.reason} for row in bad],
            "truncated": [good[index].line for index in long],
        },
        **_measure(task, good, answers),
    }


def _ask_all(options: argparse.Namespace, task: Task, good: Sequence[LabelledRow]) -> Iterator[Answers]:
    """Ask PyTorch first, then each variant and each peer. PyTorch must answer; otherwise the reason is kept."""
    progress = Terminal()
    rows, lines = [row.row for row in good], [row.line for row in good]
    if task.source is not None:
        with progress.bar(f"Asking {TORCH}", len(rows)) as advance:
            call = partial(ask_torch, task.source, options.base, task.bundle, rows, advance)
            found = ask(TORCH, call, lines)
        if found.failure is not None:
            raise AssayError(found.failure)
        yield found
    failures = []
    for variant in task.variants:
        with progress.bar(f"Asking {variant}", len(rows)) as advance:
            call = partial(ask_variant, task.bundle, variant, options.device, rows, advance)
            found = ask(variant, call, lines)
        failures.append(found.failure)
        yield found
    for name in options.peers:
        with progress.bar(f"Asking {name}", len(rows)) as advance:
            assert task.source is not None  # check_peers
            call = partial(ask_peer, name, task.source, task.bundle, str(options.environments), rows, advance)
            yield ask(name, call, lines)
    if all(failures):
        raise AssayError(f"no variant answered; {task.variants[0]}: {failures[0]}")


def _apply_sigmoid(manifest: Manifest, found: Answers) -> Answers:
    """Return the scores in the place of the logits of a scorer that answers through a sigmoid."""
    if found.logits is None or (manifest.task, manifest.activation) != ("regression", "sigmoid"):
        return found
    return dataclasses.replace(found, logits=sigmoid(found.logits))


def _measure(task: Task, good: Sequence[LabelledRow], answers: Sequence[Answers]) -> dict[str, Any]:
    """Measure each implementation, and compare it with the baseline."""
    present = {found.name: found for found in answers if found.logits is not None}
    baseline = present.get(TORCH) or present.get("fp32") or next(iter(present.values()))
    results: dict[str, Any] = {}
    for found in answers:
        if found.logits is None:
            results[found.name] = {"failure": found.failure}
            continue
        results[found.name] = {"metrics": _measure_answers(task, good, found.logits)}
        if found is not baseline and baseline.logits is not None:
            results[found.name] |= _compare(task, good, found.logits, baseline.logits)
    return {"baseline": baseline.name, "results": results}


def _measure_answers(task: Task, good: Sequence[LabelledRow], logits: Float32) -> dict[str, Any]:
    manifest = task.bundle.manifest
    truth = np.array([row.label for row in good])
    if manifest.task == "classification":
        return metrics.measure_classifier(truth.astype(np.int64), logits, manifest.labels)
    return metrics.measure_scorer(truth, logits[:, 0], task.limits, manifest.scale)


def _compare(task: Task, good: Sequence[LabelledRow], logits: Float32, baseline: Float32) -> dict[str, Any]:
    """Compare with the baseline: a summary, and every row that changed, largest difference first."""
    manifest = task.bundle.manifest
    if manifest.task == "classification":
        summary, changed = metrics.compare_classifiers(logits, baseline)
    else:
        summary, changed = metrics.compare_scorers(logits[:, 0], baseline[:, 0], task.limits, manifest.scale)
    rows = []
    for index in changed:
        line, row, label = good[index].line, good[index].row, good[index].label
        rows.append(
            {
                "line": line,
                "texts": [_cut(text) for text in ([row] if isinstance(row, str) else row)],
                "right": manifest.labels[int(label)] if manifest.task == "classification" else label,
                "baseline": _show_answer(task, baseline[index]),
                "answer": _show_answer(task, logits[index]),
            }
        )
    return {"against_baseline": summary, "changed": rows}


def _show_answer(task: Task, logits: Float32) -> dict[str, Any]:
    """The answer for one row: the best label with its probability, or the score on the labels' scale."""
    if task.bundle.manifest.task == "regression":
        return {"score": float(metrics.rescale_output(logits, task.limits, task.bundle.manifest.scale)[0])}
    best = int(logits.argmax())
    return {"label": task.bundle.manifest.labels[best], "probability": float(softmax(logits)[best])}


def _cut(text: str) -> str:
    words = " ".join(text[: 4 * TEXT_CHARACTERS].split())
    is_short = len(words) <= TEXT_CHARACTERS and len(text) <= 4 * TEXT_CHARACTERS
    return words if is_short else words[: TEXT_CHARACTERS - 1] + "…"


def _hash_file(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _list_versions() -> Iterator[tuple[str, str]]:
    for name in PACKAGES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            yield name, importlib.metadata.version(name)
