"""Run code in a forked child that cannot outlive its time: a lock of the parent that it waits for is never released."""

import faulthandler
import os
import signal
import traceback
from collections.abc import Callable


def exit_code_of_fork(run: Callable[[], bool], seconds: int = 60) -> int:
    """Return the exit code of a forked child: 0 if `run` is true there, 1 if not, 2 if it raises.

    After `seconds` the child prints the stacks of its threads and is ended by SIGALRM, also where native code waits.
    The timer of faulthandler would not do: in a child it waits for a thread that pytest has started in the parent.
    """
    child = os.fork()
    if child == 0:  # nothing may leave this branch: the child must not go on with the tests
        code = 2
        try:
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            faulthandler.register(signal.SIGALRM, chain=True)
            signal.alarm(seconds)
            code = 0 if run() else 1
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
