"""What the samples of a run mean, and how it is shown.

`statistics`, `parity` and `analysis` compute; `document` writes report.md and report.html, `plots` draws its pictures,
and `readme` writes the README's tables and, with `picture`, its picture (`python -m benchmarks readme`).
"""
