"""Handlers that misbehave. ``act`` does what its event says, all of it in one template."""

from __future__ import annotations

import contextlib
import ctypes
import faulthandler
import mmap
import os
import re
import resource
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

_MB = 1024 * 1024
_DEEDS: dict[str, Callable[[Any, Any], Any]] = {}


def act(event: Any, context: Any) -> Any:
    """Do the deed that the event names; without one, be a decent function."""
    if not event:
        return "calm"
    return _DEEDS[event["do"]](event, context)


def _deed(handler: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    _DEEDS[handler.__name__] = handler
    return handler


# Raising


class _HoldsALockError(Exception):
    def __init__(self) -> None:
        super().__init__("it holds a lock")
        self.lock = threading.Lock()


class _HasNoTextError(Exception):
    def __str__(self) -> str:
        msg = "no text"
        raise RuntimeError(msg)


@_deed
def raises(event: Any, context: Any) -> Any:
    msg = "boom"
    raise ValueError(msg)


@_deed
def raises_unpicklable(event: Any, context: Any) -> Any:
    raise _HoldsALockError


@_deed
def raises_textless(event: Any, context: Any) -> Any:
    raise _HasNoTextError


@_deed
def raises_interrupt(event: Any, context: Any) -> Any:
    raise KeyboardInterrupt


@_deed
def raises_own_memory_error(event: Any, context: Any) -> Any:
    msg = "mine"
    raise MemoryError(msg)


@_deed
def recurses(event: Any, context: Any) -> Any:
    return recurses(event, context)


# Leaving


@_deed
def exits(event: Any, context: Any) -> Any:
    sys.exit(event.get("code"))


@_deed
def leaves(event: Any, context: Any) -> Any:
    os._exit(event["code"])


@_deed
def kills_itself(event: Any, context: Any) -> Any:
    os.kill(os.getpid(), event["signal"])
    time.sleep(60)


@_deed
def overflows_the_c_stack(event: Any, context: Any) -> Any:
    faulthandler._stack_overflow()  # type: ignore[attr-defined]  # made for this


@_deed
def segfaults(event: Any, context: Any) -> Any:
    ctypes.string_at(0)


# Descriptors and frames


def _open_descriptors(lowest: int) -> list[int]:
    return [int(name) for name in os.listdir("/proc/self/fd") if int(name) >= lowest]


@_deed
def closes_everything(event: Any, context: Any) -> Any:
    os.closerange(event["from"], 1 << 16)
    if event.get("stay"):
        signal.pause()
    return "unheard"


@_deed
def writes_garbage_everywhere(event: Any, context: Any) -> Any:
    for descriptor in _open_descriptors(3):
        with contextlib.suppress(OSError):
            os.write(descriptor, b"\xff\x00garbage" * 100)
    return "unheard"


@_deed
def sends(event: Any, context: Any) -> Any:
    """Write bytes to every descriptor above the standard ones; the channel is among them."""
    for descriptor in _open_descriptors(3):
        view = memoryview(bytes.fromhex(event["hex"]))
        with contextlib.suppress(OSError):
            while view:  # a write that is stopped in the middle, to hold its CPU, is cut short
                view = view[os.write(descriptor, view) :]
    return "honest"


@_deed
def floods_with_calls(event: Any, context: Any) -> Any:
    """Send service calls and never read an answer."""
    channel = sys.modules["_faaskit_child.inside"]._channel
    head = b'{"service": "s3", "operation": "GetObject", "parameters": {}, "has_body": true}'
    payload = struct.pack(">I", len(head)) + head + bytes(200 * 1024)
    frame = struct.pack(">BBHII", 7, 1, 0, 1, len(payload)) + payload
    while True:
        channel._write(frame)


@_deed
def begins_many_calls(event: Any, context: Any) -> Any:
    """Send 40 MB of each of 40 service calls, and the end of none."""
    channel = sys.modules["_faaskit_child.inside"]._channel
    frame = bytes(256 * 1024)
    for number in range(40):
        for _ in range(160):
            channel._write(struct.pack(">BBHII", 7, 0, 0, number, len(frame)) + frame)
    return "unheard"


def _write_message(kind: int, payload: bytes) -> None:
    channel = sys.modules["_faaskit_child.inside"]._channel
    for frame in sys.modules["_faaskit_child.wire"].encode(kind, 1, payload):
        channel._write(frame)


@_deed
def calls_with_large_json(event: Any, context: Any) -> Any:
    """Send a service call whose parameters repeat a text; return the failure that comes back."""
    many = event["mb"] * _MB // len(event["text"])
    head = b'{"service": "s3", "operation": "GetObject", "parameters": {"Key": [%s1]}}'
    head %= event["text"].encode() * many
    _write_message(7, struct.pack(">I", len(head)) + head)
    channel = sys.modules["_faaskit_child.inside"]._channel
    header, _ = sys.modules["_faaskit_child.wire"].split_message(channel.receive()[2])
    return header["failure"]


@_deed
def errs_with_large_json(event: Any, context: Any) -> Any:
    """Send an error object with six megabytes of lists in it."""
    error = b'{"errorType": "T", "errorMessage": "M", "stackTrace": [%s1]}'
    _write_message(6, error % (b"[]," * (2 * _MB - 40)))
    time.sleep(60)


@_deed
def returns_during_a_large_call(event: Any, context: Any) -> Any:
    """Return while a thread of its own is in the middle of a service call."""
    channel = sys.modules["_faaskit_child.inside"]._channel
    body = bytes(16 * _MB)
    call = ("s3", "PutObject", {"Bucket": "b", "Key": "k"}, body)
    threading.Thread(
        target=channel.call, args=call, kwargs={"region": "", "session": ""}, daemon=True
    ).start()
    time.sleep(event["delay"])
    return "done"


@_deed
def floods_the_log(event: Any, context: Any) -> Any:
    print("the head")
    line = b"x" * (_MB - 1) + b"\n"
    sys.stdout.flush()
    for _ in range(event["mb"]):
        os.write(1, line)
    print("the tail")
    return "done"


# Leaving something behind


@_deed
def leaves_a_thread(event: Any, context: Any) -> Any:
    threading.Thread(target=time.sleep, args=(600,)).start()
    return "done"


@_deed
def leaves_a_grandchild(event: Any, context: Any) -> Any:
    child = subprocess.Popen(["sleep", "600"])
    print("pid", child.pid)
    child.returncode = 0
    return "done"


@_deed
def leaves_a_daemon(event: Any, context: Any) -> Any:
    if "port" in event:
        line = socket.create_connection(("127.0.0.1", event["port"]))
    reading, writing = os.pipe()
    first = os.fork()
    if first == 0:
        os.setsid()
        if os.fork() == 0:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            os.write(writing, str(os.getpid()).encode())
            time.sleep(600)
        os._exit(0)
    os.waitpid(first, 0)
    print("pid", os.read(reading, 20).decode())
    if "port" in event:
        line.sendall(b"with a daemon")
    if event.get("hang"):
        time.sleep(600)
    return "done"


# Not ending


@_deed
def ignores_signals(event: Any, context: Any) -> Any:
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGALRM):
        signal.signal(number, signal.SIG_IGN)
    while True:
        with contextlib.suppress(BaseException):
            time.sleep(600)


