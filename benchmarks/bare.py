"""
A process that forks for each call, and protects nothing; what others are measured against.

    python -I -S bare.py FOLDER MODULES PATH...

FOLDER is that of faaskit's child side, whose template is then loaded, or empty; MODULES have
commas between them. It imports next to nothing itself: what a process has touched is what its
forks cost.
"""

from __future__ import annotations

import _thread
import os
import sys
import time

TYPE_CHECKING = False  # typing itself would be a part of the image

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import IO, Any

_GAP_S = 0.005


def fork_per_call() -> bytes:
    """Fork, have the child answer through a pipe, wait for its end."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.write(write, b'{"seen": "value", "total": 6}')
        os._exit(0)
    os.close(write)
    answer = os.read(read, 65536)
    os.close(read)
    os.waitpid(pid, 0)
    return answer


def gaps(call: Callable[[], Any], calls: int) -> list[int]:
    """Return how long each call took, in ns, with a gap before each."""
    taken = []
    for _ in range(calls):
        time.sleep(_GAP_S)
        began = time.perf_counter_ns()
        call()
        taken.append(time.perf_counter_ns() - began)
    return taken


def load(call: Callable[[], Any], calls: int, callers: int) -> list[int]:
    """Call back to back from several threads; return how long it took, and each call, in ns."""
    taken: list[int] = []
    locks = []

    def work(share: int, done: _thread.LockType) -> None:
        try:
            for _ in range(share):
                began = time.perf_counter_ns()
                call()
                taken.append(time.perf_counter_ns() - began)
        finally:
            done.release()

    began = time.perf_counter_ns()
    for number in range(callers):
        share = (calls + number) // callers
        done = _thread.allocate_lock()
        done.acquire()
        locks.append(done)
        if callers == 1:
            work(share, done)  # in this thread, as a program with one would
        else:
            _thread.start_new_thread(work, (share, done))
    for done in locks:
        done.acquire()
    return [time.perf_counter_ns() - began, *taken]


def serve(call: Callable[[], Any], answers: IO[str]) -> None:
    """Do what stdin asks, ``gaps CALLS`` or ``load CALLS CALLERS``, until it ends."""
    answers.write("ready\n")
    answers.flush()
    # Not by sys.stdin, whose lock this thread would hold while another one forks. A request is
    # written at once, and the next one only when this one has been answered.
    while request := os.read(0, 4096):
        what, *numbers = request.decode().split()
        figures = (
            gaps(call, *map(int, numbers)) if what == "gaps" else load(call, *map(int, numbers))
        )
        answers.write(" ".join(map(str, figures)) + "\n")
        answers.flush()


def _make_image(folder: str, modules: str, path: list[str]) -> None:
    sys.path[:0] = path
    if folder:
        # As faaskit starts its own: under a name that does not import faaskit.
        package: Any = type(sys)("_faaskit_child")
        package.__path__ = [folder]
        sys.modules["_faaskit_child"] = package
        __import__("_faaskit_child.template")
        import gc

        gc.collect()
        gc.freeze()
    for name in filter(None, modules.split(",")):
        __import__(name)


if __name__ == "__main__":
    _make_image(sys.argv[1], sys.argv[2], sys.argv[3:])
    serve(fork_per_call, sys.stdout)
