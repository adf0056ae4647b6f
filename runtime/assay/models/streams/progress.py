"""A progress bar over the rows of a batch, for callers who ask for one and have tqdm."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from assay.inputs.validation import check_flag
from assay.optional_packages import require

__all__ = ["show_progress"]


@contextmanager
def show_progress(progress: object, rows: int) -> Iterator[Callable[[int], object] | None]:
    """Show a bar for `rows` rows, and yield what takes the number of rows that were just answered. None for no bar.

    Raises:
        InputError: `progress` is not True or False.
        InstallationError: It is True and tqdm is missing.
    """
    if not check_flag(progress, "progress"):
        yield None
        return
    with require("tqdm", "tqdm", "progress=True").tqdm(total=rows, unit="row") as bar:
        yield bar.update
