"""`python -m benchmarks quality`: how accurate a model is on labelled rows, in PyTorch and in every variant.

`command` has the options, `task` finds the bundle, the variants and the checkpoint, `data` and `labels` read the rows,
`answers` asks the models and `peers` those of the benchmark suite, `metrics` measures with scikit-learn, `evaluate`
puts it together and `report` prints it. `page` (`python -m benchmarks quality-page`) writes tables into the docs.
"""
