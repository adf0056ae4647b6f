"""Synthetic bundles of a few kilobytes: token embeddings, their mean, a linear layer, in every dialect.

They model nothing; they make the runtime's rules testable in milliseconds. The logits of a row depend on all of
its tokens. The words "nan" and "huge" result in NaN and, with float32, infinity.
"""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
from onnx import NodeProto, TensorProto, helper
from tokenizers import Tokenizer, models, pre_tokenizers, processors

from assay.bundle import golden, manifest
from assay.inputs.tokenization import Tokens
from assay.inputs.validation import Row

WORDS = [
    "[PAD]",
    "[UNK]",
    "[CLS]",
    "[SEP]",
    "nan",
    "huge",
    *["what", "causes", "rain", "forms", "when", "water", "is", "a", "b", "c", "d", "e", "f", "g"],
]
HIDDEN = 8
LABELS = ("ADDR_DIRECT", "ADDR_PARTIAL", "NOADDR_ON")
DATA = "model.onnx_data"


def tokenizer() -> Tokenizer:
    """A word-level tokenizer with the template [CLS] A [SEP] B [SEP]."""
    made = Tokenizer(models.WordLevel({word: number for number, word in enumerate(WORDS)}, unk_token="[UNK]"))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    made.add_special_tokens(["[PAD]", "[UNK]", "[CLS]", "[SEP]"])
    made.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    return made


def weights(labels: int, seed: int = 0) -> dict[str, np.ndarray]:
    """embedding [vocabulary, hidden], kernel [hidden, labels], bias [labels], all float32."""
    random = np.random.default_rng(seed)
    embedding = random.standard_normal((len(WORDS), HIDDEN)).astype(np.float32)
    embedding[WORDS.index("nan")] = np.nan
    embedding[WORDS.index("huge")] = 3e38
    kernel = random.standard_normal((HIDDEN, labels)).astype(np.float32)
    return {"embedding": embedding, "kernel": kernel, "bias": random.standard_normal(labels).astype(np.float32)}


def reference(ids: np.ndarray, arrays: dict[str, np.ndarray]) -> np.ndarray:
    """The logits [labels] of one row of token ids, in float64."""
    mean: np.ndarray = arrays["embedding"].astype(np.float64)[ids].mean(axis=0)
    logits: np.ndarray = mean @ arrays["kernel"].astype(np.float64) + arrays["bias"]
    return logits


