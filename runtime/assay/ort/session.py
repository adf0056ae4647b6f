"""Run one graph in one ONNX Runtime session, on the requested execution provider or not at all.

ONNX Runtime silently falls back to the CPU where CUDA or TensorRT cannot load. Here that is a ProviderError.
GraphSession runs on the CPU. assay.gpu.session builds on the functions below.
"""

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from assay.bundle.manifest import Graph
from assay.devices import CPU_PROVIDER, Device
from assay.errors import BundleError, ProviderError, one_line
from assay.files import to_utf_8
from assay.inputs.tokenization import Tokens
from assay.ort import installation, kernels, provider_errors

__all__ = [
    "GraphSession",
    "Providers",
    "Session",
    "check_loaded",
    "check_logits",
    "check_providers",
    "create",
    "explain_failed_run",
    "make_session_options",
    "silence",
]

Float32 = npt.NDArray[np.float32]
Providers = Sequence[tuple[str, dict[str, str]]]
"""Execution providers with their options, by priority, as onnxruntime.InferenceSession takes them."""

_SPIN_MICROSECONDS = 100
"""How long an idle thread spins before it sleeps. Spinning pays off between two operators of a run. ONNX Runtime's
default, some 10 to 500 ms depending on the processor, also keeps a core busy after every run and takes it from other
processes. On 2 shared cores, runs of 64 and 256 tokens took 0.4 to 0.7 of the default's time, about as long as without
spinning; but without spinning, a quiet machine pays a wake-up per operator. ONNX Runtime 1.26 and later read this
setting (microsoft/onnxruntime#27916); earlier versions keep their default."""

_WARNING, _FATAL = 2, 4  # log severities. ONNX Runtime also logs each error that it raises


class Session(Protocol):
    """A loaded graph, as a model uses it. GraphSession and GpuSession document the members."""

    @property
    def providers(self) -> tuple[str, ...]: ...

    @property
    def nodes(self) -> dict[str, int]: ...

    def pad_length(self, length: int) -> int: ...

    def answer(self, tokens: Sequence[Tokens]) -> Float32: ...

    def build(self, length: int) -> bool: ...


class GraphSession:
    """A graph loaded on the CPU. ONNX Runtime allows runs from several threads at once."""

    def __init__(self, path: Path, graph: Graph, labels: int, device: Device, threads: int) -> None:
        """Load the graph at `path`.

        Args:
            path: The .onnx file.
            graph: Its entry in the manifest.
            labels: The number of columns of its logits.
            device: The CPU.
            threads: The threads of one run.

        Raises:
            ProviderError: This build of ONNX Runtime lacks the CPU's execution provider.
            BundleError: ONNX Runtime rejects the graph, or its inputs and output differ from the manifest.
        """
        ort = installation.onnxruntime()
        check_providers(ort, device)
        self._ort = ort
        self._path = path
        self._labels = labels
        self._device = device
        self._inputs = graph.inputs
        options = make_session_options(ort, graph, threads)
        if graph.is_packed:
            kernels.register(options)
        self._session = create(ort, path, graph, device, options, [(CPU_PROVIDER, {})])

    @property
    def providers(self) -> tuple[str, ...]:
        """The execution providers of the session, by priority."""
        return tuple(self._session.get_providers())

    @property
    def nodes(self) -> dict[str, int]:
        """The number of operators by provider. Empty here: there is one provider."""
        return {}

    def pad_length(self, length: int) -> int:
        """Return the length in a call of a row of `length` tokens: the same, because the CPU needs no padding."""
        return length

    def answer(self, tokens: Sequence[Tokens]) -> Float32:
        """Return the logits [batch, labels] of rows of equal length. Raises what `logits` raises."""
        return self.logits(np.stack([row.ids for row in tokens]), np.stack([row.type_ids for row in tokens]))

    def build(self, length: int) -> bool:  # noqa: ARG002
        """Return False: on the CPU nothing is built ahead of a call."""
        return False

    def logits(self, input_ids: npt.NDArray[np.int64], type_ids: npt.NDArray[np.int64]) -> Float32:
        """Run the graph on rows of one length without padding, so that the attention mask is all ones.

        Args:
            input_ids: Token ids, int64 [batch, sequence].
            type_ids: Token type ids, int64 [batch, sequence].

        Returns:
            The logits, float32 [batch, labels].

        Raises:
            ProviderError: The run failed.
            BundleError: The graph rejects these ids or returned another shape.
        """
        values = {"input_ids": input_ids, "token_type_ids": type_ids}
        if "attention_mask" in self._inputs:
            values["attention_mask"] = np.ones_like(input_ids)
        try:
            (logits,) = self._session.run(["logits"], {name: values[name] for name in self._inputs})
        except Exception as error:
            raise explain_failed_run(self._ort, error, self._path, input_ids.shape, self._device) from error
        return check_logits(logits, self._path, len(input_ids), self._labels)


