"""Run a graph on a GPU, on CUDA or TensorRT: rows padded to length buckets, in memory with fixed addresses."""

import ctypes
import logging
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from assay.bundle.manifest import Graph
from assay.devices import Device
from assay.errors import ProviderError
from assay.gpu import driver, libraries, placement, providers
from assay.gpu.buckets import choose_bucket, limit_rows, list_buckets, pad_rows
from assay.gpu.buffers import DeviceBuffers
from assay.gpu.engine_cache import EngineCache, locate_cache
from assay.gpu.options import GpuOptions
from assay.gpu.placement import Placement
from assay.inputs.tokenization import Tokens
from assay.ort import installation, provider_errors
from assay.ort.batching import TOKENS_PER_CALL
from assay.ort.session import Providers, check_logits, create, explain_failed_run, make_session_options

__all__ = ["GpuSession", "make_engine_key"]

_LOG = logging.getLogger("assay")
_NVINFER = "nvinfer_10.dll" if sys.platform == "win32" else "libnvinfer.so.10"

Float32 = npt.NDArray[np.float32]


class GpuSession:
    """A graph loaded on a GPU. Calls from several threads run one after the other."""

    def __init__(
        self,
        path: Path,
        graph: Graph,
        labels: int,
        device: Device,
        threads: int,
        options: GpuOptions,
        limits: tuple[int, int],
        weights: Mapping[str, str],
    ) -> None:
        """Load the graph. On TensorRT, only the engine for the shortest bucket is built now.

        Args:
            path: The .onnx file.
            graph: Its entry in the manifest.
            labels: The number of columns of its logits.
            device: The GPU.
            threads: Threads for the operators that compute shapes on the CPU.
            options: The caller's options for the GPU.
            limits: The most tokens of a row, and the token that pads.
            weights: The SHA-256 of the graph's files by name, under which TensorRT's engines are cached.

        Raises:
            ProviderError: The providers do not load, or operators that compute on data were placed on the CPU.
            BundleError: ONNX Runtime rejects the graph, or its inputs and output differ from the manifest.
        """
        self._ort = installation.onnxruntime()
        self._path, self._graph, self._labels, self._device = path, graph, labels, device
        self._threads, self._options = threads, options
        self._max_length, self._pad_token_id = limits
        self._weights = weights
        self._preload = libraries.prepare(self._ort, device)
        self._runs: dict[int, _Run] = {}
        self._built: set[int] = set()
        self._loading = threading.Lock()
        first = self._run_for(list_buckets(self._max_length)[0])
        self._providers, self._nodes = first.providers, first.nodes

    @property
    def providers(self) -> tuple[str, ...]:
        """The execution providers of the session, by priority. The CPU's is last, and computes shapes."""
        return self._providers

    @property
    def nodes(self) -> dict[str, int]:
        """The number of operators by provider. A TensorRT engine counts as one."""
        return dict(self._nodes)

    def pad_length(self, length: int) -> int:
        """Return the bucket of a row of `length` tokens."""
        return choose_bucket(length, self._max_length)

    def answer(self, tokens: Sequence[Tokens]) -> Float32:
        """Return the logits [batch, labels] of rows of one bucket. Raises ProviderError if the run fails."""
        length = self.pad_length(max(len(row.ids) for row in tokens))
        rows = _round_up(len(tokens), limit_rows(length)) if self._options.cuda_graphs else len(tokens)
        values = pad_rows(tokens, (rows, length), self._pad_token_id)
        run = self._run_for(length)
        try:
            logits = run.call({name: values[name] for name in self._graph.inputs}, self._options.cuda_graphs)
        except Exception as error:
            raise explain_failed_run(self._ort, error, self._path, (rows, length), self._device) from error
        return check_logits(logits, self._path, rows, self._labels)[: len(tokens)]

    def build(self, length: int) -> bool:
        """Build the engine for calls of `length` tokens and release it. Returns whether it had to be built."""
        if self._device.kind == "tensorrt" and length not in self._runs:
            with self._loading:
                self._load(length)
        return length in self._built

    def _run_for(self, length: int) -> "_Run":
        """Return the session for calls of `length` tokens: on CUDA one for all, on TensorRT one per bucket."""
        key = length if self._device.kind == "tensorrt" else 0
        run = self._runs.get(key)  # without the lock, which is held for minutes while another engine is built
        if run is None:
            with self._loading:
                run = self._runs.get(key) or self._load(length)
                self._runs[key] = run
        return run

    def _load(self, length: int) -> "_Run":
        if self._device.kind == "cuda":
            chosen = providers.configure_cuda(self._device, self._options)
            capacity = max(TOKENS_PER_CALL, choose_bucket(self._max_length, self._max_length))
            rows = max(map(limit_rows, list_buckets(self._max_length)))
            return self._create(chosen, (min(placement.PROBE_ROWS, limit_rows(length)), length), capacity, rows)
        with self._cache().open(length) as folders:
            if not folders.is_built:
                _LOG.info("%s: building the TensorRT engine for %d tokens; this takes minutes", self._path, length)
            chosen = providers.configure_tensorrt(
                self._device, self._options, self._graph.inputs, length, folders.engines, folders.timing
            )
            rows = limit_rows(length)
            # TensorRT takes the whole graph and leaves nothing to the CPU, not even shapes, so one row suffices.
            run = self._create(chosen, (1, length), rows * length, rows)
        if not folders.is_built:
            self._built.add(length)
        return run

    def _create(self, chosen: Providers, probe: tuple[int, int], tokens: int, rows: int) -> "_Run":
        """Create a session with buffers, run it once, and check that only shapes are computed on the CPU.

        `probe` is the shape of that run, `tokens` and `rows` are the most that the buffers hold.
        """
        options = make_session_options(self._ort, self._graph, self._threads)
        with placement.profile(options, probe[0]) as finish:
            session = create(self._ort, self._path, self._graph, self._device, options, chosen, self._preload)
            memory = (_name_memory(), self._device.index)
            values = pad_rows([_make_row(probe[1])], probe, self._pad_token_id)
            try:
                buffers = DeviceBuffers(self._ort, session, self._graph.inputs, tokens, rows, self._labels, memory)
                buffers.run({name: values[name] for name in self._graph.inputs}, capture=False)
            except Exception as error:
                raise explain_failed_run(self._ort, error, self._path, probe, self._device) from error
            placed = finish(session)
        _refuse_data_on_cpu(placed, self._path, self._device)
        return _Run(buffers.run, tuple(session.get_providers()), placed.nodes)

    def _cache(self) -> EngineCache:
        return EngineCache(locate_cache(), make_engine_key(self._ort, self._device, self._graph, self._weights))


