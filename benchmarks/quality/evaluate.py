"""From the options of `quality` to its results: one dict, which report.py prints and --json keeps."""

import argparse
import contextlib
import hashlib
import importlib.metadata
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from assay.errors import AssayError, InputError
from assay.models.base import Float32
from assay.models.classifier import softmax
from assay_export.progress import Terminal

from . import metrics, report
from .answers import Answers, answer, torch_logits, truncated, variant_logits
from .data import BadRow, LabelledRow, read
from .labels import class_reader, score_reader
from .task import Task, prepare

TORCH = "torch fp32"
TEXT_CHARACTERS = 80  # of a text that is shown
PACKAGES = ("assay", "numpy", "onnxruntime", "onnxruntime-gpu", "scikit-learn", "scipy", "torch", "transformers")


def run(options: argparse.Namespace) -> int:
    """See benchmarks.quality.run."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # a label that the terminal's encoding lacks must not fail a long run
            stream.reconfigure(errors="backslashreplace")
    _check_files(options)
    with contextlib.ExitStack() as stack:
        results = _evaluate(options, prepare(options, stack))
    try:
        if options.json is not None:
            options.json.write_text(json.dumps(results, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    except OSError as error:
        raise InputError(f"{options.json}: cannot be written ({error}); name another --json") from error
    finally:  # neither a full disk nor a closed pipe costs both
        print(report.render(results, options.changed))
    return 1 if any("failure" in found for found in results["results"].values()) else 0


def _check_files(options: argparse.Namespace) -> None:
    """Refuses what would only show after the long run: an output that cannot be written, fields that are not there."""
    if options.json is not None and (options.json.is_dir() or not options.json.absolute().parent.is_dir()):
        raise InputError(f"--json {options.json}: is a folder or in no folder, expected a file in one that exists")
    good, bad = read(options.data, _fields(options), options.label, lambda _: 0)
    _refuse_none(options, good, bad)


def _fields(options: argparse.Namespace) -> list[str]:
    """The field of the text, or the two of a pair."""
    return options.pair or [options.text]


def _refuse_none(options: argparse.Namespace, good: Sequence[LabelledRow], bad: Sequence[BadRow]) -> None:
    if not good and not bad:
        raise InputError(f"{options.data}: has no rows; give the labelled rows with --data")
    if not good:
        first = f", of which the first is line {bad[0].line}: {bad[0].reason}" if bad else ""
        raise InputError(f"{options.data}: has no good row and {len(bad):,} bad ones{first}; check the named fields")


def _evaluate(options: argparse.Namespace, task: Task) -> dict[str, Any]:
    manifest = task.bundle.manifest
    is_classifier = manifest.task == "classification"
    parse: Callable[[Any], float] = class_reader(manifest.labels) if is_classifier else score_reader(task.limits)
    good, bad = read(options.data, _fields(options), options.label, parse)
    _refuse_none(options, good, bad)
    long = truncated(task.bundle, [row.row for row in good])
    answers = list(_ask(options, task, good))
    return {
        "model": options.model,
        "checkpoint": task.source.id if task.source else None,
        "weights_sha256": manifest.source.get("weights_sha256"),
        "task": manifest.task,
        "labels": list(manifest.labels),
        "label_scale": list(task.limits) if task.limits else None,
        "evol_complexity": list(manifest.scale.evol_complexity) if manifest.scale else None,
        "max_length": manifest.max_length,
        "device": options.device,
        "data": {
            "file": str(options.data),
            "sha256": _sha256(options.data),
            "text": _fields(options),
            "label": options.label,
        },
        "versions": dict(_versions()),
        "rows": {
            "good": len(good),
            "bad": [{"line": row.line, "reason": row.reason} for row in bad],
            "truncated": [good[index].line for index in long],
        },
        **_measured(task, good, answers),
    }


def _ask(options: argparse.Namespace, task: Task, good: Sequence[LabelledRow]) -> Iterator[Answers]:
    """PyTorch first, then each variant. PyTorch must answer; a variant that fails says why."""
    progress = Terminal()
    rows, lines = [row.row for row in good], [row.line for row in good]
    if task.source is not None:
        with progress.bar(f"Asking {TORCH}", len(rows)) as advance:
            ask = partial(torch_logits, task.source, options.base, task.bundle, rows, advance)
            found = answer(TORCH, ask, lines)
        if found.failure is not None:
            raise AssayError(found.failure)
        yield found
    failures = []
    for variant in task.variants:
        with progress.bar(f"Asking {variant}", len(rows)) as advance:
            ask = partial(variant_logits, task.bundle, variant, options.device, rows, advance)
            found = answer(variant, ask, lines)
        failures.append(found.failure)
        yield found
    if all(failures):
        raise AssayError(f"no variant answered; {task.variants[0]}: {failures[0]}")


def _measured(task: Task, good: Sequence[LabelledRow], answers: Sequence[Answers]) -> dict[str, Any]:
    """The measures of each implementation, and what it answers differently from the baseline."""
    present = {found.name: found for found in answers if found.logits is not None}
    baseline = present.get(TORCH) or present.get("fp32") or next(iter(present.values()))
    results: dict[str, Any] = {}
    for found in answers:
        if found.logits is None:
            results[found.name] = {"failure": found.failure}
            continue
        results[found.name] = {"metrics": _metrics(task, good, found.logits)}
        if found is not baseline and baseline.logits is not None:
            results[found.name] |= _changes(task, good, found.logits, baseline.logits)
    return {"baseline": baseline.name, "results": results}


def _metrics(task: Task, good: Sequence[LabelledRow], logits: Float32) -> dict[str, Any]:
    manifest = task.bundle.manifest
    truth = np.array([row.label for row in good])
    if manifest.task == "classification":
        return metrics.classifier(truth.astype(np.int64), logits, manifest.labels)
    return metrics.scorer(truth, logits[:, 0], task.limits, manifest.scale)


def _changes(task: Task, good: Sequence[LabelledRow], logits: Float32, baseline: Float32) -> dict[str, Any]:
    """The differences in numbers, and every row that changed, the furthest first."""
    manifest = task.bundle.manifest
    if manifest.task == "classification":
        summary, changed = metrics.classifier_changes(logits, baseline)
    else:
        summary, changed = metrics.scorer_changes(logits[:, 0], baseline[:, 0], task.limits, manifest.scale)
    rows = []
    for index in changed:
        line, row, label = good[index].line, good[index].row, good[index].label
        rows.append(
            {
                "line": line,
                "texts": [_cut(text) for text in ([row] if isinstance(row, str) else row)],
                "right": manifest.labels[int(label)] if manifest.task == "classification" else label,
                "baseline": _shown(task, baseline[index]),
                "answer": _shown(task, logits[index]),
            }
        )
    return {"against_baseline": summary, "changed": rows}


def _shown(task: Task, logits: Float32) -> dict[str, Any]:
    """One row's answer: the best label with its probability, or the score on the labels' scale."""
    if task.bundle.manifest.task == "regression":
        return {"score": float(metrics.to_label_scale(logits, task.limits)[0])}
    best = int(logits.argmax())
    return {"label": task.bundle.manifest.labels[best], "probability": float(softmax(logits)[best])}


def _cut(text: str) -> str:
    words = " ".join(text[: 4 * TEXT_CHARACTERS].split())
    is_short = len(words) <= TEXT_CHARACTERS and len(text) <= 4 * TEXT_CHARACTERS
    return words if is_short else words[: TEXT_CHARACTERS - 1] + "…"


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _versions() -> Iterator[tuple[str, str]]:
    for name in PACKAGES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            yield name, importlib.metadata.version(name)
