"""The benchmark suite: speed, parity and limits of everything a user would pick, in one run and in turns.

command.py is the command line and the order of the phases. A peer (peers/) lives in a process of its own (worker.py,
process.py); rounds.py gives the turns; samples.py keeps every one of them; statistics.py, parity.py and limits.py say
what they mean; report.py and plots.py show it.
"""