@dataclass(frozen=True, slots=True)
class _Run:
    call: Callable[[dict[str, npt.NDArray[np.int64]], bool], Float32]
    providers: tuple[str, ...]
    nodes: dict[str, int]


def _name_memory() -> str:
    """Return ONNX Runtime's name for a GPU's memory."""
    return "cuda"


def make_engine_key(
    ort: Any, device: Device, graph: Graph, weights: Mapping[str, str], found: driver.Driver | None = None
) -> dict[str, str]:
    """Return everything that an engine depends on. Raises ProviderError without this GPU or TensorRT 10."""
    found = found or driver.find()
    if device.index >= len(found.gpus):
        count = len(found.gpus)
        problem = found.problem or f"there {'is 1 GPU' if count == 1 else f'are {count} GPUs'}"
        raise ProviderError(f"{device} cannot be used: {problem}; see nvidia-smi, or use device='cpu'")
    card = found.gpus[device.index]
    return {
        "graph": f"{graph.file} {graph.graph_optimization} {' '.join(graph.inputs)}",
        "files": " ".join(f"{name} {weights[name]}" for name in graph.files),
        "gpu": card.name,
        "compute capability": card.compute_capability,
        "gpu memory": str(card.memory),
        "tensorrt": _read_tensorrt_version(ort),
        "onnxruntime": f"{ort.__version__} for CUDA {getattr(ort, 'cuda_version', '')}",
        "platform": sys.platform,
    }


def _read_tensorrt_version(ort: Any) -> str:
    """Read the version of the TensorRT library that the provider links: 101303 stands for 10.13.3."""
    try:
        return str(ctypes.CDLL(_NVINFER).getInferLibVersion())
    except (OSError, AttributeError) as error:
        raise provider_errors.explain_dropped_provider(
            ort, ["TensorrtExecutionProvider"], Device("tensorrt", 0), str(error)
        ) from error


def _refuse_data_on_cpu(placed: Placement, path: Path, device: Device) -> None:
    if placed.on_cpu:
        operators = ", ".join(f"{count} {name}" for name, count in sorted(placed.on_cpu.items()))
        raise provider_errors.explain_cpu_placement(path, operators, sum(placed.on_cpu.values()), device)


def _make_row(length: int) -> Tokens:
    """Return a row of `length` tokens with any content."""
    ids = np.zeros(length, np.int64)
    return Tokens(ids, ids)


def _round_up(rows: int, most: int) -> int:
    """Round up to a power of two, at most `most`: each number of rows is captured as a separate CUDA graph."""
    return min(1 << (rows - 1).bit_length(), most)
