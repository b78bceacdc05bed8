"""
Handlers that hold memory which no resident set has: each returns once it holds all it wants.

``hoard`` returns ``["held", MB]``, or ``["refused", "ENOMEM", MB]``.
"""

from __future__ import annotations

import array
import contextlib
import ctypes
import errno
import mmap
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

_MB = 1024 * 1024
_libc = ctypes.CDLL(None, use_errno=True)
_libc.mmap.restype = ctypes.c_void_p
_libc.shmat.restype = ctypes.c_void_p
_WAYS: dict[str, Callable[[], Iterator[float]]] = {}
kept: list[Any] = []


def _way(way: Callable[[], Iterator[float]]) -> Callable[[], Iterator[float]]:
    _WAYS[way.__name__] = way
    return way


def hoard(event: Any, context: Any) -> Any:
    """Hold ``event["mb"]`` MB in the way that ``event["way"]`` names, for many looks' time."""
    if not event:
        return "calm"
    held = 0.0
    try:
        for more in _WAYS[event["way"]]():
            held += more
            if held >= event["mb"]:
                break
    except OSError as error:
        return ["refused", errno.errorcode.get(error.errno or 0, str(error)), int(held)]
    time.sleep(1)
    return ["held", int(held)]


def _check(result: int, what: str) -> int:
    if result < 0:
        raise OSError(ctypes.get_errno(), what)
    return result


@_way
def descriptors_in_flight() -> Iterator[float]:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    kept.extend((ours, theirs))
    ours.setblocking(False)
    piece = bytes(_MB)
    while True:
        memory = os.memfd_create("flying")
        for _ in range(64):
            os.write(memory, piece)
            yield 1
        try:
            ours.sendmsg(
                [b"x"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [memory]))]
            )
        except BlockingIOError:
            ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
            kept.extend((ours, theirs))
            ours.sendmsg(
                [b"x"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [memory]))]
            )
        os.close(memory)


@_way
def shared_pages_unmapped() -> Iterator[float]:
    mapping = mmap.mmap(-1, 8 * 1024 * _MB)
    kept.append(mapping)
    for start in range(0, len(mapping), _MB):
        for offset in range(start, start + _MB, mmap.PAGESIZE):
            mapping[offset] = 1
        mapping.madvise(mmap.MADV_DONTNEED, start, _MB)
        yield 1


@_way
def detached_segments() -> Iterator[float]:
    while True:
        number = _check(_libc.shmget(0, 64 * _MB, 0o1600), "shmget")
        address = _libc.shmat(number, None, 0)
        for start in range(0, 64 * _MB, _MB):
            ctypes.memset(address + start, 1, _MB)
            yield 1
        _libc.shmdt(ctypes.c_void_p(address))


@_way
def semaphores() -> Iterator[float]:
    while True:
        _check(_libc.semget(0, 32_000, 0o1600), "semget")
        yield 32_000 * 64 / _MB


def _socket_buffers(pairs: int) -> float:
    piece, written = bytes(64 * 1024), 0
    for _ in range(pairs):
        ours, theirs = socket.socketpair()
        kept.extend((ours, theirs))
        ours.setblocking(False)
        theirs.setblocking(False)
        for end in (ours, theirs):
            try:
                while True:
                    written += end.send(piece)
            except BlockingIOError:
                continue
    return written / _MB


@_way
def socket_buffers() -> Iterator[float]:
    for _ in range(16):
        read, write = os.pipe()
        if os.fork() == 0:
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            os.write(write, b"%d" % _socket_buffers(450))
            signal.pause()
        os.close(write)
        yield float(os.read(read, 32) or 0)
        os.close(read)


@_way
def page_tables() -> Iterator[float]:
    step, size = 2 * _MB, 1 << 40
    private_anonymous_unreserved = 0x02 | 0x20 | 0x4000
    start = _libc.mmap(
        None, ctypes.c_size_t(size), mmap.PROT_READ, private_anonymous_unreserved, -1, 0
    )
    for number in range(size // step):
        ctypes.c_char.from_address(start + number * step).value  # noqa: B018  # touches it
        if number % 256 == 0:
            yield 1


def crowd(event: Any, context: Any) -> Any:
    """Take up what is counted for a user, or takes long to look at, for ``seconds``; ring first."""
    bell = socket.create_connection(("127.0.0.1", event["port"]))
    made = _CROWDS[event["what"]](event)
    bell.sendall(b"there")
    time.sleep(event["seconds"])
    return made


def _in_flight(event: Any) -> int:
    memory, sent = os.memfd_create("small"), 0
    with contextlib.suppress(OSError):
        while sent < event["count"]:
            ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
            kept.append(theirs)
            many = array.array("i", [memory] * 250)
            ours.sendmsg([b"x"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, many)])
            ours.close()
            sent += 250
    return sent


def _threads(event: Any) -> int:
    threading.stack_size(64 * 1024)
    made = 0
    with contextlib.suppress(RuntimeError):
        while made < event["count"]:
            threading.Thread(target=time.sleep, args=(event["seconds"] + 5,), daemon=True).start()
            made += 1
    return made


def _processes(event: Any) -> int:
    null = os.open(os.devnull, os.O_RDONLY)
    for _ in range(event["descriptors"]):
        try:
            os.dup(null)
        except OSError:
            break
    made = 0
    with contextlib.suppress(OSError):
        while made < event["count"]:
            if os.fork() == 0:
                time.sleep(event["seconds"] + 5)
                os._exit(0)
            made += 1
    return made


_CROWDS = {"in flight": _in_flight, "threads": _threads, "processes": _processes}
