"""The whole export: checkpoint in, gated bundle out. `export` lists the steps."""

import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir

from assay.bundle.manifest import MANIFEST_NAME, Manifest, read, seal
from assay_export.bundle.golden_rows import write_golden_rows
from assay_export.bundle.staging import stage
from assay_export.bundle.writing import build_manifest, write_metadata
from assay_export.checkpoint import tokenizer
from assay_export.checkpoint.files import CheckpointFiles, open_files
from assay_export.checkpoint.head import Head, read_head
from assay_export.checkpoint.loading import Checkpoint, load
from assay_export.checkpoint.presets import Input
from assay_export.checkpoint.reference import Feed
from assay_export.checkpoint.tokenizer import TokenizerFiles
from assay_export.errors import ExportError
from assay_export.gates import parity
from assay_export.graphs import cpu_session, traced
from assay_export.graphs.architecture import Architecture, Settings
from assay_export.graphs.architectures import AUTHORED
from assay_export.graphs.entry import make_entry
from assay_export.graphs.net import Net
from assay_export.graphs.weights import WeightFile
from assay_export.graphs.writer import Dialect
from assay_export.options import check_options
from assay_export.progress import Progress, Silent
from assay_export.tensorrt import lint
from assay_export.texts import real_text
from assay_export.texts.calibration import read_calibration
from assay_export.variants.material import Material
from assay_export.variants.table import WRITERS

__all__ = ["export"]

_GRAPH_FILES = {Dialect.PORTABLE: "onnx/model.onnx", Dialect.CPU: "onnx/model_cpu.onnx"}
_WEIGHTS_FILE = "onnx/model.onnx_data"

_Graphs = dict[str, dict[str, Any]]  # by dialect, as the manifest lists them


def export(
    source: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    revision: str | None = None,
    base: str | os.PathLike[str] | None = None,
    input: Input | None = None,
    labels: Iterable[str] | None = None,
    variants: Iterable[str] = ("fp32",),
    calibration: str | os.PathLike[str] | None = None,
    max_flips: float | None = None,
    max_drift: float | None = None,
    score_range: Sequence[float] | None = None,
    force: bool = False,
    progress: Progress | None = None,
) -> Manifest:
    """Export a fine-tuned sequence classifier or regressor to a bundle.

    The options have the names that they have on the command line.

    Args:
        source: A preset's name, a Hub id, or a folder with full weights or a PEFT adapter. A path object is always a
            folder.
        out: The folder to write. It must not exist, unless `force` is set and it is a bundle.
        revision: A branch, tag or commit on the Hub.
        base: The base model of an adapter, in place of the one that the adapter names.
        input: What one row is, "pair" or "text". By default a pair for a DeBERTa classifier, else a text.
        labels: Names in logit order, for a checkpoint whose config.json has none.
        variants: "fp32", which every bundle has, and any of "int8", "int8_qdq" and "fp16".
        calibration: A file of rows that the other variants are fitted to and gated on, in a format of
            `assay predict --file`. By default, general English text that comes with this package.
        max_flips: The share of labels that the int8 gate allows to flip. The default is 0.005.
        max_drift: The mean |delta| of probabilities or scores that the int8 gate allows. The default is 0.005.
        score_range: The two ends of the range of a regression's output, (low, high). `Scorer.score(scale=...)` needs
            it. A preset knows its own.
        force: Whether a bundle at `out` is replaced.
        progress: Where the steps are reported; by default nowhere.

    Returns:
        The manifest of the bundle.

    Raises:
        ExportError: The export cannot go on; nothing is left at `out`. The message says what is wrong and what to do.
        InputError: The calibration file has a row that is not of the model's kind.
    """
    options = check_options(
        source,
        out,
        revision=revision,
        base=base,
        input=input,
        labels=labels,
        variants=variants,
        calibration=calibration,
        max_flips=max_flips,
        max_drift=max_drift,
        score_range=score_range,
        force=force,
    )
    progress = progress or Silent()
    with stage(options.out, options.force) as folder:
        with progress.step("Finding the checkpoint"):
            files = open_files(options.source, options.revision, options.base)
            architecture = _choose_architecture(files, options.variants)
            settings = architecture.read_config(files.config_4) if architecture else None
            max_length = settings.max_length if settings else traced.read_max_length(files.config_4)
            tokens = tokenizer.read(files.folders, files.config_4, max_length)
        with progress.step("Loading the PyTorch model"):
            loaded = load(files, _make_probes(tokens, max_length))
        head = read_head(loaded, options.input, options.labels, options.score_range)
        rows = read_calibration(head.row, options.calibration) if options.variants else []

        (folder / "onnx").mkdir()
        if architecture and settings:
            with progress.step("Writing the ONNX graphs"):
                graphs = _author(architecture, settings, loaded, folder)
        else:
            with progress.step("Tracing with optimum"):
                graphs = _trace(loaded, folder)
            tokens = tokens.with_inputs(graphs[Dialect.PORTABLE.value]["inputs"])
        _lint(graphs, folder, max_length, progress, refuse=architecture is not None)
        cases = _gate(graphs, loaded, tokens, head, max_length, folder, progress)
        written = {"fp32": graphs}
        if architecture and settings:
            material = Material(
                architecture=architecture,
                settings=settings,
                loaded=loaded,
                tokens=tokens,
                head=head,
                cases=cases,
                rows=rows,
                max_length=max_length,
                limits=options.limits,
                folder=folder,
                progress=progress,
            )
            for name in options.variants:
                written[name] = WRITERS[name](material)
                _lint(written[name], folder, max_length, progress)
        with progress.step("Writing the golden rows"):
            write_golden_rows(folder, loaded, tokens, head, written, max_length)
        with progress.step("Writing the manifest"):
            write_metadata(folder, loaded, tokens, head)
            pooling = settings.pooling if settings else None
            manifest = build_manifest(folder, loaded, tokens, head, pooling, written, max_length)
            (folder / MANIFEST_NAME).write_bytes(seal(manifest))
        result = read(folder / MANIFEST_NAME)
    return result


