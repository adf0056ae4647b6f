"""Where the graphs of a checkpoint come from: authored, or traced if no authored graph supports its config."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from assay.errors import one_line
from assay_export.checkpoint.files import CheckpointFiles
from assay_export.checkpoint.loading import Checkpoint, load
from assay_export.checkpoint.presets import Input
from assay_export.checkpoint.reading import refuse_bad_files
from assay_export.checkpoint.reference import Feed, refuse_infinite
from assay_export.errors import ExportError, UnsupportedConfigError
from assay_export.graphs import traced
from assay_export.graphs.architecture import Architecture, Settings
from assay_export.graphs.architectures import AUTHORED
from assay_export.graphs.embedding_head import EmbeddingHead

__all__ = ["Authored", "Origin", "choose", "load_reference"]

_LOG = logging.getLogger("assay")


@dataclass(frozen=True)
class Authored:
    """An authored architecture with the settings that it read from config.json."""

    architecture: Architecture
    settings: Settings

    def for_rows(self, row: Input) -> "Authored":
        """Return the same with the settings for rows of this kind."""
        return replace(self, settings=self.settings.for_rows(row))


@dataclass(frozen=True)
class Origin:
    """Where the graphs come from.

    Attributes:
        authored: The architecture that writes the graphs; None if they are traced.
        reason: Why they are traced; None if they are authored.
        max_length: The longest input in tokens.
        refusal: What the authored architecture refused, if the checkpoint has one.
    """

    authored: Authored | None
    reason: str | None
    max_length: int
    refusal: UnsupportedConfigError | None = None


def choose(files: CheckpointFiles, variants: Sequence[str]) -> Origin:
    """Choose the authored architecture of a checkpoint, or the tracer, which writes fp32 only.

    A config value that the authored graph does not support is reported as a warning. `load_reference` finds out whether
    PyTorch answers with it.

    Args:
        files: The checkpoint.
        variants: The variants that the user asked for in addition to fp32.

    Raises:
        ExportError: There is no authored graph, and one of `variants` needs one.
    """
    architecture: Architecture | None = AUTHORED.get(files.model_type)
    asked = " and ".join(variants)
    if architecture is None:
        if variants:
            raise ExportError(
                f"{asked}: needs an authored graph, and there is none for model_type = {files.model_type!r} (there is "
                f"one for {', '.join(AUTHORED)}); export --variants fp32"
            )
        reason = f"there is no authored graph for model_type = {files.model_type!r}"
        return Origin(None, reason, traced.read_max_length(files.config_4))
    try:
        settings = architecture.read_config(files.config_4)
        if files.setfit is not None:
            settings = settings.for_embeddings(EmbeddingHead(files.setfit.pooling, files.setfit.normalized))
    except UnsupportedConfigError as refusal:
        if variants:
            raise UnsupportedConfigError(f"{asked}: needs an authored graph, and {refusal}") from refusal
        return Origin(None, str(refusal), traced.read_max_length(files.config_4), refusal)
    return Origin(Authored(architecture, settings), None, settings.max_length)


def load_reference(origin: Origin, files: CheckpointFiles, probes: Sequence[Feed]) -> Checkpoint:
    """Load the PyTorch model. If its config was refused by the authored graph, check that PyTorch answers with it.

    Args:
        origin: Where the graphs come from.
        files: The checkpoint.
        probes: Real inputs.

    Raises:
        CheckpointError: The checkpoint is damaged; see `load`.
        UnsupportedConfigError: Neither an authored graph nor PyTorch supports a config value.
    """
    if origin.refusal is None:
        loaded = load(files, probes)
        with refuse_bad_files(files.folder):  # a value that fails first when the model runs, such as a dropout of NaN
            logits = loaded.reference.logits(probes[0])
        refuse_infinite(loaded.reference, logits, "real text")
        return loaded
    try:
        loaded = load(files, probes)
        logits = loaded.reference.logits(probes[0])
    except Exception as error:  # whatever a module raises over a value that it does not expect
        reason = f"{type(error).__name__}: {one_line(error, 300)}"
        raise UnsupportedConfigError(f"{origin.reason}; nor does PyTorch answer with it: {reason}") from error
    if logits.ndim != 2 or not np.isfinite(logits).all():
        found = "NaN or infinity" if logits.ndim == 2 else f"logits of shape {list(logits.shape)}"
        raise UnsupportedConfigError(f"{origin.reason}; nor does PyTorch answer with it: it returns {found}")
    _LOG.warning("the graph is traced, in fp32 only and without a cpu graph: %s", origin.reason)
    return loaded
