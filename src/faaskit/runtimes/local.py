"""
The backend on this host: environments of the sandbox, forked ahead.

A launcher is started at the first call. Environments are ordered before they are asked
for; the successor of one is ordered in the same message that ends it.
"""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
import threading
import time
import weakref
from collections.abc import Iterator, Mapping

from attrs import evolve

from faaskit.exceptions import SandboxError
from faaskit.runtimes.capacity import capacity
from faaskit.runtimes.contract import (
    Code,
    Event,
    Limits,
    Log,
    Outcome,
    Request,
    RunCancelledError,
    ServiceReply,
)
from faaskit.runtimes.errno_advice import PASSING, sandbox_error
from faaskit.runtimes.facts import read_facts
from faaskit.runtimes.hearing import (
    Hearing,
    log_of,
    message_limits,
    setup_failed,
    write_reply,
)
from faaskit.runtimes.hints import hint
from faaskit.runtimes.opened import private_folders
from faaskit.runtimes.pool import Ahead, StaleError, Template
from faaskit.runtimes.promises import unenforced
from faaskit.runtimes.reading import Reading
from faaskit.runtimes.room import READY_MAX, open_files, ready_at_once
from faaskit.runtimes.storage_use import Mounted, StorageUse
from faaskit.sandbox import wire
from faaskit.sandbox.keeper import Keeper, LauncherLostError
from faaskit.sandbox.line import Item, Line, Message, Text, Verdict

__all__ = ["LocalBackend", "LocalEnvironment"]

_MB = 1024 * 1024
_PARK_TIMEOUT_S = 15
# To get an environment that is there until it has the event. All that were ready may have
# been killed from outside.
_ATTEMPTS = 10
_FIRST_PAUSE_S = 0.01
_LONGEST_PAUSE_S = 1.0


