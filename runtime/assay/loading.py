"""assay.load: a bundle's folder to a model that answers."""

import logging
import os

from assay.bundle import Bundle, Choice
from assay.classifier import Classifier
from assay.devices import Device, parse_device
from assay.errors import BundleError, InputError, ProviderError
from assay.hub import open_bundle
from assay.provider_options import GpuOptions
from assay.scorer import Scorer
from assay.session import GraphSession, Session
from assay.threads import usable_cores
from assay.tokenization import BundleTokenizer
from assay.validation import check_flag, describe

__all__ = ["load", "load_choice"]

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
    revision: str | None = None,
    local_files_only: bool = False,
) -> Classifier | Scorer:
    """Load the bundle in the folder `path`, or of that name on the Hub: a Classifier or, for a regression, a Scorer.

    device: "cpu", "cuda", "cuda:N" or "tensorrt". What was asked for loads, or the call fails. "auto" is the first GPU
        on CUDA where that loads, else the CPU, and is logged; never TensorRT, whose engines take minutes to build.
    variant: "fp32", "int8", "fp16", "int8_qdq", or "auto": the first that the bundle has of int8 and fp32 on the CPU,
        fp16 and fp32 on CUDA, int8_qdq, fp16 and fp32 on TensorRT. A bundle has a variant only if it passed its gate.
    threads: of one run on the CPU; by default the cores that this process may use (affinity and cgroup quota).
    verify: check the SHA-256 of every file used before it is parsed. Without it: only sizes, and the manifest's seal.
        TensorRT always checks: its engines are kept by these hashes.
    gpu_memory: bytes that CUDA's arena may take; by default all there is.
    cuda_graphs: on CUDA, capture a run of each shape and replay it. Batches are padded to powers of two then.
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
    bundle = open_bundle(path, revision, local_files_only)
    if from_auto:
        return _load_auto(bundle, variant, count, verify, options)
    choice = bundle.choose(variant, target.kind)
    return load_choice(bundle, choice, target, count, verify, options)


def load_choice(
    bundle: Bundle,
    choice: Choice,
    device: Device,
    threads: int,
    verify: bool,
    gpu_options: GpuOptions | None = None,
    why_device: str = "asked for",
) -> Classifier | Scorer:
    """Load one particular graph of an open bundle. Raises as `load`."""
    names = bundle.needed(choice)
    bundle.obtain(names)
    # An engine is kept under the hashes of what it was built from, so for TensorRT they have to be true.
    if verify or device.kind == "tensorrt":
        bundle.check_hashes(names)
    else:
        bundle.check_sizes(names)
    manifest = bundle.manifest
    tokenizer = BundleTokenizer(bundle.tokenizer_json(verify), manifest.input, manifest.max_length, manifest.truncation)
    session = _session(bundle, choice, device, threads, gpu_options or GpuOptions())
    info = {
        "path": str(bundle.folder),
        "device": str(device),
        "variant": choice.variant,
        "dialect": choice.dialect,
        "graph": choice.graph.file,
        "providers": list(session.providers),
        "threads": threads,
        "why": {"device": why_device, "variant": choice.why},
    }
    if bundle.revision is not None:
        info["revision"] = bundle.revision
    if session.nodes:
        info["nodes"] = session.nodes
    kind = Scorer if manifest.task == "regression" else Classifier
    return kind(bundle, choice, session, tokenizer, info)


def _load_auto(bundle: Bundle, variant: str, threads: int, verify: bool, options: GpuOptions) -> Classifier | Scorer:
    """The first GPU where CUDA loads, else the CPU; says which, and why not the GPU."""
    from assay import gpu

    device, driver = Device("cuda", 0), gpu.find()
    choice, why = _cuda_choice(bundle, variant)
    if not driver.gpus:
        why = driver.problem
    elif choice is not None:
        name = driver.gpus[0].name
        try:
            model = load_choice(bundle, choice, device, threads, verify, options, f"auto: {name}")
        except ProviderError as error:
            why = f"{name} is not used: {error}"
            _LOG.warning("device auto: %s", why)
        else:
            _LOG.info("device auto: %s, %s, variant %s", device, name, choice.variant)
            return model
    choice = bundle.choose(variant, _CPU.kind)
    _LOG.info("device auto: cpu, variant %s (%s)", choice.variant, why)
    return load_choice(bundle, choice, _CPU, threads, verify, why_device=f"auto: {why}")


def _cuda_choice(bundle: Bundle, variant: str) -> tuple[Choice | None, str]:
    """The graph of `variant` for CUDA, or none and why: it may be a variant for the CPU alone."""
    try:
        return bundle.choose(variant, "cuda"), ""
    except BundleError:
        return None, f"variant {variant} is not for a GPU"


def _session(bundle: Bundle, choice: Choice, device: Device, threads: int, options: GpuOptions) -> Session:
    manifest = bundle.manifest
    path, labels = bundle.folder / choice.graph.file, len(manifest.labels)
    if not device.on_gpu:
        return GraphSession(path, choice.graph, labels, device, threads)
    # Not needed on the CPU, and so not imported there.
    from assay.gpu_session import GpuSession

    limits = (manifest.max_length, manifest.pad_token_id)
    weights = {name: manifest.files[name].sha256 for name in choice.graph.files}
    return GpuSession(path, choice.graph, labels, device, threads, options, limits, weights)


def _check_threads(threads: object) -> int:
    if threads is None:
        return usable_cores()
    if not isinstance(threads, int) or isinstance(threads, bool) or not 1 <= threads <= _MAX_THREADS:
        raise InputError(f"threads is {describe(threads)}, expected an integer from 1 to {_MAX_THREADS:,}, or None")
    return threads


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
