"""
The reports that a template and its environments send the launcher. Runs on both sides; stdlib only.

A report is one message of a fixed size: no text, no nesting, every number within its bits.
INIT code can get at the socket, and JSON from there has ended a launcher by its depth, by
``Infinity`` and by integers that no system call takes. The sender's pid is not in it: the
kernel adds that to the message.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

__all__ = [
    "CREDENTIALS",
    "ENDED",
    "FORKED",
    "FORK_FAILED",
    "HELLO",
    "INIT_MADE",
    "READY",
    "SETUP_FAILED",
    "SIZE",
    "STEPS",
    "Report",
    "pack",
    "unpack",
]

HELLO = 1  # the template is there, and has run no code of the user's yet
READY = 2  # INIT is over
INIT_MADE = 3  # the sender is pid 1 of that environment's namespace
FORKED = 4  # the sender is that environment
FORK_FAILED = 5  # ``value`` is the errno
ENDED = 6  # ``value`` is the wait status, with CPU time and peak memory
SETUP_FAILED = 7  # the template could not take step ``number`` of ``STEPS``; ``value`` is the errno

STEPS = (
    "start a template",
    "set the limits of a template",
    "make namespaces and the view of a template",
    "mount a template's /tmp",
    "prepare a template's interpreter",
)

CREDENTIALS = struct.Struct("iII")  # pid, uid and gid, as the kernel has them in a message

_KINDS = frozenset(range(HELLO, SETUP_FAILED + 1))
_FORMAT = struct.Struct("<BxHIQQ")
SIZE = _FORMAT.size
_LARGEST = (1 << 62) - 1  # so that sums of some still fit into 64 bits with a sign


class Report(NamedTuple):
    """
    One report.

    Attributes:
        kind: Such as ``FORKED``.
        number: The environment's; 0 where it is about the template.
        value: An errno, or a wait status.
        cpu_ns: User and system time.
        peak: The largest resident set, in bytes.
    """

    kind: int
    number: int = 0
    value: int = 0
    cpu_ns: int = 0
    peak: int = 0


def pack(report: Report) -> bytes:
    """Return a report as a message. The numbers are cut down to what it has room for."""
    kind, number, value, cpu_ns, peak = report
    return _FORMAT.pack(kind, value & 0xFFFF, number, min(cpu_ns, _LARGEST), min(peak, _LARGEST))


def unpack(message: bytes) -> Report:
    """
    Return the report that a message is.

    Raises:
        ValueError: It is not one.
    """
    if len(message) != SIZE:
        msg = f"a report of {len(message)} bytes, not {SIZE}"
        raise ValueError(msg)
    kind, value, number, cpu_ns, peak = _FORMAT.unpack(message)
    if kind not in _KINDS or cpu_ns > _LARGEST or peak > _LARGEST:
        msg = f"no report: kind {kind}"
        raise ValueError(msg)
    return Report(kind, number, value, cpu_ns, peak)
