"""Annotates a file: every row is kept, with the model's answers as new columns.

    import assay
    from assay.annotate import annotate_file
    annotate_file(assay.load("bundles/osmosis"), "pairs.jsonl", "judged.jsonl")

`job` has the options and `run` the loop over `windows` of rows. `formats` reads rows and writes them again with their
answers, in `columns`; `output` makes it possible to go on with an interrupted run.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from assay.annotate.run import Summary, annotate_file

__all__ = ["Summary", "annotate_file"]


def __getattr__(name: str) -> Any:
    # On first use: the command line reads the formats before it loads a model.
    if name not in __all__:
        raise AttributeError(f"module 'assay.annotate' has no attribute {name!r}")
    from assay.annotate import run

    return getattr(run, name)
