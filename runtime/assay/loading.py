"""assay.load: a bundle's folder to a model that answers."""

import functools
import logging
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import get_args

from assay.bundle.folder import Bundle, Choice
from assay.bundle.hub import open_bundle
from assay.devices import Device, parse_device
from assay.errors import BundleError, InputError, ProviderError
from assay.gpu.providers import GpuOptions
from assay.inputs.tokenization import BundleTokenizer
from assay.inputs.validation import check_flag, describe
from assay.models.base import Model
from assay.models.classifier import Classifier
from assay.models.scorer import Scorer
from assay.ort.batching import TOKENS_PER_CALL, TOKENS_PER_CALL_OF_A_CORE
from assay.ort.engine import Engine, Mode
from assay.ort.session import GraphSession
from assay.threads import usable_cores

__all__ = ["LoadOptions", "load", "load_choice"]

_LOG = logging.getLogger("assay")
_MAX_THREADS = 1_024  # more than any machine this runs on has cores
_CPU = Device("cpu", 0)


def load(
    path: str | os.PathLike[str],
    device: str = "cpu",
    variant: str = "auto",
    threads: int | None = None,
    verify: bool = True,
    gpu_memory: int | None = None,
    cuda_graphs: bool = False,
    *,
    mode: Mode = "latency",
    revision: str | None = None,
    local_files_only: bool = False,
) -> Classifier | Scorer:
    """Load the bundle in the folder `path`, or of that name on the Hub: a Classifier or, for a regression, a Scorer.

    device: "cpu", "cuda", "cuda:N" or "tensorrt". What was asked for loads, or the call fails. "auto" is the first GPU
        on CUDA where that loads, else the CPU, and is logged; never TensorRT, whose engines take minutes to build.
    variant: "fp32", "int8", "fp16", "int8_qdq", or "auto": the first that the bundle has of int8 and fp32 on the CPU,
        fp16 and fp32 on CUDA, int8_qdq, fp16 and fp32 on TensorRT. A bundle has a variant only if it passed its gate.
    threads: on the CPU; by default the cores that this process may use (affinity and cgroup quota).
    verify: check the SHA-256 of every file used before it is parsed. Without it: only sizes, and the manifest's seal.
        TensorRT always checks: its engines are kept by these hashes.
    gpu_memory: bytes that CUDA's arena may take; by default all there is.
    cuda_graphs: on CUDA, capture a run of each shape and replay it. Batches are padded to powers of two then.
    mode: "latency", all threads on one call, or "throughput", a call on each thread: more rows per second of a batch,
        while a row of its own has one core. Short int8 rows of one length share calls then, where that passed the gate,
        and with it their activations' scale. On a GPU there is no difference.
    revision, local_files_only: of a bundle on the Hub ("org/name", where no such folder is here): the branch, tag or
        commit, and whether only the Hub's cache is used. See docs/hub.md.

    Raises InputError for an option of the wrong type, BundleError where the bundle is missing, damaged or lacks the
    variant, ProviderError where the device's execution provider is missing, did not load, or left work to the CPU.
    """
    from_auto = isinstance(device, str) and device == "auto"
    target = Device("cuda", 0) if from_auto else parse_device(device)
    if not isinstance(variant, str):
        raise InputError(f"variant is {describe(variant)}, expected 'auto' or the name of a variant")
    count = _check_threads(threads)
    check_flag(verify, "verify")
    options = _check_gpu_options(target, gpu_memory, cuda_graphs)
    _check_mode(mode)
    bundle = open_bundle(path, revision, local_files_only)
    if bundle.revision is None:
        path = bundle.folder.absolute()  # where a worker process has another working directory
    again = functools.partial(load, path, device, variant, threads, verify, gpu_memory, cuda_graphs, mode=mode)
    again = functools.partial(again, revision=bundle.revision, local_files_only=local_files_only)
    how = LoadOptions(count, verify, options, mode, again)
    if from_auto:
        return _load_auto(bundle, variant, how)
    return load_choice(bundle, bundle.choose(variant, target.kind), target, how)


@dataclass(frozen=True, slots=True)
class LoadOptions:
    """How to load a graph, checked; see `load`. `again` makes the same model in another process."""

    threads: int
    verify: bool = True
    gpu: GpuOptions = field(default_factory=GpuOptions)
    mode: Mode = "latency"
    again: Callable[[], Model] | None = None


