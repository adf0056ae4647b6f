"""One ONNX Runtime session over one graph, on exactly the execution provider that was asked for, or not at all.

ONNX Runtime answers from the CPU, in silence, where CUDA or TensorRT cannot load. Here that is a ProviderError.
GraphSession runs on the CPU; gpu_session.py has what a GPU needs beside.
"""

import contextlib
import importlib
import importlib.util
import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from assay.bundle.manifest import Graph
from assay.devices import Device
from assay.errors import BundleError, ProviderError, one_line
from assay.gpu import providers
from assay.inputs.tokenization import Tokens
from assay.ort import installation, provider_errors

__all__ = ["GraphSession", "Session", "check_logits", "create", "prepare", "run_error", "session_options"]

_SPIN_MICROSECONDS = 100
"""How long a thread without work spins before it sleeps. Between two operators of a run that is worth it. ONNX
Runtime's default, some 10 to 500 ms by processor, also burns a core after every run and takes it from whoever shares
the machine. On 2 cores that others used as well, runs of 64 and 256 tokens took 0.4 to 0.7 of the default's time, and
about what they take without spinning, which would cost a quiet machine a wake-up per operator. Read by ONNX Runtime
1.26 and later (microsoft/onnxruntime#27916); earlier ones keep their default."""

_WARNING, _FATAL = 2, 4  # log severities. ONNX Runtime logs each error that it raises as well

Float32 = npt.NDArray[np.float32]


class Session(Protocol):
    """What a model needs of a graph that is loaded."""

    @property
    def providers(self) -> tuple[str, ...]: ...

    @property
    def nodes(self) -> dict[str, int]: ...

    def call_length(self, length: int) -> int: ...

    def answer(self, tokens: Sequence[Tokens]) -> Float32: ...

    def build(self, length: int) -> bool: ...


class GraphSession:
    """A graph, loaded on the CPU. ONNX Runtime allows runs from several threads at once."""

    def __init__(self, path: Path, graph: Graph, labels: int, device: Device, threads: int) -> None:
        """Load the graph at `path`, whose logits have `labels` columns, to run on `threads` threads.

        Raises ProviderError where the device's providers are missing or do not load, BundleError where ONNX Runtime
        refuses the graph or its inputs and output are not what the manifest says.
        """
        ort = installation.onnxruntime()
        preload = prepare(ort, device)
        options = session_options(ort, graph, threads)
        self._path = path
        self._labels = labels
        self._device = device
        self._inputs = graph.inputs
        self._session = create(ort, path, graph, device, options, providers.cpu(), preload)

    @property
    def providers(self) -> tuple[str, ...]:
        """The execution providers of the session, by priority."""
        return tuple(self._session.get_providers())

    @property
    def nodes(self) -> dict[str, int]:
        """Operators by provider: not counted on the CPU, where there is one provider."""
        return {}

    def call_length(self, length: int) -> int:
        """The length that a row of `length` tokens has in a call: its own, because nothing is padded on the CPU."""
        return length

    def answer(self, tokens: Sequence[Tokens]) -> Float32:
        """Logits [batch, labels] of rows of one length. Raises as `logits`."""
        return self.logits(np.stack([row.ids for row in tokens]), np.stack([row.type_ids for row in tokens]))

    def build(self, length: int) -> bool:  # noqa: ARG002
        """Nothing is built ahead on the CPU. Gives whether something was built: False."""
        return False

    def logits(self, input_ids: npt.NDArray[np.int64], type_ids: npt.NDArray[np.int64]) -> Float32:
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
            raise run_error(error, self._path, input_ids.shape, self._device) from error
        return check_logits(logits, self._path, len(input_ids), self._labels)


