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

from . import kernel, limits, sweep, tree, usage
from . import weighing as weighing_room

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["main"]

_MESSAGE_LIMIT = 1 << 16
_TICK_S = 0.005
_FORK_TIMEOUT_S = 10
_EOF_GRACE_S = 0.2
_WEIGH_EVERY_S = 0.05


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
    return os.posix_spawn(command[0], command, {})


class Watched:
    """
    A template during INIT, or an environment: a process tree, its limits, its verdict.

    Attributes:
        memory_limit: Of the whole tree, in bytes.
        deadline: On the monotonic clock; None while nothing runs in it.
        pid: None until the template has told it.
    """

    def __init__(self, order: dict[str, Any], verdict: int) -> None:
        self.number: int = order["number"]
        self.memory_limit: int = order["memory_limit"]
        self.verdict = verdict
        self.pid: int | None = None
        self.pidfd = -1
        self.template: Template | None = None
        self.group = ""
        self.folder = ""
        self.deadline: float | None = None
        self.cpu_at_start = 0
        self.cpu_ns = 0
        self.peak = 0
        self.hung_up = False
        self.weighing: weighing_room.Weighing | None = None
        self.weigh_again = 0.0
        self.late: tuple[str, dict[str, Any]] | None = None
        self.told = False

    def signal_root(self, number: int) -> None:
        """Signal the tree's root by its pidfd: its pid may be another's by now."""
        if self.pidfd >= 0:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self.pidfd, number)

    def put_away_weighing(self) -> None:
        """End a weighing that is under way or done."""
        weighing, self.weighing = self.weighing, None
        if weighing is not None:
            weighing.close()

    def tell(self, ending: str, **facts: Any) -> None:
        """Write the verdict, once, and close the pipe."""
        if self.told:
            return
        self.told = True
        facts.update(ending=ending, cpu_ns=self.cpu_ns, peak=self.peak)
        with contextlib.suppress(BrokenPipeError):  # the app does not want to know
            os.write(self.verdict, json.dumps(facts).encode())
        os.close(self.verdict)

    def tell_status(self, status: int) -> None:
        """Tell how a process ended that nobody here killed."""
        if os.WIFSIGNALED(status):
            self.tell("signal", signal=os.WTERMSIG(status))
        else:
            self.tell("exit", exit_code=os.WEXITSTATUS(status))


class Template:
    """A template's process and the launcher's socket to it."""

    def __init__(self, watched: Watched, link: socket.socket, pid: int) -> None:
        self.watched = watched
        self.link = link
        self.pid = pid
        self.ready = False
        self.retired = False


