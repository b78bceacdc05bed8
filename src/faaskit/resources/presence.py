"""
Which processes are still there: a file each, locked for as long as its process lives.

The kernel lets go of the lock when the process ends, however it ends. A process id with
its start time was rejected: two containers that share a folder do not see each other's.
A heartbeat, too: it takes a timeout to miss, and a stopped process would look dead.
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
import uuid
from pathlib import Path

__all__ = ["Presence", "forget_inherited", "is_alive", "tokens"]

# POSIX record locks (lockf), not flock: a forked child shares the open file of its parent,
# and a flock would outlive the parent for as long as any child has it open.
_TOKEN = re.compile(r"[0-9a-f]{32}")
_held: dict[str, int] = {}  # token -> descriptor, of this process


class Presence:
    """
    The mark that this process is there.

    Attributes:
        token: Unlike any other's, of any process at any time.
    """

    def __init__(self, folder: Path) -> None:
        self.token = uuid.uuid4().hex
        self._path = folder / self.token
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        descriptor = os.open(self._path, flags, 0o600)
        try:
            fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BaseException:
            os.close(descriptor)
            raise
        _held[self.token] = descriptor

    def end(self) -> None:
        """Take the mark away; ending twice, or in a forked child, does nothing."""
        descriptor = _held.pop(self.token, None)
        if descriptor is not None:
            self._path.unlink(missing_ok=True)
            os.close(descriptor)


def is_alive(folder: Path, token: str) -> bool:
    """Return whether the process that holds a token is still there; never waits."""
    if token in _held:
        # Not tried out: a process is never in its own way, so the lock would be granted,
        # and closing any descriptor of a file drops all the locks that a process has on it.
        return True
    try:
        descriptor = os.open(folder / token, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in {errno.EACCES, errno.EAGAIN}:
            return True
        raise
    finally:
        os.close(descriptor)
    return False


def tokens(folder: Path) -> list[str]:
    """Return the tokens of all processes that left a mark, alive or not."""
    return [path.name for path in folder.iterdir() if _TOKEN.fullmatch(path.name)]


def forget_inherited() -> None:
    """In a forked child: its parent's marks are not its own, and not its to take away."""
    for descriptor in _held.values():
        os.close(descriptor)
    _held.clear()