def prepare(ort: Any, device: Device) -> str:
    """What comes before the first session on `device`. Gives what loading its libraries printed, for `create`.

    Raises ProviderError where this build of ONNX Runtime lacks a provider that the device needs.
    """
    available = ort.get_available_providers()
    missing = [name for name in device.required if name not in available]
    if missing:
        raise provider_errors.not_in_this_build(ort, missing, device)
    if not device.on_gpu:
        return ""
    return _preload(ort) + (_preload_tensorrt() if device.kind == "tensorrt" else "")


def create(
    ort: Any,
    path: Path,
    graph: Graph,
    device: Device,
    options: Any,
    providers: providers.Providers,
    preload: str,
) -> Any:
    """An onnxruntime.InferenceSession over the graph at `path`, on all the providers that `device` needs.

    Raises ProviderError and BundleError as GraphSession does.
    """
    try:
        with _quiet(ort) if device.on_gpu else contextlib.nullcontext():
            session = ort.InferenceSession(str(path), sess_options=options, providers=providers, enable_fallback=0)
    except Exception as error:
        raise provider_errors.creation(ort, error, path, device, preload) from error
    loaded = session.get_providers()
    missing = [name for name in device.required if name not in loaded]
    if missing:
        words = provider_errors.linker_words(ort, missing[0]) or preload
        raise provider_errors.not_loaded(ort, missing, device, words)
    _check_signature(session, path, graph)
    return session


def session_options(ort: Any, graph: Graph, threads: int) -> Any:
    """SessionOptions for the graph, with `threads` threads for what runs on the CPU."""
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


def run_error(error: Exception, path: Path, shape: Sequence[int], device: Device) -> BundleError | ProviderError:
    """What a failed run over token ids of `shape` means."""
    dimensions = "x".join(map(str, shape))
    if type(error).__name__ in ("InvalidArgument", "NotImplemented"):
        return BundleError(
            f"{path}: does not take token ids of shape {dimensions} ({one_line(error)}); export the bundle again"
        )
    return provider_errors.failed_run(error, path, dimensions, device)


def check_logits(logits: Any, path: Path, rows: int, labels: int) -> Float32:
    """`logits` as float32. Raises BundleError where they are not [rows, labels]."""
    if logits.shape != (rows, labels):
        raise BundleError(
            f"{path}: answered logits of shape {list(logits.shape)}, expected [{rows}, {labels}]; "
            "export the bundle again"
        )
    answer: Float32 = logits.astype(np.float32, copy=False)
    return answer


def _check_signature(session: Any, path: Path, graph: Graph) -> None:
    inputs = {node.name: node.type for node in session.get_inputs()}
    outputs = [node.name for node in session.get_outputs()]
    if inputs != dict.fromkeys(graph.inputs, "tensor(int64)") or "logits" not in outputs:
        raise BundleError(
            f"{path}: takes {inputs} and gives {outputs}, expected int64 {', '.join(graph.inputs)} "
            "and logits, as assay.json says; export the bundle again"
        )


@contextlib.contextmanager
def _quiet(ort: Any) -> Iterator[None]:
    """Keep ONNX Runtime from printing why a provider does not load: provider_errors.py says it.

    It logs that with the process's default logger, before the session's own exists. That logger's level cannot be
    asked for, so it is set to its default, warnings, in the end.
    """
    ort.set_default_logger_severity(_FATAL)
    try:
        yield
    finally:
        ort.set_default_logger_severity(_WARNING)


def _preload(ort: Any) -> str:
    """Load the CUDA and cuDNN libraries that pip installed, where the system's loader does not look.

    Gives what went wrong: ONNX Runtime prints it to standard output, where it has no place.
    """
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        try:
            ort.preload_dlls()
        except Exception as error:
            printed.write(f"{type(error).__name__}: {error}")
    return printed.getvalue()


def _preload_tensorrt() -> str:
    """Load the TensorRT libraries that pip installed. tensorrt_libs does it on import; it comes with tensorrt-cu13."""
    try:
        if importlib.util.find_spec("tensorrt_libs") is not None:
            importlib.import_module("tensorrt_libs")
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return ""
