"""What a peer makes once before it is timed, in a process that ends: python -m benchmarks.suite.prepare PEER SETUP"""

import sys

from benchmarks.suite.peers import prepare
from benchmarks.suite.setup import Setup

if __name__ == "__main__":
    try:
        prepare(sys.argv[1], Setup.from_json(sys.argv[2]))
    except Exception as error:  # whatever a library raises is the reason that the peer has no times
        print(f"{type(error).__name__}: {' '.join(str(error).split())[:500]}", file=sys.stderr)
        sys.exit(1)
