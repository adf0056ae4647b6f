"""assay.load: a bundle's folder to a model that answers."""

import os

from assay.bundle import Bundle, Choice, open_bundle
from assay.classifier import Classifier
from assay.errors import InputError
from assay.scorer import Scorer
from assay.session import Device, GraphSession, parse_device
from assay.threads import usable_cores
from assay.tokenization import BundleTokenizer
from assay.validation import check_flag, describe

__all__ = ["load", "load_choice"]

_MAX_THREADS = 1_024  # more than any machine this runs on has cores


def load(
    path: str | os.PathLike[str],
    device: str = "cpu",
    variant: str = "auto",
    threads: int | None = None,
    verify: bool = True,
) -> Classifier | Scorer:
    """Load the bundle in the folder `path`: a Classifier or, for a regression bundle, a Scorer.

    device: "cpu", "cuda", "cuda:N" or "tensorrt". What was asked for loads, or the call fails.
    variant: "fp32", "int8", "fp16", or "auto": int8 on the CPU and fp16 on a GPU where the bundle has it, else fp32.
        A bundle has a variant only if it passed its gate.
    threads: of one run on the CPU; by default the cores that this process may use (affinity and cgroup quota).
    verify: check the SHA-256 of every file used before it is parsed. Without it: only sizes, and the manifest's seal.

    Raises InputError for an option of the wrong type, BundleError where the bundle is missing, damaged or lacks the
    variant, ProviderError where the device's execution provider is missing or did not load.
    """
    target = parse_device(device)
    if not isinstance(variant, str):
        raise InputError(f"variant is {describe(variant)}, expected 'auto' or the name of a variant")
    count = _check_threads(threads)
    check_flag(verify, "verify")
    bundle = open_bundle(path)
    return load_choice(bundle, bundle.choose(variant, target.on_gpu), target, count, verify)


def load_choice(bundle: Bundle, choice: Choice, device: Device, threads: int, verify: bool) -> Classifier | Scorer:
    """Load one particular graph of an open bundle. Raises as `load`."""
    names = bundle.needed(choice)
    if verify:
        bundle.check_hashes(names)
    else:
        bundle.check_sizes(names)
    manifest = bundle.manifest
    tokenizer = BundleTokenizer(bundle.tokenizer_json(verify), manifest.input, manifest.max_length, manifest.truncation)
    session = GraphSession(bundle.folder / choice.graph.file, choice.graph, len(manifest.labels), device, threads)
    info = {
        "path": str(bundle.folder),
        "device": str(device),
        "variant": choice.variant,
        "dialect": choice.dialect,
        "graph": choice.graph.file,
        "providers": list(session.providers),
        "threads": threads,
    }
    kind = Scorer if manifest.task == "regression" else Classifier
    return kind(bundle, choice, session, tokenizer, info)


def _check_threads(threads: object) -> int:
    if threads is None:
        return usable_cores()
    if not isinstance(threads, int) or isinstance(threads, bool) or not 1 <= threads <= _MAX_THREADS:
        raise InputError(f"threads is {describe(threads)}, expected an integer from 1 to {_MAX_THREADS:,}, or None")
    return threads
