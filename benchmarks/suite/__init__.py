"""The benchmark suite, `python -m benchmarks run`: what a user could pick, in one run and in turns.

`command` is the command line and the order of the phases. `setup` is what a peer knows before it loads, `environments`
the Python that it runs in, and `samples` keeps every measurement on disk. `peers` are the implementations.
`preparation` makes the model, the peers' files and PyTorch's answers before the clock starts; `measure` runs a process
per peer and takes the turns; `report` says what the samples mean, in the report and its plots. `compare` compares two
runs, and `readme` writes the README's tables and picture.
"""
