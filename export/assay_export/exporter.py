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
from assay_export.checkpoint.configs.cross_encoder import read_max_length
from assay_export.checkpoint.files import open_files
from assay_export.checkpoint.head import Head, read_head
from assay_export.checkpoint.loading import Checkpoint
from assay_export.checkpoint.presets import Input
from assay_export.checkpoint.reading import refuse_bad_files
from assay_export.checkpoint.reference import Feed
from assay_export.checkpoint.tokenizer import TokenizerFiles
from assay_export.errors import ExportError, UnsupportedConfigError
from assay_export.gates import limits, model_inputs, parity
from assay_export.gates import tokenizer as tokenizer_gate
from assay_export.graphs import cpu_session, traced
from assay_export.graphs.entry import make_entry
from assay_export.graphs.net import Net
from assay_export.graphs.origin import Authored, Origin, choose, load_reference
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
        source: A preset's name, a Hub id, or a folder with full weights, a PEFT adapter or a SetFit model. A path
            object is always a folder.
        out: The folder to write. It must not exist, unless `force` is set and it is a bundle.
        revision: A branch, tag or commit on the Hub.
        base: The base model of an adapter, in place of the one that the adapter names.
        input: What one row is, "pair" or "text". By default a pair for a DeBERTa classifier, else a text.
        labels: Names in logit order, in place of those of config.json.
        variants: "fp32", which every bundle has, and any of "int8", "int8_qdq" and "fp16".
        calibration: A file of rows that the other variants are fitted to and gated on, in a format of
            `assay predict --file`. By default, general English text that comes with this package.
        max_flips: The share of labels that the int8 gate allows to flip. The default is 0.005.
        max_drift: The mean |delta| of probabilities or scores that the int8 gate allows. The default is 0.005.
        score_range: The two ends of the range of a regression's output, (low, high). `Scorer.score(scale=...)` needs
            it. A preset knows its own. A checkpoint with one output that says nothing else is then a regression.
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
            head = read_head(files, options.input, options.labels, options.score_range)
            origin = choose(files, options.variants)
            longest = files.setfit.max_length if files.setfit else read_max_length(files)
            tokens = tokenizer.read(files.folders, files.config_4, origin.max_length, longest)
            # A pair whose texts transformers does not number is one sequence to the model.
            numbered: Input = head.row if tokens.gives_token_types else "text"
            authored = origin.authored.for_rows(numbered) if origin.authored else None
            max_length = tokens.max_length
        with progress.step("Loading the PyTorch model"):
            loaded = load_reference(origin, files, _make_probes(tokens, max_length))
        with progress.step("Comparing the tokenizer with transformers"):
            tokenizer_gate.check(tokens, head.row)
        rows = read_calibration(head.row, options.calibration) if options.variants else []

        (folder / "onnx").mkdir()
        if authored:
            with progress.step("Writing the ONNX graphs"):
                graphs = _author(authored, loaded, folder)
        else:
            with progress.step("Tracing the PyTorch model"):
                graphs = _trace(loaded, origin, folder)
        inputs = tuple(graphs[Dialect.PORTABLE.value]["inputs"])
        model_inputs.check(tokens, loaded.reference, head.row, inputs)
        tokens = tokens.with_inputs(inputs)
        _lint(graphs, folder, max_length, progress, refuse=authored is not None)
        cases = _gate(graphs, loaded, tokens, head, max_length, folder, progress)
        written = {"fp32": graphs}
        if authored:
            material = Material(
                architecture=authored.architecture,
                settings=authored.settings,
                loaded=loaded,
                tokens=tokens,
                head=head,
                cases=cases,
                rows=rows,
                inputs=inputs,
                max_length=max_length,
                limits=options.limits,
                fp32_limit=graphs[Dialect.PORTABLE.value]["parity"]["threshold"],
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
            manifest = build_manifest(folder, loaded, tokens, head, origin, written)
            (folder / MANIFEST_NAME).write_bytes(seal(manifest))
        result = read(folder / MANIFEST_NAME)
    return result


def _make_probes(tokens: TokenizerFiles, max_length: int) -> list[Feed]:
    """Encode real text, on which a merged adapter is compared with the unmerged one."""
    with refuse_bad_files(tokens.reference.folder):
        feeds = parity.encode(tokens.tokenizer, real_text.rows("text"), max_length)
    return [{name: array for name, array in feed.items() if name != "token_type_ids"} for feed in feeds]


def _author(authored: Authored, loaded: Checkpoint, folder: Path) -> _Graphs:
    """Write both dialects and the weight file that they share."""
    architecture, settings = authored.architecture, authored.settings
    weights = loaded.reference.weights()
    graphs = {}
    with WeightFile(folder / _WEIGHTS_FILE) as weight_file:
        for dialect, file in _GRAPH_FILES.items():
            net = Net(architecture.ARCHITECTURE, dialect, weight_file)
            model = architecture.author(net, settings, weights)
            ir.save(model, folder / file)
            inputs = [str(value.name) for value in model.graph.inputs]
            graphs[dialect.value] = make_entry(dialect, file, [_WEIGHTS_FILE], inputs)
    return graphs


def _trace(loaded: Checkpoint, origin: Origin, folder: Path) -> _Graphs:
    """Write the portable graph of a checkpoint that has no authored one."""
    file = _GRAPH_FILES[Dialect.PORTABLE]
    try:
        if loaded.files.setfit is not None:
            inputs = traced.export_sentences(loaded.reference, folder / file)
        else:
            inputs = traced.export(loaded.reference, loaded.files.model_type, folder / file)
    except ExportError as error:
        if origin.refusal is None:
            raise
        raise UnsupportedConfigError(f"{origin.reason}; {error}") from error
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
    special_ids = [value for key, value in loaded.config_4.items() if key.endswith("_token_id") and type(value) is int]
    pad_token_id = loaded.config_4.get("pad_token_id") or 0
    with progress.bar("Asking PyTorch", parity.count_cases(rows, max_length)) as advance:
        expected = parity.make_cases(
            loaded.reference, tokens.tokenizer, rows, max_length, pad_token_id, names, advance, special_ids
        )
    for graph in graphs.values():
        takes_padding = "attention_mask" in graph["inputs"]
        cases = [case for case in expected if takes_padding or not case.is_padded]
        with progress.bar(f"Comparing {graph['file']}", len(cases)) as advance:
            run = _make_runner(folder, graph, advance)
            graph["parity"] = parity.measure(run, cases, len(head.labels), graph["file"])
    limits.check_all(graphs, loaded.reference, expected, progress)
    return expected


def _make_runner(folder: Path, graph: dict[str, Any], advance: Callable[[], None]) -> Callable[[Feed], parity.Logits]:
    session = cpu_session.load(folder / graph["file"], graph["graph_optimization"])

    def run(feed: Feed) -> parity.Logits:
        advance()
        logits: parity.Logits = np.asarray(session.run(["logits"], {name: feed[name] for name in graph["inputs"]})[0])
        return logits

    return run
