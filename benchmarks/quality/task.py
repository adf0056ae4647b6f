"""From the options to what is asked of whom: the bundle, exported if need be, its variants, and PyTorch's weights."""

import argparse
import contextlib
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from assay.bundle.folder import Bundle, open_bundle
from assay.bundle.manifest import MANIFEST_NAME
from assay.devices import parse_device
from assay.errors import BundleError, InputError
from assay_export import export
from assay_export.checkpoint.presets import PRESETS
from assay_export.checkpoint.source import Source, resolve
from assay_export.progress import Terminal

from .labels import label_scale

__all__ = ["Task", "prepare"]


@dataclass(frozen=True)
class Task:
    """What is asked of whom."""

    bundle: Bundle
    source: Source | None  # of PyTorch's weights, None where PyTorch is left out
    variants: Sequence[str]
    limits: tuple[float, float] | None  # the scale of a scorer's labels


def prepare(options: argparse.Namespace, stack: contextlib.ExitStack) -> Task:
    """What the options ask for; everything that does not go together is refused before anything runs.

    A bundle in a temporary folder lives as long as `stack`.

    Raises:
        AssayError: the options contradict each other or the model, or the model cannot be read or exported.
    """
    bundle, source = _model(options, stack)
    manifest = bundle.manifest
    if manifest.activation == "sigmoid":
        raise InputError(f"{options.model}: is a multi-label classifier (sigmoid), expected one right label per row")
    if (manifest.input == "pair") != (options.pair is not None):
        given, cure = ("--text", "--pair FIELD FIELD") if options.pair is None else ("--pair", "--text FIELD")
        raise InputError(f"{given} was given, but {options.model} judges a {manifest.input}: give {cure}")
    device = parse_device(options.device)
    wanted = _named(options.variants)
    if not wanted:
        has = [choice.variant for choice in bundle.list_choices() if choice.dialect == "portable" or not device.on_gpu]
        wanted = list(dict.fromkeys(has))
    for variant in wanted:
        if variant == "auto":
            raise InputError("--variants auto: name the variants, or leave it out for all")
        bundle.choose(variant, device.kind)
    if not wanted:
        raise BundleError(f"{bundle.folder}: has no graph for {options.device}; export it again")
    return Task(bundle, source, wanted, label_scale(manifest, options.label_scale))


def _model(options: argparse.Namespace, stack: contextlib.ExitStack) -> tuple[Bundle, Source | None]:
    """The bundle, exported if need be, and where PyTorch's weights are. `stack` removes a temporary bundle."""
    if options.model not in PRESETS and (Path(options.model) / MANIFEST_NAME).is_file():
        if options.work is not None:
            raise InputError("--work was given, but MODEL is a bundle already: leave it out")
        if options.checkpoint is None and (options.base or options.revision):
            raise InputError("--base and --revision are about a checkpoint, and MODEL is a bundle: add --checkpoint")
        bundle = open_bundle(options.model)
        return bundle, resolve(options.checkpoint, options.revision) if options.checkpoint else None
    if options.checkpoint is not None:
        raise InputError(f"--checkpoint was given, but {options.model} is no bundle (no {MANIFEST_NAME}): leave it out")
    if options.work is None:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="assay-quality-"))) / "bundle"
    else:
        folder = options.work
        if folder.exists() or folder.is_symlink():
            raise InputError(
                f"--work {folder} exists: name another folder, or give it as MODEL with --checkpoint {options.model}"
            )
    manifest = export(
        options.model,
        folder,
        revision=options.revision,
        base=options.base,
        variants=_named(options.variants) or ["fp32"],
        progress=Terminal(),
    )
    # The commit that was exported, should the branch have moved since.
    return open_bundle(folder), resolve(options.model, manifest.source["revision"])


def _named(variants: str | None) -> list[str]:
    return list(dict.fromkeys(name.strip() for name in (variants or "").split(",") if name.strip()))
