"""
Room that is kept for deletes: a file of 1 MB, given up where the disk is full.

To delete something, SQLite writes. On a disk that is full it can't, so nobody could make room
by deleting what the app keeps. The file is removed before such a write, and made again by a
later one that finds room for it. To open the folder is to write as well.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

__all__ = ["Ballast"]

_BYTES = 1 << 20
_LEAST_BYTES = 1 << 17
# SQLite's words, which a user's quota has, too, where the disk itself has room.
_FULL = "database or disk is full"


class Ballast:
    """
    The file of one state folder.

    Args:
        folder: The state folder.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._path = folder / "ballast"
        self._missing = False
        self._was_full = False

    def make(self) -> None:
        """Make the file, in half of the room that there is; later writes make it whole."""
        try:
            has = os.lstat(self._path).st_size
        except FileNotFoundError:
            has = 0
        size = min(_BYTES, (_room(self._folder) + has) // 2)
        self._missing = size < _BYTES
        if size <= has or size < _LEAST_BYTES:
            return
        flags = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        with contextlib.suppress(OSError):
            descriptor = os.open(self._path, flags, 0o600)
            try:
                os.posix_fallocate(descriptor, 0, size)
            except OSError:
                self._missing = True
                self._path.unlink()
            finally:
                os.close(descriptor)

    def give_up(self) -> bool:
        """Remove the file; return False if it does not exist."""
        try:
            self._path.unlink()
        except FileNotFoundError:
            return False
        self._missing = True
        return True

    def give_up_if_full(self) -> None:
        """Remove the file where there is less room than it takes, or a write found none."""
        if self._was_full or _room(self._folder) < _BYTES:
            self._was_full = False
            self.give_up()

    def note(self, error: BaseException) -> None:
        """Note why a write failed."""
        self._was_full = self._was_full or str(error) == _FULL

    def restore(self) -> None:
        """Make the file again if it was given up; costs nothing where it was not."""
        if self._missing:
            self.make()


def _room(folder: Path) -> int:
    """Return the bytes that can still be written there; what is left for root is not counted."""
    found = os.statvfs(folder)
    return found.f_bavail * found.f_frsize
