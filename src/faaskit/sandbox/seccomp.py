"""
Calls to the kernel that a function is not answered. Runs in the child; stdlib only.

Only what would get around the rest: keys outlive a process and no namespace holds them apart;
the others are ways into the kernel that no handler on AWS has either. Everything else is left
alone. Set once in a template, and inherited by what it forks.
"""

from __future__ import annotations

import ctypes
import errno
import platform
import struct

from .kernel import libc

__all__ = ["forbid"]

_CALLS = {
    # add_key, request_key, keyctl, bpf, perf_event_open, userfaultfd, open_by_handle_at,
    # and io_uring's three, whose requests no other filter sees
    "x86_64": (0xC000003E, (248, 249, 250, 321, 298, 323, 304, 425, 426, 427)),
    "aarch64": (0xC00000B7, (217, 218, 219, 280, 241, 282, 265, 425, 426, 427)),
}
_X32_BIT = 0x40000000

_PR_SET_SECCOMP = 22
_MODE_FILTER = 2

_LOAD, _JUMP_IF_EQUAL, _JUMP_IF_AT_LEAST, _RETURN = 0x20, 0x15, 0x35, 0x06
_OFFSET_OF_NUMBER, _OFFSET_OF_ARCHITECTURE = 0, 4
_ALLOW = 0x7FFF0000
_FAIL = 0x00050000


def forbid() -> None:
    """
    Have those calls fail with ENOSYS, for this process and its descendants.

    Needs no_new_privs or CAP_SYS_ADMIN. On another architecture it does nothing.

    Raises:
        OSError: The kernel refused.
    """
    if platform.machine() not in _CALLS:
        return
    architecture, numbers = _CALLS[platform.machine()]
    fail = len(numbers) + 2  # where the program returns it, counted from the number's load
    program = [
        (_LOAD, 0, 0, _OFFSET_OF_ARCHITECTURE),
        # The numbers of another architecture mean other calls.
        (_JUMP_IF_EQUAL, 0, fail, architecture),
        (_LOAD, 0, 0, _OFFSET_OF_NUMBER),
        (_JUMP_IF_AT_LEAST, fail - 2, 0, _X32_BIT),
    ]
    for index, number in enumerate(numbers):
        program.append((_JUMP_IF_EQUAL, len(numbers) - index, 0, number))
    program += [(_RETURN, 0, 0, _ALLOW), (_RETURN, 0, 0, _FAIL | errno.ENOSYS)]
    code = b"".join(struct.pack("HBBI", *step) for step in program)
    held = ctypes.create_string_buffer(code, len(code))
    header = struct.pack("HxxxxxxQ", len(program), ctypes.addressof(held))
    if libc.prctl(_PR_SET_SECCOMP, _MODE_FILTER, header, 0, 0) != 0:
        number = ctypes.get_errno()
        raise OSError(number, "set a filter of system calls")
