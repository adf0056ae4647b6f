"""Load a bundle as a model: `assay.load`, `assay.load_classifier` and `assay.load_scorer`."""

import functools
import logging
import os
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Unpack

from assay.bundle.folder import Bundle, Choice, check_variant
from assay.bundle.hub import open_bundle
from assay.devices import Device, parse_device
from assay.errors import BundleError, InputError, ProviderError
from assay.inputs.validation import check_flag
from assay.load_options import LoadOptions, Options, check_gpu_options, check_mode, check_threads
from assay.ort import installation
from assay.ort.batching import Mode
from assay.ort.usable import find_unusable

if TYPE_CHECKING:
    from assay.models.classifier import Classifier
    from assay.models.scorer import Scorer

__all__ = ["load", "load_choice", "load_classifier", "load_scorer"]

_LOG = logging.getLogger("assay")
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
) -> "Classifier | Scorer":
    """Load the bundle in the folder `path`, or the one with that name on the Hub.

    Args:
        path: A folder, or a name like "org/name" on the Hub if no such folder exists.
        device: "cpu", "cuda", "cuda:N" or "tensorrt". The call fails if the device does not load. "auto" selects the
            first GPU if CUDA loads there, else the CPU, and logs which. It never selects TensorRT, whose engines take
            minutes to build.
        variant: "fp32", "int8", "int8_ort", "fp16", "int8_qdq", or "auto": the first one in the bundle of int8 (where
            the CPU kernels load), int8_ort and fp32 on the CPU, of fp16 and fp32 on CUDA, and of int8_qdq, fp16 and
            fp32 on TensorRT. A bundle contains a variant only if it passed its gate.
        threads: Threads of one run on the CPU. Default: the cores that this process may use (affinity, cgroup quota).
        verify: Check the SHA-256 of every file before it is used. Without it, only the sizes and the manifest's seal
            are checked. On TensorRT the hashes are always checked, because its engines are cached under them.
        gpu_memory: The most bytes that CUDA's memory arena may take. Default: no limit.
        cuda_graphs: On CUDA, capture the run of each shape as a CUDA graph and replay it. Batches are then padded to
            powers of two.
        mode: "latency" uses all threads for one call. "throughput" runs one call per thread, which answers more rows
            of a batch per second, while a single row has one core. Short int8_ort rows of equal length then share
            calls, and the scale of their activations, if the bundle passed its gate that way. On a GPU both are the
            same.
        revision: Branch, tag or commit of a bundle on the Hub.
        local_files_only: Use only the Hub's local cache.

    Returns:
        A Scorer for a regression bundle, else a Classifier.

    Raises:
        InputError: An option has a wrong type or value.
        BundleError: The bundle is missing or damaged, or lacks the variant.
        ProviderError: The device's execution provider is missing, did not load, or left operators to the CPU.
        InstallationError: ONNX Runtime is missing or broken.
    """
    installation.check()
    from_auto = isinstance(device, str) and device == "auto"
    target = Device("cuda", 0) if from_auto else parse_device(device)
    check_variant(variant)
    count = check_threads(threads)
    check_flag(verify, "verify")
    gpu_options = check_gpu_options(target, gpu_memory, cuda_graphs)
    check_mode(mode)
    bundle = open_bundle(path, revision, local_files_only)
    if bundle.revision is None:
        path = bundle.folder.absolute()  # a worker process may have another working directory
    reload = functools.partial(load, path, device, variant, threads, verify, gpu_memory, cuda_graphs, mode=mode)
    reload = functools.partial(reload, revision=bundle.revision, local_files_only=local_files_only)
    options = LoadOptions(count, verify, gpu_options, mode, reload)
    if from_auto:
        return _load_auto(bundle, variant, options)
    return load_choice(bundle, _choose(bundle, variant, target), target, options)


def load_classifier(path: str | os.PathLike[str], **options: Unpack[Options]) -> "Classifier":
    """Load a classification bundle. Arguments and errors are those of `load`; InputError for a regression bundle."""
    options["revision"] = _require_task(path, "classification", "assay.load_scorer", options)
    model = load(path, **options)
    from assay.models.classifier import Classifier  # imports numpy, which `load` does while it hashes

    assert isinstance(model, Classifier)
    return model


