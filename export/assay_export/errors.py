"""Export's branch of the error hierarchy; its root is `assay.AssayError`, so one `except` catches both."""

from assay.errors import AssayError


class ExportError(AssayError):
    """An export that cannot go on. Nothing has been left at the target."""


class CheckpointError(ExportError):
    """A checkpoint that is missing, incomplete, pickled or inconsistent with itself."""


class UnsupportedConfigError(ExportError):
    """A config value that no authored graph supports; the message names the key and the value."""


class ParityError(ExportError):
    """A graph whose logits differ from PyTorch's by more than the gate allows."""
