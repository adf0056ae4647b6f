"""The summary that `assay export` prints at the end, on one screen."""

from pathlib import Path

from rich import box, filesize
from rich.console import Console
from rich.table import Table

from assay.bundle.manifest import Manifest

__all__ = ["show"]


def show(manifest: Manifest, target: Path) -> None:
    """Print the bundle's files, their sizes, its parity with PyTorch and the next command."""
    console = Console(soft_wrap=True, highlight=False)
    base = manifest.source.get("base")
    console.print(
        f"[bold]{target}[/bold]: {manifest.architecture} {manifest.task} of one {manifest.input}, "
        f"{manifest.graph_origin} graph, from {manifest.source['id']}" + (f" merged into {base}" if base else "")
    )
    if manifest.graph_origin_reason is not None:
        console.print(f"Traced, in fp32 only, because {manifest.graph_origin_reason}")
    console.print(f"{_describe_answers(manifest)}; up to {manifest.max_length:,} tokens ({_describe_limit(manifest)})")

    files = Table(box=box.SIMPLE, pad_edge=False)
    files.add_column("file")
    files.add_column("size", justify="right")
    for name, record in manifest.files.items():
        files.add_row(name, filesize.decimal(record.size))
    console.print(files)

    gates = Table(box=box.SIMPLE, pad_edge=False, title="Parity with PyTorch, |delta logit|", title_justify="left")
    for column in ("graph", "max", "mean", "labels agree", "rows", "worst at"):
        gates.add_column(column, justify="left" if column in ("graph", "worst at") else "right", overflow="fold")
    for variant, dialects in manifest.variants.items():
        for dialect, graph in dialects.items():
            report = graph.parity
            if "summary" in report:
                console.print(f"{variant}, {dialect}: {report['summary']}")
                continue
            agreement = report["label_agreement"]
            gates.add_row(
                f"{variant}, {dialect}",
                f"{report['max_abs_delta']:.1e}",
                f"{report['mean_abs_delta']:.1e}",
                "-" if agreement is None else f"{agreement:.1%}",
                str(report["rows"]),
                report["worst"],
            )
    console.print(gates)
    command = "predict" if manifest.task == "classification" else "score"
    row = '"What causes rain?"' + (' "Rain forms when water vapour cools."' if manifest.input == "pair" else "")
    console.print(f"Use it: [bold]assay {command} {target} {row}[/bold]")


def _describe_answers(manifest: Manifest) -> str:
    if manifest.task == "classification":
        return f"labels {', '.join(manifest.labels)}"
    if manifest.scale is None:
        return "scores of an unknown range (--score-range LOW HIGH states it, so that they can be rescaled)"
    low, high = manifest.scale.native
    return f"scores from {low:g} to {high:g}"


def _describe_limit(manifest: Manifest) -> str:
    if manifest.truncation == "longest_first":
        return "longer pairs are truncated longest-first"
    return "a longer input is an error"
