"""One ONNX Runtime session over one graph, on exactly the execution provider that was asked for, or not at all.

ONNX Runtime answers from the CPU, in silence, where CUDA or TensorRT cannot load. Here that is a ProviderError.
"""

import contextlib
import importlib
import importlib.util
import io
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from assay import installation
from assay.errors import BundleError, InputError, ProviderError, one_line
from assay.manifest import Graph
from assay.validation import describe

__all__ = ["Device", "GraphSession", "parse_device"]

_CPU, _CUDA, _TENSORRT = "CPUExecutionProvider", "CUDAExecutionProvider", "TensorrtExecutionProvider"
_SPIN_MICROSECONDS = 100
"""How long a thread without work spins before it sleeps. Between two operators of a run that is worth it. ONNX
Runtime's default, some 10 to 500 ms by processor, also burns a core after every run and takes it from whoever shares
the machine. On 2 cores that others used as well, runs of 64 and 256 tokens took 0.4 to 0.7 of the default's time, and
about what they take without spinning, which would cost a quiet machine a wake-up per operator. Read by ONNX Runtime
1.26 and later (microsoft/onnxruntime#27916); earlier ones keep their default."""

_FATAL = 4  # log severity: ONNX Runtime logs each error that it raises as well


@dataclass(frozen=True, slots=True)
class Device:
    """A device string, parsed: its kind and, for a GPU, its index."""

    kind: str
    index: int

    @property
    def on_gpu(self) -> bool:
        return self.kind != "cpu"

    @property
    def required(self) -> tuple[str, ...]:
        """The execution providers that must load. TensorRT leaves to CUDA the nodes that it does not take."""
        return {"cpu": (_CPU,), "cuda": (_CUDA,), "tensorrt": (_TENSORRT, _CUDA)}[self.kind]

    def __str__(self) -> str:
        return f"{self.kind}:{self.index}" if self.kind == "cuda" else self.kind


def parse_device(device: object) -> Device:
    """A device from "cpu", "cuda" (the first GPU), "cuda:N" or "tensorrt". Raises InputError for anything else."""
    match = re.fullmatch(r"(cpu|cuda|tensorrt)|cuda:([0-9]{1,3})", device) if isinstance(device, str) else None
    if match is None:
        found = repr(device) if isinstance(device, str) else describe(device)
        raise InputError(f"device is {found}, expected 'cpu', 'cuda', 'cuda:N' or 'tensorrt'")
    return Device(match[1] or "cuda", int(match[2] or 0))