def _choose_architecture(files: CheckpointFiles, variants: Sequence[str]) -> Architecture | None:
    """Return the authored architecture of the checkpoint, or None if its graph has to be traced."""
    architecture: Architecture | None = AUTHORED.get(files.model_type)
    if variants and architecture is None:
        raise ExportError(
            f"{' and '.join(variants)}: needs an authored graph, and there is none for model_type = "
            f"{files.model_type!r} (there is one for {', '.join(AUTHORED)}); export --variants fp32"
        )
    return architecture


def _make_probes(tokens: TokenizerFiles, max_length: int) -> list[Feed]:
    """Encode real text, on which a merged adapter is compared with the unmerged one."""
    feeds = parity.encode(tokens.tokenizer, real_text.rows("text"), max_length)
    return [{name: array for name, array in feed.items() if name != "token_type_ids"} for feed in feeds]


def _author(architecture: Architecture, settings: Settings, loaded: Checkpoint, folder: Path) -> _Graphs:
    """Write both dialects and the weight file that they share."""
    weights = loaded.reference.weights()
    with WeightFile(folder / _WEIGHTS_FILE) as weight_file:
        for dialect, file in _GRAPH_FILES.items():
            net = Net(architecture.ARCHITECTURE, dialect, weight_file)
            ir.save(architecture.author(net, settings, weights), folder / file)
    return {dialect.value: make_entry(dialect, file, [_WEIGHTS_FILE]) for dialect, file in _GRAPH_FILES.items()}


def _trace(loaded: Checkpoint, folder: Path) -> _Graphs:
    """Write the portable graph of an architecture that has no authored one."""
    file = _GRAPH_FILES[Dialect.PORTABLE]
    inputs = traced.export(loaded.reference, loaded.files.model_type, folder / file)
    data = sorted(f"onnx/{path.name}" for path in (folder / "onnx").glob(f"{Path(file).name}[._]?*"))
    return {Dialect.PORTABLE.value: make_entry(Dialect.PORTABLE, file, data, inputs)}


def _lint(graphs: _Graphs, folder: Path, max_length: int, progress: Progress, *, refuse: bool = True) -> None:
    """Check the portable graph for what TensorRT does not take, and add the findings to its entry."""
    if graph := graphs.get(Dialect.PORTABLE.value):
        with progress.step(f"Checking {graph['file']} for what TensorRT does not take"):
            graph["tensorrt_findings"] = lint.check(folder / graph["file"], graph["file"], max_length, refuse=refuse)


def _gate(
    graphs: _Graphs,
    loaded: Checkpoint,
    tokens: TokenizerFiles,
    head: Head,
    max_length: int,
    folder: Path,
    progress: Progress,
) -> list[parity.Case]:
    """Compare every graph with PyTorch and add the report to its entry. A cpu graph runs the unpadded cases only.

    Returns:
        All cases with PyTorch's logits, for the gates of other variants.
    """
    rows = real_text.rows(head.row)
    names = sorted({"attention_mask"}.union(*(graph["inputs"] for graph in graphs.values())))
    pad_token_id = loaded.config_4.get("pad_token_id") or 0
    with progress.bar("Asking PyTorch", parity.count_cases(rows, max_length)) as advance:
        expected = parity.make_cases(loaded.reference, tokens.tokenizer, rows, max_length, pad_token_id, names, advance)
    for graph in graphs.values():
        takes_padding = "attention_mask" in graph["inputs"]
        cases = [case for case in expected if takes_padding or not case.is_padded]
        with progress.bar(f"Comparing {graph['file']}", len(cases)) as advance:
            run = _make_runner(folder, graph, advance)
            graph["parity"] = parity.compare(run, cases, len(head.labels), parity.FP32_MAX_DELTA, graph["file"])
    return expected


def _make_runner(folder: Path, graph: dict[str, Any], advance: Callable[[], None]) -> Callable[[Feed], parity.Logits]:
    session = cpu_session.load(folder / graph["file"], graph["graph_optimization"])

    def run(feed: Feed) -> parity.Logits:
        advance()
        logits: parity.Logits = np.asarray(session.run(["logits"], {name: feed[name] for name in graph["inputs"]})[0])
        return logits

    return run
