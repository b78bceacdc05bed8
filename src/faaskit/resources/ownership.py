"""
Whose the state folder is: no other user may put files into it, or have put it there.

Who may write into the folder, or made it, reads and changes what the app keeps. So a folder is
refused that belongs to another user, that its group or others may write, or that is reached
by another user's symbolic link. Folders above it are not looked at: who may write there
can take the folder away, and another one put in its place is refused when it is opened.
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

from faaskit.exceptions import SandboxError

__all__ = ["SUBFOLDERS", "make_folder", "refuse_others", "tighten"]

SUBFOLDERS = ("blobs", "logs", "processes")
_FILES = ("ballast", "write.lock", "state.sqlite", "state.sqlite-wal", "state.sqlite-shm")
_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH
_OTHERS = stat.S_IRWXG | stat.S_IRWXO
_LINKS = 40  # as many as Linux follows


def make_folder(folder: Path) -> bool:
    """
    Make a folder for its owner alone, and what is missing above it; return False if it was there.

    Raises:
        SandboxError: A symbolic link on the way is another user's.
        OSError: It can't be made.
    """
    folder = _resolve(folder)
    if folder.exists():
        return False
    for parent in reversed(folder.parents):
        if not parent.exists():
            parent.mkdir(mode=0o755, exist_ok=True)  # whatever the umask is
    folder.mkdir(mode=0o700, exist_ok=True)
    return True


def refuse_others(folder: Path) -> None:
    """
    Raise if another user may have put files into a folder.

    Raises:
        SandboxError: It, or a file of faaskit's in it, is another user's, or others may write it.
    """
    _resolve(folder)
    for path in (folder, *(folder / name for name in (*SUBFOLDERS, *_FILES))):
        try:
            found = path.stat() if path == folder else path.lstat()
        except FileNotFoundError:
            continue
        if stat.S_ISLNK(found.st_mode):
            raise _refusal(folder, path, "a symbolic link", "remove it")
        if found.st_uid != os.geteuid():
            raise _refusal(
                folder,
                path,
                f"the file of user {found.st_uid}, and this program runs as user {os.geteuid()}",
                f"run it as that user, or, if you trust what is in it, chown -R {os.geteuid()} it",
            )
    mode = folder.stat().st_mode
    if mode & _OTHERS_WRITE:
        who = "its group" if not mode & stat.S_IWOTH else "every user"
        raise _refusal(
            folder,
            folder,
            f"of mode {stat.S_IMODE(mode):04o}: {who} may write it",
            "see that nobody has put anything there, and chmod go-w it",
        )


def tighten(folder: Path) -> None:
    """Take from files and folders of faaskit's what an earlier version or a copy let others do."""
    for name in (*SUBFOLDERS, *_FILES):
        path = folder / name
        try:
            mode = stat.S_IMODE(path.lstat().st_mode)
        except FileNotFoundError:
            continue
        if mode & _OTHERS:
            path.chmod(mode & ~_OTHERS, follow_symlinks=True)


def _resolve(folder: Path) -> Path:
    """Return a folder's path without links, each of which is this user's or root's."""
    way = list(reversed(folder.absolute().parts))
    path, links = Path(way.pop()), 0
    while way:
        name = way.pop()
        path = path.parent if name == ".." else path / name
        try:
            found = path.lstat()
        except (FileNotFoundError, NotADirectoryError):
            continue
        if not stat.S_ISLNK(found.st_mode):
            continue
        links += 1
        if links > _LINKS:
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(folder))
        if found.st_uid not in {0, os.geteuid()}:
            msg = f"a symbolic link that user {found.st_uid} has made"
            raise _refusal(folder, path, msg, "name the folder that it should lead to")
        target = path.readlink()
        path = Path("/") if target.is_absolute() else path.parent
        way += reversed(target.parts[1:] if target.is_absolute() else target.parts)
    return path


def _refusal(folder: Path, path: Path, fact: str, advice: str) -> SandboxError:
    msg = (
        f"state folder {folder}: {path} is {fact}, so another user could read and change what "
        f"the app keeps; {advice}, or choose another folder"
    )
    return SandboxError(msg, step="state", errno=errno.EPERM)
