"""Handlers that want more CPU than their share: each returns the CPU time that it got, in ms."""

from __future__ import annotations

import ctypes
import os
import signal
import struct
import time
from collections.abc import Callable
from typing import Any

_WAYS: dict[str, Callable[[float], float]] = {}
_libc = ctypes.CDLL(None, use_errno=True)


def _way(way: Callable[[float], float]) -> Callable[[float], float]:
    _WAYS[way.__name__] = way
    return way


def hog(event: Any, context: Any) -> Any:
    """Compute for ``event["seconds"]`` in the way that ``event["way"]`` names."""
    return _WAYS[event["way"]](event["seconds"]) if event else "calm"


def _burn(seconds: float) -> float:
    end, before = time.monotonic() + seconds, time.process_time()
    while time.monotonic() < end:
        pass
    return (time.process_time() - before) * 1000


@_way
def plainly(seconds: float) -> float:
    return _burn(seconds)


@_way
def with_a_timer(seconds: float) -> float:
    """Be resumed by a timer of the kernel's, twice in a millisecond."""
    signal.signal(signal.SIGCONT, lambda *_: None)
    event = struct.pack("QiiQ40x", 0, signal.SIGCONT, 0, 0)
    timer = ctypes.c_void_p()
    if _libc.timer_create(1, event, ctypes.byref(timer)) != 0:
        raise OSError(ctypes.get_errno(), "timer_create")
    interval = struct.pack("qqqq", 0, 500_000, 0, 500_000)
    if _libc.timer_settime(timer, 0, interval, None) != 0:
        raise OSError(ctypes.get_errno(), "timer_settime")
    return _burn(seconds)


@_way
def with_each_other(seconds: float) -> float:
    """Be resumed by one of a dozen, of which one or another is not stopped yet."""
    read, write = os.pipe()
    os.setpgid(0, 0) if os.getpgrp() != os.getpid() else None
    group, end = os.getpgrp(), time.monotonic() + seconds
    before = time.process_time()
    for _ in range(11):
        if os.fork() == 0:
            while time.monotonic() < end:
                os.killpg(group, signal.SIGCONT)
            os.write(write, struct.pack("d", time.process_time() * 1000))
            os._exit(0)
    while time.monotonic() < end:
        os.killpg(group, signal.SIGCONT)
    os.close(write)
    found = (time.process_time() - before) * 1000
    while data := os.read(read, 8):
        found += struct.unpack("d", data)[0]
    return found


@_way
def in_short_lives(seconds: float) -> float:
    """Compute a millisecond a life, each forked by the last one, which nobody waits for."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    read, write = os.pipe()
    end = time.monotonic() + seconds
    if os.fork() == 0:
        lives = 0
        while time.monotonic() < end:
            if os.fork():
                os._exit(0)
            lives += 1
            until = time.thread_time() + 0.001
            while time.thread_time() < until:
                pass
        os.write(write, struct.pack("d", float(lives)))
        os._exit(0)
    os.close(write)
    return float(struct.unpack("d", os.read(read, 8))[0])
