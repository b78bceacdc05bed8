"""
The template: a process that has run a function's INIT and forks environments of it.

Runs in the child; stdlib only, and little of that: every page it touches is one more that
each fork has to copy the table entry of. It never runs a handler and has one thread when
it forks. It does what the launcher says over its own socket: ``fork`` one more. What it
reports back (a pid, an exit status) concerns its own function only.
"""

from __future__ import annotations

import builtins
import gc
import json
import os
import select
import socket
import sys
import time
from typing import TYPE_CHECKING, Any

from . import handler as contract
from . import inside, kernel, python_logging, wire

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TextIO

    Handler = Callable[[Any, Any], Any]

__all__ = ["main"]

_MESSAGE_LIMIT = 1 << 16


def main() -> None:
    """
    Be a template: ``argv`` holds the descriptors of the launcher's socket, of the code,
    and of this template's own channel (event, reply, log).
    """
    launcher_fd, code_fd, incoming, outgoing, log = map(int, sys.argv[1:6])
    kernel.die_with_parent()
    os.setpriority(os.PRIO_PROCESS, 0, int(sys.argv[6]))
    with socket.socket(fileno=launcher_fd) as launcher:
        if launcher.recv(_MESSAGE_LIMIT) != b"go":  # its limits are set now
            return
        code = _read_code(code_fd)
        inside.redirect(log)
        _make_stage(code)
        channel = inside.Channel(incoming, outgoing)
        inside.set_channel(channel)
        load = _initialise(code, channel) if code["snapshot"] else None
        inside.set_channel(None)
        channel.close()
        launcher.send(b'{"op": "ready"}')
        gc.collect()
        gc.freeze()
        _Forker(launcher, load or (lambda: _load(code))).serve()


def _read_code(descriptor: int) -> dict[str, Any]:
    with os.fdopen(descriptor, "rb") as file:
        file.seek(0)
        header, pickled = wire.split_message(file.read())
    header["pickled"] = pickled
    return header


def _make_stage(code: dict[str, Any]) -> None:
    """Make the interpreter what the function's code expects to find."""
    os.environ.clear()
    os.environ.update(code["environment"])
    time.tzset()
    sys.path[:] = code["sys_path"]
    sys.argv[:] = [""]
    # ``-S`` leaves these out; scripts and notebooks use them.
    builtins.exit = builtins.quit = sys.exit  # type: ignore[assignment]
    sys.stdout, sys.stderr = _line_by_line(1), _line_by_line(2)
    sys.__stdout__, sys.__stderr__ = sys.stdout, sys.stderr  # type: ignore[misc,assignment]
    python_logging.install(inside.current_request_id)


def _line_by_line(descriptor: int) -> TextIO:
    # So that stdout and stderr keep their order, and a kill loses no line.
    return open(  # for the life of the process
        descriptor, "w", buffering=1, encoding="utf-8", errors="backslashreplace", closefd=False
    )


def _load(code: dict[str, Any]) -> Handler:
    if code["pickled"]:
        _remember_sources(code["sources"])
        return contract.unpickle_handler(code["pickled"])
    return contract.find_handler(code["handler"])


def _remember_sources(sources: dict[str, str]) -> None:
    # So that a stack trace shows the lines of a notebook cell, which is in no file.
    if sources:
        import linecache

        for name, text in sources.items():
            linecache.cache[name] = (len(text), None, text.splitlines(keepends=True), name)


def _initialise(code: dict[str, Any], channel: inside.Channel) -> Callable[[], Handler]:
    """Run INIT; what fails in it is told to the app and ends this process."""
    try:
        function = _load(code)
    except SystemExit as error:
        inside.exit_as_asked(error)
    except BaseException as error:  # noqa: BLE001  # whatever the user's module raised
        kind, payload = inside.failed(error, "", "init")
        inside.flush()
        channel.send_plain(kind, payload)
        channel.receive()
        os._exit(0)
    inside.flush()
    # An INIT that left a thread running can't be forked from: a lock that the thread holds
    # would be held for ever in the copy. The app then has each environment run INIT itself.
    threads = len(sys._current_frames()) - 1  # noqa: SLF001  # CPython documents it
    channel.send_plain(wire.INIT_DONE, b"threads" if threads else b"")
    if threads:
        channel.receive()
        os._exit(0)
    return lambda: function


class _Forker:
    """Forks environments, and reports how they ended."""

    def __init__(self, launcher: socket.socket, load: Callable[[], Handler]) -> None:
        self._launcher = launcher
        self._load = load
        self._poll = select.poll()
        self._poll.register(launcher.fileno(), select.POLLIN)
        self._children: dict[int, tuple[int, int]] = {}  # pidfd: (pid, environment's number)

    def serve(self) -> None:
        """Work until the launcher is gone."""
        own = self._launcher.fileno()
        while True:
            for descriptor, _ in self._poll.poll():
                if descriptor != own:
                    self._reap(descriptor)
                elif not self._obey():
                    return

    def _obey(self) -> bool:
        message, pipes, _, _ = socket.recv_fds(self._launcher, _MESSAGE_LIMIT, 3)
        if not message:
            return False
        self._fork(json.loads(message), pipes)
        return True

    def _fork(self, order: dict[str, Any], pipes: list[int]) -> None:
        own = os.getpid()
        try:
            pid = os.fork()
        except OSError as error:
            for pipe in pipes:
                os.close(pipe)
            number = order["number"]
            self._report({"op": "fork_failed", "number": number, "errno": error.errno})
            return
        if pid == 0:
            self._launcher.close()
            for descriptor in self._children:
                os.close(descriptor)
            incoming, outgoing, log = pipes
            inside.run(
                inside.Setup(order),
                self._load,
                (incoming, outgoing, log),
                lambda: kernel.tie_to_template(own),
            )
        for pipe in pipes:
            os.close(pipe)
        descriptor = os.pidfd_open(pid)
        self._children[descriptor] = (pid, order["number"])
        self._poll.register(descriptor, select.POLLIN)
        self._report({"op": "forked", "number": order["number"], "pid": pid})

    def _reap(self, descriptor: int) -> None:
        pid, number = self._children.pop(descriptor)
        self._poll.unregister(descriptor)
        os.close(descriptor)
        _, status, usage = os.wait4(pid, 0)
        cpu = usage.ru_utime + usage.ru_stime
        self._report(
            {
                "op": "ended",
                "number": number,
                "status": status,
                "cpu_ns": int(cpu * 1e9),
                "peak": usage.ru_maxrss * 1024,
            }
        )

    def _report(self, message: dict[str, Any]) -> None:
        self._launcher.send(json.dumps(message).encode())
