"""Run the command line: `python -m assay`, and the script `assay`."""

import sys

from assay.system import interruption

__all__ = ["main"]


def main() -> int:
    """Run the command line of this process, and return its exit code: 130 after Ctrl-C at any moment."""
    try:
        interruption.listen()
        from assay.cli.main import main as run  # late, so that Ctrl-C is handled while it is imported

        code = run()
        interruption.finish()
    except KeyboardInterrupt:
        return interruption.INTERRUPTED
    return code


if __name__ == "__main__":
    sys.exit(main())
