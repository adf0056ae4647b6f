"""Makes the files of one peer before it is timed.

python -m benchmarks.suite.preparation.peer PEER SETUP
"""

import sys

from benchmarks.suite.peers import prepare
from benchmarks.suite.setup import Setup

__all__ = ["main"]


def main() -> int:
    """Prepare the peer named on the command line, and return the exit code."""
    try:
        prepare(sys.argv[1], Setup.from_json(sys.argv[2]))
    except Exception as error:  # whatever a library raises is the reason why the peer has no times
        print(f"{type(error).__name__}: {' '.join(str(error).split())[:500]}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
