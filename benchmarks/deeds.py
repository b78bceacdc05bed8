"""
The handlers that the benchmarks run. Also loaded in templates: it imports what it must, late.

Two environment variables of a function say what its template holds: ``BALLAST_MB``, memory
that was touched, and ``PRELOAD``, modules with commas between them.
"""

from __future__ import annotations

import os
import sys
import time
from typing import Any

BALLAST = bytearray(b"\1") * (int(os.environ.get("BALLAST_MB", "0")) << 20)
for _name in filter(None, os.environ.get("PRELOAD", "").split(",")):
    __import__(_name)

_MB = 1 << 20


def trivial(event: Any, _context: Any) -> Any:
    """A dict in, a dict out."""
    return {"seen": event["key"], "total": sum(event["numbers"])}


def _now() -> None:
    # The clock is the same for all processes of this host.
    os.write(1, b"at %d\n" % time.monotonic_ns())


def dies(event: Any, _context: Any) -> None:
    """End in some way, and tell just before when that was."""
    import signal

    how = event["how"]
    _now()
    if how == "os._exit":
        os._exit(3)
    if how == "sys.exit":
        sys.exit(3)
    os.kill(os.getpid(), getattr(signal, how))


def burns(event: Any, _context: Any) -> list[float]:
    """Use the processor, with so many processes; return CPU time and time, in s."""
    import resource  # os.times() counts in hundredths of a second

    before, began = time.process_time(), time.monotonic()
    end = began + event["seconds"]
    children = []
    for _ in range(event.get("processes", 1) - 1):
        pid = os.fork()
        if pid == 0:
            while time.monotonic() < end:
                pass
            os._exit(0)
        children.append(pid)
    while time.monotonic() < end:
        pass
    for pid in children:
        os.waitpid(pid, 0)
    took = time.monotonic() - began
    below = resource.getrusage(resource.RUSAGE_CHILDREN)
    return [time.process_time() - before + below.ru_utime + below.ru_stime, took]


def overstays(event: Any, _context: Any) -> None:
    """Run for ever in some way, and tell when that began."""
    import signal

    how = event["how"]
    _now()
    if how == "it stops itself":
        os.kill(os.getpid(), signal.SIGSTOP)
    elif how == "a loop in C":
        sum(range(1 << 62))
    elif how == "a loop":
        while True:
            pass
    time.sleep(3600)


def fills(event: Any, _context: Any) -> None:
    """Take memory as fast as it can, and write a byte for each MB that it has."""
    with open("/proc/self/statm", encoding="ascii") as file:
        resident = int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    print("resident", resident // _MB, flush=True)
    globals()["_fill_" + event["how"]]()


def _fill_bytearrays() -> None:
    held = []
    while True:
        held.append(bytearray(b"\1") * _MB)
        os.write(1, b".")


def _fill_mapping(*, flags: int, advice: int | None = None) -> None:
    import mmap

    page, held = b"\1" * _MB, []
    while True:  # not all at once: a limit on address space would refuse that
        area = mmap.mmap(-1, 16 * _MB, flags=flags)
        if advice is not None:
            area.madvise(advice)
        held.append(area)
        for _ in range(16):
            area.write(page)
            os.write(1, b".")


def _fill_mmap() -> None:
    import mmap

    _fill_mapping(flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)


def _fill_huge_pages() -> None:
    import mmap

    _fill_mapping(flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, advice=mmap.MADV_HUGEPAGE)


def _fill_shared_mmap() -> None:
    import mmap

    _fill_mapping(flags=mmap.MAP_SHARED | mmap.MAP_ANONYMOUS)


def _fill_memfd() -> None:
    descriptor = os.memfd_create("fill")
    data = b"\1" * _MB
    while True:
        os.write(descriptor, data)
        os.write(1, b".")


def _fill_numpy() -> None:
    import numpy as np

    held = []
    while True:
        held.append(np.ones(_MB // 8))
        os.write(1, b".")


def _fill_children() -> None:
    for _ in range(8):
        if os.fork() == 0:
            _fill_bytearrays()
    os.wait()


def mixed(event: Any, _context: Any) -> Any:
    """One of the many things that functions do."""
    import signal

    do = event["do"]
    if do == "raise":
        msg = "as asked"
        raise ValueError(msg)
    if do in {"SIGKILL", "SIGSEGV", "os._exit"}:
        dies({"how": do}, None)
    elif do == "overstay":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        time.sleep(3600)
    elif do == "fill":
        _fill_bytearrays()
    elif do == "daemon":
        if os.fork() == 0:
            os.setsid()
            if os.fork() == 0:
                time.sleep(3600)
            os._exit(0)
        os.wait()
    elif do == "file":
        with open("/tmp/left" if os.path.isdir("/tmp") else "left", "wb") as file:  # noqa: S108
            file.write(b"\1" * _MB)
    elif do == "sleep":
        time.sleep(event.get("seconds", 0.05))
    elif do == "large":
        return "x" * _MB
    elif do == "log":
        print("a line\n" * 1000)
    return do
