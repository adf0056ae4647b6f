"""Selects rows of a file by a column of scores: those with the highest, of every group and every range of scores.

    from assay.select import select_file
    select_file("scored.jsonl", "hard.jsonl", top=100, by="score", group="topic")

`job` has the options and `run` the order of the work: the input is read twice, first for the scores, of which `ranking`
keeps the highest, then for the rows chosen, which keep their bytes. `text` and `parquet` know the formats.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from assay.select.run import Summary, select_file

__all__ = ["Summary", "select_file"]


def __getattr__(name: str) -> Any:
    # On first use: the command line checks its options first.
    if name not in __all__:
        raise AttributeError(f"module 'assay.select' has no attribute {name!r}")
    from assay.select import run

    return getattr(run, name)
