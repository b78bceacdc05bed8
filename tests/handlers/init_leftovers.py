"""
A module of honest code that leaves something open after INIT: what the variable LEFT says.

``handler`` uses it as such code would, and returns what it saw: the same in each call, if
nothing is carried from one call to the next.
"""

# What stays open is the subject.
# ruff: noqa: SIM115

from __future__ import annotations

import asyncio
import fcntl
import gc
import logging
import mmap
import multiprocessing
import os
import select
import socket
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Callable
from typing import Any

_makers: dict[str, Callable[[], Callable[[], Any]]] = {}
ITSELF = __file__


def _left(maker: Callable[[], Callable[[], Any]]) -> Callable[[], Callable[[], Any]]:
    _makers[maker.__name__] = maker
    return maker


def _drained(descriptor: int) -> int:
    """Return how many bytes can be read at once, and put one more there."""
    os.set_blocking(descriptor, False)
    try:
        return len(os.read(descriptor, 100))
    except BlockingIOError:
        return 0


# What can't be copied


@_left
def temporary_file() -> Callable[[], Any]:
    file = tempfile.TemporaryFile()

    def use() -> Any:
        file.seek(0)
        seen = len(file.read())
        file.write(b"x")
        file.flush()
        return seen

    return use


@_left
def written_file() -> Callable[[], Any]:
    descriptor, path = tempfile.mkstemp(dir="/tmp")
    file = open(descriptor, "w+b", buffering=0)
    os.unlink(path)

    def use() -> Any:
        file.seek(0)
        seen = len(file.read())
        file.write(b"x")
        return seen

    return use


@_left
def log_file() -> Callable[[], Any]:
    folder = tempfile.mkdtemp(dir="/tmp")
    logging.getLogger("left").addHandler(logging.FileHandler(f"{folder}/app.log"))
    os.unlink(f"{folder}/app.log")
    os.rmdir(folder)

    def use() -> Any:
        (handler,) = logging.getLogger("left").handlers
        handler.stream.write("x")  # type: ignore[attr-defined]
        handler.stream.flush()  # type: ignore[attr-defined]
        return os.fstat(handler.stream.fileno()).st_size  # type: ignore[attr-defined]

    return use


@_left
def database() -> Callable[[], Any]:
    with tempfile.NamedTemporaryFile(dir="/tmp") as file:
        connection = sqlite3.connect(file.name)
        connection.execute("create table t (x)")
        connection.commit()

    def use() -> Any:
        return connection.execute("select count(*) from t").fetchone()[0]

    return use


@_left
def shared_mapping() -> Callable[[], Any]:
    memory = mmap.mmap(-1, 12288)

    def use() -> Any:
        memory[0] += 1
        return memory[0]

    return use


@_left
def shared_value() -> Callable[[], Any]:
    value = multiprocessing.Value("i", 0)

    def use() -> Any:
        value.value += 1
        return value.value

    return use


@_left
def semaphore() -> Callable[[], Any]:
    lock = multiprocessing.Lock()
    return lambda: lock.acquire(block=False)


@_left
def pipe() -> Callable[[], Any]:
    reading, writing = os.pipe()

    def use() -> Any:
        seen = _drained(reading)
        os.write(writing, b"xx")
        return seen

    return use


@_left
def sockets() -> Callable[[], Any]:
    one, other = socket.socketpair()

    def use() -> Any:
        seen = _drained(one.fileno())
        other.send(b"xx")
        return seen

    return use


@_left
def listener() -> Callable[[], Any]:
    server = socket.create_server(("127.0.0.1", 0))
    return lambda: server.getsockname()[0]


@_left
def memory_file() -> Callable[[], Any]:
    descriptor = os.memfd_create("cache")

    def use() -> Any:
        seen = os.fstat(descriptor).st_size
        os.write(descriptor, b"x")
        return seen

    return use


@_left
def epoll() -> Callable[[], Any]:
    poll = select.epoll()
    return lambda: poll.poll(0)


@_left
def event_loop() -> Callable[[], Any]:
    loop = asyncio.new_event_loop()
    return lambda: loop.run_until_complete(asyncio.sleep(0, "slept"))


@_left
def locked_file() -> Callable[[], Any]:
    file = open(ITSELF, "rb")
    fcntl.flock(file, fcntl.LOCK_SH)

    def use() -> Any:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        return "locked"

    return use


