"""The whole export: checkpoint in, gated bundle out. The steps are listed once, in `export`."""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir

from assay.bundle.manifest import MANIFEST_NAME, Manifest, read, seal
from assay_export.bundle import writing
from assay_export.bundle.golden_rows import write_golden_rows
from assay_export.bundle.staging import check_target, staged
from assay_export.bundle.writing import graph_entry
from assay_export.checkpoint import loading as checkpoints
from assay_export.checkpoint import tokenizer
from assay_export.checkpoint.config_dialects import to_transformers_4
from assay_export.checkpoint.head import Head
from assay_export.checkpoint.loading import Checkpoint
from assay_export.checkpoint.reference import Feed
from assay_export.checkpoint.source import resolve
from assay_export.checkpoint.tokenizer import TokenizerFiles
from assay_export.errors import ExportError
from assay_export.gates import parity
from assay_export.graphs import cpu_session, traced
from assay_export.graphs.architectures import AUTHORED
from assay_export.graphs.net import Net
from assay_export.graphs.weights import WeightFile
from assay_export.graphs.writer import Dialect
from assay_export.progress import Progress, Silent
from assay_export.tensorrt import lint
from assay_export.texts import real_text
from assay_export.texts.calibration import calibration_rows
from assay_export.variants.int8.gate import Limits
from assay_export.variants.material import Material
from assay_export.variants.table import BESIDE_FP32

GRAPH_FILES = {Dialect.PORTABLE: "onnx/model.onnx", Dialect.CPU: "onnx/model_cpu.onnx"}
WEIGHTS_FILE = "onnx/model.onnx_data"


def export(
    source: str,
    target: Path,
    *,
    revision: str | None = None,
    base: str | None = None,
    row: str | None = None,
    labels: Iterable[str] | None = None,
    variants: Iterable[str] = ("fp32",),
    calibration: Path | None = None,
    limits: Limits | None = None,
    force: bool = False,
    progress: Progress | None = None,
) -> Manifest:
    """Exports a fine-tuned sequence classifier to a bundle.

    Args:
        source: a preset's name, a Hub id, or a folder with full weights or a PEFT adapter.
        target: the bundle's folder; it must not exist, unless `force` allows to replace a bundle.
        revision: the Hub's branch, tag or commit.
        base: overrides the base model that an adapter names.
        row: "pair" or "text", what the model judges; by default a pair for a DeBERTa classifier, else a text.
        labels: names in logit order, for a checkpoint whose config.json has none.
        variants: "fp32", which every bundle has, and names of `variants.BESIDE_FP32`.
        calibration: a file of rows that the other variants are fitted to and gated on (assay.inputs.files has the
            formats); by default the general English text that lies beside the int8 code.
        limits: what the int8 gate allows.

    Raises:
        ExportError: with what was wrong and what to do; nothing is left at `target`.
    """
    progress = progress or Silent()
    beside_fp32 = _beside_fp32(variants)
    if calibration is not None and not beside_fp32:
        raise ExportError("calibration text was given, but fp32 does not use it: add --variants fp32,int8")
    check_target(target, force)
    with progress.step("Finding the checkpoint"):
        found = resolve(source, revision)
        location = checkpoints.locate(found.folder, base)
        config = to_transformers_4(checkpoints.read_config(location))
        architecture = AUTHORED.get(checkpoints.known_model_type((location.base or found).folder, config))
        if beside_fp32 and architecture is None:
            raise ExportError(
                f"{' and '.join(beside_fp32)}: needs an authored graph, and there is none for model_type = "
                f"{config['model_type']!r} (there is for {', '.join(AUTHORED)}); export --variants fp32"
            )
        settings = architecture.read_config(config) if architecture else None
        max_length = settings.max_length if settings else traced.max_length(config)
        tokens = tokenizer.read(location.folders, config, max_length, uses_token_types=False)
    with progress.step("Loading the PyTorch model"):
        probes = parity.encode(tokens.tokenizer, real_text.rows("text"), max_length)
        probes = [{name: array for name, array in feed.items() if name != "token_type_ids"} for feed in probes]
        loaded = checkpoints.load(location, probes)
    head = Head.of(loaded, found, row, tuple(labels) if labels is not None else None)
    rows = calibration_rows("pair" if head.row == "pair" else "text", calibration) if beside_fp32 else []

    with staged(target, force) as folder:
        (folder / "onnx").mkdir()
        if architecture:
            with progress.step("Writing the ONNX graphs"):
                graphs = _author(architecture, settings, loaded, folder)
        else:
            with progress.step("Tracing with optimum"):
                inputs = traced.export(loaded.reference, config["model_type"], folder / GRAPH_FILES[Dialect.PORTABLE])
                graphs = {"portable": graph_entry(Dialect.PORTABLE, GRAPH_FILES[Dialect.PORTABLE], [], inputs)}
            uses_token_types = "token_type_ids" in inputs
            tokens = tokenizer.read(location.folders, config, max_length, uses_token_types)
        _lint(graphs, folder, max_length, progress, refuse=architecture is not None)
        cases = _gate(graphs, loaded, tokens, head, max_length, config, folder, progress)
        written: dict[str, Any] = {"fp32": graphs}
        material = Material(
            architecture=architecture,
            settings=settings,
            loaded=loaded,
            tokens=tokens,
            head=head,
            cases=cases,
            rows=rows,
            max_length=max_length,
            limits=limits or Limits(),
            folder=folder,
            progress=progress,
        )
        for name in beside_fp32:
            written[name] = BESIDE_FP32[name](material)
            _lint(written[name], folder, max_length, progress)
        with progress.step("Writing the golden rows"):
            write_golden_rows(folder, loaded, tokens, head, written, max_length)
        with progress.step("Writing the manifest"):
            writing.write_metadata(folder, loaded, tokens, head)
            pooling = settings.pooling if settings else None
            manifest = writing.manifest(folder, found, location, loaded, tokens, head, pooling, written, max_length)
            (folder / MANIFEST_NAME).write_bytes(seal(manifest))
        result = read(folder / MANIFEST_NAME)
    return result


