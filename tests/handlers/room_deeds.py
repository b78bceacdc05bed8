"""Handlers that hold memory, in a process or in /tmp, for tests of who may run at once."""

from __future__ import annotations

import os
import socket
import time
from typing import Any

MB = 1024 * 1024


def allocates(event: Any, context: Any) -> Any:
    """Hold so many MB for a while; return when that began and ended."""
    began = time.monotonic()
    held = b"x" * (event["mb"] * MB)
    time.sleep(event["seconds"])
    return [began, time.monotonic(), len(held)]


def fills(event: Any, context: Any) -> Any:
    """Write so many MB into /tmp; remove them at the first word, return at the second."""
    line = socket.create_connection(("127.0.0.1", event["port"]))
    path = f"{os.environ.get('TMPDIR', '/tmp')}/filling"
    with open(path, "wb") as file:
        file.writelines(b"x" * MB for _ in range(event["mb"]))
    line.sendall(b"full")
    line.recv(64)
    os.unlink(path)
    line.sendall(b"empty")
    line.recv(64)
    return "done"


def echoes(event: Any, context: Any) -> Any:
    """Return the event."""
    return event
