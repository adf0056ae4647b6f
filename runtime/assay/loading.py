"""Load a bundle as a model: `assay.load`, `assay.load_classifier` and `assay.load_scorer`."""

import functools
import logging
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Unpack

from assay.bundle import golden
from assay.bundle.folder import Bundle, Choice, check_variant
from assay.bundle.hub import open_bundle
from assay.devices import Device, parse_device
from assay.errors import BundleError, InputError, ProviderError
from assay.inputs.tokenization import BundleTokenizer
from assay.inputs.validation import check_flag
from assay.load_options import LoadOptions, Options, check_gpu_options, check_mode, check_threads
from assay.models.classifier import Classifier
from assay.models.scorer import Scorer
from assay.ort import installation, kernels
from assay.ort.batching import (
    PACKED_TOKENS_PER_CALL,
    PACKED_TOKENS_PER_CALL_OF_A_CORE,
    TOKENS_PER_CALL,
    TOKENS_PER_CALL_OF_A_CORE,
    group,
    pack,
)
from assay.ort.engine import Engine, Mode
from assay.ort.packed_session import PackedSession
from assay.ort.session import GraphSession
from assay.ort.usable import find_unusable

__all__ = ["load", "load_choice", "load_classifier", "load_scorer", "open_tokenizer"]

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
) -> Classifier | Scorer:
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


def load_classifier(path: str | os.PathLike[str], **options: Unpack[Options]) -> Classifier:
    """Load a classification bundle. Arguments and errors are those of `load`; InputError for a regression bundle."""
    options["revision"] = _require_task(path, "classification", "assay.load_scorer", options)
    model = load(path, **options)
    assert isinstance(model, Classifier)
    return model


def load_scorer(path: str | os.PathLike[str], **options: Unpack[Options]) -> Scorer:
    """Load a regression bundle. Arguments and errors are those of `load`; InputError for a classification bundle."""
    options["revision"] = _require_task(path, "regression", "assay.load_classifier", options)
    model = load(path, **options)
    assert isinstance(model, Scorer)
    return model


def load_choice(
    bundle: Bundle, choice: Choice, device: Device, options: LoadOptions, why_device: str = "asked for"
) -> Classifier | Scorer:
    """Load one graph of an open bundle.

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
    # TensorRT's engines are cached under the hashes of the files that they were built from.
    if options.verify or device.kind == "tensorrt":
        tokenizer = _open_while_hashing(bundle, names, options.verify)
    else:
        bundle.check_sizes(names)
        tokenizer = open_tokenizer(bundle, options.verify)
    manifest = bundle.manifest
    make_engine = functools.partial(_make_engine, bundle, choice, device, options)
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
    if choice.graph.is_packed:
        info["instruction_set"] = kernels.read_instruction_set()
        _LOG.info("%s: the CPU kernels use %s", choice.graph.file, info["instruction_set"])
    kind = Scorer if manifest.task == "regression" else Classifier
    return kind(bundle, choice, engine, tokenizer, info, make_engine, options.reload)


def open_tokenizer(bundle: Bundle, verify: bool) -> BundleTokenizer:
    """Open the tokenizer of a bundle.

    Args:
        bundle: The bundle, whose files are here.
        verify: Check the hash of tokenizer.json, and that the texts of the golden rows still get the ids of the export.

    Raises:
        BundleError: tokenizer.json is damaged, does not parse, or encodes a golden row otherwise than at export.
    """
    manifest = bundle.manifest
    data = bundle.read_tokenizer(verify)
    tokenizer = BundleTokenizer(
        data, manifest.input, manifest.max_length, manifest.truncation, manifest.split_special_tokens
    )
    if verify and golden.GOLDEN_NAME in manifest.files:
        golden.check_tokens(bundle, tokenizer)
    return tokenizer


def _open_while_hashing(bundle: Bundle, names: Sequence[str], verify: bool) -> BundleTokenizer:
    """Open the tokenizer while other threads hash the files: each takes some tenths of a second."""
    with ThreadPoolExecutor(max_workers=1) as pool:
        hashing = pool.submit(bundle.check_hashes, names)
        try:
            return open_tokenizer(bundle, verify)
        finally:
            hashing.result()  # names every damaged file, so its error takes the place of the tokenizer's


def _load_auto(bundle: Bundle, variant: str, options: LoadOptions) -> Classifier | Scorer:
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


def _make_engine(bundle: Bundle, choice: Choice, device: Device, options: LoadOptions) -> Engine:
    manifest, graph = bundle.manifest, choice.graph
    path, labels = bundle.folder / graph.file, len(manifest.labels)
    if not device.on_gpu:
        parallel = options.mode == "throughput"
        kind = PackedSession if graph.is_packed else GraphSession
        session = kind(path, graph, labels, device, 1 if parallel else options.threads)
        plan_calls = pack if graph.is_packed else group
        plan = functools.partial(plan_calls, budget=_limit_tokens(choice, options.mode))
        return Engine(session, options.threads if parallel else 1, plan)
    # Not imported for the CPU.
    from assay.gpu.session import GpuSession

    limits = (manifest.max_length, manifest.pad_token_id)
    weights = {name: manifest.files[name].sha256 for name in graph.files}
    gpu_session = GpuSession(path, graph, labels, device, options.threads, options.gpu, limits, weights)
    return Engine(gpu_session, 1, functools.partial(group, budget=TOKENS_PER_CALL))


def _limit_tokens(choice: Choice, mode: Mode) -> int:
    """Return the most tokens that the rows of one call on the CPU may have together. A longer row is a call by itself.

    The int8_ort activations of one call share a scale. In latency mode the answer to a row must not depend on other
    rows, so that each row is a call. In throughput mode short rows share calls if the export passed its gate that way
    (manifest.Graph).
    """
    if choice.graph.is_packed:
        return PACKED_TOKENS_PER_CALL if mode == "latency" else PACKED_TOKENS_PER_CALL_OF_A_CORE
    if choice.variant == "int8_ort":
        return choice.graph.tokens_per_call if mode == "throughput" else 1
    return TOKENS_PER_CALL if mode == "latency" else TOKENS_PER_CALL_OF_A_CORE


def _require_task(path: str | os.PathLike[str], task: str, other: str, options: Options) -> str | None:
    """Raise InputError unless the bundle has the task, else return its commit on the Hub."""
    bundle = open_bundle(path, options.get("revision"), options.get("local_files_only", False))
    if bundle.manifest.task != task:
        raise InputError(
            f"{os.fspath(path)}: is a {bundle.manifest.task} bundle, expected a {task} bundle; load it with {other}"
        )
    return bundle.revision
