"""What the machine allowed in a run, and how quiet it was: two sections of the report."""

from benchmarks.machine import limits
from benchmarks.machine.noise import shares_cores
from benchmarks.machine.peaks import choose_rate
from benchmarks.suite.report.analysis import THROUGHPUT_CELL, Analysis
from benchmarks.suite.report.tables import format_table
from benchmarks.suite.setup import Mode

__all__ = ["compose_limits", "compose_noise", "format_allowed"]

PRECISIONS = ("int8", "bf16", "fp32")


def compose_noise(analysis: Analysis) -> list[str]:
    """Compose the section that marks the noisy rounds, or nothing for results that did not observe them."""
    if not analysis.blocks:
        return []
    title = "## Noise"
    lines = []
    if shares_cores(analysis.blocks):
        lines.append("The cores of this machine share physical ones: all threads together are hardly faster than one.")
    if not analysis.noise:
        return [title, " ".join(["No round was noisy.", *lines])]
    rows = [
        [
            mode,
            str(number + 1),
            ", ".join(reasons),
            "left out" if (mode, number) in analysis.left_out else "**counted**",
        ]
        for (mode, number), reasons in analysis.noise.items()
    ]
    lines.append(
        "In these rounds others used the machine, or it was slower than in its best probe. They are left out of all "
        "figures, unless too few quiet rounds would remain."
    )
    return [title, " ".join(lines), format_table(["mode", "round", "noise", "figures"], rows)]


def compose_limits(analysis: Analysis) -> list[str]:
    """Compose the section of the limits: those of the instructions and the memory, and those of matrix products."""
    if not analysis.peaks:
        return []
    peaks = ", ".join(f"{name} {peak / 1e12:.2f}" for name, peak in sorted(analysis.peaks.items()))
    return [
        "## The limit",
        *_allowed(analysis),
        f"Measured peaks of a matrix product in this run, 10^12 operations/s: {peaks}. The share of the peak at its "
        "precision that each peer reaches, counting the operations of PyTorch's own model:",
        _format_shares(analysis, is_products=True),
        *_roofline(analysis),
    ]


def _allowed(analysis: Analysis) -> list[str]:
    """What the instructions and the memory allow, and the share of it that each peer reaches."""
    measured = analysis.instructions
    if measured is None or analysis.weights is None:
        return []
    rates = {name: choose_rate(measured.every, name) for name in PRECISIONS}
    shown = ", ".join(f"{name} {rate / 1e12:.2f}" for name, rate in rates.items() if rate)
    parts = [
        f"Measured in this run with {analysis.plan['threads']} threads: multiply-adds from registers, "
        f"10^12 operations/s: {shown}; reading memory {measured.bytes_per_second / 1e9:.1f} GB/s."
    ]
    cells = list(analysis.rows["lengths"]) if "latency" in analysis.plan["modes"] else []
    if cells:
        parts += ["The least that a call needs, and the time in which this machine can do it:", _needs(analysis, cells)]
    return [
        *parts,
        "The share of what the machine allows: the longer of the arithmetic and of reading the weights, at the peer's "
        "precision, over its median time. Memory decides where the share has an m. ONNX Runtime's products are the "
        "model's linear layers and nothing else, in int8.",
        _format_shares(analysis, is_products=False),
    ]


def _needs(analysis: Analysis, cells: list[str]) -> str:
    rows = [["10^9 operations", *(f"{analysis.count_operations('latency', cell) / 1e9:.3g}" for cell in cells)]]
    for name in PRECISIONS:
        floors = [analysis.compute_floor(name, "latency", cell) for cell in cells]
        if name == "bf16" and analysis.instructions and choose_rate(analysis.instructions.every, name) is None:
            continue
        assert analysis.weights is not None
        read = [
            limits.count_bytes(analysis.weights, sum(analysis.list_tokens("latency", cell)), name) for cell in cells
        ]
        rows.append([f"MB of {name} weights", *(f"{size / 1e6:.1f}" for size in read)])
        times = [f"{arithmetic * 1e3:.2f} / {memory * 1e3:.2f}" for arithmetic, memory in filter(None, floors)]
        rows.append([f"{name}: arithmetic / memory, ms", *times])
    return format_table(["", *cells], rows)


def _format_shares(analysis: Analysis, is_products: bool) -> str:
    """The shares of every peer: of the peaks of matrix products, or of what instructions and memory allow."""
    cells: list[tuple[Mode, str]] = []
    if "latency" in analysis.plan["modes"]:
        cells += [("latency", cell) for cell in analysis.rows["lengths"]]
    if "throughput" in analysis.plan["modes"]:
        cells.append(("throughput", THROUGHPUT_CELL))
    rows = []
    for peer in analysis.peers.values():
        if is_products:
            shares = [analysis.compute_share(peer.name, mode, cell) for mode, cell in cells]
            shown = ["-" if share is None else f"{share:.0%}" for share in shares]
        else:
            shown = [format_allowed(analysis, peer.name, mode, cell) or "-" for mode, cell in cells]
        if set(shown) != {"-"}:
            rows.append([peer.name, peer.precision, *shown])
    if not is_products and analysis.products:
        shown = [_format_products(analysis, mode, cell) for mode, cell in cells]
        rows.append(["ONNX Runtime's products", "int8", *shown])
    heads = ["texts" if mode == "throughput" else cell for mode, cell in cells]
    return format_table(["peer", "precision", *heads], rows)


def format_allowed(analysis: Analysis, name: str, mode: Mode, cell: str) -> str:
    """Format the share of what the machine allows that a peer reaches; empty where that is unknown."""
    share = analysis.compute_allowed(name, mode, cell)
    floor = analysis.compute_floor(analysis.peers[name].precision, mode, cell)
    if share is None or floor is None:
        return ""
    return f"{share:.0%}{' m' if floor[1] > floor[0] else ''}"


def _format_products(analysis: Analysis, mode: Mode, cell: str) -> str:
    share = analysis.compute_products_share(cell) if mode == "latency" else None
    return "-" if share is None else f"{share:.0%}"


def _roofline(analysis: Analysis) -> list[str]:
    gpu = analysis.plan["gpu"]
    sheet = limits.DATA_SHEETS.get(gpu["name"]) if gpu else None
    if sheet is None:
        return []
    rows = []
    for peer in analysis.peers.values():
        if peer.precision in sheet and peer.files_bytes and peer.cells.get("latency"):
            least = [
                limits.roofline_seconds(
                    analysis.count_operations("latency", cell), peer.files_bytes, sheet, peer.precision
                )
                for cell in analysis.rows["lengths"]
            ]
            rows.append([peer.name, *(f"{seconds * 1e3:.2f}" for seconds in least)])
    return [f"Least ms by the data sheet of {gpu['name']}:", format_table(["peer", *analysis.rows["lengths"]], rows)]