class LocalBackend:
    """
    Environments on this host. Thread-safe; starts nothing until it is asked for something.

    A process that the user's program forks gets a launcher of its own.

    Args:
        jailed: Whether the isolation is "namespace", else "process".
        idle_s: For how long nobody calls a function before its ready environments end.
        most_ready: How many may be ready, of all functions; by default what this host and
            this process's open files have room for.
    """

    def __init__(
        self, *, jailed: bool = False, idle_s: float = 300.0, most_ready: int | None = None
    ) -> None:
        self.jailed = jailed
        self.unenforced: Mapping[str, str] = unenforced(
            read_facts("namespace" if jailed else "process")
        )
        self._idle_s = idle_s
        self._most_ready = most_ready or ready_at_once(open_files(), capacity())
        self._begin()
        _alive.add(self)

    def _begin(self) -> None:
        self._lock = threading.Lock()
        self._keeper: Keeper | None = None
        self._templates: dict[Code, Template] = {}
        self._lines: weakref.WeakSet[Line] = weakref.WeakSet()
        self._numbers = itertools.count(1)
        self.running: set[LocalEnvironment] = set()
        self._storage_use = StorageUse(self._mounted)
        self._closed = False

    @property
    def closed(self) -> bool:
        """Whether nothing can be run any more."""
        return self._closed

    def acquire(self, code: Code, limits: Limits) -> LocalEnvironment:
        """Return an environment of that code; nothing is waited for here."""
        return LocalEnvironment(self, code, limits)

    def keep_ready(self, code: Code, limits: Limits, count: int) -> None:  # noqa: ARG002  # all limits share a template
        """Have at least ``count`` environments ready from now on."""
        self.template(code).keep_ready(count)

    def held_bytes(self) -> int:
        """Return the memory that the /tmp of running environments hold."""
        # At "process" it is a folder, on a disk as a rule.
        return self._storage_use() if self.jailed else 0

    def _mounted(self) -> Iterator[Mounted]:
        for environment in list(self.running):
            yield environment.mounted()

    def close(self) -> None:
        """End every process; none is left when this returns."""
        with self._lock:
            self._closed = True
            keeper, self._keeper = self._keeper, None
            self._templates.clear()
        if keeper is not None:
            keeper.close()

    # What environments and templates use

    def keeper(self) -> Keeper:
        """Return the launcher, started on first use."""
        with self._lock:
            if self._closed:
                msg = "the Invoker is closed; make a new one"
                raise SandboxError(msg, step="start the launcher")
            if self._keeper is None:
                self._keeper = Keeper(self._idle_s)
            return self._keeper

    def template(self, code: Code) -> Template:
        """Return the template of that code; one that failed or ended is not found again."""
        with self._lock:
            template = self._templates.get(code)
            stale = None
            if template is not None and template.shows_a_private_folder():
                stale, template = template, None
            if template is None or template.gone:
                template = self._templates[code] = Template(self, code)
        if stale is not None:
            stale.fade()
        return template

    def make_room(self, template: Template) -> None:
        """Have those functions that were not called for longest give up what they have ready."""
        if len(self._templates) * READY_MAX <= self._most_ready:
            return
        with self._lock:
            others = sorted(self._templates.values(), key=lambda other: other.used_at)
        excess = sum(other.ready for other in others) - self._most_ready
        for other in others:
            if excess <= 0:
                break
            if other is not template:
                excess -= other.shed(excess)

    def without_snapshot(self, code: Code, template: Template) -> None:
        """Run INIT in each environment of that code from now on."""
        with self._lock:
            if self._templates.get(code) is template:
                self._templates[code] = Template(self, code, snapshot=False)

    def lost(self, keeper: Keeper) -> None:
        """Forget a launcher that is gone; the next call starts another."""
        with self._lock:
            if self._keeper is not keeper:
                return
            self._keeper = None
            self._templates.clear()
        with contextlib.suppress(OSError):
            keeper.close()

    def new_line(self, limits: Limits) -> tuple[int, Line]:
        """Return a number that was never used and the pipes to go with it."""
        number = next(self._numbers)
        try:
            line = Line(message_limits(limits), number)
        except OSError as error:
            facts = {"errno": error.errno}
            raise sandbox_error(facts, "an environment", "open pipes") from error
        self._lines.add(line)
        return number, line

    def after_fork_in_child(self) -> None:
        """Let go of what belongs to the parent, and begin anew."""
        # The parent's launcher sees the parent's end by the end of these pipes.
        for line in list(self._lines):
            line.after_fork_in_child()
        if self._keeper is not None:
            self._keeper.abandon()
        self._begin()


_alive: weakref.WeakSet[LocalBackend] = weakref.WeakSet()


def _after_fork_in_child() -> None:
    for backend in list(_alive):
        backend.after_fork_in_child()


os.register_at_fork(after_in_child=_after_fork_in_child)


