"""Read and write assay.json, the manifest of a bundle.

`read` returns a checked Manifest; `seal` turns a document into the bytes to write. The manifest records the names,
sizes and hashes of the bundle's other files; folder.py opens and checks them. sealing.py has the seal over its bytes.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from assay.bundle.fields import Fields
from assay.bundle.sealing import MAX_BYTES, read_sealed, write_sealed
from assay.control_characters import find_control
from assay.errors import BundleError
from assay.files import read_bounded

__all__ = [
    "DIALECTS",
    "GRAPH_INPUTS",
    "MANIFEST_NAME",
    "MAX_LENGTH",
    "SCHEMA_VERSION",
    "TOKENIZER_NAME",
    "VARIANTS",
    "FileRecord",
    "Graph",
    "Manifest",
    "Scale",
    "parse",
    "read",
    "seal",
]

MANIFEST_NAME = "assay.json"
SCHEMA_VERSION = 2
TOKENIZER_NAME = "tokenizer.json"

MAX_LENGTH = 1 << 17
"""The most tokens that a bundle may say a row has. Tables of positions and buffers are allocated for so many."""

VARIANTS = ("fp32", "fp16", "int8", "int8_ort", "int8_qdq")
DIALECTS = ("portable", "cpu", "kernels")
GRAPH_INPUTS = ("input_ids", "attention_mask", "token_type_ids", "row_starts")

_MAX_TOKENS_PER_CALL = 1 << 24
_MAX_EVOL = 1_000_000  # float32 holds every integer up to 16 million

_RE_EXPORT = "export the bundle again"


@dataclass(frozen=True, slots=True)
class FileRecord:
    """The size in bytes and SHA-256 (lower-case hexadecimal) of one file of the bundle."""

    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Graph:
    """One ONNX graph: a variant (precision) in a dialect (portable or cpu).

    Attributes:
        file: The .onnx file.
        data: The files with external weights, which ONNX Runtime maps.
        inputs: The names of the inputs, each int64 [batch, sequence]. The output is logits, float32 [batch, labels].
        graph_optimization: ONNX Runtime's optimisation level for this graph.
        parity: The export's report about the comparison with PyTorch, as written.
        layers: One entry per linear layer of a quantised graph: its recipe and the reason for it.
        tokens_per_call: The most tokens that the rows of one int8 call may have together. Activations of one call share
            a scale, so the export passes its gate a second time with shared calls. 1, so one row per call, if it did
            not.
    """

    file: str
    data: tuple[str, ...]
    inputs: tuple[str, ...]
    graph_optimization: Literal["all", "extended", "basic", "disabled"]
    parity: Mapping[str, Any]
    layers: tuple[Mapping[str, Any], ...] = ()
    tokens_per_call: int = 1

    @property
    def is_packed(self) -> bool:
        """Whether rows of any lengths lie end to end: input_ids [tokens] and row_starts [rows + 1]."""
        return "row_starts" in self.inputs

    @property
    def files(self) -> tuple[str, ...]:
        """The names of the graph and its weights in Manifest.files."""
        return (self.file, *self.data)


@dataclass(frozen=True, slots=True)
class Scale:
    """The range of a regression's score, and of the Evol-Complexity scale where the model has one."""

    native: tuple[float, float]
    evol_complexity: tuple[int, int] | None