class GraphSession:
    """A graph, loaded. ONNX Runtime allows runs from several threads at once."""

    def __init__(self, path: Path, graph: Graph, labels: int, device: Device, threads: int) -> None:
        """Load the graph at `path`, whose logits have `labels` columns, to run on `threads` threads.

        Raises ProviderError where the device's providers are missing or do not load, BundleError where ONNX Runtime
        refuses the graph or its inputs and output are not what the manifest says.
        """
        ort = installation.onnxruntime()
        _refuse_missing_providers(ort, device)
        reason = _preload(ort, device)
        try:
            session = ort.InferenceSession(
                str(path),
                sess_options=_options(ort, graph, threads),
                providers=_providers(device),
                enable_fallback=0,
            )
        except Exception as error:
            raise _creation_error(error, path, device, reason) from error
        loaded = session.get_providers()
        missing = [name for name in device.required if name not in loaded]
        if missing:
            raise _not_loaded(missing, device, reason)
        self._path = path
        self._labels = labels
        self._device = device
        self._inputs = graph.inputs
        self._session = session
        self._check_signature()

    @property
    def providers(self) -> tuple[str, ...]:
        """The execution providers of the session, by priority. The CPU's comes last in all: it computes shapes."""
        return tuple(self._session.get_providers())

    def logits(self, input_ids: npt.NDArray[np.int64], type_ids: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
        """Logits [batch, labels] of `input_ids` [batch, sequence], rows of one true length: the mask is all ones.

        Raises ProviderError where the run fails, BundleError where the graph does not take these ids or answers in
        another shape.
        """
        values = {"input_ids": input_ids, "token_type_ids": type_ids}
        if "attention_mask" in self._inputs:
            values["attention_mask"] = np.ones_like(input_ids)
        try:
            (logits,) = self._session.run(["logits"], {name: values[name] for name in self._inputs})
        except Exception as error:
            shape = "x".join(map(str, input_ids.shape))
            if type(error).__name__ in ("InvalidArgument", "NotImplemented"):
                raise BundleError(
                    f"{self._path}: does not take token ids of shape {shape} ({one_line(error)}); "
                    "export the bundle again"
                ) from error
            raise ProviderError(
                f"{self._path}: the run on {self._device} failed for token ids of shape {shape} ({one_line(error)}); "
                "try shorter texts or another device"
            ) from error
        if logits.shape != (len(input_ids), self._labels):
            raise BundleError(
                f"{self._path}: answered logits of shape {list(logits.shape)}, "
                f"expected [{len(input_ids)}, {self._labels}]; export the bundle again"
            )
        answer: npt.NDArray[np.float32] = logits.astype(np.float32, copy=False)
        return answer

    def _check_signature(self) -> None:
        inputs = {node.name: node.type for node in self._session.get_inputs()}
        outputs = [node.name for node in self._session.get_outputs()]
        if inputs != dict.fromkeys(self._inputs, "tensor(int64)") or "logits" not in outputs:
            raise BundleError(
                f"{self._path}: takes {inputs} and gives {outputs}, expected int64 {', '.join(self._inputs)} "
                "and logits, as assay.json says; export the bundle again"
            )


def _options(ort: Any, graph: Graph, threads: int) -> Any:
    options = ort.SessionOptions()
    options.log_severity_level = _FATAL
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    options.graph_optimization_level = {
        "all": ort.GraphOptimizationLevel.ORT_ENABLE_ALL,
        "extended": ort.GraphOptimizationLevel.ORT_ENABLE_EXTENDED,
        "basic": ort.GraphOptimizationLevel.ORT_ENABLE_BASIC,
        "disabled": ort.GraphOptimizationLevel.ORT_DISABLE_ALL,
    }[graph.graph_optimization]
    options.add_session_config_entry("session.intra_op.spin_duration_us", str(_SPIN_MICROSECONDS))
    return options


def _providers(device: Device) -> list[Any]:
    # TF32 is ONNX Runtime's default on CUDA and keeps 10 bits of mantissa, which is not what fp32 was gated with.
    # PyTorch's default for matrix products is the same as here: off.
    cuda = (_CUDA, {"device_id": str(device.index), "use_tf32": "0"})
    tensorrt = (_TENSORRT, {"device_id": str(device.index)})
    providers: dict[str, list[Any]] = {"cpu": [_CPU], "cuda": [cuda, _CPU], "tensorrt": [tensorrt, cuda, _CPU]}
    return providers[device.kind]


def _refuse_missing_providers(ort: Any, device: Device) -> None:
    available = ort.get_available_providers()
    missing = [name for name in device.required if name not in available]
    if missing:
        cure = (
            "pip uninstall -y onnxruntime && pip install 'assay[gpu]', or use device='cpu'"
            if device.on_gpu
            else "pip install 'assay[cpu]'"
        )
        raise ProviderError(
            f"device {str(device)!r} needs {' and '.join(missing)}, and the installed ONNX Runtime "
            f"{ort.__version__} has {', '.join(available)}; to fix it: {cure}"
        )


def _preload(ort: Any, device: Device) -> str:
    """Load the CUDA, cuDNN and TensorRT libraries that pip installed, where the system's loader does not look.

    Gives what went wrong, for an error to quote: ONNX Runtime prints it to standard output, where it has no place.
    """
    if not device.on_gpu:
        return ""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        try:
            ort.preload_dlls()
            if device.kind == "tensorrt" and importlib.util.find_spec("tensorrt_libs") is not None:
                importlib.import_module("tensorrt_libs")
        except Exception as error:
            printed.write(f"{type(error).__name__}: {error}")
    return printed.getvalue()


def _creation_error(error: Exception, path: Path, device: Device, reason: str) -> BundleError | ProviderError:
    about_the_file = ("InvalidGraph", "InvalidProtobuf", "NoModel", "NoSuchFile", "NotImplemented")
    if device.on_gpu and type(error).__name__ not in about_the_file:
        said = f"{one_line(error)} {one_line(Exception(reason)) if reason else ''}".strip()
        return ProviderError(f"{path}: no session could be made on {device} ({said}); {_gpu_cure(device)}")
    return BundleError(
        f"{path}: ONNX Runtime cannot load this graph ({one_line(error)}); "
        "check the bundle with assay verify, or export it again"
    )


def _not_loaded(missing: list[str], device: Device, reason: str) -> ProviderError:
    said = f" ({one_line(Exception(reason))})" if reason else ""
    return ProviderError(f"{' and '.join(missing)} did not load for device {str(device)!r}{said}; {_gpu_cure(device)}")


def _gpu_cure(device: Device) -> str:
    tensorrt = " and pip install 'tensorrt-cu13>=10,<11'" if device.kind == "tensorrt" else ""
    return (
        f"see with nvidia-smi that the driver finds this GPU, then pip install 'assay[gpu]'{tensorrt}, "
        "or use device='cpu'"
    )
