"""Rows from files: JSON lines, CSV, TSV and plain text, each also compressed with gzip or Zstandard.

`names` says what the name of a file means, `lines` reads its lines, `json_lines` and `tables` turn these into records,
`fields` finds the texts in a record, and `rows` has what most callers need: `read_rows`, `read_windows` and
`read_records`. Every error names the file and the line.
"""

from assay.inputs.files.rows import Located, Record, read_records, read_rows, read_windows

__all__ = ["Located", "Record", "read_records", "read_rows", "read_windows"]
