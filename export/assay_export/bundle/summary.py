"""What an export says when it is done, on one screen."""

from pathlib import Path

from rich import box, filesize
from rich.console import Console
from rich.table import Table

from assay.bundle.manifest import Manifest


def show(manifest: Manifest, target: Path) -> None:
    """Prints files, sizes, parity and the next command."""
    console = Console(soft_wrap=True, highlight=False)
    base = manifest.source.get("base")
    console.print(
        f"[bold]{target}[/bold]: {manifest.architecture} {manifest.task} of one {manifest.input}, "
        f"{manifest.graph_origin} graph, from {manifest.source['id']}" + (f" merged into {base}" if base else "")
    )
    console.print(f"labels {', '.join(manifest.labels)}; up to {manifest.max_length:,} tokens ({_longer(manifest)})")

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
    example = {
        ("classification", "pair"): f'assay predict {target} "What causes rain?" "Rain forms when water vapour cools."',
        ("classification", "text"): f'assay predict {target} "What causes rain?"',
    }.get((manifest.task, manifest.input), f'assay score {target} "What causes rain?"')
    console.print(f"Use it: [bold]{example}[/bold]")


def _longer(manifest: Manifest) -> str:
    return (
        "longer pairs are truncated longest-first" if manifest.truncation == "longest_first" else "longer is an error"
    )