@_deed
def stops_itself(event: Any, context: Any) -> Any:
    os.kill(os.getpid(), signal.SIGSTOP)
    return "continued"


@_deed
def holds_the_interpreter(event: Any, context: Any) -> Any:
    return bool(re.match(r"(a+)+$", "a" * 60 + "b"))


@_deed
def sleeps(event: Any, context: Any) -> Any:
    if "started" in event:
        Path(event["started"]).write_text(str(os.getpid()))
    if "port" in event:
        line = socket.create_connection(("127.0.0.1", event["port"]))
        line.sendall(b"asleep")
    time.sleep(event.get("seconds", 600))
    return "woke up"


@_deed
def forks_without_end(event: Any, context: Any) -> Any:
    while True:
        with contextlib.suppress(OSError):
            os.fork()


# Memory and disk


@_deed
def hoards_lists(event: Any, context: Any) -> Any:
    hoard = []
    while True:
        hoard.append([0] * 100_000)


@_deed
def hoards_maps(event: Any, context: Any) -> Any:
    hoard = []
    while True:
        piece = mmap.mmap(-1, 4 * _MB)
        piece.write(b"x" * (4 * _MB))
        hoard.append(piece)


@_deed
def hoards_in_children(event: Any, context: Any) -> Any:
    for _ in range(8):  # no more than needed: a small function has little CPU to fill it with
        if os.fork() == 0:
            kept = b"x" * (24 * _MB)
            time.sleep(600)
            os._exit(len(kept) & 1)
    time.sleep(600)


@_deed
def asks_for_too_much_at_once(event: Any, context: Any) -> Any:
    return len(bytearray(12 << 30))


@_deed
def catches_the_refusal(event: Any, context: Any) -> Any:
    try:
        bytearray(12 << 30)
    except MemoryError:
        return "refused"


@_deed
def writes_too_large_a_file(event: Any, context: Any) -> Any:
    with tempfile.TemporaryFile() as file:
        os.pwrite(file.fileno(), b"x", event["offset"])
    return "written"


# A child that comes back


@_deed
def child_returns(event: Any, context: Any) -> Any:
    child = os.fork()
    if child == 0:
        return "child"
    os.waitpid(child, 0)
    return "parent"


@_deed
def child_raises(event: Any, context: Any) -> Any:
    child = os.fork()
    if child == 0:
        msg = "from the child"
        raise ValueError(msg)
    os.waitpid(child, 0)
    return "parent"


@_deed
def child_exits(event: Any, context: Any) -> Any:
    child = os.fork()
    if child == 0:
        sys.exit(7)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


# Looking around

counter = 0


@_deed
def looks_around(event: Any, context: Any) -> Any:
    """Leave a mark wherever there is a place for one; return what was found before that."""
    import random
    import secrets
    import uuid

    import numpy as np

    global counter  # noqa: PLW0603  # the mark
    folder = Path(tempfile.gettempdir())
    found = {
        "counter": counter,
        "files": sorted(path.name for path in folder.iterdir()),
        "here": sorted(path.name for path in Path.cwd().iterdir()),
        "mark": os.environ.get("MARK"),
        "environment": dict(os.environ),
        "descriptors": len(_open_descriptors(0)),
        "random": [random.random(), random.getrandbits(64)],
        "secret": secrets.token_hex(),
        "uuid": [str(uuid.uuid4()), str(uuid.uuid1())],
        "numpy": float(np.random.random()),  # noqa: NPY002  # the old one is shared state
        "umask": os.umask(0o022),
        "signals": [str(signal.getsignal(n)) for n in (signal.SIGTERM, signal.SIGCHLD)],
        "blocked": sorted(signal.pthread_sigmask(signal.SIG_BLOCK, [])),
        "core": resource.getrlimit(resource.RLIMIT_CORE),
        "stdin": sys.stdin.read(),
    }
    counter += 1
    (folder / "mark").write_text("mark")
    Path("mark-here").write_text("mark")
    os.environ["MARK"] = "1"
    os.open(os.devnull, os.O_RDONLY)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    return found