def load_choice(
    bundle: Bundle, choice: Choice, device: Device, options: LoadOptions, why_device: str = "asked for"
) -> Classifier | Scorer:
    """Load one particular graph of an open bundle. Raises as `load`."""
    names = bundle.needed(choice)
    bundle.obtain(names)
    # An engine is kept under the hashes of what it was built from, so for TensorRT they have to be true.
    if options.verify or device.kind == "tensorrt":
        bundle.check_hashes(names)
    else:
        bundle.check_sizes(names)
    manifest = bundle.manifest
    data = bundle.tokenizer_json(options.verify)
    tokenizer = BundleTokenizer(data, manifest.input, manifest.max_length, manifest.truncation)
    make_engine = functools.partial(_engine, bundle, choice, device, options)
    engine = make_engine()
    info = {
        "path": str(bundle.folder),
        "device": str(device),
        "variant": choice.variant,
        "dialect": choice.dialect,
        "graph": choice.graph.file,
        "providers": list(engine.session.providers),
        "threads": options.threads,
        "mode": options.mode,
        "why": {"device": why_device, "variant": choice.why},
    }
    if bundle.revision is not None:
        info["revision"] = bundle.revision
    if engine.session.nodes:
        info["nodes"] = engine.session.nodes
    kind = Scorer if manifest.task == "regression" else Classifier
    return kind(bundle, choice, engine, tokenizer, info, make_engine, options.again)


def _load_auto(bundle: Bundle, variant: str, options: LoadOptions) -> Classifier | Scorer:
    """The first GPU where CUDA loads, else the CPU; says which, and why not the GPU."""
    from assay.gpu import driver

    device, found = Device("cuda", 0), driver.find()
    choice, why = _cuda_choice(bundle, variant)
    if not found.gpus:
        why = found.problem
    elif choice is not None:
        name = found.gpus[0].name
        try:
            model = load_choice(bundle, choice, device, options, f"auto: {name}")
        except ProviderError as error:
            why = f"{name} is not used: {error}"
            _LOG.warning("device auto: %s", why)
        else:
            _LOG.info("device auto: %s, %s, variant %s", device, name, choice.variant)
            return model
    choice = bundle.choose(variant, _CPU.kind)
    _LOG.info("device auto: cpu, variant %s (%s)", choice.variant, why)
    return load_choice(bundle, choice, _CPU, options, why_device=f"auto: {why}")


def _cuda_choice(bundle: Bundle, variant: str) -> tuple[Choice | None, str]:
    """The graph of `variant` for CUDA, or none and why: it may be a variant for the CPU alone."""
    try:
        return bundle.choose(variant, "cuda"), ""
    except BundleError:
        return None, f"variant {variant} is not for a GPU"


def _engine(bundle: Bundle, choice: Choice, device: Device, options: LoadOptions) -> Engine:
    manifest, graph = bundle.manifest, choice.graph
    path, labels = bundle.folder / graph.file, len(manifest.labels)
    if not device.on_gpu:
        side_by_side = options.mode == "throughput"
        session = GraphSession(path, graph, labels, device, 1 if side_by_side else options.threads)
        return Engine(session, options.threads if side_by_side else 1, tokens_per_call(choice, options.mode))
    # Not needed on the CPU, and so not imported there.
    from assay.gpu.session import GpuSession

    limits = (manifest.max_length, manifest.pad_token_id)
    weights = {name: manifest.files[name].sha256 for name in graph.files}
    return Engine(
        GpuSession(path, graph, labels, device, options.threads, options.gpu, limits, weights), 1, TOKENS_PER_CALL
    )


def tokens_per_call(choice: Choice, mode: Mode) -> int:
    """How many tokens the rows of one call may have together on the CPU; a longer row has a call of its own.

    The activations of int8 share one scale per call. For latency a row of its own answers the same whatever else is
    asked with it. For throughput short rows share a call where the export found the gate held so (manifest.Graph).
    """
    if choice.variant == "int8":
        return choice.graph.tokens_per_call if mode == "throughput" else 1
    return TOKENS_PER_CALL if mode == "latency" else TOKENS_PER_CALL_OF_A_CORE


def _check_threads(threads: object) -> int:
    if threads is None:
        return usable_cores()
    if not isinstance(threads, int) or isinstance(threads, bool) or not 1 <= threads <= _MAX_THREADS:
        raise InputError(f"threads is {describe(threads)}, expected an integer from 1 to {_MAX_THREADS:,}, or None")
    return threads


def _check_mode(mode: object) -> None:
    if mode not in get_args(Mode):
        raise InputError(f"mode is {describe(mode)}, expected 'latency' or 'throughput'")


def _check_gpu_options(device: Device, gpu_memory: object, cuda_graphs: object) -> GpuOptions:
    captures = check_flag(cuda_graphs, "cuda_graphs")
    if gpu_memory is not None and (
        not isinstance(gpu_memory, int) or isinstance(gpu_memory, bool) or not 0 < gpu_memory < 1 << 63
    ):
        raise InputError(f"gpu_memory is {describe(gpu_memory)}, expected a number of bytes above 0, or None")
    if gpu_memory is not None and not device.on_gpu:
        raise InputError(f"gpu_memory is {describe(gpu_memory)}, expected None for device {str(device)!r}")
    if captures and device.kind != "cuda":
        raise InputError(f"cuda_graphs is True, expected False for device {str(device)!r}: it is for CUDA")
    return GpuOptions(gpu_memory, captures)
