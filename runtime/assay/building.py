"""Build a model from the files of a bundle: the tokenizer, the session, and what is known of both.

assay.loading imports this module late: numpy, tokenizers and ONNX Runtime are imported while files are hashed.
"""

import functools
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from assay.bundle import golden
from assay.bundle.folder import Bundle, Choice
from assay.devices import Device
from assay.inputs.tokenization import BundleTokenizer
from assay.load_options import LoadOptions
from assay.models.classifier import Classifier
from assay.models.scorer import Scorer
from assay.ort import installation, kernels
from assay.ort.batching import (
    PACKED_TOKENS_PER_CALL,
    PACKED_TOKENS_PER_CALL_OF_A_CORE,
    TOKENS_PER_CALL,
    TOKENS_PER_CALL_OF_A_CORE,
    Mode,
    group,
    pack,
)
from assay.ort.engine import Engine
from assay.ort.packed_session import PackedSession
from assay.ort.session import GraphSession

__all__ = ["build", "open_tokenizer"]

_LOG = logging.getLogger("assay")


def build(
    bundle: Bundle,
    choice: Choice,
    device: Device,
    options: LoadOptions,
    why_device: str,
    wait_for_hashes: Callable[[], object],
) -> Classifier | Scorer:
    """Build the model of one graph.

    On the CPU the session is made in another thread while the tokenizer is parsed. tokenizers keeps Python's lock for
    some tenths of a second, ONNX Runtime does not need it.

    Args:
        bundle: The bundle, whose files are here.
        choice: The graph.
        device: Where it runs.
        options: How to load it.
        why_device: Why it runs there, for `Model.info`.
        wait_for_hashes: Returns once every file is known to be intact, or raises BundleError. A GPU's session waits
            for it, because TensorRT keeps what it builds from the files.

    Raises:
        BundleError: As `assay.load`.
        ProviderError: As `assay.load`.
    """
    make_engine = functools.partial(_make_engine, bundle, choice, device, options)
    if device.on_gpu:
        tokenizer = open_tokenizer(bundle, options.verify)
        wait_for_hashes()
        engine = make_engine()
    else:
        if options.verify:  # ONNX Runtime parses an intact graph, or none
            bundle.check_hashes([choice.graph.file])
        installation.onnxruntime()
        with ThreadPoolExecutor(max_workers=1) as pool:
            loading = pool.submit(make_engine)
            tokenizer = open_tokenizer(bundle, options.verify)
            engine = loading.result()
    info = _describe(bundle, choice, device, options, why_device, engine)
    kind = Scorer if bundle.manifest.task == "regression" else Classifier
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


def _describe(
    bundle: Bundle, choice: Choice, device: Device, options: LoadOptions, why_device: str, engine: Engine
) -> dict[str, Any]:
    """Return `Model.info`."""
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
    return info


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
