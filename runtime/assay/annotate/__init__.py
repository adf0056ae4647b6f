"""Annotating a file: every row is kept and gets the model's answers as new columns.

    import assay
    from assay.annotate import annotate_file
    annotate_file(assay.load("bundles/osmosis"), "pairs.jsonl", "judged.jsonl")

`formats.py` says what a name means, `json_lines.py`, `tables.py` and `parquet.py` read rows and write them again with
their answers, `output.py` and `journal.py` are why an interrupted run can go on, `job.py` has the options and `run.py`
the loop.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from assay.annotate.run import Summary, annotate_file

__all__ = ["Summary", "annotate_file"]


def __getattr__(name: str) -> Any:
    # On first use: the command line asks for the formats alone before it loads a model.
    if name not in __all__:
        raise AttributeError(f"module 'assay.annotate' has no attribute {name!r}")
    from assay.annotate import run

    return getattr(run, name)
