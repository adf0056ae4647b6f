"""Probes: commands that measure one question each, `python -m benchmarks.probes.NAME --help`.

- `int8_peers`: the int8 graph against OpenVINO int8, the bare int8 products and the floor.
- `many_rows`: rows per second of a whole file, against OpenVINO int8 and transformers' pipeline.
- `load_time`: a fresh process from its start to its first answer.
- `packed_tokens`: tokens per second by the tokens of a packed call.
- `int8_choices`: the graph of int8_ort against itself with one choice made differently.
- `machine`: what this machine's instructions and memory allow, and the floor of a model.
- `annotating`: what the files of `assay annotate` cost in addition to the answers.
- `aio_load`: `assay.aio` under more load than it can take.
"""
