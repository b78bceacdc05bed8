"""What to do about an error that comes of the view which a function in a jail has."""

from __future__ import annotations

import ast
import json
import os
import re
from pathlib import PurePath

__all__ = ["hint"]

# The name as Python writes it, quotes included.
_FROM_OS = re.compile(r"""\[Errno (\d+)\] [^:]*: ('.+?'|".+?")(?: -> .*)?\Z""", re.DOTALL)
_ENOENT, _EACCES, _EROFS = "2", "13", "30"


def hint(payload: bytes, private: frozenset[str]) -> str:
    """
    Return what would open the file that a function did not find, or an empty string.

    For whoever called it, never for the function: it says whether the host has a file.

    Args:
        payload: The error object.
        private: The folders that no function sees.
    """
    try:
        found = _FROM_OS.match(json.loads(payload)["errorMessage"])
        path = "" if found is None else ast.literal_eval(found[2])
    except (ValueError, KeyError, TypeError, RecursionError, SyntaxError):
        return ""
    if found is None or not path.startswith("/"):
        return ""
    number = found[1]
    if number == _EROFS:
        return f"{path} is read-only in there; a function can write to /tmp alone"
    if number not in (_ENOENT, _EACCES) or not os.path.lexists(path):
        return ""
    if any(PurePath(path).is_relative_to(folder) for folder in private):
        return f"{path} lies in the state folder of an App, which no function sees; use its bucket"
    if number == _ENOENT:
        return (
            f"{path} is on this host, and not opened to the function: "
            f"pass readable=[{path!r}], or its folder"
        )
    return f"{path} can't be read by the function's user: give others the right to read it"