class Launcher:
    """The loop, and what it knows."""

    def __init__(self, control: socket.socket, app: int, temporary: str, priority: int) -> None:
        self._priority = priority
        _, start = usage.parent_and_start(os.getpid())
        name = sweep.name(os.getpid(), start)
        self._name = name
        self._folder = f"{temporary}/{name}"
        os.mkdir(self._folder, 0o700)
        self._groups = limits.PidsGroups(name)
        self._used_groups: list[str] = []
        self._control = control
        control.setblocking(False)  # socket.recv_fds takes flags and ignores them
        self._app = os.pidfd_open(app)
        self._templates: dict[int, Template] = {}
        self._links: dict[int, Template] = {}  # by the socket's descriptor
        self._environments: dict[int, Watched] = {}
        self._adopted: dict[int, Watched] = {}  # by pid: their template is gone
        self._running: dict[int, Watched] = {}
        self._forking: dict[int, float] = {}  # when the order was given
        self._sweepers: set[int] = set()
        self._errands: set[int] = {_start_sweep(temporary)}
        self._rubbish: list[str] = []
        self._next_tick = 0.0
        self._wake_read, wake_write = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        for number in (signal.SIGINT, signal.SIGHUP, signal.SIGPIPE):
            signal.signal(number, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, self._on_sigterm)
        self._stopping = False
        self._poll = select.poll()
        for descriptor in (control.fileno(), self._app, self._wake_read):
            self._poll.register(descriptor, select.POLLIN)

    def _on_sigterm(self, *_: object) -> None:
        self._stopping = True

    # The loop

    def serve(self) -> None:
        """Work until the app is gone or says so; leave nothing behind."""
        try:
            while not self._stopping:
                ready = self._poll.poll(self._timeout_ms())
                # Templates first: what they report (a pid) is what an order may be about.
                control = False
                for descriptor, _ in ready:
                    if descriptor == self._control.fileno():
                        control = True
                    elif descriptor == self._app:
                        return
                    elif descriptor == self._wake_read:
                        self._drain_wake()
                    elif descriptor in self._links:  # not hung up meanwhile
                        self._hear(self._links[descriptor])
                if control and not self._obey():
                    return
                self._reap()
                self._tick()
        finally:
            self._end()

    def _timeout_ms(self) -> float | None:
        if not (self._running or self._forking):
            return None
        return max(0.0, (self._next_tick - time.monotonic()) * 1000)

    def _drain_wake(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while os.read(self._wake_read, 512):
                pass

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
            for order in json.loads(message):
                taken = order.get("fds", 0)
                self._orders[order["op"]](self, order, fds[:taken])
                fds = fds[taken:]

    def _make_template(self, order: dict[str, Any], fds: list[int]) -> None:
        code, incoming, outgoing, log, verdict = fds
        watched = Watched(order, verdict)
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        folder = os.path.dirname(os.path.abspath(__file__))
        command = interpreter_command(folder, "template")
        given = (theirs.fileno(), code, incoming, outgoing, log)
        watched.group = self._groups.take()
        try:
            process = subprocess.Popen(
                [*command, *map(str, given), str(self._priority)],
                pass_fds=given,
                # A marker that the function can't take off: it stays readable in /proc,
                # for the sweep after a launcher that was killed.
                env={sweep.MARKER: self._name},
                cwd="/",
                stdin=subprocess.DEVNULL,
            )
            process.returncode = 0  # reaped by _reap, not by Popen
            watched.pid = process.pid
            watched.pidfd = os.pidfd_open(process.pid)
            limits.limit_template(process.pid, order["data_limit"], order["file_limit"])
            if watched.group:
                with open(f"{watched.group}/cgroup.procs", "w", encoding="ascii") as file:
                    file.write(str(process.pid))
        except OSError as error:
            watched.tell("sandbox", step="start a template", errno=error.errno)
            if watched.pid is not None:
                tree.kill(watched.pid)
            return
        finally:
            theirs.close()
            for descriptor in given[1:]:
                os.close(descriptor)
        template = Template(watched, ours, process.pid)
        self._templates[watched.number] = template
        self._links[ours.fileno()] = template
        self._poll.register(ours.fileno(), select.POLLIN)
        self._run(watched, order["seconds"])
        ours.send(b"go")

    def _fork(self, order: dict[str, Any], fds: list[int]) -> None:
        *pipes, verdict = fds
        watched = Watched(order, verdict)
        template = self._templates.get(order["template"])
        if template is None or template.retired:
            watched.tell("sandbox", step="fork", detail="its template is gone")
        else:
            watched.template = template
            watched.group = self._groups.take()
            watched.folder = f"{self._folder}/{watched.number}"
            message = {
                "number": watched.number,
                "folder": watched.folder,
                "data_limit": order["data_limit"],
                "file_limit": order["file_limit"],
                "pids_group": f"{watched.group}/cgroup.procs" if watched.group else "",
                "environment": order["environment"],
            }
            self._environments[watched.number] = watched
            try:
                socket.send_fds(template.link, [json.dumps(message).encode()], pipes)
            except OSError as error:
                self._forget(watched)
                watched.tell("sandbox", step="fork", errno=error.errno)
            else:
                if not self._forking:
                    self._next_tick = time.monotonic() + _TICK_S
                self._forking[watched.number] = time.monotonic()
        for descriptor in pipes:
            os.close(descriptor)

    def _start(self, order: dict[str, Any], _: list[int]) -> None:
        watched = self._find(order["number"])
        if watched is not None:
            self._run(watched, order["seconds"])

    def _run(self, watched: Watched, seconds: float) -> None:
        now = time.monotonic()
        watched.deadline = now + seconds
        if watched.number not in self._running:
            if not self._running:
                self._next_tick = now + _TICK_S
            self._running[watched.number] = watched
            if watched.pid is not None:
                watched.cpu_at_start = usage.cpu_time_ns(watched.pid)

    def _finish(self, order: dict[str, Any], _: list[int]) -> None:
        """The app has its result: read what was used, kill, tell."""
        watched = self._find(order["number"])
        if watched is None:
            return
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
            self._run(watched, _EOF_GRACE_S)

    def _retire(self, order: dict[str, Any], _: list[int]) -> None:
        template = self._templates.get(order["number"])
        if template is not None:
            template.retired = True
            self._kill(template.watched)

    _orders: ClassVar[dict[str, Callable[[Launcher, dict[str, Any], list[int]], None]]] = {
        "template": _make_template,
        "fork": _fork,
        "start": _start,
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
        try:
            message = template.link.recv(_MESSAGE_LIMIT, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return True
        except OSError:
            message = b""
        if not message:
            self._hang_up(template)
            return False
        try:
            report = json.loads(message)
            operation, number = report["op"], report.get("number")
            if operation == "ready":
                template.ready = True
                self._running.pop(template.watched.number, None)
                template.watched.tell("ready")
                return True
            watched = self._environments.get(number)
            if watched is None or watched.template is not template:
                return True
            if operation == "forked":
                self._forked(watched, int(report["pid"]))
            elif operation == "fork_failed":
                self._forking.pop(watched.number, None)
                watched.tell("sandbox", step="fork", errno=report["errno"])
                self._forget(watched)
            elif operation == "ended":
                watched.cpu_ns = max(watched.cpu_ns, int(report["cpu_ns"]) - watched.cpu_at_start)
                watched.peak = max(watched.peak, int(report["peak"]))
                self._ended(watched, int(report["status"]))
        except (ValueError, KeyError, TypeError):
            # INIT code got at the template's socket. Its own function is all it can spoil.
            self._kill(template.watched)
        return True

    def _forked(self, watched: Watched, pid: int) -> None:
        self._forking.pop(watched.number, None)
        template = watched.template
        try:
            pidfd = os.pidfd_open(pid)
        except OSError:
            return  # it has ended, and that report is on its way
        if template is None or usage.parent_and_start(pid)[0] != template.pid:
            # Either it ended just now, or the template lies: then this is anybody's pid.
            os.close(pidfd)
            return
        watched.pid, watched.pidfd = pid, pidfd
        watched.cpu_at_start = usage.cpu_time_ns(pid)
        if watched.late is not None:
            ending, facts = watched.late
            self._condemn(watched, ending, **facts)

    def _hang_up(self, template: Template) -> None:
        descriptor = template.link.fileno()
        if descriptor >= 0:
            self._poll.unregister(descriptor)
            self._links.pop(descriptor, None)
            template.link.close()
        self._kill(template.watched)

    # Ends

    def _ended(self, watched: Watched, status: int) -> None:
        """An environment's process is gone: tell why, and clear up after it."""
        self._running.pop(watched.number, None)
        self._forking.pop(watched.number, None)
        watched.tell_status(status)
        self._forget(watched)

    def _forget(self, watched: Watched) -> None:
        self._environments.pop(watched.number, None)
        self._running.pop(watched.number, None)
        self._forking.pop(watched.number, None)
        watched.put_away_weighing()
        if watched.pidfd >= 0:
            os.close(watched.pidfd)
            watched.pidfd = -1
        self._clear_group(watched.group)
        if watched.folder:
            try:
                os.rmdir(watched.folder)
            except FileNotFoundError:
                pass
            except OSError:
                self._rubbish.append(watched.folder)
        self._kill_orphans()
        self._take_out_rubbish()

    def _clear_group(self, group: str) -> None:
        if not group:
            return
        self._used_groups.append(group)
        still: list[str] = []
        for used in self._used_groups:
            left = self._groups.members(used)
            if left:
                self._groups.freeze(used)
                for pid in left:
                    tree.kill(pid)
                still.append(used)  # killed, but not yet out of it: looked at again
            else:
                self._groups.give_back(used)
        self._used_groups = still

    def _kill_orphans(self) -> None:
        """
        Kill this process's children that are nobody's here.

        What a function made outlives it as a child of the launcher: a daemon, or what an
        environment left when it ended by itself.
        """
        known = {t.pid for t in self._templates.values()} | self._sweepers | self._errands
        known.update(w.pid for w in self._environments.values() if w.pid is not None)
        for pid in usage.children(os.getpid()):
            if pid not in known:
                tree.kill_tree(pid)

    def _take_out_rubbish(self) -> None:
        # Not here: a folder may hold a million files, and functions are being watched.
        if self._rubbish and not self._sweepers:
            folders, self._rubbish = self._rubbish[:100], self._rubbish[100:]
            self._sweepers.add(os.posix_spawnp("rm", ["rm", "-rf", "--", *folders], {}))

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
            if pid in self._errands:
                self._errands.discard(pid)
                continue
            if pid in self._sweepers:
                self._sweepers.discard(pid)
                self._take_out_rubbish()
                continue
            template = next((t for t in self._templates.values() if t.pid == pid), None)
            if template is not None:
                self._template_ended(template, status, used)
                continue
            watched = next((w for w in self._environments.values() if w.pid == pid), None)
            if watched is not None:
                # Its template was gone, so it came to this process.
                watched.tell("sandbox", step="run", detail="its template was killed")
                self._ended(watched, status)
            else:
                orphans = True
        if orphans:
            self._kill_orphans()  # theirs; once, for there may be a thousand

    def _template_ended(self, template: Template, status: int, used: Any) -> None:
        watched = template.watched
        self._running.pop(watched.number, None)
        while template.link.fileno() >= 0 and self._hear(template):
            pass  # what it said last
        self._templates.pop(watched.number, None)
        watched.put_away_weighing()
        watched.cpu_ns = max(watched.cpu_ns, int((used.ru_utime + used.ru_stime) * 1e9))
        watched.peak = max(watched.peak, used.ru_maxrss * 1024)
        watched.tell_status(status)
        if watched.pidfd >= 0:
            os.close(watched.pidfd)
            watched.pidfd = -1
        for environment in list(self._environments.values()):
            if environment.template is template and environment.pid is None:
                environment.tell("sandbox", step="fork", detail="its template was killed")
                self._forget(environment)
        self._clear_group(watched.group)
        self._kill_orphans()

    # Limits

    def _tick(self) -> None:
        now = time.monotonic()
        if not (self._running or self._forking) or now < self._next_tick:
            self._pull_tick(now)
            return
        for watched in list(self._running.values()):
            self._hold(watched, now)
        for number, since in list(self._forking.items()):
            if now - since > _FORK_TIMEOUT_S:
                watched = self._environments[number]
                watched.tell("sandbox", step="fork", detail="its template does not answer")
                if watched.template is not None:
                    self._kill(watched.template.watched)
                self._forget(watched)
        # Watching many must not take the processor from them: a tenth of it at the most.
        spent = time.monotonic() - now
        self._next_tick = now + max(_TICK_S, 10 * spent)
        self._pull_tick(now)

    def _pull_tick(self, now: float) -> None:
        """Have the next tick no later than the next deadline."""
        deadlines = [w.deadline for w in self._running.values() if w.deadline is not None]
        if deadlines:
            self._next_tick = max(now, min(self._next_tick, *deadlines, now + 1))

    def _hold(self, watched: Watched, now: float) -> None:
        if watched.deadline is not None and now >= watched.deadline:
            if watched.hung_up:
                self._condemn(watched, "exit", exit_code=None, detail="it closed its channel")
            else:
                self._condemn(watched, "timeout")
            return
        if watched.pid is None:
            return
        below = usage.descendants(watched.pid)
        root = usage.resident(watched.pid)
        total = root + sum(map(usage.resident, below))
        if root > watched.memory_limit:
            watched.peak = max(watched.peak, root)
            self._condemn(watched, "out_of_memory")
        elif len(below) > limits.PROCESSES:
            self._condemn(watched, "exit", exit_code=None, detail="more than 1,024 processes")
        elif total > watched.memory_limit:
            self._weigh(watched, root, below, now)
        else:
            watched.peak = max(watched.peak, total)

    def _weigh(self, watched: Watched, root: int, below: list[int], now: float) -> None:
        """
        Find out whether several processes are over the limit, or only share a lot.

        The pages that parent and children share were counted for each of them.
        """
        weighing = watched.weighing
        if weighing is None:
            if now >= watched.weigh_again:
                watched.weigh_again = now + weighing_room.PATIENCE_S
                with contextlib.suppress(OSError):  # a host that is full is tried again
                    watched.weighing = weighing_room.Weighing(below)
                    self._errands.add(watched.weighing.pid)
            return
        weight = weighing.result()
        if weight is not None:
            watched.peak = max(watched.peak, root + weight)
            watched.put_away_weighing()
            watched.weigh_again = now + _WEIGH_EVERY_S
            if root + weight > watched.memory_limit:
                self._condemn(watched, "out_of_memory")
        elif now >= watched.weigh_again:
            # They fork so much that they can't be read. The sum is all that is known.
            self._condemn(watched, "out_of_memory")

    def _condemn(self, watched: Watched, ending: str, **facts: Any) -> None:
        """
        Read what a tree used while it is there, kill it, tell.

        It is told here and not when the template reports the end: a template that INIT
        code has taken over could keep that back.
        """
        self._running.pop(watched.number, None)
        watched.put_away_weighing()
        if watched.pid is None:
            # It told the app that it was parked before its template told its pid here. Not
            # waited for: a template that never tells would stop the watch over all others.
            watched.late = (ending, facts)
            return
        below = usage.descendants(watched.pid)
        self._measure(watched, watched.pid, below)
        if below or ending != "finished":
            self._kill(watched)
            watched.tell(ending, **facts)
        else:
            # It is alone and waits in a read. A killed process runs its end at once, in this
            # one's place; told first, the app goes on meanwhile.
            watched.tell(ending, **facts)
            watched.signal_root(signal.SIGKILL)

    def _measure(self, watched: Watched, pid: int, below: list[int]) -> None:
        cpu = usage.cpu_time_ns(pid) + sum(map(usage.cpu_time_ns, below))
        cpu += usage.reaped_cpu_time_ns(pid)
        watched.cpu_ns = max(0, cpu - watched.cpu_at_start)
        watched.peak = max(watched.peak, usage.peak_resident(pid))

    def _kill(self, watched: Watched) -> None:
        """Kill a tree that may fight back."""
        if watched.group:
            # Nothing in it can fork any more, so one look finds everybody.
            self._groups.freeze(watched.group)
            for pid in self._groups.members(watched.group):
                tree.kill(pid)
        if watched.pid is not None:
            # Stopped by its pidfd first: from here on its pid can't become another's.
            watched.signal_root(signal.SIGSTOP)
            if usage.parent_and_start(watched.pid)[0] in (os.getpid(), self._parent_of(watched)):
                tree.kill_tree(watched.pid)
            watched.signal_root(signal.SIGKILL)

    def _parent_of(self, watched: Watched) -> int:
        return watched.template.pid if watched.template is not None else os.getpid()

    # The end

    def _end(self) -> None:
        """Kill everything and wait until it is gone."""
        self._groups.freeze_all()
        for template in self._templates.values():
            tree.kill_tree(template.pid)
        with contextlib.suppress(ChildProcessError):
            while True:
                for pid in usage.children(os.getpid()):
                    if pid not in self._sweepers:
                        tree.kill_tree(pid)
                # One that ends, and all that have ended with it: a look at a thousand
                # children for each of them would take seconds.
                os.wait4(-1, 0)
                while os.wait4(-1, os.WNOHANG)[0]:
                    pass
        subprocess.run(["rm", "-rf", "--", self._folder], check=False)
        self._groups.close()


def main() -> None:
    """
    Be the launcher: ``argv`` holds the control socket's descriptor, the app's pid and the
    folder for temporary files.
    """
    control_fd, app, temporary = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
    kernel.adopt_orphans()
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
    with socket.socket(fileno=control_fd) as control:
        Launcher(control, app, temporary, usual).serve()
