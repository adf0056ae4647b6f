"""The exceptions that Assay raises: one hierarchy under AssayError.

Every message is one line that says what was found, where, what was expected and what to do. Nothing here formats
messages; each module words its own, and takes the words of a library's exception through `one_line`.
"""

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
    """A text, a batch, an option or an input file is not what the call takes.

    `row` is the zero-based index of the offending row of a batch, or None where no batch is involved.
    """

    row: int | None

    def __init__(self, message: str, *, row: int | None = None) -> None:
        super().__init__(message)
        self.row = row


class BundleError(AssayError):
    """A bundle is missing, incomplete, corrupt, of another schema, or lacks the variant that was asked for."""


class ProviderError(AssayError):
    """The execution provider that was asked for is not in this ONNX Runtime, did not load, or failed in a run."""


class InstallationError(AssayError, ImportError):
    """ONNX Runtime is absent, broken, or installed twice over itself."""


class NumericalError(AssayError, ArithmeticError):
    """The model answered NaN or infinity. `row` is the zero-based index of the first such row."""

    row: int | None

    def __init__(self, message: str, *, row: int | None = None) -> None:
        super().__init__(message)
        self.row = row


class OverloadedError(AssayError):
    """The queue of assay.aio is full, and the call was refused before anything was done for it."""


class DeadlineError(AssayError, TimeoutError):
    """A call of assay.aio had no answer within its timeout."""


def one_line(error: BaseException, limit: int = 400) -> str:
    """What `error` says, on one line and cut to `limit` characters: ONNX Runtime's messages run to pages."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= limit else text[:limit] + "..."
