"""
The launcher: makes templates, has them fork environments, and holds limits from outside.

It is exec'ed by an Invoker, never forked from it (the app has threads), in a session of
its own so that Ctrl-C in a terminal does not reach it. It has one thread, loads no code of
the user's and imports the stdlib only. Orders come over one socket; each template or
environment has a pipe of its own on which its *verdict* is told: how it ended and what it
used. A verdict is always told, or the pipe ends with the launcher.

It learns that the app is gone from the socket's end, or from the app's pidfd (a process
that the app forked may hold the socket open). Then, and when it is told to, it kills
everything, waits until it is the parent of nobody, removes its folder and ends.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import select
import signal
import socket
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any, ClassVar

from . import jail, kernel, reports, sweep, usage
from .cgroups import Group, Groups
from .clearing import Clearing
from .idle_usage import IdleUsage
from .parking import Parking
from .table import Table
from .watchdog import TICK_NS, Watchdog
from .watched import Template, Watched

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["main"]

_MESSAGE_LIMIT = 1 << 16
_S = 1_000_000_000
_FORK_TIMEOUT_NS = 10 * _S
_EOF_GRACE_NS = _S // 5
_AWAKE_NS = _S // 10  # it goes on looking for so long after the last call
_LONGEST_REST_NS = _S // 40
_FIRST_LOOK_AT_PARKED_NS = _S // 5
_KERNEL_MEMORY = 64 * 1024 * 1024  # of 1,024 threads 26 MB, and of all else that a function has
_LONGEST_SLEEP_MS = 3_600_000  # poll takes no more than 2^31
_BY_FORCE = ("timeout", "out_of_memory", "aborted")
_CREDENTIALS_SPACE = socket.CMSG_SPACE(reports.CREDENTIALS.size)
# What a template may report of itself, and of each environment: pid 1, pid and end.
_REPORTS_OF_A_TEMPLATE, _REPORTS_OF_AN_ENVIRONMENT = 2, 3


def interpreter_command(folder: str, module: str) -> list[str]:
    """
    Return the command that runs one of this room's modules without importing faaskit.

    The child side lives under a package name of its own. ``-I -S``: nothing of the user's
    environment variables, folder or site-packages gets in.
    """
    code = (
        "import sys; package = type(sys)('_faaskit_child'); "
        "package.__path__ = [sys.argv.pop(1)]; sys.modules['_faaskit_child'] = package; "
        f"from _faaskit_child.{module} import main; main()"
    )
    return [sys.executable, "-I", "-S", "-X", "utf8", "-c", code, folder]


def _start_sweep(temporary: str) -> int:
    """
    Have a process of its own look for what is left of others; return its pid.

    It has to read the environment of processes, which one that forks can hold up.
    """
    folder = os.path.dirname(os.path.abspath(__file__))
    command = [*interpreter_command(folder, "sweep"), temporary]
    try:
        return os.posix_spawn(command[0], command, {})
    except OSError:  # this user may have no more processes now; another launcher will sweep
        return 0


class Launcher:
    """The loop, and what it knows."""

    def __init__(  # noqa: PLR0917  # made in one place
        self,
        control: socket.socket,
        table: Table,
        bell: int,
        memfds: int,
        app: int,
        temporary: str,
        priority: int,
        idle_ns: int,
    ) -> None:
        self._priority = priority
        name = sweep.name_of(os.getpid())
        self._name = name
        self._folder = f"{temporary}/{name}"
        self._view = f"{self._folder}/view"
        os.mkdir(self._folder, 0o700)
        os.mkdir(self._view, 0o700)
        self._groups = Groups(name)
        self._control = control
        control.setblocking(False)  # socket.recv_fds takes flags and ignores them
        self._app = os.pidfd_open(app)
        self._table = table
        self._templates: dict[int, Template] = {}
        self._links: dict[int, Template] = {}  # by the socket's descriptor
        self._environments: dict[int, Watched] = {}
        self._by_row: dict[int, Watched] = {}
        self._forking: dict[int, int] = {}  # when the order was given
        self._clearing = Clearing(self._folder, self._groups)
        self._clearing.errands.add(_start_sweep(temporary))
        self._watchdog = Watchdog(table, self._condemn, self._clearing.errands, memfds)
        self._parking = Parking(table, idle_ns)
        self._idle_usage = IdleUsage(table, memfds)
        self._idle_ns = idle_ns
        self._looks: dict[int, int] = {}  # when to look at a running one again
        self._next_tick = 0
        self._awake_until = 0
        self._wake_read, wake_write = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        for number in (signal.SIGINT, signal.SIGHUP, signal.SIGPIPE):
            signal.signal(number, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, self._on_sigterm)
        self._stopping = False
        self._poll = select.poll()
        self._bell = bell
        for descriptor in (bell, self._app, self._wake_read):
            self._poll.register(descriptor, select.POLLIN)

    def _on_sigterm(self, *_: object) -> None:
        self._stopping = True

    # The loop

    def serve(self) -> None:
        """Work until the app is gone or says so; leave nothing behind."""
        try:
            while not self._stopping:
                for descriptor, _ in self._wait():
                    if descriptor == self._app:
                        return
                    if descriptor in {self._wake_read, self._bell}:
                        _drain(descriptor)
                    elif descriptor in self._links:  # not hung up meanwhile
                        self._hear(self._links[descriptor])
                # After the templates: what they report (a pid) is what an order may be about.
                if not self._obey():
                    return
                self._reap()
                self._tick()
        finally:
            self._clearing.end([template.pid for template in self._templates.values()])

    def _wait(self) -> list[tuple[int, int]]:
        now = time.monotonic_ns()
        if now < self._awake_until:
            return self._poll.poll(max(0, self._next_tick - now) / 1e6)
        # The app starts a function by writing its deadline, and then looks whether this side
        # is asleep. This side says that it is, and then looks at the deadlines once more.
        # While it is awake it hears orders at every tick, and is not woken by each.
        self._table.asleep[0] = 1
        self._poll.register(self._control, select.POLLIN)
        try:
            if self._nothing_runs():
                idle = min(self._parking.due(), self._idle_usage.due()) - now
                return self._poll.poll(min(max(0, idle) / 1e6, _LONGEST_SLEEP_MS))
            self._awake_until = now + _AWAKE_NS
            return []
        finally:
            self._poll.unregister(self._control)
            self._table.asleep[0] = 0

    def _nothing_runs(self) -> bool:
        return not any(
            self._watchdog.deadline(watched) and not watched.told
            for watched in self._environments.values()
        )

    # Orders of the app

    def _obey(self) -> bool:
        """Carry out what waits on the control socket; return whether the app is there."""
        while True:
            try:
                message, fds, _, _ = socket.recv_fds(self._control, _MESSAGE_LIMIT, 16)
            except BlockingIOError:
                return True
            if not message:
                return False
            self._stay_awake()
            for order in json.loads(message):
                taken = order.get("fds", 0)
                if len(fds) < taken:
                    # This process had no room for them all. The app hears it by the end of the
                    # pipe that the verdict would come by.
                    for descriptor in fds:
                        os.close(descriptor)
                    fds = []
                    continue
                self._orders[order["op"]](self, order, fds[:taken])
                fds = fds[taken:]

    def _stay_awake(self) -> None:
        now = time.monotonic_ns()
        if now >= self._awake_until:
            self._next_tick = now
        self._awake_until = now + _AWAKE_NS

    def _make_template(self, order: dict[str, Any], fds: list[int]) -> None:
        code, incoming, outgoing, log, verdict = fds
        watched = Watched(order, verdict)
        watched.deadline = time.monotonic_ns() + int(order["seconds"] * _S)
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        # Each message brings its sender's pid as this process would call it. No other
        # number is believed: the code in there may be anybody's.
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        ours.setblocking(False)  # a template that INIT has taken over need not read
        folder = os.path.dirname(os.path.abspath(__file__))
        command = interpreter_command(folder, "template")
        given = (theirs.fileno(), code, incoming, outgoing, log)
        watched.jailed = order["jailed"]
        order["user"] = jail.user_of(os.getpid(), watched.number)
        order["system_v"] = "memory" in self._groups.controllers
        try:
            watched.group = self._take_group(order)
            process = subprocess.Popen(
                [*command, *map(str, given), str(self._priority), json.dumps(order), self._view],
                pass_fds=given,
                # A marker that the function can't take off: it stays readable in /proc,
                # for the sweep after a launcher that was killed.
                env={sweep.MARKER: self._name},
                cwd="/",
                stdin=subprocess.DEVNULL,
                # Where the kernel shares the processors out among sessions first, a fork bomb in
                # INIT then has no more than one that is alone.
                start_new_session=True,
            )
        except OSError as error:
            watched.tell("sandbox", step=reports.STEPS[0], errno=error.errno)
            self._clearing.clear_group(watched.group)
            ours.close()
            return
        finally:
            theirs.close()
            for descriptor in given[1:]:
                os.close(descriptor)
        process.returncode = 0  # reaped by _reap, not by Popen
        if order["jailed"]:
            watched.ender = os.pidfd_open(process.pid)
        else:
            watched.pid, watched.pidfd = process.pid, os.pidfd_open(process.pid)
        template = Template(watched, ours, process.pid, jailed=order["jailed"])
        template.reports_left = _REPORTS_OF_A_TEMPLATE
        self._templates[watched.number] = template
        self._links[ours.fileno()] = template
        self._poll.register(ours.fileno(), select.POLLIN)

    def _fork(self, order: dict[str, Any], fds: list[int]) -> None:
        *pipes, verdict = fds
        watched = Watched(order, verdict)
        template = self._templates.get(order["template"])
        if template is None or template.retired:
            watched.tell("sandbox", step="fork", detail="its template is gone")
        else:
            watched.template = template
            template.used_at = time.monotonic_ns()
            # Whoever had the row before is over for the app, though it may not have ended yet.
            former = self._by_row.get(watched.row)
            if former is not None:
                former.row = 0
                if not former.told:
                    self._condemn(former, "aborted")
            self._by_row[watched.row] = watched
            watched.jailed = template.jailed
            if not template.jailed:
                watched.folder = order["folder"] = f"{self._folder}/{watched.number}"
            self._environments[watched.number] = watched
            try:
                watched.group = self._take_group(order)
                doors = [] if watched.group is None else watched.group.open_doors()
                # Who can't fork is found in its group; else all end with pid 1 of their namespace.
                order["names_init"] = template.jailed and not _counts_processes(watched)
                socket.send_fds(template.link, [json.dumps(order).encode()], [*pipes, *doors])
            except OSError as error:
                self._forget(watched)
                watched.tell("sandbox", step="fork", errno=error.errno)
            else:
                template.reports_left += _REPORTS_OF_AN_ENVIRONMENT
                template.forks += 1
                self._forking[watched.number] = time.monotonic_ns()
        if watched.group is not None:
            watched.group.release_doors()
        for descriptor in pipes:
            os.close(descriptor)

    def _take_group(self, order: dict[str, Any]) -> Group | None:
        """
        Return cgroups for a template or environment, None where there are none on this host.

        Raises:
            OSError: There were some, but one could not be had: nothing runs without.
        """
        group = self._groups.take()
        if group is not None:
            disk = order["disk_limit"]
            try:
                # For the kernel memory of as many threads, descriptors and files as there may be.
                group.limit_memory(order["memory_limit"] + disk + _KERNEL_MEMORY + disk // 16)
            except OSError:
                self._groups.discard(group)
                raise
        return group

    def _finish(self, order: dict[str, Any], _: list[int]) -> None:
        """
        The app has its result: read what was used, kill, tell.

        Where the function left nothing it has read that itself. Then it says so in the table,
        and hears no verdict.
        """
        watched = self._find(order["number"])
        if watched is not None:
            self._condemn(watched, "finished")

    def _abort(self, order: dict[str, Any], _: list[int]) -> None:
        watched = self._find(order["number"])
        if watched is not None:
            self._condemn(watched, "aborted")

    def _gone(self, order: dict[str, Any], _: list[int]) -> None:
        """
        The app read the end of the reply pipe: the process ended, or closed it.

        The first is told by the template in a moment. If it is not, it was the second.
        """
        watched = self._find(order["number"])
        if watched is not None and not watched.hung_up:
            watched.hung_up = True
            watched.deadline = time.monotonic_ns() + _EOF_GRACE_NS
            self._looks.pop(watched.number, None)

    def _retire(self, order: dict[str, Any], _: list[int]) -> None:
        template = self._templates.get(order["number"])
        if template is not None:
            template.retired = True
            self._clearing.kill(template.watched)

    _orders: ClassVar[dict[str, Callable[[Launcher, dict[str, Any], list[int]], None]]] = {
        "template": _make_template,
        "fork": _fork,
        "finish": _finish,
        "abort": _abort,
        "gone": _gone,
        "retire": _retire,
    }

    def _find(self, number: int) -> Watched | None:
        watched = self._environments.get(number)
        if watched is None:
            template = self._templates.get(number)
            return template.watched if template is not None and not template.ready else None
        return None if watched.told else watched

    # Reports of the templates

    def _hear(self, template: Template) -> bool:
        """Read one report; return whether there was one, and there may be more."""
        try:
            # No room for descriptors: the kernel closes those that come.
            message, ancillary, _, _ = template.link.recvmsg(
                reports.SIZE + 1, _CREDENTIALS_SPACE, socket.MSG_DONTWAIT
            )
        except BlockingIOError:
            return False  # whoever holds the other end may do so for ever
        except OSError:
            message, ancillary = b"", []
        if not message:
            self._hang_up(template)
            return False
        template.reports_left -= 1
        if template.reports_left < 0:
            self._clearing.kill(template.watched)  # a flood of them
            return True
        try:
            self._take_report(template, reports.unpack(message), _sender(ancillary))
        except Exception:  # noqa: BLE001  # whatever it is, it is that template's alone
            # INIT code got at the template's socket. Its own function is all it can spoil.
            self._clearing.kill(template.watched)
        return True

    def _take_report(self, template: Template, report: reports.Report, pid: int) -> None:
        if report.kind == reports.HELLO:
            self._greet(template, pid)
            return
        if report.kind == reports.SETUP_FAILED:
            if not template.greeted:
                template.failure = reports.STEPS[report.number], report.value
            return
        if report.kind == reports.READY:
            template.ready = True
            template.ready_at = time.monotonic_ns()
            template.watched.deadline = 0
            self._idle_usage.look_by(template.ready_at + _S)
            template.watched.tell("ready")
            return
        watched = self._environments.get(report.number)
        if watched is None or watched.template is not template:
            return
        if report.kind == reports.INIT_MADE:
            self._init_made(watched, pid)
        elif report.kind == reports.FORKED:
            self._forked(watched, pid)
        elif report.kind == reports.FORK_FAILED:
            watched.tell("sandbox", step="fork", errno=report.value)
            self._forget(watched)
        else:
            cpu_ns = report.cpu_ns - self._cpu_before(watched)
            watched.cpu_ns = max(watched.cpu_ns, cpu_ns)
            watched.peak = max(watched.peak, report.peak)
            self._ended(watched, report.value)

    def _greet(self, template: Template, pid: int) -> None:
        """Watch a template from now on; it has run nothing of the user's yet."""
        watched = template.watched
        if template.greeted:
            return
        if watched.pid is None:
            watched.pid, watched.pidfd = pid, os.pidfd_open(pid)
        if watched.group is not None:
            try:
                for door in watched.group.open_doors():
                    os.write(door, str(pid).encode())
            except OSError as error:
                template.failure = "move a template to its cgroups", error.errno or 0
                raise
            watched.group.release_doors()
        elif template.jailed:
            template.mounts = usage.mounts(pid)
        template.greeted = True
        template.link.send(b"go")

    def _init_made(self, watched: Watched, pid: int) -> None:
        """Note the pid 1 of an environment's namespace: to end it is to end all of that."""
        if watched.ender < 0 and _is_child_of(pid, watched.template):
            watched.ender, watched.init = _hold(pid), pid

    def _forked(self, watched: Watched, pid: int) -> None:
        template = watched.template
        assert template is not None
        needs_init = template.jailed and not _counts_processes(watched)
        if watched.pid is not None or (needs_init and watched.ender < 0):
            return
        if not _is_child_of(pid, template):
            return  # it has ended, and that report is on its way; or this is no environment
        watched.pidfd = _hold(pid)
        if watched.pidfd < 0:
            return
        self._forking.pop(watched.number, None)
        watched.pid = pid
        watched.cpu_before = usage.cpu_time_ns(pid)
        if watched.late is not None:
            ending, facts = watched.late
            self._condemn(watched, ending, **facts)
        elif watched.row:
            self._table.pid[watched.row] = pid
            self._parking.look_by(template.used_at + self._idle_ns)
            self._idle_usage.look_by(time.monotonic_ns() + _FIRST_LOOK_AT_PARKED_NS)

    def _hang_up(self, template: Template) -> None:
        descriptor = template.link.fileno()
        if descriptor >= 0:
            self._poll.unregister(descriptor)
            self._links.pop(descriptor, None)
            template.link.close()
        # It has ended, and is about to be reaped; or it has closed its end, and is killed then.
        template.closed_at = time.monotonic_ns()
        self._stay_awake()

    # Ends

    def _ended(self, watched: Watched, status: int) -> None:
        """An environment's process is gone: tell why, and clear up after it."""
        self._tell_status(watched, status)
        self._forget(watched)

    def _tell_status(self, watched: Watched, status: int) -> None:
        killed = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
        if killed and watched.group is not None and watched.group.ran_out_of_memory():
            watched.tell("out_of_memory")
        else:
            watched.tell_status(status)

    def _forget(self, watched: Watched) -> None:
        self._environments.pop(watched.number, None)
        self._by_row.pop(watched.row, None)
        self._forking.pop(watched.number, None)
        self._looks.pop(watched.number, None)
        if watched.template is not None:
            watched.template.former.update({watched.pid or 0, watched.init})
        watched.end()
        watched.put_away()
        self._clearing.clear_group(watched.group)
        if watched.folder:
            self._clearing.remove(watched.folder)
            self._kill_orphans()

    def _kill_orphans(self) -> None:
        known = {template.pid for template in self._templates.values()}
        known.update(w.pid for w in self._environments.values() if w.pid is not None)
        self._clearing.kill_orphans(known)

    def _reap(self) -> None:
        """Take the end of every child that has ended: templates, orphans, sweepers."""
        orphans = False
        while True:
            try:
                pid, status, used = os.wait4(-1, os.WNOHANG)
            except ChildProcessError:
                break
            if pid == 0:
                break
            if self._clearing.was_helper(pid):
                continue
            template = next((t for t in self._templates.values() if t.pid == pid), None)
            if template is not None:
                self._template_ended(template, status, used)
                continue
            watched = next((w for w in self._environments.values() if w.pid == pid), None)
            if watched is not None:
                # Its template was gone, so it came to this process.
                watched.tell("sandbox", step="run", detail=_ended_with(watched.template))
                self._ended(watched, status)
            else:
                orphans = True
        if orphans:
            self._kill_orphans()  # theirs; once, for there may be a thousand

    def _template_ended(self, template: Template, status: int, used: Any) -> None:
        watched = template.watched
        while template.link.fileno() >= 0 and self._hear(template):
            pass  # what it said last; it may say no more than it had to
        self._templates.pop(watched.number, None)
        watched.cpu_ns = max(watched.cpu_ns, int((used.ru_utime + used.ru_stime) * 1e9))
        watched.peak = max(watched.peak, used.ru_maxrss * 1024)
        if template.failure is not None:
            step, number = template.failure
            watched.tell("sandbox", step=step, errno=number)
        elif not template.greeted:
            watched.tell("sandbox", step=reports.STEPS[0], detail="it ended before its code ran")
        else:
            self._tell_status(watched, status)
        self._looks.pop(watched.number, None)
        watched.put_away()
        for environment in list(self._environments.values()):
            # In a jail all ended with it, and nobody is left to tell of each.
            if environment.template is template and (template.jailed or environment.pid is None):
                environment.tell("sandbox", step="run", detail=_ended_with(template))
                self._forget(environment)
        self._clearing.clear_group(watched.group)
        self._kill_orphans()

    # Limits

    def _tick(self) -> None:
        now = time.monotonic_ns()
        began = time.thread_time_ns()
        running = self._running(now)
        # Deadlines first: no function runs on because a neighbour's tree takes long to look at.
        deadlines = [_S + now]
        for watched, deadline in running:
            if deadline <= now:
                self._look_at(watched, deadline)
            else:
                deadlines.append(deadline)
        next_deadline = min(deadlines)
        next_tick = self._look_at_those_due(running, next_deadline)
        now = time.monotonic_ns()
        self._look_after_forks(now)
        if now >= self._parking.due():
            for watched in self._parking.leaving(self._environments.values(), now):
                self._condemn(watched, "idle")
        if now >= self._idle_usage.due():
            self._look_at_idle(now)
        for template in self._templates.values():
            if template.closed_at:
                self._awake_until = now + _AWAKE_NS
                if now - template.closed_at > _EOF_GRACE_NS:
                    self._clearing.kill(template.watched)
        self._clearing.look_after_groups()
        # Watching many must not take the processor from them: a tenth of it at the most. One
        # that starts now is seen within a tick. By its own time: where it can't run ahead of
        # others a look may take long because they have the processor, and is needed then.
        spent = time.thread_time_ns() - began
        # But there is a longest time between two looks, for memory grows meanwhile.
        rested = max(min(next_tick, now + TICK_NS), now + min(9 * spent, _LONGEST_REST_NS))
        self._next_tick = min(rested, next_deadline)

    def _running(self, now: int) -> list[tuple[Watched, int]]:
        """Return those that have a deadline, with it; those looked at longest ago first."""
        templates = [t.watched for t in self._templates.values() if not t.ready]
        found: list[tuple[Watched, int]] = []
        for watched in (*templates, *self._environments.values()):
            deadline = self._watchdog.deadline(watched)
            if deadline and not watched.told:
                found.append((watched, deadline))
        if found:
            self._awake_until = now + _AWAKE_NS
            found.sort(key=lambda one: self._looks.get(one[0].number, 0))
        return found

    def _look_at_those_due(self, running: list[tuple[Watched, int]], next_deadline: int) -> int:
        """Look at those whose turn it is, until a deadline; return when the next look is due."""
        next_tick = next_deadline
        for watched, deadline in running:
            if watched.told:
                continue
            now = time.monotonic_ns()
            if now >= next_deadline:
                return now
            look = self._looks.get(watched.number, 0)
            if look <= now:
                look = self._look_at(watched, deadline)
            next_tick = min(next_tick, look)
        return next_tick

    def _look_at(self, watched: Watched, deadline: int) -> int:
        look = self._watchdog.hold(watched, deadline, time.monotonic_ns())
        if not watched.told:
            self._looks[watched.number] = look
        return look

    def _look_at_idle(self, now: int) -> None:
        found = self._idle_usage.over(self._environments.values(), self._templates.values(), now)
        for watched, reason in list(found):
            if watched.template is None:
                self._templates[watched.number].end_reason = reason
                self._clearing.kill(watched)  # the app asks for another one
            else:
                self._condemn(watched, "busy", detail=reason)

    def _look_after_forks(self, now: int) -> None:
        if self._forking:
            self._awake_until = now + _AWAKE_NS
        for number, since in list(self._forking.items()):
            if now - since > _FORK_TIMEOUT_NS:
                watched = self._environments[number]
                watched.tell(
                    "sandbox",
                    step="fork",
                    detail="a fork of its template does not answer: does a fork hook hang?",
                    final=True,  # another one would hang as long
                )
                if watched.template is not None:
                    self._clearing.kill(watched.template.watched)
                self._forget(watched)

    def _condemn(
        self, watched: Watched, ending: str, *, measured: bool = False, **facts: Any
    ) -> None:
        """
        Read what a tree used while it is there, kill it, tell.

        It is told here and not when the template reports the end: a template that INIT
        code has taken over could keep that back.
        """
        self._looks.pop(watched.number, None)
        watched.put_away_weighing()
        if watched.pid is None:
            # It told the app that it was parked before its template told its pid here. Not
            # waited for: a template that never tells would stop the watch over all others.
            watched.late = (ending, facts)
            if watched.template is None:
                watched.tell(ending, **facts)  # a template that has not even said hello
                self._clearing.kill(watched)
            return
        if ending in _BY_FORCE:
            # First of all: what it used is read of what is left, before anybody reaps it.
            self._clearing.stop(watched)
        below = [] if measured else watched.below()
        if not measured:
            self._measure(watched, watched.pid, below)
            if ending == "finished" and watched.peak > watched.memory_limit:
                ending = "out_of_memory"  # faster than the watchdog looks
        if below or ending != "finished":
            self._clearing.kill(watched)
            watched.tell(ending, **facts)
        else:
            # It is alone and waits in a read. A killed process runs its end at once, in this
            # one's place; told first, the app goes on meanwhile.
            watched.tell(ending, **facts)
            watched.signal_root(signal.SIGKILL)
            watched.end()

    def _measure(self, watched: Watched, pid: int, below: list[int]) -> None:
        cpu = usage.cpu_time_ns(pid) + sum(map(usage.cpu_time_ns, below))
        cpu += usage.reaped_cpu_time_ns(pid)
        seen = 0 if watched.share is None else watched.share.used_ns
        watched.cpu_ns = max(seen, cpu - self._cpu_before(watched))
        watched.peak = max(watched.peak, usage.peak_resident(pid))

    def _cpu_before(self, watched: Watched) -> int:
        return (watched.row and self._table.cpu_before[watched.row]) or watched.cpu_before


