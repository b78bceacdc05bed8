"""Contents as files. Their names are drawn here: no name from outside gets near the disk."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import itertools
import os
import re
import shutil
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

from faaskit.resources.host import explained

__all__ = ["Blobs", "fsync_folder", "owner_of"]

# What a file system says that has no hard links, or no more of them for this file.
_NO_LINK = {errno.EPERM, errno.EMLINK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EXDEV, errno.ENOSYS}

# A token, a number, and what is still being written. Other files are not faaskit's.
_NAME = re.compile(r"([0-9a-f]{32})-[0-9]+(\.part)?")


class Blobs:
    """
    The contents in a folder: written once, never changed, removed when no row names them.

    A blob's name begins with the token of the process that wrote it. So whoever tidies up
    can tell a leftover from a write in progress, whose row is not committed yet: a blob of
    a process that is gone can't come to be named any more.

    Args:
        folder: Exists already.
        token: Of this process.
    """

    def __init__(self, folder: Path, token: str) -> None:
        self._folder = folder
        self._token = token
        self._numbers = itertools.count()  # next() on it is atomic: threads share it

    def write(self, data: bytes) -> str:
        """
        Put a content on the disk and return its name; it is durable when this returns.

        First under a name that no one looks for, then renamed: whatever bears a blob's
        name is whole.

        Raises:
            SandboxError: The disk is full, or fails.
        """
        name = self._next_name()
        with explained(self._folder.parent), self._writing(name) as file:
            file.write(data)
        return name

    def duplicate(self, source: str) -> str:
        """
        Give a content a second name, durably, without copying it where that can be.

        Raises:
            FileNotFoundError: The source is gone.
        """
        name = self._next_name()
        with explained(self._folder.parent, absence=False):
            try:
                os.link(self._folder / source, self._folder / name)
            except OSError as error:
                if error.errno not in _NO_LINK:
                    raise
                self._copy(source, name)
            else:
                fsync_folder(self._folder)
        return name

    def join(self, sources: Iterable[str]) -> str:
        """
        Put a content on the disk that is others one after another; it is durable.

        Raises:
            FileNotFoundError: One of them is gone.
            SandboxError: The disk is full, or fails.
        """
        name = self._next_name()
        with explained(self._folder.parent, absence=False), self._writing(name) as file:
            for source in sources:
                with (self._folder / source).open("rb") as part:
                    shutil.copyfileobj(part, file, 1 << 20)
        return name

    def read(self, name: str, start: int = 0, size: int = -1) -> bytes:
        """
        Return a content, or so many of its bytes.

        Raises:
            FileNotFoundError: It was removed: its row has changed meanwhile.
        """
        with (
            explained(self._folder.parent, absence=False),
            (self._folder / name).open("rb") as file,
        ):
            if start:
                file.seek(start)
            return file.read(size)

    def md5(self, name: str) -> str:
        """
        Return the MD5 of a content, in hexadecimal.

        Raises:
            FileNotFoundError: It was removed: its row has changed meanwhile.
        """
        digest = hashlib.md5(usedforsecurity=False)
        with (
            explained(self._folder.parent, absence=False),
            (self._folder / name).open("rb") as file,
        ):
            while chunk := file.read(1 << 20):
                digest.update(chunk)
        return digest.hexdigest()

    def holds(self, name: str) -> bool:
        """Return whether a content is there."""
        return (self._folder / name).exists()

    def remove(self, names: Iterable[str]) -> None:
        """Remove contents that no row names any more; what can't be removed stays."""
        for name in names:
            try:
                (self._folder / name).unlink(missing_ok=True)
            except OSError:
                # It only takes room: it is swept when the folder is opened after this
                # process. The write that replaced it is done and acknowledged.
                continue

    def leftovers(self, gone: Collection[str]) -> Iterator[str]:
        """Yield the names of files, part-written ones too, of processes that are gone."""
        for path in self._folder.iterdir():
            if owner_of(path.name) in gone:
                yield path.name

    def owners(self) -> set[str]:
        """Return the tokens of all that wrote what is there."""
        found = (owner_of(path.name) for path in self._folder.iterdir())
        return {owner for owner in found if owner is not None}

    def _copy(self, source: str, name: str) -> None:
        with (self._folder / source).open("rb") as original, self._writing(name) as copy:
            shutil.copyfileobj(original, copy, 1 << 20)

    @contextlib.contextmanager
    def _writing(self, name: str) -> Iterator[BinaryIO]:
        """Lend a new file; at the end of the block it is on the disk, under its name."""
        part = f"{name}.part"
        try:
            with open(self._folder / part, "xb", opener=_for_owner) as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            (self._folder / part).rename(self._folder / name)
            fsync_folder(self._folder)
        except BaseException:
            # No row names it yet. Left to the next opening's sweep, it would keep a disk
            # full that was filled by it.
            self.remove((part, name))
            raise

    def _next_name(self) -> str:
        return f"{self._token}-{next(self._numbers)}"


def owner_of(name: str) -> str | None:
    """Return the token of the process that wrote a blob; None for a file that is no blob."""
    match = _NAME.fullmatch(name)
    return None if match is None else match[1]


def _for_owner(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def fsync_folder(folder: Path) -> None:
    """Make the names in a folder durable; a file's own fsync does not."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
