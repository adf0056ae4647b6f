"""Tiny random sequence classifiers and their graphs, which the tests of the export compare.

Their weights make comparisons sensitive: matrices keep activations near unit scale and attention far from uniform, and
LayerNorm gains and all biases are random, so that a dropped or swapped one changes the logits.
"""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime
import pytest
import torch
import transformers

from assay.ort import kernels
from assay_export.checkpoint.presets import Input
from assay_export.graphs.architectures import AUTHORED
from assay_export.graphs.net import Net
from assay_export.graphs.weights import WeightFile
from assay_export.graphs.writer import Dialect

VOCABULARY = 60

# Logits are of order one, and these models are a few layers of 32 channels: float32 rounding stays below it.
ROUNDING = 2e-5


def deberta_config(**changes: Any) -> dict[str, Any]:
    """Return config.json of a small DeBERTa-v3, with `changes`; None is written as null."""
    return {
        "architectures": ["DebertaV2ForSequenceClassification"],
        "model_type": "deberta-v2",
        "vocab_size": VOCABULARY,
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "intermediate_size": 40,
        "hidden_act": "gelu",
        "layer_norm_eps": 1e-7,
        "max_position_embeddings": 40,
        "max_relative_positions": -1,
        "norm_rel_ebd": "layer_norm",
        "pad_token_id": 0,
        "pooler_dropout": 0,
        "pooler_hidden_act": "gelu",
        "pooler_hidden_size": 32,
        "pos_att_type": ["p2c", "c2p"],
        "position_biased_input": False,
        "position_buckets": 8,
        "relative_attention": True,
        "share_att_key": True,
        "type_vocab_size": 0,
        "id2label": {str(index): f"LABEL_{index}" for index in range(5)},
        "label2id": {f"LABEL_{index}": index for index in range(5)},
        **changes,
    }


def modernbert_config(**changes: Any) -> dict[str, Any]:
    """Return config.json of a small ModernBERT regressor in the keys of transformers 4, with `changes`."""
    return {
        "architectures": ["ModernBertForSequenceClassification"],
        "model_type": "modernbert",
        "vocab_size": VOCABULARY,
        "hidden_size": 32,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "intermediate_size": 40,
        "hidden_activation": "gelu",
        "max_position_embeddings": 90,
        "norm_eps": 1e-5,
        "norm_bias": False,
        "attention_bias": False,
        "mlp_bias": False,
        "global_attn_every_n_layers": 3,
        "global_rope_theta": 160000.0,
        "local_rope_theta": 10000.0,
        "local_attention": 8,
        "classifier_pooling": "mean",
        "classifier_bias": False,
        "classifier_activation": "gelu",
        "pad_token_id": 3,
        "bos_token_id": 1,
        "cls_token_id": 1,
        "eos_token_id": 2,
        "sep_token_id": 2,
        "id2label": {"0": "LABEL_0"},
        "label2id": {"LABEL_0": 0},
        "problem_type": "regression",
        **changes,
    }


def bert_config(model_type: str = "bert", **changes: Any) -> dict[str, Any]:
    """Return config.json of a small model of the BERT family, except DistilBERT, with `changes`."""
    counts_real_tokens = model_type in ("roberta", "xlm-roberta", "camembert")
    return {
        "model_type": model_type,
        "vocab_size": VOCABULARY,
        "hidden_size": 32,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "intermediate_size": 40,
        "hidden_act": "gelu",
        "layer_norm_eps": 1e-12,
        # RoBERTa's first position is pad_token_id + 1, so it reads 40 tokens as the others do.
        "max_position_embeddings": 44 if counts_real_tokens else 40,
        "pad_token_id": 3 if counts_real_tokens else 0,
        "type_vocab_size": 1 if counts_real_tokens else 2,
        **({"embedding_size": 24} if model_type == "electra" else {}),
        "id2label": {str(index): f"LABEL_{index}" for index in range(5)},
        "label2id": {f"LABEL_{index}": index for index in range(5)},
        **changes,
    }


def distilbert_config(**changes: Any) -> dict[str, Any]:
    """Return config.json of a small DistilBERT, with `changes`."""
    return {
        "model_type": "distilbert",
        "vocab_size": VOCABULARY,
        "dim": 32,
        "n_layers": 3,
        "n_heads": 4,
        "hidden_dim": 40,
        "activation": "gelu",
        "max_position_embeddings": 40,
        "pad_token_id": 0,
        "sinusoidal_pos_embds": False,
        "id2label": {str(index): f"LABEL_{index}" for index in range(5)},
        "label2id": {f"LABEL_{index}": index for index in range(5)},
        **changes,
    }


def model(config: dict[str, Any], seed: int = 0, head: str = "SequenceClassification") -> Any:
    """Build the model of `config` in transformers, with random weights, in eval mode."""
    settings = transformers.CONFIG_MAPPING[config["model_type"]].from_dict(dict(config))
    if config["model_type"] == "modernbert":
        settings.reference_compile = False
    kind = getattr(transformers, "AutoModel" if head == "Base" else f"AutoModelFor{head}")
    return randomise(kind.from_config(settings, attn_implementation="eager"), seed)


def randomise(module: Any, seed: int = 0) -> Any:
    generator = torch.Generator().manual_seed(seed)
    for name, parameter in module.named_parameters():
        noise = torch.randn(parameter.shape, generator=generator)
        if parameter.ndim > 1:
            is_table = "embeddings." in name
            parameter.data = noise * (1.0 if is_table else 1.5 / math.sqrt(parameter.shape[1]))
        else:
            parameter.data = 0.3 * noise + (1.0 if "norm" in name.lower() and name.endswith("weight") else 0.0)
    return module.eval()