@dataclass(frozen=True, slots=True)
class Manifest:
    """A checked manifest.

    Attributes:
        name: The name of the model.
        architecture: The model_type of the checkpoint's config.
        graph_origin: "authored" for a graph that Assay builds itself, "traced" for one traced from PyTorch.
        task: What the head does.
        input: Whether a row is one text or a pair.
        labels: In logit order.
        activation: What turns logits into scores: for classification a softmax over the labels, or a sigmoid per label
            if a row may have several; for regression nothing or a sigmoid.
        scale: The range of a regression's score, if it is known.
        pooling: How token states become one vector. None if the architecture determines it.
        max_length: The most tokens of a row.
        truncation: What happens to longer rows.
        source: Where the checkpoint came from.
        tools: The versions of the packages that made the bundle.
        variants: Graphs by variant and dialect.
        files: Every file of the bundle except assay.json.
        document: All of assay.json as parsed JSON.
    """

    name: str
    architecture: str
    graph_origin: Literal["authored", "traced"]
    task: Literal["classification", "regression"]
    input: Literal["pair", "text"]
    labels: tuple[str, ...]
    activation: Literal["softmax", "sigmoid", "identity"]
    scale: Scale | None
    pooling: Literal["cls", "mean"] | None
    max_length: int
    truncation: Literal["longest_first", "refuse"]
    source: Mapping[str, Any]
    tools: Mapping[str, Any]
    variants: Mapping[str, Mapping[str, Graph]]
    files: Mapping[str, FileRecord]
    document: Mapping[str, Any]

    @property
    def is_multi_label(self) -> bool:
        """Whether a row may have several labels or none, each with a probability of its own."""
        return self.task == "classification" and self.activation == "sigmoid"

    @property
    def graph_origin_reason(self) -> str | None:
        """Why the graphs were traced rather than authored. None for authored graphs."""
        reason = self.document.get("graph_origin_reason")
        return reason if isinstance(reason, str) else None

    @property
    def pad_token_id(self) -> int:
        """The token that pads rows. 0 if the tokenizer has none, since the attention mask hides padding."""
        special = self.document.get("special_tokens")
        value = special.get("pad_token_id") if isinstance(special, dict) else None
        return value if type(value) is int and 0 <= value < 1 << 31 else 0

    @property
    def split_special_tokens(self) -> bool:
        """Whether special tokens that a text spells out are read as text. tokenizer.json has no place for it."""
        special = self.document.get("special_tokens")
        return isinstance(special, dict) and special.get("split_special_tokens") is True


def seal(document: Mapping[str, Any]) -> bytes:
    """Return the bytes of assay.json for `document`. Replaces the "sha256" key if it has one.

    Raises:
        BundleError: `document` is not a valid manifest.
    """
    data = write_sealed(document)
    parse(data, MANIFEST_NAME)
    return data


def read(path: Path) -> Manifest:
    """Read and check the manifest at `path` (the file assay.json itself).

    Raises:
        BundleError: It is missing, unreadable, changed since it was sealed, of another schema version, or contains a
            value that this version does not know.
    """
    try:
        if not path.is_file():
            raise BundleError(
                f"{path}: no such file, so this is not a bundle; make one with: assay export SOURCE --out DIR"
            )
        data = read_bounded(path, MAX_BYTES)
    except (OSError, ValueError) as error:
        raise BundleError(f"{path}: cannot be read ({error}); make the bundle readable or {_RE_EXPORT}") from error
    return parse(data, str(path))


def parse(data: bytes, where: str) -> Manifest:
    """Check the seal of `data`, the bytes of an assay.json, then its values. `where` names the file in errors."""
    return _read_manifest(read_sealed(data, where), where)


def _read_manifest(document: Any, where: str) -> Manifest:
    fields = Fields.of(document, where)
    version = fields.integer("schema_version", least=1)
    if version != SCHEMA_VERSION:
        remedy = "pip install --upgrade assay" if version > SCHEMA_VERSION else _RE_EXPORT
        raise BundleError(
            f"{where}: schema_version is {version}, this version of assay reads {SCHEMA_VERSION}; to fix it: {remedy}"
        )
    files = {name: _read_file_record(entry) for name, entry in fields.mapping("files").each_file()}
    if MANIFEST_NAME in files:
        raise fields.mapping("files").refuse(
            MANIFEST_NAME, "a record of the manifest itself", "the seal alone to cover it"
        )
    if TOKENIZER_NAME not in files:
        raise fields.refuse("files", f"no record of {TOKENIZER_NAME}", "one, because the runtime needs it")
    task: Literal["classification", "regression"] = fields.choice("task", ("classification", "regression"))
    labels = fields.strings("labels")
    if len(set(labels)) != len(labels) or not labels:
        raise fields.refuse("labels", f"{len(labels)} labels of which {len(set(labels))} differ", "distinct labels")
    activation: Literal["softmax", "sigmoid", "identity"] = fields.choice(
        "activation", ("softmax", "sigmoid", "identity")
    )
    if activation == ("softmax" if task == "regression" else "identity"):
        raise fields.refuse("activation", repr(activation), f"another one for {task}")
    if task == "regression" and len(labels) != 1:
        raise fields.refuse("labels", f"{len(labels)} labels", "one label for regression")
    scale = None if fields.is_null("scale") else _read_scale(fields.mapping("scale"))
    if scale is not None and task != "regression":
        raise fields.refuse("scale", "a scale", "null for classification")
    if scale is not None and activation == "sigmoid" and (scale.native != (0.0, 1.0) or scale.evol_complexity):
        raise fields.refuse("scale", f"from {scale.native[0]:g} to {scale.native[1]:g}", "0 to 1, that of a sigmoid")
    name = fields.string("name")
    for key, text in (("name", name), *(("labels", label) for label in labels)):
        if control := find_control(text):
            raise fields.refuse(key, f"{text!r:.80} with the control character {control}", "printable names")
    return Manifest(
        name=name,
        architecture=fields.string("architecture"),
        graph_origin=fields.choice("graph_origin", ("authored", "traced")),
        task=task,
        input=fields.choice("input", ("pair", "text")),
        labels=labels,
        activation=activation,
        scale=scale,
        pooling=None if fields.is_null("pooling") else _read_pooling(fields),
        max_length=fields.integer("max_length", least=1, most=MAX_LENGTH),
        truncation=fields.choice("truncation", ("longest_first", "refuse")),
        source=fields.mapping("source").values,
        tools=fields.mapping("tools").values,
        variants=_read_variants(fields.mapping("variants"), files),
        files=files,
        document=document,
    )


