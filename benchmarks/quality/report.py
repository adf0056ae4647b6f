"""Prints the results of `quality` as Markdown, to read in a terminal or to paste into an issue."""

from collections.abc import Iterator, Sequence
from pathlib import PurePath
from typing import Any

from benchmarks.quality.metrics import ROUNDING

__all__ = ["render"]

BAD_ROWS_SHOWN = 10
UNDEFINED = "-"


def render(results: dict[str, Any], changed: int) -> str:
    """Render the report, with at most `changed` rows per variant that it answers differently from the baseline."""
    sections = [
        f"# Quality of {_cell(results['model'])} on {_cell(PurePath(results['data']['file']).name)}",
        _rows(results),
        *_bad_rows(results["rows"]["bad"]),
        *(_classifier(results) if results["task"] == "classification" else _scorer(results)),
        *_failures(results),
        *(_changed(results, changed) if changed else ()),
    ]
    return "\n\n".join(sections)


def _rows(results: dict[str, Any]) -> str:
    rows, baseline = results["rows"], results["baseline"]
    bad, long = len(rows["bad"]), len(rows["truncated"])
    lines = [
        f"{rows['good']:,} good rows, which all figures are based on; {bad:,} bad; {long:,} truncated to the "
        f"{results['max_length']:,} tokens that the model reads.",
    ]
    if results["checkpoint"] is None:
        lines.append(
            f"PyTorch is left out, because a bundle does not contain weights: pass the checkpoint with --checkpoint. "
            f"Differences are from {baseline}."
        )
    return "\n".join(lines)


def _bad_rows(bad: Sequence[dict[str, Any]]) -> Iterator[str]:
    if not bad:
        return
    rows = [[f"{row['line']:,}", row["reason"]] for row in bad[:BAD_ROWS_SHOWN]]
    more = f"\n\n{len(bad) - len(rows):,} more: --json writes all of them." if len(bad) > len(rows) else ""
    yield "## Bad rows\n\n" + _table(["line", "reason"], rows) + more


def _classifier(results: dict[str, Any]) -> Iterator[str]:
    answered = _answered(results)
    baseline = results["baseline"]
    rows = []
    for name, found in answered.items():
        measures, delta = found["metrics"], found.get("against_baseline")
        rows.append(
            [
                name,
                _percent(measures["accuracy"]),
                _percent(measures["macro_f1"]),
                *(
                    [
                        f"{delta['labels_changed']:,}",
                        _small(delta["mean_delta_probability"]),
                        _small(delta["max_delta_probability"]),
                    ]
                    if delta
                    else [UNDEFINED] * 3
                ),
            ]
        )
    head = ["", "accuracy", "macro F1", f"labels other than {baseline}", "mean abs(delta probability)", "max"]
    yield _table(head, rows)
    absent = [entry["label"] for entry in answered[baseline]["metrics"]["classes"] if entry["support"] == 0]
    if absent:
        yield (
            f"No row is labelled {', '.join(map(_cell, absent))}. Macro F1 is the mean over the classes that occur in "
            "the labels or in the answers."
        )
    yield "## Classes: precision / recall / F1, %\n\n" + _table(
        ["class", "rows", *answered],
        [
            [entry["label"], f"{entry['support']:,}", *(_class(found, index) for found in answered.values())]
            for index, entry in enumerate(answered[baseline]["metrics"]["classes"])
        ],
    )
    yield "## Confusion matrices: a row per label, a column per answer"
    matrices = {name: found["metrics"]["confusion_matrix"] for name, found in answered.items()}
    for name, matrix in matrices.items():
        if name != baseline and matrix == matrices[baseline]:
            yield f"{name}: the same as {baseline}'s."
            continue
        yield _table(
            [name, *results["labels"]],
            [
                [label, *(f"{count:,}" for count in counts)]
                for label, counts in zip(results["labels"], matrix, strict=True)
            ],
        )


def _class(found: dict[str, Any], index: int) -> str:
    entry = found["metrics"]["classes"][index]
    shares = (entry["precision"], entry["recall"], entry["f1"])
    return " / ".join(UNDEFINED if share is None else f"{share:.1%}"[:-1] for share in shares)


def _scorer(results: dict[str, Any]) -> Iterator[str]:
    rows = []
    for name, found in _answered(results).items():
        measures, delta = found["metrics"], found.get("against_baseline")
        rows.append(
            [
                name,
                *(_fixed(measures[key]) for key in ("mae", "rmse", "pearson", "spearman")),
                _percent(measures["exact_match"]),
                *(
                    [_count(delta["evol_complexity_changed"]), _small(delta["mean_delta"]), _small(delta["max_delta"])]
                    if delta
                    else [UNDEFINED] * 3
                ),
            ]
        )
    baseline = results["baseline"]
    scale = results["label_scale"]
    evol = "{}..{}".format(*results["evol_complexity"] or (1, 6))
    head = ["", "MAE", "RMSE", "Pearson", "Spearman", f"exact match, {evol}", f"{evol} other than {baseline}"]
    yield _table([*head, "mean abs(delta)", "max"], rows)
    if scale is None:
        yield "Errors and deltas are in the units of the output. The bundle does not declare its scale."
    else:
        on_scale = f"on the scale of the labels, {scale[0]:g} to {scale[1]:g}, and outputs are not clamped."
        rounded = (
            f" For the exact match, labels and clamped outputs are put on {evol} and rounded half to even, as on "
            "Maxwell's card."
        )
        yield f"Errors and deltas are {on_scale}{rounded if results['evol_complexity'] else ''}"


def _failures(results: dict[str, Any]) -> Iterator[str]:
    for name, found in results["results"].items():
        if "failure" in found:
            yield f"**{name} failed**: {_cell(found['failure'])}"


def _changed(results: dict[str, Any], limit: int) -> Iterator[str]:
    baseline = results["baseline"]
    for name, found in _answered(results).items():
        if name == baseline:
            continue
        rows = found["changed"]
        what = "another label" if results["task"] == "classification" else f"an output more than {ROUNDING:g} away"
        if not rows:
            yield f"## {name} against {baseline}\n\nRows with {what}: none."
            continue
        shown = f"the {limit:,} largest differences" if len(rows) > limit else "largest difference first"
        heading = f"## {name} against {baseline}\n\nRows with {what}: {len(rows):,}, {shown}."
        texts = results["data"]["text"]
        table = _table(
            ["line", *texts, f"right ({results['data']['label']})", baseline, name],
            [
                [
                    f"{row['line']:,}",
                    *row["texts"],
                    _right(row["right"]),
                    _answer(row["baseline"]),
                    _answer(row["answer"]),
                ]
                for row in rows[:limit]
            ],
        )
        yield f"{heading}\n\n{table}"


def _right(right: str | float) -> str:
    return right if isinstance(right, str) else f"{right:.6g}"


def _answer(answer: dict[str, Any]) -> str:
    return f"{answer['label']} {answer['probability']:.3f}" if "label" in answer else f"{answer['score']:.4f}"


def _answered(results: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {name: found for name, found in results["results"].items() if "failure" not in found}


def _percent(share: float | None) -> str:
    return UNDEFINED if share is None else f"{share:.2%}"


def _fixed(value: float | None) -> str:
    return UNDEFINED if value is None else f"{value:.4f}"


def _small(value: float) -> str:
    return f"{value:.1e}"


def _count(value: int | None) -> str:
    return UNDEFINED if value is None else f"{value:,}"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(map(_cell, line)) + " |" for line in lines)


def _cell(text: str) -> str:
    """A text on one line, with pipes escaped."""
    return " ".join(text.split()).replace("|", "\\|")
