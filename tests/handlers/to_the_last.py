"""
Run a script, and end only when every process that it left behind has ended.

As a subreaper it becomes the parent of whoever loses theirs, wherever in the tree: the
kernel keeps the list, so that nobody is overlooked and no pid is taken for another's.
Exits as the script did, with 128 and the number for a signal.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

PR_SET_CHILD_SUBREAPER = 36


def main() -> int:
    """Start the script, then wait for one child after another until there is none."""
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    # An ignored signal is inherited, and tests may be run by a shell in the background.
    app = os.posix_spawn(
        sys.executable,
        [sys.executable, *sys.argv[1:]],
        os.environ,
        setsigdef=[signal.SIGINT, signal.SIGTERM],
    )
    # Its pipes are the script's alone: their end is the script's.
    os.closerange(0, 2)
    code = 0
    while True:
        try:
            pid, status = os.wait()
        except ChildProcessError:
            return code if code >= 0 else 128 - code
        if pid == app:
            code = os.waitstatus_to_exitcode(status)


if __name__ == "__main__":
    os._exit(main())
