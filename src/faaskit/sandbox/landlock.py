"""
Landlock: what a process may do with files, beyond what mounts and owners allow.

Runs in the child; stdlib only. The view is read-only already. This is the second wall, and
it forbids what no mount flag does: to mount, to trace a process outside, to make devices.
Older kernels know less of it; what they don't know is not asked for.
"""

from __future__ import annotations

import ctypes
import os
import struct

from .kernel import libc

__all__ = ["RESOLVE_UNIX_ABI", "abi", "restrict"]

_SYS_CREATE_RULESET, _SYS_ADD_RULE, _SYS_RESTRICT_SELF = 444, 445, 446
_CREATE_RULESET_VERSION = 1
_RULE_PATH_BENEATH = 1

_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = 1, 2, 4, 8
_MAKE_CHAR, _MAKE_BLOCK = 1 << 6, 1 << 11
_FIRST = (1 << 13) - 1  # of ABI 1
_REFER, _TRUNCATE, _IOCTL_DEV, _RESOLVE_UNIX = 1 << 13, 1 << 14, 1 << 15, 1 << 16
_SCOPE_ABSTRACT_SOCKETS, _SCOPE_SIGNALS = 1, 2

# The version of the ABI in which each was new.
_REFER_ABI, _TRUNCATE_ABI, _IOCTL_ABI, _SCOPE_ABI = 2, 3, 5, 6
RESOLVE_UNIX_ABI = 9  # Linux 7.1


def abi() -> int:
    """Return the version of Landlock here; 0 where there is none."""
    return max(0, int(libc.syscall(_SYS_CREATE_RULESET, None, 0, _CREATE_RULESET_VERSION)))


def _known(version: int) -> int:
    rights = _FIRST
    for since, right in (
        (_REFER_ABI, _REFER),
        (_TRUNCATE_ABI, _TRUNCATE),
        (_IOCTL_ABI, _IOCTL_DEV),
    ):
        if version >= since:
            rights |= right
    return rights


def restrict(
    version: int, writable: tuple[str, ...], devices: tuple[str, ...], *, network: bool
) -> None:
    """
    Restrict this process and its descendants, for good.

    Everything may be read and run. Needs no_new_privs.

    Args:
        version: What ``abi`` returned, not 0.
        writable: Folders in which anything but devices may be made.
        devices: Folders whose files may be written, but not made.
        network: Whether sockets in folders may be connected to that others have made; their
            own ones always may. Kernels before ``RESOLVE_UNIX_ABI`` can't forbid it: no flag of
            a mount and no file mode that leaves a folder readable keeps a socket from its owner.

    Raises:
        OSError: The kernel refused.
    """
    known = _known(version)
    scopes = _SCOPE_ABSTRACT_SOCKETS | _SCOPE_SIGNALS if version >= _SCOPE_ABI else 0
    handled = known if network or version < RESOLVE_UNIX_ABI else known | _RESOLVE_UNIX
    attributes = struct.pack("QQQ", handled, 0, scopes)
    # Older kernels take a longer structure only if what they don't know of it is zero.
    ruleset = libc.syscall(_SYS_CREATE_RULESET, attributes, ctypes.c_size_t(len(attributes)), 0)
    if ruleset < 0:
        _fail("create a Landlock ruleset")
    try:
        read = _EXECUTE | _READ_FILE | _READ_DIR
        _allow(ruleset, "/", read)
        for folder in writable:
            _allow(ruleset, folder, known & ~(_MAKE_CHAR | _MAKE_BLOCK))
        for folder in devices:
            _allow(ruleset, folder, known & (read | _WRITE_FILE | _TRUNCATE | _IOCTL_DEV))
        if libc.syscall(_SYS_RESTRICT_SELF, ruleset, 0) != 0:
            _fail("restrict by Landlock")
    finally:
        os.close(ruleset)


def _allow(ruleset: int, folder: str, rights: int) -> None:
    descriptor = os.open(folder, os.O_PATH | os.O_CLOEXEC)
    try:
        rule = struct.pack("=Qi", rights, descriptor)
        if libc.syscall(_SYS_ADD_RULE, ruleset, _RULE_PATH_BENEATH, rule, 0) != 0:
            _fail(f"allow {folder} by Landlock")
    finally:
        os.close(descriptor)


def _fail(step: str) -> None:
    number = ctypes.get_errno()
    raise OSError(number, f"{step}: {os.strerror(number)}")
