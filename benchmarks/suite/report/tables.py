"""Markdown tables."""

from collections.abc import Sequence

from benchmarks.errors import BenchmarkError

__all__ = ["format_table", "replace_between"]


def format_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Format a Markdown table, and escape pipes in cells."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines)


def replace_between(text: str, begin: str, end: str, tables: str, name: str) -> str:
    """Put `tables` between the lines `begin` and `end` in `text`, the content of the file `name`.

    Raises:
        BenchmarkError: The lines are not there once each, in order.
    """
    if text.count(begin) != 1 or text.count(end) != 1 or text.index(begin) > text.index(end):
        raise BenchmarkError(f"{name} lacks the lines {begin} and {end}: add each of them once, in this order")
    head, tail = text.partition(begin)[0], text.partition(end)[2]
    return f"{head}{begin}\n\n{tables}\n\n{end}{tail}"
