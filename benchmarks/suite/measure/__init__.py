"""The measuring: `run` has the phases, `rounds` the turns, `process` and `worker` the two ends of a peer's process.

`peaks` measures how fast the machine multiplies matrices, in a process like a peer's.
"""
