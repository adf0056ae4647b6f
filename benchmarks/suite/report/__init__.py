"""What the samples of a run mean, and how it is shown.

`statistics`, `parity` and `analysis` compute; `document` writes report.md and report.html, with the sections of `cost`
and `conditions`, and `plots` draws its pictures.
"""
