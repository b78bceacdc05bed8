"""
The template: a process that has run a function's INIT and forks environments of it.

Runs in the child; stdlib only, and little of that: every page it touches is one more that
each fork has to copy the table entry of. It never runs a handler and has one thread when
it forks. It does what the launcher says over its own socket: ``fork`` one more. What it
reports back (a pid, an exit status) concerns its own function only.
"""

from __future__ import annotations

import builtins
import contextlib
import errno
import gc
import json
import os
import select
import signal
import socket
import sys
import time
from typing import TYPE_CHECKING, Any

from . import (
    boto,
    huge_pages,
    inherited_state,
    inside,
    jail,
    kernel,
    limits,
    python_logging,
    reports,
    wire,
)
from . import handler as contract

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TextIO

    Handler = Callable[[Any, Any], Any]

__all__ = ["main"]

_MESSAGE_LIMIT = 1 << 16
_REHEARSALS = 20


def main() -> None:
    """
    Be a template: ``argv`` holds the descriptors of the launcher's socket, of the code,
    and of this template's own channel (event, reply, log), the nice value, the rlimits and
    an empty folder.
    """
    launcher_fd, code_fd, incoming, outgoing, log = map(int, sys.argv[1:6])
    with socket.socket(fileno=launcher_fd) as launcher:
        step = 0
        try:
            kernel.die_with_parent()
            limits.end_first_when_memory_is_short()
            os.setpriority(os.PRIO_PROCESS, 0, int(sys.argv[6]))
            order = json.loads(sys.argv[7])
            code = _read_code(code_fd)
            shut_in = code["jail"]
            # None of the user's code has run yet, and none runs without them.
            step = 1
            limits.limit_template(order["data_limit"], order["file_limit"])
            if shut_in is not None:
                step = 2
                jail.enter(shut_in, sys.argv[8], order["user"], system_v=order["system_v"])
                step = 3
                inside.mount_fresh(order["disk_limit"], order["memory_limit"], shut_in["moves"])
            step = 4
            limits.limit_processes(jailed=shut_in is not None)
            # The interpreter rewrites code while it learns what it is used for. What it has
            # learnt here, no environment has to copy a page for.
            inside.rehearse(_REHEARSALS)
        except Exception as error:  # noqa: BLE001  # no code of the user's ran: it is ours
            # Of this process, or of one of those that it has forked on the way.
            number = getattr(error, "errno", None) or errno.EPROTO
            launcher.send(reports.pack(reports.Report(reports.SETUP_FAILED, step, number)))
            os._exit(1)
        launcher.send(reports.pack(reports.Report(reports.HELLO)))
        if launcher.recv(_MESSAGE_LIMIT) == b"go":  # it is watched now
            _serve(launcher, code, (incoming, outgoing, log))


def _serve(launcher: socket.socket, code: dict[str, Any], pipes: tuple[int, int, int]) -> None:
    incoming, outgoing, log = pipes
    inside.redirect(log)
    _make_stage(code)
    boto.install(inside.service_call)
    channel = inside.Channel(incoming, outgoing)
    inside.set_channel(channel)
    began = time.monotonic()
    load, files = _initialise(code, channel) if code["snapshot"] else (None, ())
    took = time.monotonic() - began
    inside.set_channel(None)
    channel.close()
    limits.raise_processes()
    launcher.send(reports.pack(reports.Report(reports.READY)))
    gc.collect()
    gc.freeze()
    # Whatever INIT has filled, a cold start takes no more than twice as long for it.
    huge_pages.collapse(seconds=took)
    _Forker(launcher, load or (lambda: _load(code)), code["jail"], files).serve()


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
    with contextlib.suppress(OSError):  # code that travels by value may have no folder here
        os.chdir(os.environ["LAMBDA_TASK_ROOT"])
    sys.path[:] = code["sys_path"]
    sys.executable = code["executable"]
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


