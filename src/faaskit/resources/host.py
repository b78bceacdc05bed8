"""What the host says when it fails, as faaskit's error for it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from faaskit.exceptions import FaaskitError, SandboxError

__all__ = ["explained"]


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
    msg = f"{where}: {error}; nothing of this change is stored"
    return SandboxError(msg, step="state", errno=getattr(error, "errno", None))
