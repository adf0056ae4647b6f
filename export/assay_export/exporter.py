"""The whole export: checkpoint in, gated bundle out. The steps are listed once, in `export`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir

from assay.manifest import MANIFEST_NAME, Manifest, read, seal

from . import bundle_files, cpu_session, optimum_road, parity, real_text, tensorrt_lint, tokenizer_files
from . import checkpoint as checkpoints
from .architectures import AUTHORED
from .checkpoint import Checkpoint
from .config_dialects import to_transformers_4
from .cpu_session import GRAPH_OPTIMIZATION
from .errors import ExportError
from .head import Head
from .int8 import variant as int8
from .int8.calibration import calibration_rows
from .int8.gate import Limits
from .net import Dialect, Net
from .progress import Progress, Silent
from .reference import Feed
from .source import resolve
from .staging import check_target, staged
from .tokenizer_files import TokenizerFiles
from .weights import WeightFile

GRAPH_FILES = {Dialect.PORTABLE: "onnx/model.onnx", Dialect.CPU: "onnx/model_cpu.onnx"}
WEIGHTS_FILE = "onnx/model.onnx_data"
INT8_FILE = "onnx/model_int8.onnx"
VARIANTS = ("fp32", "int8")
GRAPH_INPUTS = {Dialect.PORTABLE: ("input_ids", "attention_mask"), Dialect.CPU: ("input_ids",)}


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
        variants: "fp32", which every bundle has, and "int8".
        calibration: a file of rows that int8 is fitted to and gated on (see assay.rows for its forms); by default the
            general English text that lies beside the int8 code.
        limits: what the int8 gate allows.

    Raises:
        ExportError: with what was wrong and what to do; nothing is left at `target`.
    """
    progress = progress or Silent()
    variants = _known(variants)
    if calibration is not None and "int8" not in variants:
        raise ExportError("calibration text was given, but only int8 uses it: add --variants fp32,int8")
    check_target(target, force)
    with progress.step("Finding the checkpoint"):
        found = resolve(source, revision)
        location = checkpoints.locate(found.folder, base)
        config = to_transformers_4(checkpoints.read_config(location))
        architecture = AUTHORED.get(checkpoints.known_model_type((location.base or found).folder, config))
        if "int8" in variants and architecture is None:
            raise ExportError(
                f"int8 needs an authored graph, and there is none for model_type = {config['model_type']!r} "
                f"(there is for {', '.join(AUTHORED)}): export --variants fp32"
            )
        settings = architecture.read_config(config) if architecture else None
        max_length = settings.max_length if settings else optimum_road.max_length(config)
        tokens = tokenizer_files.read(location.folders, config, max_length, uses_token_types=False)
    with progress.step("Loading the PyTorch model"):
        probes = parity.encode(tokens.tokenizer, real_text.rows("text"), max_length)
        probes = [{name: array for name, array in feed.items() if name != "token_type_ids"} for feed in probes]
        loaded = checkpoints.load(location, probes)
    head = Head.of(loaded, found, row, tuple(labels) if labels is not None else None)
    rows = calibration_rows("pair" if head.row == "pair" else "text", calibration) if "int8" in variants else []

    with staged(target, force) as folder:
        (folder / "onnx").mkdir()
        if architecture:
            with progress.step("Writing the ONNX graphs"):
                graphs = _author(architecture, settings, loaded, folder)
        else:
            with progress.step("Tracing with optimum"):
                inputs = optimum_road.export(
                    loaded.reference, config["model_type"], folder / GRAPH_FILES[Dialect.PORTABLE]
                )
                graphs = {"portable": _entry(Dialect.PORTABLE, GRAPH_FILES[Dialect.PORTABLE], [], inputs)}
            uses_token_types = "token_type_ids" in inputs
            tokens = tokenizer_files.read(location.folders, config, max_length, uses_token_types)
        with progress.step("Looking for what TensorRT does not take"):
            portable = GRAPH_FILES[Dialect.PORTABLE]
            graphs["portable"]["tensorrt_findings"] = tensorrt_lint.check(
                folder / portable, portable, max_length, refuse=architecture is not None
            )
        _gate(graphs, loaded, tokens, head, max_length, config, folder, progress)
        written: dict[str, Any] = {"fp32": graphs}
        if "int8" in variants:
            path = folder / INT8_FILE
            fitted = int8.write(
                architecture, settings, loaded, tokens, head, rows, max_length, limits or Limits(), path, progress
            )
            written["int8"] = {
                "cpu": _entry(Dialect.CPU, INT8_FILE, [f"{INT8_FILE}_data"], GRAPH_INPUTS[Dialect.CPU]) | fitted
            }
        with progress.step("Writing the manifest"):
            bundle_files.write_metadata(folder, loaded, tokens, head)
            pooling = settings.pooling if settings else None
            manifest = bundle_files.manifest(
                folder, found, location, loaded, tokens, head, pooling, written, max_length
            )
            (folder / MANIFEST_NAME).write_bytes(seal(manifest))
        result = read(folder / MANIFEST_NAME)
    return result


def _known(variants: Iterable[str]) -> list[str]:
    chosen = list(dict.fromkeys(variants))
    unknown = [variant for variant in chosen if variant not in VARIANTS]
    if unknown or "fp32" not in chosen:
        found = ", ".join(chosen) or "none"
        raise ExportError(f"the variants asked for are {found}, expected fp32 (every bundle has it), or fp32,int8")
    return chosen


def _entry(dialect: Dialect, file: str, data: list[str], inputs: Iterable[str]) -> dict[str, Any]:
    """A graph in the manifest, but for its report."""
    return {"file": file, "data": data, "inputs": list(inputs), "graph_optimization": GRAPH_OPTIMIZATION[dialect]}


def _author(architecture: Any, settings: Any, loaded: Checkpoint, folder: Path) -> dict[str, dict[str, Any]]:
    """Writes both dialects and their common weight file."""
    weights = loaded.reference.weights()
    with WeightFile(folder / WEIGHTS_FILE) as weight_file:
        for dialect, file in GRAPH_FILES.items():
            net = Net(architecture.ARCHITECTURE, dialect, weight_file)
            ir.save(architecture.author(net, settings, weights), folder / file)
    return {
        dialect.value: _entry(dialect, file, [WEIGHTS_FILE], GRAPH_INPUTS[dialect])
        for dialect, file in GRAPH_FILES.items()
    }


def _gate(
    graphs: dict[str, dict[str, Any]],
    loaded: Checkpoint,
    tokens: TokenizerFiles,
    head: Head,
    max_length: int,
    config: Mapping[str, Any],
    folder: Path,
    progress: Progress,
) -> None:
    """Compares every graph with PyTorch and puts the report beside it; cpu graphs take the unpadded cases."""
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