def graph(arrays: dict[str, np.ndarray], inputs: tuple[str, ...], data: str = DATA) -> bytes:
    """The ONNX graph over `inputs`, its weights in the external file `data`, laid end to end."""
    initializers, offset = [], 0
    for name, array in arrays.items():
        tensor = TensorProto(
            name=name, data_type=TensorProto.FLOAT, dims=array.shape, data_location=TensorProto.EXTERNAL
        )
        for key, value in {"location": data, "offset": offset, "length": array.nbytes}.items():
            tensor.external_data.add(key=key, value=str(value))
        initializers.append(tensor)
        offset += array.nbytes
    is_packed = "row_starts" in inputs
    nodes, constants = _mean_of_packed_rows() if is_packed else _mean(masked="attention_mask" in inputs)
    initializers += [helper.make_tensor(name, TensorProto.INT64, [len(v)], v) for name, v in constants.items()]
    body = helper.make_graph(
        [
            helper.make_node("Gather", ["embedding", "input_ids"], ["embedded"]),
            *nodes,
            helper.make_node("Gemm", ["mean", "kernel", "bias"], ["logits"]),
        ],
        "tiny",
        [
            helper.make_tensor_value_info(name, TensorProto.INT64, [name] if is_packed else ["batch", "sequence"])
            for name in inputs
        ],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", arrays["bias"].size])],
        initializers,
    )
    model = helper.make_model(body, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    serialized: bytes = model.SerializeToString()
    return serialized


def _mean(*, masked: bool) -> tuple[list[NodeProto], dict[str, list[int]]]:
    """Nodes from embedded [batch, sequence, hidden] to mean [batch, hidden], and their constants."""
    nodes = [
        helper.make_node("Cast", ["attention_mask"], ["mask"], to=TensorProto.FLOAT),
        helper.make_node("Unsqueeze", ["mask", "last"], ["mask3"]),
        helper.make_node("Mul", ["embedded", "mask3"], ["masked"]),
    ]
    mean = helper.make_node("ReduceMean", ["masked" if masked else "embedded", "sequence"], ["mean"], keepdims=0)
    return [*(nodes if masked else []), mean], {"sequence": [1]} | ({"last": [-1]} if masked else {})


def _mean_of_packed_rows() -> tuple[list[NodeProto], dict[str, list[int]]]:
    """Nodes from embedded [tokens, hidden] to mean [rows, hidden], as differences of running sums.

    The operators are ONNX's own, and NaN reaches all rows after it.
    """
    nodes = [
        helper.make_node("Squeeze", ["zero"], ["first_axis"]),
        helper.make_node("CumSum", ["embedded", "first_axis"], ["sums"]),
        helper.make_node("Pad", ["sums", "one_row"], ["sums_before"]),
        helper.make_node("Slice", ["row_starts", "zero", "minus_one"], ["begins"]),
        helper.make_node("Slice", ["row_starts", "one", "last_end"], ["ends"]),
        helper.make_node("Gather", ["sums_before", "begins"], ["sums_at_begins"]),
        helper.make_node("Gather", ["sums_before", "ends"], ["sums_at_ends"]),
        helper.make_node("Sub", ["sums_at_ends", "sums_at_begins"], ["row_sums"]),
        helper.make_node("Sub", ["ends", "begins"], ["lengths"]),
        helper.make_node("Cast", ["lengths"], ["counts"], to=TensorProto.FLOAT),
        helper.make_node("Unsqueeze", ["counts", "minus_one"], ["counts2"]),
        helper.make_node("Div", ["row_sums", "counts2"], ["mean"]),
    ]
    return nodes, {"zero": [0], "one": [1], "minus_one": [-1], "last_end": [2**62], "one_row": [1, 0, 0, 0]}


def document(**changes: Any) -> dict[str, Any]:
    """A manifest without its files, for a classifier of pairs unless `changes` say otherwise."""
    made: dict[str, Any] = {
        "schema_version": manifest.SCHEMA_VERSION,
        "name": "tiny",
        "architecture": "tiny",
        "graph_origin": "authored",
        "task": "classification",
        "input": "pair",
        "labels": list(LABELS),
        "activation": "softmax",
        "scale": None,
        "pooling": "mean",
        "max_length": 16,
        "truncation": "longest_first",
        "special_tokens": {"pad_token_id": 0, "template": {"single": [], "pair": []}},
        "source": {"id": "tests/runtime/tiny.py", "revision": None, "base": None, "weights_sha256": "0" * 64},
        "tools": {"assay": "0.1.0"},
        "variants": {
            "fp32": {
                "portable": entry("onnx/model.onnx", ["input_ids", "attention_mask"]),
                "cpu": entry("onnx/model_cpu.onnx", ["input_ids"]),
            }
        },
    }
    return made | changes


def entry(file: str, inputs: list[str], data: str = DATA) -> dict[str, Any]:
    """One graph as the manifest lists it."""
    parity = {"max_abs_delta": 1e-6, "threshold": 1e-4}
    return {"file": file, "data": [f"onnx/{data}"], "inputs": inputs, "graph_optimization": "all", "parity": parity}


REGRESSION: dict[str, Any] = {
    "task": "regression",
    "input": "text",
    "labels": ["LABEL_0"],
    "activation": "identity",
    "scale": {"native": [0.0, 1.0], "evol_complexity": [1, 6]},
    "truncation": "refuse",
}


def write(folder: Path, arrays: dict[str, np.ndarray] | None = None, **changes: Any) -> Path:
    """A whole bundle in `folder`: the files that document(**changes) names, and a sealed assay.json."""
    made = document(**changes)
    arrays = arrays or weights(len(made["labels"]))
    (folder / "onnx").mkdir(parents=True)
    (folder / "config.json").write_text('{"model_type": "tiny"}\n')
    (folder / "tokenizer_config.json").write_text("{}\n")
    (folder / "tokenizer.json").write_text(tokenizer().to_str())
    for dialects in made["variants"].values():
        for graph_entry in dialects.values():
            (data,) = graph_entry["data"]
            (folder / data).write_bytes(b"".join(array.tobytes() for array in arrays.values()))
            name = data.removeprefix("onnx/")
            (folder / graph_entry["file"]).write_bytes(graph(arrays, tuple(graph_entry["inputs"]), name))
    (folder / golden.GOLDEN_NAME).write_bytes(golden.dump(golden_rows(arrays, made["input"])))
    reseal(folder, made)
    return folder


def golden_rows(arrays: dict[str, np.ndarray], kind: str = "pair") -> golden.Golden:
    """Three rows with the logits of `reference`."""
    rows = [np.array(ids, np.int64) for ids in ([2, 3], [2, 6, 7, 3], [2, 8, 3, 9, 3])]
    logits = np.array([reference(ids, arrays) for ids in rows], np.float32)
    texts: list[Row] = [("", ""), ("what causes", ""), ("rain", "forms")]
    if kind == "text":
        texts = ["", "what causes", "rain [SEP] forms"]
    recorded = tuple(golden.GoldenText(text, 16) for text in texts)
    return golden.Golden(tuple(Tokens(ids, np.zeros_like(ids)) for ids in rows), logits, {}, recorded)


def reseal(folder: Path, made: dict[str, Any]) -> None:
    """Record every file of `folder` in `made` and write it as assay.json: what an export does last."""
    made["files"] = {
        path.relative_to(folder).as_posix(): {
            "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
            "size": path.stat().st_size,
        }
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != manifest.MANIFEST_NAME
    }
    (folder / manifest.MANIFEST_NAME).write_bytes(manifest.seal(made))
