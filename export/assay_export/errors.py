"""The exceptions of the export. Their root is `assay.AssayError`, so one `except` catches the runtime's as well."""

from assay.errors import AssayError

__all__ = ["CheckpointError", "ExportError", "ParityError", "TokenizerError", "UnsupportedConfigError"]


class ExportError(AssayError):
    """The export cannot go on. Nothing was left at the target."""


class CheckpointError(ExportError):
    """The checkpoint is missing, incomplete, pickled or inconsistent."""


class UnsupportedConfigError(ExportError):
    """No authored graph supports a value of config.json. The message names the key and the value."""


class ParityError(ExportError):
    """The logits of a graph differ from PyTorch's by more than the gate allows."""


class TokenizerError(ExportError):
    """The tokenizer of the bundle gives a text other token ids than transformers does. The message shows both."""
