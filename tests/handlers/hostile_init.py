"""A module whose INIT code attacks: the function's variable ATTACK says how."""

from __future__ import annotations

import ctypes
import errno
import os
from typing import Any

_ATTACK = os.environ.get("ATTACK", "")
_libc = ctypes.CDLL(None, use_errno=True)


def _give_users_back() -> None:
    with open("/proc/sys/user/max_user_namespaces", "w") as file:
        file.write("1000")


_ATTACKS = {"give users back": _give_users_back}
if _ATTACK:
    _ATTACKS[_ATTACK]()


def make_user_namespace(event: Any, context: Any) -> str:
    """Return the name of the errno with which that fails, ``0`` if it does not."""
    failed = _libc.unshare(0x10000000) < 0
    return errno.errorcode[ctypes.get_errno()] if failed else "0"