def _initialise(
    code: dict[str, Any], channel: inside.Channel
) -> tuple[Callable[[], Handler], tuple[inherited_state.OpenFile, ...]]:
    """
    Run INIT; what fails in it is told to the app and ends this process.

    Returns:
        What returns the handler, and the files that each environment opens again.
    """
    before = inherited_state.Before()
    # Until INIT is over, so that a daemon that it makes by forking twice is found among its
    # children. What an environment leaves is the launcher's to end.
    kernel.adopt_orphans()
    try:
        function = _load(code)
        for hook, args, kwargs in reversed(_runtime_hooks("get_before_snapshot")):
            hook(*args, **kwargs)
    except SystemExit as error:
        inside.exit_as_asked(error)
    except BaseException as error:  # noqa: BLE001  # whatever the user's module raised
        kind, payload = inside.failed(error, "", "init")
        inside.flush()
        channel.send_plain(kind, payload)
        channel.receive()
        os._exit(0)
    inside.flush()
    files, leftovers = _look_for_leftovers(before)
    kernel.adopt_orphans(adopt=False)
    channel.send_plain(wire.INIT_DONE, " and ".join(leftovers).encode()[: wire.REASON_LIMIT])
    if leftovers:
        # The app has each environment run INIT itself.
        channel.receive()
        os._exit(0)
    if not _runtime_hooks("get_after_restore"):
        return (lambda: function), files

    def restore() -> Handler:
        for hook, args, kwargs in _runtime_hooks("get_after_restore"):
            hook(*args, **kwargs)
        return function

    return restore, files


def _look_for_leftovers(
    before: inherited_state.Before,
) -> tuple[tuple[inherited_state.OpenFile, ...], list[str]]:
    """Return the files to open again, and what of INIT can't be copied by a fork."""
    files, shared = inherited_state.inspect(before)
    if shared:
        gc.collect()  # what nobody refers to any more may be in a cycle, and still open
        files, shared = inherited_state.inspect(before)
    # A lock that a thread holds would be held for ever in the copy.
    threads = len(sys._current_frames()) - 1  # noqa: SLF001  # CPython documents it
    return files, ["a thread running"] * bool(threads) + shared


def _runtime_hooks(which: str) -> list[tuple[Callable[..., Any], Any, Any]]:
    """Return what INIT has registered with AWS's library for SnapStart, in that order."""
    library = sys.modules.get("snapshot_restore_py")
    return [] if library is None else list(getattr(library, which)())