def check_providers(ort: Any, device: Device) -> None:
    """Raise ProviderError unless this build of ONNX Runtime has every execution provider that `device` needs."""
    available = ort.get_available_providers()
    missing = [name for name in device.required if name not in available]
    if missing:
        raise provider_errors.explain_missing_provider(ort, missing, device)


def create(
    ort: Any, path: Path, graph: Graph, device: Device, options: Any, providers: Providers, preload: str = ""
) -> Any:
    """Create an onnxruntime.InferenceSession for the graph at `path` with all providers that `device` needs.

    Args:
        ort: The module onnxruntime.
        path: The .onnx file.
        graph: Its entry in the manifest.
        device: Where it runs.
        options: SessionOptions.
        providers: Execution providers with their options.
        preload: What went wrong when the libraries of the GPU were loaded, for error messages.

    Raises:
        ProviderError: A provider did not load.
        BundleError: ONNX Runtime rejects the graph, or its inputs and output differ from the manifest.
    """
    try:
        with silence(ort) if device.on_gpu else contextlib.nullcontext():
            session = ort.InferenceSession(
                to_utf_8(path), sess_options=options, providers=list(providers), enable_fallback=0
            )
    except Exception as error:
        raise provider_errors.explain_failed_session(ort, error, path, device, preload) from error
    check_loaded(ort, session, device, preload)
    _check_signature(session, path, graph)
    return session


def check_loaded(ort: Any, session: Any, device: Device, preload: str) -> None:
    """Raise ProviderError unless every execution provider that `device` needs is in the session."""
    loaded = session.get_providers()
    missing = [name for name in device.required if name not in loaded]
    if missing:
        words = provider_errors.read_linker_error(ort, missing[0]) or preload
        raise provider_errors.explain_dropped_provider(ort, missing, device, words)


def make_session_options(ort: Any, graph: Graph, threads: int) -> Any:
    """Return SessionOptions for the graph, with `threads` threads for the operators that run on the CPU."""
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


def explain_failed_run(
    ort: Any, error: Exception, path: Path, shape: Sequence[int], device: Device
) -> BundleError | ProviderError:
    """Return the error to raise for a failed run on token ids of `shape`."""
    dimensions = "x".join(map(str, shape))
    if type(error).__name__ in ("InvalidArgument", "NotImplemented"):
        return BundleError(
            f"{path}: does not take token ids of shape {dimensions} ({one_line(error)}); export the bundle again"
        )
    return provider_errors.explain_failed_run(ort, error, path, dimensions, device)


def check_logits(logits: Any, path: Path, rows: int, labels: int) -> Float32:
    """Return `logits` as float32. Raises BundleError unless their shape is [rows, labels]."""
    if logits.shape != (rows, labels):
        raise BundleError(
            f"{path}: returned logits of shape {list(logits.shape)}, expected [{rows}, {labels}]; "
            "export the bundle again"
        )
    answer: Float32 = logits.astype(np.float32, copy=False)
    return answer


def _check_signature(session: Any, path: Path, graph: Graph) -> None:
    inputs = {node.name: node.type for node in session.get_inputs()}
    outputs = [node.name for node in session.get_outputs()]
    if inputs != dict.fromkeys(graph.inputs, "tensor(int64)") or "logits" not in outputs:
        raise BundleError(
            f"{path}: takes {inputs} and returns {outputs}, expected int64 {', '.join(graph.inputs)} "
            "and logits, as assay.json says; export the bundle again"
        )


@contextlib.contextmanager
def silence(ort: Any) -> Iterator[None]:
    """Keep ONNX Runtime from printing why a provider does not load: provider_errors.py puts that into the exception.

    ONNX Runtime logs it with the process's default logger, before the session's own exists. The level of that logger
    cannot be read, so it is reset to ONNX Runtime's default, warnings.
    """
    ort.set_default_logger_severity(_FATAL)
    try:
        yield
    finally:
        ort.set_default_logger_severity(_WARNING)