def _beside_fp32(variants: Iterable[str]) -> list[str]:
    """The variants asked for but for fp32, which has to be one of them."""
    chosen = set(variants)
    if "fp32" not in chosen or not chosen <= {"fp32", *BESIDE_FP32}:
        found = ", ".join(sorted(chosen)) or "none"
        raise ExportError(
            f"the variants asked for are {found}, expected fp32 (every bundle has it), alone or with any of "
            f"{', '.join(BESIDE_FP32)}"
        )
    return [name for name in BESIDE_FP32 if name in chosen]


def _author(architecture: Any, settings: Any, loaded: Checkpoint, folder: Path) -> dict[str, dict[str, Any]]:
    """Writes both dialects and their common weight file."""
    weights = loaded.reference.weights()
    with WeightFile(folder / WEIGHTS_FILE) as weight_file:
        for dialect, file in GRAPH_FILES.items():
            net = Net(architecture.ARCHITECTURE, dialect, weight_file)
            ir.save(architecture.author(net, settings, weights), folder / file)
    return {dialect.value: graph_entry(dialect, file, [WEIGHTS_FILE]) for dialect, file in GRAPH_FILES.items()}


def _lint(
    graphs: dict[str, dict[str, Any]], folder: Path, max_length: int, progress: Progress, *, refuse: bool = True
) -> None:
    """Looks for what TensorRT would not take in a portable graph, and puts the findings beside it."""
    if graph := graphs.get(Dialect.PORTABLE.value):
        with progress.step(f"Looking for what TensorRT does not take in {graph['file']}"):
            graph["tensorrt_findings"] = lint.check(folder / graph["file"], graph["file"], max_length, refuse=refuse)


def _gate(
    graphs: dict[str, dict[str, Any]],
    loaded: Checkpoint,
    tokens: TokenizerFiles,
    head: Head,
    max_length: int,
    config: Mapping[str, Any],
    folder: Path,
    progress: Progress,
) -> list[parity.Case]:
    """Compares every graph with PyTorch and puts the report beside it; cpu graphs take the unpadded cases.

    Returns the cases with PyTorch's answers, for the gates of other variants.
    """
    rows = real_text.rows(head.row)
    names = sorted({"attention_mask"}.union(*(graph["inputs"] for graph in graphs.values())))
    with progress.bar("Asking PyTorch", parity.count(rows, max_length)) as advance:
        expected = parity.cases(
            loaded.reference, tokens.tokenizer, rows, max_length, config.get("pad_token_id") or 0, names, advance
        )
    for graph in graphs.values():
        takes_padding = "attention_mask" in graph["inputs"]
        cases = [case for case in expected if takes_padding or not case.is_padded]
        with progress.bar(f"Comparing {graph['file']}", len(cases)) as advance:
            run = _runner(folder, graph, advance)
            graph["parity"] = parity.compare(run, cases, len(head.labels), parity.FP32_MAX_DELTA, graph["file"])
        graph["data"] = graph["data"] or _data_files(folder, graph["file"])
    return expected


def _data_files(folder: Path, graph: str) -> list[str]:
    """External data that the tracer wrote beside its graph."""
    return sorted(f"onnx/{path.name}" for path in (folder / graph).parent.glob(f"{Path(graph).name}[._]?*"))


def _runner(folder: Path, graph: dict[str, Any], advance: Callable[[], None]) -> Callable[[Feed], parity.Logits]:
    session = cpu_session.load(folder / graph["file"], graph["graph_optimization"])

    def run(feed: Feed) -> parity.Logits:
        advance()
        logits: parity.Logits = np.asarray(session.run(["logits"], {name: feed[name] for name in graph["inputs"]})[0])
        return logits

    return run
