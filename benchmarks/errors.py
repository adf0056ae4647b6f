"""What the benchmarks raise."""

from assay.errors import AssayError

__all__ = ["BenchmarkError"]


class BenchmarkError(AssayError):
    """A measurement cannot be made: an input, an option or an implementation is unfit or missing."""