def _read_pooling(fields: Fields) -> Literal["cls", "mean"]:
    pooling: Literal["cls", "mean"] = fields.choice("pooling", ("cls", "mean"))
    return pooling


def _read_file_record(entry: Fields) -> FileRecord:
    sha256 = entry.string("sha256")
    if re.fullmatch(r"[0-9a-f]{64}", sha256) is None:
        raise entry.refuse("sha256", f"{sha256!r:.100}", "64 lower-case hexadecimal digits")
    return FileRecord(size=entry.integer("size", least=0), sha256=sha256)


def _read_scale(entry: Fields) -> Scale:
    native = entry.numbers("native", 2)
    if not native[0] < native[1]:
        raise entry.refuse("native", repr(list(native)), "two rising numbers")
    evol_complexity = None
    if not entry.is_null("evol_complexity"):
        low, high = entry.numbers("evol_complexity", 2)
        if not (low.is_integer() and high.is_integer() and -_MAX_EVOL <= low < high <= _MAX_EVOL):
            raise entry.refuse(
                "evol_complexity", f"[{low}, {high}]", f"two rising integers of at most {_MAX_EVOL:,}, or null"
            )
        evol_complexity = (int(low), int(high))
    return Scale((native[0], native[1]), evol_complexity)


def _read_variants(entry: Fields, files: Mapping[str, FileRecord]) -> dict[str, dict[str, Graph]]:
    if not entry.values:
        raise BundleError(f"{entry.where}: empty, expected at least one variant; {_RE_EXPORT}")
    variants: dict[str, dict[str, Graph]] = {}
    for variant in entry.names(VARIANTS):
        dialects = entry.mapping(variant)
        if not dialects.values:
            raise BundleError(f"{dialects.where}: empty, expected at least one dialect; {_RE_EXPORT}")
        variants[variant] = {name: _read_graph(dialects.mapping(name), files) for name in dialects.names(DIALECTS)}
    return variants


def _read_layers(entry: Fields) -> tuple[Mapping[str, Any], ...]:
    layers = entry.values.get("layers", [])
    if not isinstance(layers, list) or not all(isinstance(layer, dict) for layer in layers):
        raise entry.refuse("layers", "something else", "a list of objects, one per linear layer")
    return tuple(layers)


def _read_tokens_per_call(entry: Fields) -> int:
    if "tokens_per_call" not in entry.values:
        return 1
    return entry.integer("tokens_per_call", least=1, most=_MAX_TOKENS_PER_CALL)


def _read_graph(entry: Fields, files: Mapping[str, FileRecord]) -> Graph:
    graph = Graph(
        file=entry.string("file"),
        data=entry.strings("data"),
        inputs=entry.strings("inputs"),
        graph_optimization=entry.choice("graph_optimization", ("all", "extended", "basic", "disabled")),
        parity=entry.mapping("parity").values,
        layers=_read_layers(entry),
        tokens_per_call=_read_tokens_per_call(entry),
    )
    for name in graph.files:
        if name not in files:
            raise entry.refuse("file", f'{name!r:.100}, which "files" does not record', "a recorded file")
    unknown = [name for name in graph.inputs if name not in GRAPH_INPUTS]
    if unknown or "input_ids" not in graph.inputs or len(set(graph.inputs)) != len(graph.inputs):
        raise entry.refuse(
            "inputs", f"{list(graph.inputs)!r:.200}", f"input_ids and others of {', '.join(GRAPH_INPUTS)}"
        )
    return graph