class _Forker:
    """
    Forks environments, and reports how they ended.

    In a jail each is in a pid namespace of its own, beside a first process that does nothing.
    """

    def __init__(
        self,
        launcher: socket.socket,
        load: Callable[[], Handler],
        jail: dict[str, Any] | None,
        files: tuple[inherited_state.OpenFile, ...],
    ) -> None:
        self._launcher = launcher
        self._load = load
        self._files = files
        self._jail = jail
        self._jailed = jail is not None
        if self._jailed:
            # An environment's first process shares this one's memory: nobody may trace it.
            kernel.set_dumpable(dumpable=False)
        self._own_pids = os.open("/proc/self/ns/pid", os.O_RDONLY | os.O_CLOEXEC)
        self._poll = select.poll()
        self._poll.register(launcher.fileno(), select.POLLIN)
        self._environments: dict[int, tuple[int, int, int]] = {}  # pidfd: (pid, number, init)
        self._inits: dict[int, int] = {}  # pidfd: pid

    def serve(self) -> None:
        """Work until the launcher is gone."""
        own = self._launcher.fileno()
        while True:
            for descriptor, _ in self._poll.poll():
                if descriptor in self._environments:
                    self._reap(descriptor)
                elif descriptor in self._inits:
                    self._reap_init(descriptor)
                elif descriptor == own and not self._obey():
                    return

    def _obey(self) -> bool:
        # Pid 1 is made before the order is received: it has a copy of all that is open here, and
        # one of an environment's pipes would hide that the function has closed its own.
        init, failure = -1, None
        if self._jailed:
            try:
                init = self._make_init()
            except OSError as error:
                failure = error
        try:
            return self._obey_with(init, failure)
        finally:
            if self._jailed:
                # Or the next unshare fails: a process may do it only from its own one.
                kernel.setns(self._own_pids, kernel.CLONE_NEWPID)

    def _obey_with(self, init: int, failure: OSError | None) -> bool:
        message, descriptors, _, _ = socket.recv_fds(self._launcher, _MESSAGE_LIMIT, 8)
        if not message:
            return False
        order = json.loads(message)
        try:
            if failure is not None:
                raise failure
            self._fork(order, descriptors, init)
        except OSError as error:
            if init >= 0:
                os.kill(self._inits[init], signal.SIGKILL)
            self._report(reports.Report(reports.FORK_FAILED, order["number"], error.errno or 0))
        finally:
            for descriptor in descriptors:
                os.close(descriptor)
        return True

    def _fork(self, order: dict[str, Any], descriptors: list[int], init: int) -> None:
        own, number = os.getpid(), order["number"]
        if self._jailed and order["names_init"]:
            # By its pid, which the kernel translates, and not by a descriptor: one that is under
            # way counts for this user, whose other functions may hold as many as there may be.
            self._report(reports.Report(reports.INIT_MADE, number), of=self._inits[init])
        pid = os.fork()
        if pid == 0:
            self._become(order, descriptors, 0 if self._jailed else own)
        environment = os.pidfd_open(pid)
        self._environments[environment] = (pid, number, init)
        self._poll.register(environment, select.POLLIN)

    def _make_init(self) -> int:
        """Enter a new pid namespace with the children to come; return its pid 1's descriptor."""
        kernel.unshare(kernel.CLONE_NEWPID)
        pid = kernel.spawn_idle_init()
        descriptor = os.pidfd_open(pid)
        self._inits[descriptor] = pid
        self._poll.register(descriptor, select.POLLIN)
        return descriptor

    def _become(self, order: dict[str, Any], descriptors: list[int], parent: int) -> None:
        incoming, outgoing, log, *groups = descriptors

        def introduce() -> None:
            kernel.set_dumpable(dumpable=True)
            kernel.tie_to_parent(parent)
            self._report(reports.Report(reports.FORKED, order["number"]))
            self._launcher.close()
            for descriptor in (*self._environments, *self._inits, self._own_pids):
                os.close(descriptor)

        inside.run(
            inside.Setup(order, self._jail),
            self._load,
            (incoming, outgoing, log),
            groups,
            introduce,
            files=self._files,
        )

    def _reap(self, descriptor: int) -> None:
        pid, number, init = self._environments.pop(descriptor)
        self._poll.unregister(descriptor)
        os.close(descriptor)
        _, status, usage = os.wait4(pid, 0)
        if init in self._inits:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._inits[init], signal.SIGKILL)  # and so whatever it has left
        cpu_ns = int((usage.ru_utime + usage.ru_stime) * 1e9)
        peak = usage.ru_maxrss * 1024
        self._report(reports.Report(reports.ENDED, number, status, cpu_ns, peak))

    def _reap_init(self, descriptor: int) -> None:
        pid = self._inits.pop(descriptor)
        self._poll.unregister(descriptor)
        os.close(descriptor)
        os.waitpid(pid, 0)

    def _report(self, report: reports.Report, of: int = 0) -> None:
        """
        Send a report; the kernel adds who sent it, as the launcher would call it.

        Args:
            report: What to say.
            of: Another process that it is to come from, which takes CAP_SYS_ADMIN here.
        """
        message = [reports.pack(report)]
        if of:
            sender = reports.CREDENTIALS.pack(of, os.getuid(), os.getgid())
            self._launcher.sendmsg(message, [(socket.SOL_SOCKET, socket.SCM_CREDENTIALS, sender)])
        else:
            self._launcher.sendmsg(message)
