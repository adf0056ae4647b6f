"""Tiny SetFit models on disk, as setfit and sentence-transformers save them: neither is needed to write them."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest import mock

import joblib
import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.multiclass import OneVsRestClassifier
from sklearn.multioutput import MultiOutputClassifier

from tests.export import tiny

TEXTS = ["abc", "de f", "xyz 12", "where is it", "q", "zzzz", "a b c", "k l m n o p q r s t u v w x y z a b c d e f"]
SEVERAL = np.array([[1, 0, 1], [0, 1, 0], [1, 1, 1], [0, 0, 1], [1, 0, 0], [0, 1, 1], [1, 1, 0], [0, 0, 0]])
LENGTH = 24  # the last text is longer

ENCODERS = {
    "bert": tiny.bert_config(num_hidden_layers=2),
    "modernbert": tiny.modernbert_config(num_hidden_layers=2),
    "roberta": tiny.bert_config("roberta", num_hidden_layers=2),
    "distilbert": tiny.distilbert_config(n_layers=2),
}
TRACED = {
    "mpnet": {**tiny.bert_config("roberta", num_hidden_layers=2), "model_type": "mpnet"},
    "deberta-v2": tiny.deberta_config(),
}


def heads(embeddings: np.ndarray) -> dict[str, Any]:
    """Train one head of every kind that SetFit makes."""
    single = np.arange(len(embeddings))
    return {
        "three classes": LogisticRegression().fit(embeddings, single % 3),
        "two classes": LogisticRegression().fit(embeddings, single % 2),
        "text classes": LogisticRegression().fit(embeddings, np.array(["yes", "no", "maybe"])[single % 3]),
        "one-vs-rest": OneVsRestClassifier(LogisticRegression()).fit(embeddings, SEVERAL[: len(embeddings)]),
        "multi-output": MultiOutputClassifier(LogisticRegression()).fit(embeddings, SEVERAL[: len(embeddings)]),
    }


def torch_head(
    out_features: int = 3,
    *,
    temperature: float = 1.0,
    multitarget: object = False,
    bias: bool = True,
    width: int = 32,
    **attributes: Any,
) -> Any:
    """Return SetFit's differentiable head with random weights: its class, its attributes and its forward pass."""
    import torch

    class SetFitHead(torch.nn.Module):
        linear: torch.nn.Linear
        in_features: int
        out_features: int
        temperature: float
        eps: float
        bias: bool
        _device: torch.device
        multitarget: object

        def predict_proba(self, embeddings: torch.Tensor) -> torch.Tensor:
            logits = self.linear(embeddings) / (self.temperature + self.eps)
            return torch.sigmoid(logits) if self.multitarget else torch.softmax(logits, dim=-1)

    SetFitHead.__module__, SetFitHead.__qualname__ = "setfit.modeling", "SetFitHead"
    torch.manual_seed(0)
    head = SetFitHead()
    head.linear = torch.nn.Linear(width, out_features, bias=bias)
    head.in_features, head.out_features, head.temperature, head.eps = width, out_features, temperature, 1e-5
    head.bias, head._device, head.multitarget = bias, torch.device("cpu"), multitarget
    for name, value in attributes.items():
        setattr(head, name, value)
    return head


def dump(head: Any, path: Path) -> Path:
    """Write a head as SetFit does, a differentiable one under the name that SetFit's class has."""
    module: Any = ModuleType("setfit.modeling")
    module.SetFitHead = type(head)
    modules = {"setfit": ModuleType("setfit"), "setfit.modeling": module}
    with mock.patch.dict(sys.modules, modules if type(head).__name__ == "SetFitHead" else {}):
        joblib.dump(head, path)
    return path


def random_embeddings(rows: int = len(TEXTS), width: int = 32) -> np.ndarray:
    return np.random.default_rng(0).standard_normal((rows, width)).astype(np.float32)


def save(
    folder: Path,
    write_tokenizer: Callable[[Path], Path],
    *,
    encoder: str = "bert",
    head: Any = None,
    pooling: str = "mean",
    normalize: bool = False,
    labels: list[str] | None = None,
    subfolder: str = "",
    **setfit: Any,
) -> Path:
    """Write a SetFit model with a random encoder; by default with a head of three classes."""
    config = (ENCODERS | TRACED)[encoder]
    module = tiny.model(config, head="Base")
    folder.mkdir(exist_ok=True)
    write_tokenizer(tiny.save(module, folder / subfolder))
    settings = json.loads((folder / subfolder / "tokenizer_config.json").read_text())
    settings |= {"tokenizer_class": "PreTrainedTokenizerFast", "model_input_names": ["input_ids", "attention_mask"]}
    (folder / subfolder / "tokenizer_config.json").write_text(json.dumps(settings))
    kinds = ["Transformer", "Pooling", *(["Normalize"] if normalize else [])]
    paths = [subfolder, "1_Pooling", "2_Normalize"]
    modules = [
        {"idx": index, "name": str(index), "path": paths[index], "type": f"sentence_transformers.models.{kind}"}
        for index, kind in enumerate(kinds)
    ]
    _write(folder / "modules.json", modules)
    _write(folder / "1_Pooling" / "config.json", {"embedding_dimension": 32, "pooling_mode": pooling})
    _write(folder / subfolder / "sentence_bert_config.json", {"max_seq_length": LENGTH, "do_lower_case": False})
    _write(folder / "config_setfit.json", {"labels": labels, "normalize_embeddings": False, **setfit})
    dump(heads(random_embeddings())["three classes"] if head is None else head, folder / "model_head.pkl")
    return folder


def _write(path: Path, value: object) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(value))
