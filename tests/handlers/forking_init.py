"""A template that leaves a process behind, which holds every descriptor that there was."""

from __future__ import annotations

import os
import signal
import socket
import time
from typing import Any


def _fork(*_: Any) -> None:
    if os.fork() == 0:
        line = socket.create_connection(("127.0.0.1", int(os.environ["FORK_PORT"])))
        line.sendall(b"left")
        while True:
            time.sleep(1)


if "FORK_PORT" in os.environ:  # in a template, not in the test
    # After INIT: one that INIT leaves is noticed, and such a function has no snapshot.
    signal.signal(signal.SIGALRM, _fork)
    signal.setitimer(signal.ITIMER_REAL, 0.5)


def act(event: Any, context: Any) -> str:
    """Be calm."""
    return "calm"