def load_scorer(path: str | os.PathLike[str], **options: Unpack[Options]) -> "Scorer":
    """Load a regression bundle. Arguments and errors are those of `load`; InputError for a classification bundle."""
    options["revision"] = _require_task(path, "regression", "assay.load_classifier", options)
    model = load(path, **options)
    from assay.models.scorer import Scorer  # imports numpy, which `load` does while it hashes

    assert isinstance(model, Scorer)
    return model


def load_choice(
    bundle: Bundle, choice: Choice, device: Device, options: LoadOptions, why_device: str = "asked for"
) -> "Classifier | Scorer":
    """Load one graph of an open bundle. The files are hashed in another thread from the start.

    Args:
        bundle: The bundle.
        choice: The graph.
        device: Where it runs.
        options: How to load it.
        why_device: Why it runs there, for `Model.info`.

    Returns:
        The model.

    Raises:
        BundleError: As `load`.
        ProviderError: As `load`.
    """
    names = bundle.list_needed(choice)
    bundle.obtain(names)
    bundle.check_sizes(names)
    # TensorRT's engines are cached under the hashes of the files that they were built from.
    hashed = names if options.verify or device.kind == "tensorrt" else []
    with ThreadPoolExecutor(max_workers=1) as pool:
        hashing = pool.submit(bundle.check_hashes, hashed)
        try:
            from assay.building import build  # imports numpy, tokenizers and ONNX Runtime

            return build(bundle, choice, device, options, why_device, hashing.result)
        finally:
            hashing.result()  # names every damaged file, so its error takes the place of what they caused


def _load_auto(bundle: Bundle, variant: str, options: LoadOptions) -> "Classifier | Scorer":
    """Load on the first GPU if CUDA loads there, else on the CPU; log which, and why not the GPU.

    What is wrong with the bundle as a whole fails again on the CPU, and is raised there.
    """
    from assay.gpu import driver

    device, found = Device("cuda", 0), driver.find()
    choice = _choose_for_cuda(bundle, variant)
    if not found.gpus:
        why = found.problem
    elif choice is None:
        why = f"variant {variant} is not for a GPU"
    else:
        from assay.gpu import probe

        name = found.gpus[0].name
        try:
            probe.check_cuda(device)  # before the files of the GPU's graph are downloaded and hashed
            model = load_choice(bundle, choice, device, options, f"auto: {name}")
        except (ProviderError, BundleError) as error:
            why = f"{name} is not used: {error}"
            _LOG.warning("device auto: %s", why)
        else:
            _LOG.info("device auto: %s, %s, variant %s", device, name, choice.variant)
            return model
    choice = _choose(bundle, variant, _CPU)
    _LOG.info("device auto: cpu, variant %s (%s)", choice.variant, why)
    return load_choice(bundle, choice, _CPU, options, why_device=f"auto: {why}")


def _choose(bundle: Bundle, variant: str, device: Device) -> Choice:
    """Choose the graph for a device, of those that this process can run."""
    unusable = {} if device.on_gpu else find_unusable(bundle.manifest.variants)
    choice = bundle.choose(variant, device.kind, unusable)
    if variant == "auto" and unusable:
        _LOG.info("variant %s: %s", choice.variant, choice.why)
    return choice


def _choose_for_cuda(bundle: Bundle, variant: str) -> Choice | None:
    """Return the graph of `variant` for CUDA. None if it is for the CPU alone."""
    try:
        return bundle.choose(variant, "cuda")
    except BundleError:
        return None


def _require_task(path: str | os.PathLike[str], task: str, other: str, options: Options) -> str | None:
    """Raise InputError unless the bundle has the task, else return its commit on the Hub."""
    bundle = open_bundle(path, options.get("revision"), options.get("local_files_only", False))
    if bundle.manifest.task != task:
        raise InputError(
            f"{os.fspath(path)}: is a {bundle.manifest.task} bundle, expected a {task} bundle; load it with {other}"
        )
    return bundle.revision