def _drain(descriptor: int) -> None:
    with contextlib.suppress(BlockingIOError):
        while os.read(descriptor, 512):
            pass


def _sender(ancillary: list[tuple[int, int, bytes]]) -> int:
    """Return the pid of a message's sender on this host, 0 if the kernel has not added it."""
    for level, kind, data in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_CREDENTIALS:
            return int(reports.CREDENTIALS.unpack(data[: reports.CREDENTIALS.size])[0])
    return 0


def _counts_processes(watched: Watched) -> bool:
    return watched.group is not None and watched.group.counts_processes


def _ended_with(template: Template | None) -> str:
    return f"its template ended: {template.end_reason}" if template else "its template ended"


def _is_child_of(pid: int, template: Template | None) -> bool:
    # A template that may do all in its user namespace may also name another's pid as its own.
    parent = usage.parent_and_start(pid)[0]
    return template is not None and parent != 0 and parent == template.watched.pid


def _hold(pid: int) -> int:
    """Return a descriptor of a process; -1 where it has ended meanwhile."""
    try:
        return os.pidfd_open(pid)
    except ProcessLookupError:
        return -1


def main() -> None:
    """
    Be the launcher: ``argv`` holds the descriptors of the control socket, of the table and
    of the bell, the app's pid, after how many ms a function is idle, and the folder for
    temporary files.
    """
    control_fd, table_fd, bell, app, idle_ms = map(int, sys.argv[1:6])
    temporary = sys.argv[6]
    kernel.adopt_orphans()
    kernel.join_own_keyring()
    if os.getppid() != app:
        return  # it was killed before this process came to watch it
    # A fork bomb must not take the processor from the one who ends it. Templates go back to
    # where the app was.
    usual = os.getpriority(os.PRIO_PROCESS, 0)
    with contextlib.suppress(PermissionError):
        # Nice -20 is not enough: against a thousand busy processes it is a twelfth of a
        # processor. What this process forks starts as an ordinary one.
        policy = os.SCHED_RR | os.SCHED_RESET_ON_FORK
        os.sched_setscheduler(0, policy, os.sched_param(1))
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))  # several for each environment
    table, memfds = Table(table_fd), os.fstat(table_fd).st_dev
    os.close(table_fd)
    with socket.socket(fileno=control_fd) as control:
        idle_ns = idle_ms * 1_000_000
        Launcher(control, table, bell, memfds, app, temporary, usual, idle_ns).serve()
