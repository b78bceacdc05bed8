"""
What of this host is opened to a function in a jail: its code, and what it was given to read.

The interpreter and the folders of ``sys.path`` are at the same places in there, read-only, so
that stack traces name files that exist. What lies where a fresh file system will be, such as
``/tmp``, is moved; a folder that holds more than code, such as the home folder, stays shut.
"""

from __future__ import annotations

import sys
import tempfile
import threading
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from attrs import frozen

from faaskit.exceptions import DefinitionError
from faaskit.runtimes.contract import Code

__all__ = ["Opened", "keep_private", "open_for", "private_folders"]

_TASK_ROOT = "/var/task"  # AWS's; the view has such a folder
_FRESH = ("/tmp", "/dev", "/proc", "/var/task")  # noqa: S108  # its name in there
_MOVED = "/mnt"
_SHUT = frozenset(
    f"/{name}"
    for name in ("etc", "home", "mnt", "opt", "root", "run", "srv", "tmp", "var", "var/tmp")
)

_lock = threading.Lock()
_private: set[str] = set()


def keep_private(folder: Path) -> None:
    """Have no function see a folder, whatever is opened around it. For the state of an App."""
    with _lock:
        _private.add(str(folder.resolve()))


def private_folders() -> frozenset[str]:
    """Return the folders that no function sees."""
    with _lock:
        return frozenset(_private)


@frozen
class Opened:
    """
    What a template is told.

    Attributes:
        jail: For the sandbox: ``binds``, ``covers``, ``moves``, ``network``.
        sys_path: Where it imports from, in there.
        task_root: Where its code lies, in there.
        executable: Its interpreter, in there.
    """

    jail: Mapping[str, Any]
    sys_path: tuple[str, ...]
    task_root: str
    executable: str

    def shows(self, folder: str) -> bool:
        """Whether a host folder lies in one that is opened."""
        return any(
            folder == source or folder.startswith(f"{source.rstrip('/')}/")
            for source in (str(Path(source).resolve()) for source, _ in self.jail["binds"])
        )


def open_for(code: Code, covers: Iterable[str]) -> Opened:
    """
    Return what is opened to a function's template.

    Args:
        code: Of the function.
        covers: From ``private_folders``.

    Raises:
        DefinitionError: It has no network, and is to read a socket.
    """
    binds: dict[str, str] = {}
    root = code.environment["LAMBDA_TASK_ROOT"]
    shut = _shut()
    sys_path: list[str] = []
    for entry in code.sys_path:
        if entry in shut:
            if entry != root or not code.package:
                continue
            binds[code.package] = f"{_TASK_ROOT}/{Path(code.package).name}"
            sys_path.append(_TASK_ROOT)
        elif Path(entry).exists():
            binds.setdefault(entry, _place_of(entry, entry == root, len(binds)))
            sys_path.append(binds[entry])
    for prefix in {sys.prefix, sys.exec_prefix, sys.base_prefix, sys.base_exec_prefix}:
        binds.setdefault(prefix, _place_of(prefix, False, len(binds)))
    moves: dict[str, str] = {}
    for path in code.readable:
        if not code.network and Path(path).is_socket():
            msg = (
                f"function {code.function_name!r} has network=False, and readable has {path!r}, "
                "which is a socket, and so out of reach. Take it out of readable, or give the "
                "function the network"
            )
            raise DefinitionError(msg)
        place = binds.setdefault(path, _place_of(path, False, len(binds)))
        if place != path:
            moves[place] = path  # it is looked for where it is named
    executable = (
        str(Path(sys.executable).resolve()) if _is_fresh(sys.executable) else sys.executable
    )
    return Opened(
        jail={
            "binds": sorted(binds.items()),
            "covers": sorted(covers),
            "moves": sorted(moves.items()),
            "network": code.network,
        },
        sys_path=tuple(sys_path),
        task_root=_TASK_ROOT if root in shut else binds.get(root, _TASK_ROOT),
        executable=executable,
    )


def _place_of(path: str, is_root: bool, number: int) -> str:
    if not _is_fresh(path):
        return path
    return _TASK_ROOT if is_root else f"{_MOVED}/{number}"


def _is_fresh(path: str) -> bool:
    return any(path == fresh or path.startswith(f"{fresh}/") for fresh in _FRESH)


def _shut() -> set[str]:
    home = Path.home()
    temporary = Path(tempfile.gettempdir())
    folders = {home, *home.parents, temporary, *temporary.parents}
    return {str(folder) for folder in folders} | _SHUT