def save(module: Any, folder: Path, config: dict[str, Any] | None = None, **options: Any) -> Path:
    """Save a checkpoint as on the Hub; `config` replaces the config.json that transformers would write."""
    module.save_pretrained(folder, safe_serialization=True, **options)
    if config is not None:
        (folder / "config.json").write_text(json.dumps(config))
    return folder


def author(module: Any, config: dict[str, Any], folder: Path, row: Input = "text") -> dict[Dialect, Path]:
    """Write every dialect of the authored graph of `module` into `folder` and return their paths."""
    architecture = AUTHORED[config["model_type"]]
    weights = {name: tensor.detach().numpy() for name, tensor in module.state_dict().items()}
    paths = {dialect: folder / f"{dialect.value}.onnx" for dialect in Dialect}
    with WeightFile(folder / "model.onnx_data") as file:
        for dialect, path in paths.items():
            net = Net(architecture.ARCHITECTURE, dialect, file)
            ir.save(architecture.author(net, architecture.read_config(config).for_rows(row), weights), path)
    return paths


def session(path: Path, dialect: Dialect = Dialect.CPU) -> onnxruntime.InferenceSession:
    """Open the graph as the user of a bundle does, on one thread."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    if dialect is Dialect.KERNELS:
        kernels.register(options)
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def token_ids(batch: int, length: int, seed: int = 0) -> np.ndarray:
    """Draw random ids, int64 [batch, length]."""
    return np.random.default_rng([seed, batch, length]).integers(0, VOCABULARY, (batch, length))


def logits(
    module: Any,
    input_ids: np.ndarray,
    attention_mask: np.ndarray | None = None,
    token_type_ids: np.ndarray | None = None,
) -> np.ndarray:
    """Compute PyTorch's logits, float32 [batch, labels]."""
    mask = np.ones_like(input_ids) if attention_mask is None else attention_mask
    types = {} if token_type_ids is None else {"token_type_ids": torch.from_numpy(token_type_ids)}
    with torch.inference_mode():
        answer = module(input_ids=torch.from_numpy(input_ids), attention_mask=torch.from_numpy(mask), **types)
    return answer.logits.numpy()


def feed(
    dialect: Dialect,
    input_ids: np.ndarray,
    attention_mask: np.ndarray | None = None,
    token_type_ids: np.ndarray | None = None,
) -> dict[str, np.ndarray]:
    """The inputs of a graph for rows of one length, [batch, length]."""
    types = {} if token_type_ids is None else {"token_type_ids": token_type_ids}
    if dialect is Dialect.KERNELS:
        batch, length = input_ids.shape
        flat = {name: array.reshape(-1) for name, array in {"input_ids": input_ids, **types}.items()}
        return {**flat, "row_starts": np.arange(batch + 1) * length}
    if dialect is Dialect.PORTABLE:
        mask = np.ones_like(input_ids) if attention_mask is None else attention_mask
        return {"input_ids": input_ids, "attention_mask": mask, **types}
    return {"input_ids": input_ids, **types}


class Graphs:
    """One model with a session for each dialect of its graph."""

    def __init__(self, module: Any, config: dict[str, Any], folder: Path, row: Input = "text") -> None:
        self.module, self.config = module, config
        self.paths = author(module, config, folder, row)
        self.answers: dict[Any, np.ndarray] = {}  # PyTorch's, which both dialects are compared with
        self._sessions: dict[Dialect, onnxruntime.InferenceSession] = {}

    def session(self, dialect: Dialect) -> onnxruntime.InferenceSession:
        """Skips the test where the dialect needs kernels that are not built here."""
        if dialect is Dialect.KERNELS and (problem := kernels.find_problem()):
            pytest.skip(problem)
        if dialect not in self._sessions:
            self._sessions[dialect] = session(self.paths[dialect], dialect)
        return self._sessions[dialect]

    def delta(
        self,
        dialect: Dialect,
        input_ids: np.ndarray,
        attention_mask: np.ndarray | None = None,
        token_type_ids: np.ndarray | None = None,
    ) -> float:
        """Return max |graph's logit - PyTorch's|, NaN if either is NaN."""
        inputs = (input_ids, attention_mask, token_type_ids)
        answer = self.session(dialect).run(["logits"], feed(dialect, *inputs))[0]
        key = tuple(None if array is None else array.tobytes() for array in inputs)
        if key not in self.answers:
            self.answers[key] = logits(self.module, *inputs)
        expected = self.answers[key]
        assert answer.shape == expected.shape
        assert answer.dtype == np.float32
        return float(np.abs(answer - expected).max())


def right_padding(length: int) -> np.ndarray:
    """Return a mask, int64 [3, length]: a full row, one about half full, and one with only its first token."""
    mask = np.zeros((3, length), np.int64)
    for row, real in enumerate((length, length // 2 + 1, 1)):
        mask[row, :real] = 1
    return mask


def holes(length: int) -> np.ndarray:
    """Return a mask, int64 [3, length], with padding inside the rows; the first token is always real."""
    mask = np.random.default_rng(length).integers(0, 2, (3, length))
    mask[:, 0] = 1
    return mask


def feed_forward_shapes(path: Path, length: int) -> list[tuple[int, ...]]:
    """Measure the shape of each encoder layer's activation, [batch, query rows, intermediate], on `length` tokens."""
    graph = onnx.load(path)
    names = [node.output[0] for node in graph.graph.node if node.op_type == "Gelu"]
    graph.graph.output.extend(onnx.helper.make_empty_tensor_value_info(name) for name in names)
    run = onnxruntime.InferenceSession(graph.SerializeToString(), providers=["CPUExecutionProvider"]).run
    ids = token_ids(1, length)
    shapes = [array.shape for array in run(names, {"input_ids": ids, "attention_mask": np.ones_like(ids)})]
    return [shape for shape in shapes if len(shape) == 3]
