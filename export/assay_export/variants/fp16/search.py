"""Find the fewest groups to leave in float32 so that the fp16 graph passes its gate."""

from collections.abc import Callable, Sequence

__all__ = ["find_fewest"]


def find_fewest(ranked: Sequence[str], passes: Callable[[Sequence[str]], bool]) -> list[str] | None:
    """Find the shortest beginning of `ranked` that passes.

    The number of groups is doubled until they pass, and then narrowed down by bisection between a number that fails and
    one that passes. If more groups never fail where fewer pass, the result is the shortest beginning that passes. In
    any case it passes, and it fails without its last group.

    Args:
        ranked: The groups, those that do the most damage first. No groups at all are known to fail.
        passes: Checks the graph with the given groups in float32. It is expensive.

    Returns:
        The groups, or None if even all of them do not pass.
    """
    failing, passing = 0, 1
    while passing < len(ranked) and not passes(ranked[:passing]):
        failing, passing = passing, 2 * passing
    if passing >= len(ranked):
        passing = len(ranked)
        if passing == failing or not passes(ranked):
            return None
    while passing - failing > 1:
        middle = (failing + passing) // 2
        if passes(ranked[:middle]):
            passing = middle
        else:
            failing = middle
    return list(ranked[:passing])