@_left
def process_file() -> Callable[[], Any]:
    file = open("/proc/self/stat", encoding="utf-8")
    return lambda: int(file.read().split()[0]) == os.getpid()


@_left
def process() -> Callable[[], Any]:
    child = subprocess.Popen(["sleep", "600"])
    return child.poll  # None while it runs and is this process's child


# What each call opens for itself


@_left
def data_file() -> Callable[[], Any]:
    file = open(os.environ["DATA"], "rb")
    header = file.readline()
    return lambda: [header.decode(), len(file.read())]


@_left
def deleted_file() -> Callable[[], Any]:
    descriptor, path = tempfile.mkstemp(dir="/tmp")
    with open(descriptor, "wb") as writing:
        writing.write(b"x" * 100)
    file = open(path, "rb", buffering=0)
    os.unlink(path)
    file.read(10)
    return lambda: [len(file.read(50)), os.get_inheritable(file.fileno())]


@_left
def inheritable_file() -> Callable[[], Any]:
    descriptor = os.open(os.environ["DATA"], os.O_RDONLY | os.O_NOFOLLOW)
    os.set_inheritable(descriptor, True)

    def use() -> Any:
        os.read(descriptor, 1000)
        return [os.lseek(descriptor, 0, os.SEEK_CUR), os.get_inheritable(descriptor)]

    return use


@_left
def folder() -> Callable[[], Any]:
    descriptor = os.open(os.path.dirname(ITSELF), os.O_RDONLY)

    def use() -> Any:
        position = os.lseek(descriptor, 0, os.SEEK_CUR)
        os.lseek(descriptor, 1, os.SEEK_SET)
        return position

    return use


# What has no state


@_left
def ended_process() -> Callable[[], Any]:
    child = subprocess.Popen(["true"])
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    return lambda: child.poll() is not None and "ended"


@_left
def system_file() -> Callable[[], Any]:
    file = open("/proc/meminfo", encoding="utf-8")
    return lambda: file.readline().split()[0]


@_left
def nothing() -> Callable[[], Any]:
    with open(ITSELF, "rb") as file:
        file.read()
    return lambda: "nothing"


@_left
def devices() -> Callable[[], Any]:
    null, random = open("/dev/null", "r+b", buffering=0), open("/dev/urandom", "rb")

    def use() -> Any:
        null.write(b"x")
        return [null.read(), len(random.read(5))][1]

    return use


@_left
def read_only_mapping() -> Callable[[], Any]:
    with open(os.environ["DATA"], "rb") as file:
        memory = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    return lambda: len(memory[:])


@_left
def private_mapping() -> Callable[[], Any]:
    memory = mmap.mmap(-1, 8192, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)

    def use() -> Any:
        memory[0] += 1
        return memory[0]

    return use


@_left
def place() -> Callable[[], Any]:
    descriptor = os.open("/usr", os.O_PATH)
    return lambda: "lib" in os.listdir(f"/proc/self/fd/{descriptor}")


@_left
def garbage() -> Callable[[], Any]:
    gc.disable()
    cycle: list[Any] = list(socket.socketpair())
    cycle.append(cycle)
    del cycle
    gc.enable()
    return lambda: "garbage"


@_left
def memory_database() -> Callable[[], Any]:
    connection = sqlite3.connect(":memory:")
    connection.execute("create table t (x)")

    def use() -> Any:
        connection.execute("insert into t values (1)")
        return connection.execute("select count(*) from t").fetchone()[0]

    return use


@_left
def closed_in_a_hook() -> Callable[[], Any]:
    import snapshot_restore_py as hooks  # type: ignore[import-untyped]

    open_now = list(socket.socketpair())

    def close() -> None:
        while open_now:
            open_now.pop().close()

    hooks.register_before_snapshot(close)
    hooks.register_after_restore(lambda: open_now.extend(socket.socketpair()))

    def use() -> Any:
        one, other = open_now
        seen = _drained(one.fileno())
        other.send(b"xx")
        return seen

    return use


@_left
def numerical_library() -> Callable[[], Any]:
    import numpy as np

    matrix = np.ones((300, 300))
    return lambda: float((matrix @ matrix)[0, 0])


use = _makers[os.environ["LEFT"]]() if "LEFT" in os.environ else lambda: None
runs = 0


def handler(event: Any, context: Any) -> Any:
    """Return what is seen, and how often this ran in this process."""
    global runs  # noqa: PLW0603  # what a fresh environment has at 0
    runs += 1
    sys.stdout.flush()
    return [use(), runs]
