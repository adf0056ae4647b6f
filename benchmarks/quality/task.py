"""Turns the options into a task: the bundle, exported if necessary, its variants, and PyTorch's weights."""

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
from benchmarks.quality.labels import choose_scale

__all__ = ["Task", "prepare"]


@dataclass(frozen=True)
class Task:
    """The models to ask."""

    bundle: Bundle
    source: Source | None  # of PyTorch's weights; None leaves PyTorch out
    variants: Sequence[str]
    limits: tuple[float, float] | None  # the scale of a scorer's labels


def prepare(options: argparse.Namespace, stack: contextlib.ExitStack) -> Task:
    """Make the task, and refuse options that contradict each other before anything runs.

    Args:
        options: The options of the command.
        stack: Removes a temporary bundle when it closes.

    Raises:
        AssayError: The options contradict each other or the model, or the model cannot be read or exported.
    """
    bundle, source = _find_model(options, stack)
    manifest = bundle.manifest
    if manifest.is_multi_label:
        raise InputError(
            f"{options.model}: is a multi-label classifier (sigmoid), expected a model with one correct label per row"
        )
    if (manifest.input == "pair") != (options.pair is not None):
        found, wanted_option = ("--text", "--pair FIELD FIELD") if options.pair is None else ("--pair", "--text FIELD")
        raise InputError(f"found {found}, but a row of {options.model} is a {manifest.input}: pass {wanted_option}")
    device = parse_device(options.device)
    wanted = _split_names(options.variants)
    if not wanted:
        has = [choice.variant for choice in bundle.list_choices() if choice.dialect == "portable" or not device.on_gpu]
        wanted = list(dict.fromkeys(has))
    for variant in wanted:
        if variant == "auto":
            raise InputError("--variants has auto: name the variants, or leave --variants out for all")
        bundle.choose(variant, device.kind)
    if not wanted:
        raise BundleError(f"{bundle.folder}: has no graph for {options.device}: export a bundle with one")
    return Task(bundle, source, wanted, choose_scale(manifest, options.label_scale))


def _find_model(options: argparse.Namespace, stack: contextlib.ExitStack) -> tuple[Bundle, Source | None]:
    """Find or export the bundle, and find PyTorch's weights."""
    if options.model not in PRESETS and (Path(options.model) / MANIFEST_NAME).is_file():
        if options.work is not None:
            raise InputError("--work is for exporting, and MODEL is a bundle already: leave it out")
        if options.checkpoint is None and (options.base or options.revision):
            raise InputError("--base and --revision belong to a checkpoint, and MODEL is a bundle: add --checkpoint")
        bundle = open_bundle(options.model)
        return bundle, resolve(options.checkpoint, options.revision) if options.checkpoint else None
    if options.checkpoint is not None:
        raise InputError(f"--checkpoint is for bundles, and {options.model} has no {MANIFEST_NAME}: leave it out")
    if options.work is None:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="assay-quality-"))) / "bundle"
    else:
        folder = options.work
        if folder.exists() or folder.is_symlink():
            raise InputError(
                f"--work {folder} exists: name another folder, or pass it as MODEL with --checkpoint {options.model}"
            )
    manifest = export(
        options.model,
        folder,
        revision=options.revision,
        base=options.base,
        variants=_split_names(options.variants) or ["fp32"],
        progress=Terminal(),
    )
    # The commit that was exported, in case the branch has moved since.
    return open_bundle(folder), resolve(options.model, manifest.source["revision"])


def _split_names(variants: str | None) -> list[str]:
    return list(dict.fromkeys(name.strip() for name in (variants or "").split(",") if name.strip()))
