"""Graphs of architectures that are not authored here: optimum-onnx traces the PyTorch model.

optimum-onnx knows the models of transformers only, so torch itself traces an encoder with the head of a SetFit model.
"""

import contextlib
import io
import warnings
from pathlib import Path

import torch

from assay.files import to_utf_8
from assay_export.checkpoint.reference import ReferenceModel
from assay_export.errors import ExportError
from assay_export.graphs.writer import OPSET

__all__ = ["export", "export_sentences", "read_max_length"]

# Models related to RoBERTa: their first token has position pad_token_id + 1.
POSITIONS_AFTER_PADDING = ("data2vec-text", "ibert", "longformer", "xmod")
# In transformers, MPNet's first token has position 2 whatever config.json says.
_MPNET_OFFSET = 2
_INPUTS = ("input_ids", "attention_mask", "token_type_ids")
_SEEDS = 20  # of the ids that are tried


def export(reference: ReferenceModel, model_type: str, path: Path) -> tuple[str, ...]:
    """Trace the model and write the graph.

    Args:
        reference: The PyTorch model.
        model_type: The architecture's name in config.json.
        path: The .onnx file to write. Its folder must contain nothing else.

    Returns:
        The names of the graph's inputs, in order.

    Raises:
        ExportError: optimum-onnx does not know the architecture, could not trace it, or its graph has other inputs.
    """
    import onnxruntime
    from optimum.exporters.onnx import onnx_export_from_model
    from optimum.exporters.tasks import TasksManager

    task = "text-classification"
    try:
        supported = TasksManager.get_supported_tasks_for_model_type(
            model_type, exporter="onnx", library_name="transformers"
        )
    except KeyError:
        supported = {}
    if task not in supported:
        raise ExportError(
            f"config.json: model_type = {model_type!r} has neither an authored graph in assay nor a {task} exporter in "
            "optimum-onnx; open an issue with the checkpoint's config.json"
        )
    for seed in range(_SEEDS):
        try:
            # The tracer prints its progress on both streams. Failures are exceptions, so nothing is lost.
            with (
                torch.random.fork_rng(devices=[]),
                warnings.catch_warnings(),
                contextlib.redirect_stdout(io.StringIO()),
            ):
                torch.manual_seed(seed)  # optimum traces with random ids
                warnings.simplefilter("ignore")
                onnx_export_from_model(
                    reference.module,
                    path.parent,
                    opset=OPSET,
                    task=task,
                    do_validation=False,  # the parity gate compares on more shapes
                    no_post_process=True,
                    preprocessors=[],
                )
            break
        except Exception as error:
            reason = " ".join(str(error).split())[:300]
            if "number of <eos> tokens" in reason and seed + 1 < _SEEDS:
                continue  # BART and its like refuse rows of which one has that token by chance
            raise ExportError(
                f"optimum-onnx could not export {model_type!r}: {type(error).__name__}: {reason}"
            ) from error
    # optimum-onnx also writes its own copy of the config.
    for extra in path.parent.iterdir():
        if not extra.name.startswith(path.name):
            extra.unlink()
    session = onnxruntime.InferenceSession(to_utf_8(path), providers=["CPUExecutionProvider"])
    inputs = tuple(node.name for node in session.get_inputs())
    if unknown := [name for name in inputs if name not in _INPUTS]:
        raise ExportError(
            f"optimum-onnx's graph of {model_type!r} takes {', '.join(unknown)}, which the runtime does not have "
            f"(expected some of {', '.join(_INPUTS)}); this architecture cannot be exported"
        )
    return inputs


class _Logits(torch.nn.Module):
    """Returns a tensor, as the tracer wants it, where a reference model returns an object with logits."""

    def __init__(self, module: torch.nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.module(input_ids=input_ids, attention_mask=attention_mask).logits
        return logits


def export_sentences(reference: ReferenceModel, path: Path) -> tuple[str, ...]:
    """Trace a SetFit model and write the graph.

    Args:
        reference: The PyTorch model: an encoder with a linear head.
        path: The .onnx file to write.

    Returns:
        The names of the graph's inputs, in order.

    Raises:
        ExportError: torch could not trace the encoder.
    """
    inputs = ("input_ids", "attention_mask")
    ids = torch.ones((2, 16), dtype=torch.int64)
    rows = {name: {0: "batch", 1: "sequence"} for name in inputs}
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            torch.onnx.export(
                _Logits(reference.module).eval(),
                (ids, torch.ones_like(ids)),
                path,
                input_names=list(inputs),
                output_names=["logits"],
                dynamic_axes={**rows, "logits": {0: "batch"}},
                opset_version=OPSET,
                dynamo=False,
            )
    except Exception as error:  # whatever a module raises while it is traced
        reason = " ".join(str(error).split())[:300]
        raise ExportError(f"torch could not trace the encoder: {type(error).__name__}: {reason}") from error
    return inputs


def read_max_length(config: dict[str, object]) -> int:
    """Read the longest input in tokens: the size of the position table, less RoBERTa's offset.

    Raises:
        ExportError: config.json does not say how many positions the model has.
    """
    positions = config.get("max_position_embeddings", config.get("n_positions"))
    offset = _MPNET_OFFSET if config["model_type"] == "mpnet" else 0
    if "roberta" in str(config["model_type"]) or config["model_type"] in POSITIONS_AFTER_PADDING:
        pad_token_id = config.get("pad_token_id", 1)  # the default in transformers
        offset = pad_token_id + 1 if isinstance(pad_token_id, int) else 2
    if isinstance(positions, bool) or not isinstance(positions, int) or positions <= offset:
        raise ExportError(
            f"config.json: max_position_embeddings = {positions!r}, expected an integer above {offset}: without "
            "it, the longest input of the model is unknown. Set it in config.json"
        )
    return positions - offset
