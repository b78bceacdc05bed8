"""A module whose INIT code attacks: the function's variable ATTACK says how."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import itertools
import json
import os
import random
import signal
import socket
import struct
import sys
import time
from collections.abc import Iterable, Iterator
from typing import Any

_ATTACK = os.environ.get("ATTACK", "")
_libc = ctypes.CDLL(None, use_errno=True)


def _give_users_back() -> None:
    with open("/proc/sys/user/max_user_namespaces", "w") as file:
        file.write("1000")


# The template's socket to the launcher


def _socket_to_launcher() -> socket.socket:
    frame: Any = sys._getframe()
    while "launcher" not in frame.f_locals:
        frame = frame.f_back
    found: socket.socket = frame.f_locals["launcher"]
    return found


def _report(kind: int, value: int, number: int, cpu_ns: int, peak: int) -> bytes:
    return struct.pack("<BxHIQQ", kind, value, number, cpu_ns, peak)


def _crafted() -> Iterator[bytes]:
    """Yield reports of the right shape that lie, and messages of other shapes."""
    edges = (0, 1, 2**31, 2**32 - 1, 2**63, 2**64 - 1)
    for kind in range(8):
        for number in range(40):
            yield _report(kind, 0xFFFF, number, 0, 0)
    for kind in (1, 2, 3, 4, 5, 6, 255):
        for edge in edges:
            yield _report(kind, edge & 0xFFFF, edge & 0xFFFFFFFF, edge, edge)
    yield b"[" * 60_000
    yield b'{"op":"ended","number":1,"status":0,"cpu_ns":Infinity,"peak":1}'
    yield json.dumps({"op": "fork_failed", "number": 2, "errno": "\u00e9" * 30_000}).encode()[
        :65000
    ]
    yield b""
    yield b"\0" * 23
    yield b"\xff" * 25


def _random() -> Iterator[bytes]:
    draw = random.Random(int(os.environ["SEED"]))
    while True:
        shape = draw.random()
        if shape < 0.1:
            yield draw.randbytes(draw.randrange(1, 4000))
        else:
            size = draw.choice((8, 16, 31, 32, 62, 64))
            yield _report(
                draw.randrange(8),
                draw.getrandbits(16),
                draw.choice((draw.randrange(64), draw.getrandbits(32))),
                draw.getrandbits(size),
                draw.getrandbits(size),
            )


def _send_one(launcher: socket.socket, message: bytes) -> None:
    # At times with a descriptor, and from somebody else: pid 1, this process's parent.
    ancillary: list[tuple[int, int, bytes]] = []
    if message[:1] in {b"\x03", b"\x04"}:
        ancillary.append((socket.SOL_SOCKET, socket.SCM_RIGHTS, struct.pack("i", 1)))
        if os.getpid() != 1:
            sender = struct.pack("iII", 1, os.getuid(), os.getgid())
            ancillary.append((socket.SOL_SOCKET, socket.SCM_CREDENTIALS, sender))
    try:
        launcher.sendmsg([message], ancillary, socket.MSG_DONTWAIT)
    except PermissionError:
        launcher.send(message, socket.MSG_DONTWAIT)


def _send(messages: Iterable[bytes]) -> None:
    launcher = _socket_to_launcher()
    for message in messages:
        with contextlib.suppress(OSError):
            _send_one(launcher, message)


def _send_crafted() -> None:
    which = int(os.environ["SEED"])
    _send(list(_crafted())[which::5] if which else _crafted())


def _send_random() -> None:
    _send(itertools.islice(_random(), 300))


def _flood_later() -> None:
    """Go on sending after INIT, from the template itself, whenever a timer goes off."""
    launcher, messages = _socket_to_launcher(), _random()

    def send(*_: Any) -> None:
        for message in itertools.islice(messages, 20):
            with contextlib.suppress(OSError):
                _send_one(launcher, message)

    signal.signal(signal.SIGALRM, send)
    signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)


def _never_read() -> None:
    forker = sys.modules["_faaskit_child.template"]._Forker
    forker.serve = lambda _: time.sleep(600)


# Memory


def _fill(folder: str, mb: int) -> None:
    # In several files: one may be no larger than the disk.
    for number in range(0, mb, 100):
        with open(f"{folder}/full{number}", "wb", buffering=0) as file:
            file.writelines(itertools.repeat(bytes(1024 * 1024), min(100, mb - number)))


def _mount(kind: bytes) -> None:
    os.mkdir("/tmp/mounted")
    if _libc.mount(kind, b"/tmp/mounted", kind, 0, None) < 0:
        raise OSError(ctypes.get_errno(), "mount")
    _fill("/tmp/mounted", 1500)


def _mount_ramfs() -> None:
    _mount(b"ramfs")


def _mount_tmpfs() -> None:
    _mount(b"tmpfs")


_ATTACKS = {
    "mount ramfs": _mount_ramfs,
    "mount tmpfs": _mount_tmpfs,
    "give users back": _give_users_back,
    "send crafted reports": _send_crafted,
    "send random reports": _send_random,
    "flood with reports": _flood_later,
    "never read": _never_read,
}
if _ATTACK:
    _ATTACKS[_ATTACK]()


def handler(event: Any, context: Any) -> Any:
    """Return the event."""
    return event


def make_user_namespace(event: Any, context: Any) -> str:
    """Return the name of the errno with which that fails, ``0`` if it does not."""
    failed = _libc.unshare(0x10000000) < 0
    return errno.errorcode[ctypes.get_errno()] if failed else "0"


def fill_both(event: Any, context: Any) -> Any:
    """Fill the disk and the memory, in MB; return the event if both could be filled."""
    _fill("/tmp", event["disk"])
    held = bytearray(event["memory"] * 1024 * 1024)
    for offset in range(0, len(held), 4096):
        held[offset] = 1
    time.sleep(0.1)
    return event


def fill_with_files(event: Any, context: Any) -> int:
    """Make files in /tmp until there is no room for another; return how many."""
    count = 0
    with contextlib.suppress(OSError):
        while True:
            with open(f"/tmp/{count}", "wb") as file:
                file.write(b"x")
            count += 1
    return count
