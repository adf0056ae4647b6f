"""Writes report.md and report.html from results.json. The second is the first with the plots inside it.

`python -m benchmarks report FOLDER` writes them again, also for results of an older version.
"""

import argparse
import base64
import re
from collections.abc import Sequence
from pathlib import Path

import markdown

from benchmarks.suite.report import plots, statistics
from benchmarks.suite.report.analysis import THROUGHPUT_CELL, Analysis, PeerResult, read_analysis
from benchmarks.suite.report.conditions import compose_limits, compose_noise, format_allowed
from benchmarks.suite.report.cost import compose_cost
from benchmarks.suite.report.tables import format_table
from benchmarks.suite.samples import RESULTS
from benchmarks.suite.setup import Mode

__all__ = ["HELP", "HTML", "MARKDOWN", "add_arguments", "compose", "render_html", "run", "write"]

HELP = "write the report of a finished run again"
MARKDOWN, HTML = "report.md", "report.html"
TITLES = {
    plots.COST: "The cost of an answer by length",
    "latency.png": "Latency by length",
    "throughput.png": "Throughput on texts of real lengths",
    "limit.png": "Share of the limit by length",
}
STYLE = (
    "body{font:15px/1.5 system-ui,sans-serif;max-width:72rem;margin:2rem auto;padding:0 1rem}"
    "table{border-collapse:collapse;margin:1rem 0;display:block;overflow-x:auto}"
    "td,th{border:1px solid #ccc;padding:.25rem .6rem;text-align:right}td:first-child,th:first-child{text-align:left}"
    "img{max-width:100%}"
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    parser.add_argument("folders", nargs="+", type=Path, metavar="FOLDER", help=f"folder of a run, with its {RESULTS}")


def run(options: argparse.Namespace) -> int:
    """Write the report of each folder.

    Raises:
        BenchmarkError: A folder has no results, or they cannot be read.
    """
    for folder in options.folders:
        write(folder)
        print(folder / MARKDOWN)
    return 0


def write(folder: Path) -> None:
    """Write the report of the run in `folder` next to its results.json."""
    analysis = read_analysis(folder)
    drawn = plots.draw(analysis, folder / "plots")
    text = compose(analysis, [path.name for path in drawn])
    (folder / MARKDOWN).write_text(text, encoding="utf-8")
    (folder / HTML).write_text(render_html(text, folder), encoding="utf-8")


def render_html(text: str, folder: Path) -> str:
    """Render one page that opens from disk, with the pictures inside it."""

    def inline(match: re.Match[str]) -> str:
        data = base64.b64encode((folder / match[1]).read_bytes()).decode("ascii")
        return f'src="data:image/png;base64,{data}"'

    body = re.sub(r'src="(plots/[^"]+)"', inline, markdown.markdown(text, extensions=["tables"]))
    title = re.sub("[<>&]", "", text.splitlines()[0].lstrip("# "))
    head = f'<meta charset="utf-8"><title>{title}</title><style>{STYLE}</style>'
    return f'<!doctype html><html lang="en">{head}{body}</html>\n'


def compose(analysis: Analysis, pictures: Sequence[str]) -> str:
    """Compose the report as Markdown."""
    parts = [*_describe_run(analysis)]
    parts += compose_cost(analysis)
    parts += [f"![{TITLES[name]}](plots/{name})" for name in pictures if name == plots.COST]
    for mode, section in (("latency", _latency), ("throughput", _throughput)):
        if mode in analysis.plan["modes"]:
            parts += section(analysis)
    parts += [*_costs(analysis), *_energy(analysis), *_parity(analysis), *compose_limits(analysis)]
    parts += [*compose_noise(analysis), *_left_out(analysis)]
    parts += [f"![{TITLES[name]}](plots/{name})" for name in pictures if name != plots.COST]
    return "\n\n".join(parts) + "\n"


def _describe_run(analysis: Analysis) -> list[str]:
    plan = analysis.plan
    machine = plan["machine"]
    versions = {name: version for found in plan["versions"].values() for name, version in found.items()}
    lines = [
        f"{machine['processor']}, {machine['usable_cores']} usable cores, {machine['memory_gb']} GB, "
        f"{machine['system']}, Python {machine['python']}" + (f"; {plan['gpu']['name']}" if plan["gpu"] else ""),
        f"{plan['threads']} threads for every peer; device {plan['device']}; load average "
        f"{', '.join(f'{load:.1f}' for load in analysis.load_averages if load is not None)} in the course of the run",
        ", ".join(f"{name} {version}" for name, version in sorted(versions.items())),
    ]
    note = (
        "**A stand-in with random weights.** Its times are those of the real shape. Its answers mean nothing, so "
        "reduced precision is not judged, and assay-int8 is the ungated graph of a model that passes its gate at once."
    )
    return [
        f"# {plan['model']} on {plan['device']}",
        *([note] if plan["random_weights"] else []),
        "\n".join(f"- {line}" for line in lines),
        "Peers take turns within a round, each in a separate process that is stopped while others run. Ratios are "
        f"taken within a round, against {plan['baseline']}; tables show the median and, in brackets, the least and the "
        "greatest. Ranks are by the geometric mean of the ratios of all cells; two peers share a rank if each was "
        "ahead in some round. A peer whose answers differ from PyTorch's has no rank.",
    ]


def _list_by_rank(analysis: Analysis, mode: Mode) -> list[tuple[PeerResult, str]]:
    """The peers with times in a mode, by rank, and what to print as their rank."""
    ranks = analysis.rank(mode)
    timed = [peer for peer in analysis.peers.values() if peer.cells.get(mode)]
    last = len(timed) + 1
    timed.sort(key=lambda peer: ranks.get(peer.name, last))

    def shown(peer: PeerResult) -> str:
        if mode in peer.failures:
            return "failed"
        return str(ranks[peer.name]) if peer.name in ranks else f"parity {peer.verdict or 'unknown'}"

    return [(peer, shown(peer)) for peer in timed]


def _ratio(analysis: Analysis, name: str, mode: Mode, cell: str) -> str:
    found = analysis.compare(name, mode, cell)
    if found is None:
        return "-"
    if name == analysis.plan["baseline"]:
        return "1"
    return f"{found} tie" if found.tie else str(found)


def _latency(analysis: Analysis) -> list[str]:
    mode: Mode = "latency"
    cells = list(analysis.rows["lengths"])
    rows, ratios, tails = [], [], []
    has_shares = analysis.instructions is not None and analysis.weights is not None
    for peer, rank in _list_by_rank(analysis, mode):
        measured = [peer.cells[mode].get(cell) for cell in cells]
        rows.append([peer.name, rank, *(_median(analysis, peer, cell) for cell in cells)])
        ratios.append([peer.name, *(_ratio(analysis, peer.name, mode, cell) for cell in cells)])
        shares = (
            " / ".join(f"{statistics.percentile(r, share) * 1e3:.1f}" for share in (90, 99)) if r else "-"
            for r in measured
        )
        tails.append([peer.name, *shares])
    actual = ", ".join(str(tokens) for tokens in analysis.rows["lengths"].values())
    return [
        f"## Latency: one request at a time, {analysis.count_rounds(mode)} rounds",
        f"Text in, logits out, tokenisation included. Columns are tokens (rows of {actual}), or tokens x rows of a "
        f"request. Median ms{', and the share of what the machine allows (see The limit)' if has_shares else ''}:",
        format_table(["peer", "rank", *cells], rows),
        f"Time / {analysis.plan['baseline']}:",
        format_table(["peer", *cells], ratios),
        "p90 / p99, ms:",
        format_table(["peer", *cells], tails),
    ]


def _median(analysis: Analysis, peer: PeerResult, cell: str) -> str:
    """The median ms of a latency cell, with the share of what the machine allows where that is known."""
    rounds = peer.cells["latency"].get(cell)
    if not rounds:
        return "-"
    share = format_allowed(analysis, peer.name, "latency", cell)
    return f"{statistics.percentile(rounds, 50) * 1e3:.1f}" + (f" ({share})" if share else "")


def _throughput(analysis: Analysis) -> list[str]:
    mode: Mode = "throughput"
    tokens = analysis.rows["throughput_tokens"]
    has_shares = analysis.instructions is not None and analysis.weights is not None
    rows = []
    for peer, rank in _list_by_rank(analysis, mode):
        seconds = statistics.percentile(peer.cells[mode][THROUGHPUT_CELL], 50)
        rates = [f"{len(tokens) / seconds:.1f}", f"{sum(tokens) / seconds:,.0f}"]
        share = [format_allowed(analysis, peer.name, mode, THROUGHPUT_CELL) or "-"] if has_shares else []
        rows.append([peer.name, rank, *rates, *share, _ratio(analysis, peer.name, mode, THROUGHPUT_CELL)])
    head = ["peer", "rank", "texts/s", "tokens/s", *(["share of the limit"] if has_shares else [])]
    return [
        f"## Throughput: {len(tokens)} texts at once, {analysis.count_rounds(mode)} rounds",
        f"{analysis.rows['throughput_source']}: {sum(tokens):,} tokens, {min(tokens)} to {max(tokens)}, median "
        f"{tokens[len(tokens) // 2]}. Each peer batches as suits it best (docs/measurements/benchmarks.md).",
        format_table([*head, f"time / {analysis.plan['baseline']}"], rows),
    ]


def _costs(analysis: Analysis) -> list[str]:
    has_peaks = any(peer.peak_bytes for peer in analysis.peers.values())
    rows = []
    for peer in analysis.peers.values():
        if peer.files_bytes is None:
            continue
        start = (
            f"{statistics.median(peer.starts):.1f} ({min(peer.starts):.1f}..{max(peer.starts):.1f})"
            if peer.starts
            else "-"
        )
        memory = [peer.resident_bytes, *([peer.peak_bytes] if has_peaks else [])]
        sizes = (*memory, peer.files_bytes, peer.environment_bytes)
        rows.append([peer.name, start, *(f"{size / 1e6:,.0f}" if size else "-" for size in sizes)])
    head = ["peer", "start to first answer, s", "resident, MB", *(["peak, MB"] if has_peaks else [])]
    peak = "its peak until the last turn; " if has_peaks else ""
    return [
        "## Start, memory, disk",
        "From process start to first answer, with files in the page cache; resident memory after it, mapped weights "
        f"included; {peak}the files that are read; the peer's distributions with all that they require, as installed "
        "here.",
        format_table([*head, "model files, MB", "environment, MB"], rows),
    ]


def _energy(analysis: Analysis) -> list[str]:
    """The energy of a call, where the processor tells it."""
    cells = [(mode, cell) for mode in analysis.plan["modes"] for cell in _list_cells(analysis, mode)]
    rows = []
    for peer in analysis.peers.values():
        found = [peer.joules.get(mode, {}).get(cell, {}) for mode, cell in cells]
        if any(found):
            rows.append([peer.name, *(f"{statistics.median(list(r.values())):.3g}" if r else "-" for r in found)])
    if not rows:
        return []
    return [
        "## Energy",
        "Joules of a call by the processor packages' counters (RAPL), everything else on the machine included; median "
        "of the rounds:",
        format_table(["peer", *(cell for _, cell in cells)], rows),
    ]


def _list_cells(analysis: Analysis, mode: str) -> list[str]:
    return list(analysis.rows["lengths"]) if mode == "latency" else [THROUGHPUT_CELL]


def _parity(analysis: Analysis) -> list[str]:
    rows = []
    for peer in analysis.peers.values():
        found = peer.parity
        if found is None:
            continue
        if "max_abs_delta_logit" not in found:
            rows.append([peer.name, str(peer.verdict), *["-"] * 4])
            continue
        flips = f"{found['flips']:.1%}" if "flips" in found else "-"
        deltas = [f"{found[key]:.1e}" for key in ("max_abs_delta_logit", "mean_abs_delta_logit")]
        rows.append([peer.name, str(peer.verdict), *deltas, flips, f"{found['spearman']:.5f}"])
    head = ["peer", "verdict", "max delta logit", "mean delta logit", "labels flipped", "Spearman"]
    return ["## Parity with torch fp32, on the same texts", format_table(head, rows)]


def _left_out(analysis: Analysis) -> list[str]:
    lines = [f"- {name}: absent, {reason}" for name, reason in analysis.absent.items()]
    for peer in analysis.peers.values():
        lines += [f"- {peer.name}, {mode}: failed, {reason}" for mode, reason in peer.failures.items()]
    return ["## Absent and failed", "\n".join(lines)] if lines else []
