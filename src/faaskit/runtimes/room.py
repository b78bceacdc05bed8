"""What this host and this process have room for: calls at once, and environments kept ready."""

from __future__ import annotations

import resource
from pathlib import Path

__all__ = [
    "READY_MAX",
    "calls_at_once",
    "files_in_use",
    "memory_mb",
    "open_files",
    "ready_at_once",
]

READY_MAX = 8  # environments kept ahead for one function, unless warm() asks for more
_READY_MOST = 512  # of all functions

_MB = 1024 * 1024
_SHARE_OF_MEMORY = 0.8  # for the memory sizes of what runs
_SHARE_FOR_READY = 0.05
_MB_FOR_A_READY_ONE = 2  # of its own, the kernel's share included

# Descriptors of the app: four pipes and three files of usage, and one to spare.
_FILES_FOR_A_CALL = 8
_FILES_FOR_A_READY_ONE = 4
_SHARE_OF_FILES_FOR_READY = 0.25
_FILES_FOR_THE_APP = 64


def _memory_bytes() -> int:
    import psutil

    return int(psutil.virtual_memory().total)


def memory_mb() -> int:
    """Return how many MB the memory sizes of calls that run at once may add up to."""
    return int(_memory_bytes() * _SHARE_OF_MEMORY) // _MB


def open_files() -> int:
    """Return how many files this process may have open."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return soft


def files_in_use() -> int:
    """Return how many it has open."""
    return len(list(Path("/proc/self/fd").iterdir()))


def calls_at_once(files: int, in_use: int = 0) -> int:
    """
    Return for how many calls at once, one at least, there are files enough.

    Args:
        files: How many this process may have open.
        in_use: How many it has open already.
    """
    left = files - _files_for_ready(files) - _FILES_FOR_THE_APP - in_use
    return max(1, left // _FILES_FOR_A_CALL)


def _files_for_ready(files: int) -> int:
    most = _READY_MOST * _FILES_FOR_A_READY_ONE
    return min(most, int(files * _SHARE_OF_FILES_FOR_READY))


def ready_at_once(files: int) -> int:
    """Return how many environments of all functions may be ready at once."""
    by_memory = int(_memory_bytes() * _SHARE_FOR_READY) // (_MB_FOR_A_READY_ONE * _MB)
    by_files = _files_for_ready(files) // _FILES_FOR_A_READY_ONE
    return max(READY_MAX, min(_READY_MOST, by_memory, by_files))
