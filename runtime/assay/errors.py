"""Exceptions that Assay raises: one hierarchy under AssayError.

Every message is one line that says what was found, where, what was expected and what to do. Each module words its own
messages, and quotes a library's exception with `one_line`.
"""

from assay.control_characters import escape_controls

__all__ = [
    "AssayError",
    "BundleError",
    "DeadlineError",
    "InputError",
    "InstallationError",
    "NumericalError",
    "OverloadedError",
    "ProviderError",
    "one_line",
]


class AssayError(Exception):
    """Base of every error that Assay raises on purpose."""


class InputError(AssayError, ValueError):
    """A text, a batch, an option or an input file is invalid.

    `row` is the zero-based index of the offending row of a batch, or None if no batch is involved.
    """

    row: int | None

    def __init__(self, message: str, *, row: int | None = None) -> None:
        super().__init__(message)
        self.row = row


class BundleError(AssayError):
    """A bundle is missing, incomplete, corrupt or of another schema version, or lacks the requested variant."""


class ProviderError(AssayError):
    """The requested execution provider is not in this ONNX Runtime, did not load, or failed in a run."""


class InstallationError(AssayError, ImportError):
    """ONNX Runtime or an optional package is missing or broken, or two builds overwrite each other."""


class NumericalError(AssayError, ArithmeticError):
    """The model returned NaN or infinity. `row` is the zero-based index of the first such row."""

    row: int | None

    def __init__(self, message: str, *, row: int | None = None) -> None:
        super().__init__(message)
        self.row = row


class OverloadedError(AssayError):
    """The queue of assay.aio is full. The call was refused before any work was done for it."""


class DeadlineError(AssayError, TimeoutError):
    """A call of assay.aio got no answer within its timeout."""


def one_line(error: BaseException, limit: int = 400) -> str:
    """Return the message of `error` on one line, cut to `limit` characters: ONNX Runtime's messages fill pages."""
    text = escape_controls(" ".join(str(error).split())) or type(error).__name__
    return text if len(text) <= limit else text[:limit] + "..."