class LocalEnvironment:
    """One fresh environment; see ``contract.Environment``."""

    def __init__(self, backend: LocalBackend, code: Code, limits: Limits) -> None:
        self._backend = backend
        self._code = code
        self._limits = limits
        self._template: Template | None = None
        self._ahead: Ahead | None = None
        self._meter: Reading | None = None
        self._cancelled = False
        self._began = False
        self._finished = False
        self.init_duration_ms: float | None = None
        self.log_stream_name = ""

    def mounted(self) -> Mounted:
        """Return its /tmp; from any thread, and also when it has just ended."""
        template, ahead = self._template, self._ahead
        pid = 0
        if template is not None and template.keeper is not None and ahead is not None:
            pid = template.keeper.table.pid[ahead.row]
        return Mounted(pid, self._limits.ephemeral_storage * _MB)

    def prepare(self) -> Iterator[Event]:
        """Run INIT if nobody has, and wait until this environment is parked."""
        attempts = 0
        while True:
            try:
                yield from self._prepare()
            except StaleError as stale:
                self._drop()
                attempts += stale.counts
                if attempts == _ATTEMPTS:
                    raise stale.error from None
                self._pause(stale.error, attempts)
            except LauncherLostError:
                self._lose()
                attempts += 1
                if attempts == _ATTEMPTS or self._backend.closed:
                    raise
            except SandboxError as error:
                self._drop()
                attempts += 1
                if error.errno not in PASSING or attempts == _ATTEMPTS:
                    raise
                self._pause(error, attempts)
            except BaseException:
                self._drop()
                raise
            else:
                return

    def _pause(self, error: SandboxError, attempts: int) -> None:
        """Wait before another attempt, where the host was short of something for the moment."""
        if error.errno in PASSING:
            # None of the function's code has run: it is safe to try again.
            time.sleep(min(_FIRST_PAUSE_S * 2**attempts, _LONGEST_PAUSE_S))
        if self._cancelled:
            raise RunCancelledError

    def _prepare(self) -> Iterator[Event]:
        template = self._template = self._backend.template(self._code)
        init_ms = None
        preparing = template.prepare(self._limits)
        try:
            while True:
                event = next(preparing)
                yield event
                if isinstance(event, Outcome):
                    self._template = None
                    return
        except StopIteration as stop:
            init_ms = stop.value
        finally:
            preparing.close()
        if init_ms is not None:
            self.init_duration_ms = init_ms
        self._ahead = template.take(self._limits)
        self.log_stream_name = self._ahead.log_stream_name
        if self._cancelled:
            raise RunCancelledError
        yield from self._wait_until_parked(self._ahead.line)

    def _wait_until_parked(self, line: Line) -> Iterator[Event]:
        give_up = time.monotonic() + _PARK_TIMEOUT_S
        while not line.parked:
            left = give_up - time.monotonic()
            if left <= 0:
                template = self._template
                assert template is not None
                template.discard()
                msg = (
                    f"an environment of function {self._code.function_name!r} was not ready "
                    f"within {_PARK_TIMEOUT_S} s: a fork hook of its modules hangs, or this "
                    "host is overloaded"
                )
                raise SandboxError(msg, step="set up an environment")
            for item in line.listen(left):
                if isinstance(item, Message) and item.kind == wire.READY:
                    if item.payload:
                        template = self._template
                        assert template is not None
                        template.lose_snapshot(item.payload)
                    line.parked = True
                    break
                if isinstance(item, Text):
                    yield Log(item.data)
                elif isinstance(item, Message) and item.kind == wire.SETUP_FAILED:
                    raise setup_failed(item.payload)
                elif isinstance(item, Verdict):
                    self._gone_before_start(item)
                # A hangup says only that it ended; the verdict, which follows, says why.

    def _gone_before_start(self, verdict: Verdict) -> None:
        if self._cancelled:
            raise RunCancelledError
        template = self._template
        assert template is not None
        facts = verdict.facts
        if facts is None:
            msg = "the launcher was killed before the event was sent"
            raise LauncherLostError(msg, step="send the event")
        if facts["ending"] == "sandbox":
            template.discard()
        else:
            facts = {**facts, "detail": facts.get("detail") or f"it ended ({facts['ending']})"}
        error = sandbox_error(facts, "an environment", "fork")
        if facts.get("final"):
            raise error
        raise StaleError(error)

    def run(self, request: Request) -> Iterator[Event]:
        """Hand the event over and yield what happens, an ``Outcome`` last."""
        for _ in range(_ATTEMPTS):
            if self._ahead is None:
                for event in self.prepare():
                    yield event
                    if isinstance(event, Outcome):
                        return
            try:
                yield from self._run_once(request)
            except BrokenPipeError:
                # It was killed from outside while it was parked, a moment ago. It has not
                # read the event, so another one can have it.
                self._began = False
            else:
                return
        msg = "environments were killed from outside before they had read the event"
        raise SandboxError(msg, step="send the event", errno=errno.EPIPE)

    def _run_once(self, request: Request) -> Iterator[Event]:
        template, ahead = self._template, self._ahead
        assert template is not None
        assert ahead is not None
        self._backend.running.add(self)
        try:
            yield from self._run(template, ahead, request)
        except LauncherLostError:
            self._lose()
            raise
        except SandboxError:
            template.discard()
            raise
        finally:
            self._backend.running.discard(self)
            self._drop()

    def _run(self, template: Template, ahead: Ahead, request: Request) -> Iterator[Event]:
        keeper, line = template.keeper, ahead.line
        assert keeper is not None
        snapshot = template.code.snapshot
        header = {
            "context": request.context,
            "timeout": self._limits.timeout,
            "trace_id": request.trace_id,
            "init": not snapshot,
        }
        frames = wire.encode_message(wire.REQUEST, 0, header, request.event)
        end = Hearing(line, phase="invoke" if snapshot else "init")
        end.init_duration_ms = self.init_duration_ms
        meter = self._meter = Reading(keeper.table, ahead.row, self._limits.memory_size * _MB)
        if not meter.claim():
            raise BrokenPipeError  # it leaves, for its function was idle
        self._began = True
        began = time.monotonic_ns()
        for item in line.write(frames):
            yield from end.hear(item, began)
        # After the event, so that no function is killed before its time is up.
        if snapshot:
            meter.start_handler(self._limits.timeout)
        else:
            meter.start_init(self._limits.init_timeout)
        template.replenish(self._limits, wake=bool(keeper.table.asleep[0]))
        meter.open()
        finished = False
        while end.outcome is None:
            for item in line.listen():
                if end.phase == "init" and _init_done(item):
                    now = time.monotonic_ns()
                    end.init_duration_ms = (now - began) / 1e6
                    end.phase, began = "invoke", now
                    meter.count_from_now()
                    meter.start_handler(self._limits.timeout)
                    continue
                yield from end.hear(item, began)
                if end.answered and not finished:
                    finished = True
                    meter.stop()
                    used = meter.read()
                    end.settle(used)
                    self._finished = True
                    if used is None:
                        keeper.order([{"op": "finish", "number": ahead.number}])
                    else:
                        meter.over()
                        yield from map(log_of, line.rest_of_log())
                elif end.hung_up and not finished:
                    finished = True
                    keeper.order([{"op": "gone", "number": ahead.number}])
        if self._cancelled:
            raise RunCancelledError
        yield self._explained(end.outcome)

    def _explained(self, outcome: Outcome) -> Outcome:
        if outcome.ending != "error" or not self._backend.jailed:
            return outcome
        return evolve(outcome, detail=hint(outcome.payload, private_folders()))

    def reply(self, call_id: int, reply: ServiceReply) -> None:
        """Answer a service call, of INIT or of the handler; from any thread."""
        template, ahead = self._template, self._ahead
        if ahead is not None:
            write_reply(ahead.line, call_id, reply)
        if template is not None:
            template.reply(call_id, reply)

    def cancel(self) -> None:
        """Kill what runs, from any thread; ``run`` then raises ``RunCancelledError``."""
        self._cancelled = True
        template, ahead = self._template, self._ahead
        if template is not None and template.keeper is not None and ahead is not None:
            with contextlib.suppress(SandboxError):
                template.keeper.order([{"op": "abort", "number": ahead.number}])

    def release(self) -> None:
        """Give a prepared environment back unused."""
        template, ahead = self._template, self._ahead
        if template is not None and ahead is not None and not self._began:
            self._ahead = None
            template.done()
            template.give(self._limits, ahead)

    def _lose(self) -> None:
        """Forget the launcher, which is gone, and what was behind it."""
        template = self._template
        self._drop()
        if template is not None:
            template.discard()
            if template.keeper is not None:
                self._backend.lost(template.keeper)

    def _drop(self) -> None:
        template, ahead, self._ahead = self._template, self._ahead, None
        if template is None or ahead is None:
            return
        keeper = template.keeper
        assert keeper is not None
        if not self._finished and not ahead.line.told:
            with contextlib.suppress(SandboxError):
                keeper.order([{"op": "abort", "number": ahead.number}])
        if self._meter is not None:
            self._meter.close()
        ahead.line.close()
        keeper.give_row(ahead.row)
        template.done()


def _init_done(item: Item) -> bool:
    return isinstance(item, Message) and item.kind == wire.INIT_DONE
