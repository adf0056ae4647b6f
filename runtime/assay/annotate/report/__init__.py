"""The report of a run: one HTML file about a finished output.

It is made from the output alone, so that a run that was interrupted and went on has the same report as any other.
`rows` reads the output, `bins` counts with bounded memory, `page` writes HTML, and `make` puts them together.
"""

from assay.annotate.report.make import write_report

__all__ = ["write_report"]
