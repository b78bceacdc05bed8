"""What the host says when it fails, as faaskit's error for it."""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Iterator
from pathlib import Path

from faaskit.exceptions import FaaskitError, SandboxError

__all__ = ["explained"]

_ROOM = "make room on the disk"
_FILES = "close files, or raise the limit of open ones (ulimit -n)"
_WHOLE = "see that the folder is whole and its disk sound, or choose another folder"
_RIGHT = "give this user the right to write there, or choose another folder"
_COPY = "put a copy of it back that is whole, or choose another folder"

# What the user can do, by the system's error number.
_ADVICE = {
    errno.ENOSPC: _ROOM,
    errno.EDQUOT: _ROOM,
    errno.EMFILE: _FILES,
    errno.ENFILE: _FILES,
    errno.EACCES: _RIGHT,
    errno.EPERM: _RIGHT,
    errno.EROFS: _RIGHT,
    errno.EEXIST: "choose another folder",  # it is a file
    errno.ENOTDIR: "choose another folder",
}

# SQLite's words, which are the same in all its versions, and the number that they stand for.
# Its own codes are told by Python 3.11 and later only.
_SQLITE = {
    "database or disk is full": (errno.ENOSPC, _ROOM),
    "attempt to write a readonly database": (None, _RIGHT),
    "unable to open database file": (None, _RIGHT),
    "file is not a database": (None, _COPY),
    "database disk image is malformed": (None, _COPY),
    "database is locked": (None, "end the other program that has state.sqlite open"),
}


@contextlib.contextmanager
def explained(folder: Path | None, *, absence: bool = True) -> Iterator[None]:
    """
    Turn a failure of the disk or of SQLite into a SandboxError.

    Args:
        folder: The state folder, for the message; None where it is temporary.
        absence: False lets FileNotFoundError through: a caller makes something of it.

    Raises:
        SandboxError: With the system's error number, where there is one.
    """
    import sqlite3  # not before something is stored: the package is to load quickly

    where = "temporary state folder" if folder is None else f"state folder {folder}"
    try:
        yield
    except FaaskitError:
        raise  # some of them are OSErrors as well
    except FileNotFoundError as error:
        if not absence:
            raise
        raise _failure(where, error) from error
    except (sqlite3.Error, OSError) as error:
        raise _failure(where, error) from error


def _failure(where: str, error: Exception) -> SandboxError:
    if isinstance(error, OSError):
        number, advice = error.errno, _ADVICE.get(error.errno or 0, _WHOLE)
    else:
        number, advice = _SQLITE.get(str(error), (None, _WHOLE))
    msg = f"{where}: {error}; nothing was changed: {advice}"
    return SandboxError(msg, step="state", errno=number)
