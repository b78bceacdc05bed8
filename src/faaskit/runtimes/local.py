"""
The backend on this host: templates and environments of the sandbox, forked ahead.

A template is made by the first call that needs it: that call drives INIT, hears its log
and its service calls, and waits; others of the same code wait for it. Environments are
ordered before they are asked for. To take one costs nothing but taking it off a queue; its
successor is ordered in the same message that ends it.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import tempfile
import threading
import time
import uuid
import warnings
import weakref
from collections import deque
from collections.abc import Iterator
from typing import Any

from attrs import evolve

from faaskit.exceptions import SandboxError
from faaskit.runtimes.contract import (
    Code,
    Ending,
    Event,
    Limits,
    Log,
    Outcome,
    Request,
    RunCancelledError,
    ServiceCall,
    ServiceReply,
    Usage,
)
from faaskit.sandbox import wire
from faaskit.sandbox.handler import RESPONSE_LIMIT
from faaskit.sandbox.keeper import Keeper
from faaskit.sandbox.line import Hangup, Line, Message, Text, Verdict

__all__ = ["LocalBackend", "LocalEnvironment", "new_log_stream"]

_MB = 1024 * 1024

# Address space is not memory: each thread reserves 8 MB of it for a stack that it hardly
# touches, and numerical libraries reserve more. The watchdog holds the memory size itself;
# this only stops one huge allocation before its pages are touched.
_BACKSTOP_SLACK_MB = 512

_READY_MAX = 8  # environments kept ahead for one function, unless warm() asks for more
_ATTEMPTS = 3  # to get an environment whose sandbox did not fail before the event was sent


class _StaleError(Exception):
    """
    What was behind a line went away before the event was sent: another one can take it.

    Attributes:
        error: To be raised when too many went away.
        counts: False where it was another call that failed, not the sandbox.
    """

    def __init__(self, error: SandboxError, *, counts: bool = True) -> None:
        super().__init__(str(error))
        self.error = error
        self.counts = counts


def _message_limits(limits: Limits) -> dict[int, int]:
    return {
        wire.READY: 0,
        wire.INIT_DONE: 64,
        wire.RESULT: RESPONSE_LIMIT,
        wire.ERROR: RESPONSE_LIMIT,
        # A body can't be larger than what the function can hold.
        wire.CALL: limits.memory_size * _MB + _MB,
        wire.SETUP_FAILED: 1 << 16,
    }


def _tree_limits(limits: Limits) -> dict[str, int]:
    return {
        "memory_limit": limits.memory_size * _MB,
        "data_limit": (limits.memory_size + _BACKSTOP_SLACK_MB) * _MB,
        "file_limit": limits.ephemeral_storage * _MB,
    }


class LocalBackend:
    """
    Environments on this host. Thread-safe; starts nothing until it is asked for something.

    A process that the user's program forks gets a launcher of its own.
    """

    def __init__(self) -> None:
        self._begin()
        _alive.add(self)

    def _begin(self) -> None:
        self._lock = threading.Lock()
        self._keeper: Keeper | None = None
        self._templates: dict[Code, _Template] = {}
        self._lines: weakref.WeakSet[Line] = weakref.WeakSet()
        self._numbers = itertools.count(1)
        self._closed = False

    def acquire(self, code: Code, limits: Limits) -> LocalEnvironment:
        """Return an environment of that code; nothing is waited for here."""
        return LocalEnvironment(self, code, limits)

    def keep_ready(self, code: Code, limits: Limits, count: int) -> None:
        """Have at least ``count`` environments ready from now on."""
        self.template(code).keep_ready(count)

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
                self._keeper = Keeper()
            return self._keeper

    def template(self, code: Code) -> _Template:
        """Return the template of that code; one that failed or ended is not found again."""
        with self._lock:
            template = self._templates.get(code)
            if template is None or template.gone:
                template = self._templates[code] = _Template(self, code)
            return template

    def without_snapshot(self, code: Code, threads_of: _Template) -> None:
        """Have each environment of that code run INIT itself from now on."""
        with self._lock:
            if self._templates.get(code) is threads_of:
                self._templates[code] = _Template(self, code, snapshot=False)

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
        try:
            line = Line(_message_limits(limits))
        except OSError as error:
            msg = (
                f"no pipes for another environment: {error.strerror}; "
                "this process has too many files open (ulimit -n)"
            )
            raise SandboxError(msg, step="open pipes", errno=error.errno) from error
        self._lines.add(line)
        return next(self._numbers), line

    def after_fork_in_child(self) -> None:
        """Let go of what belongs to the parent, and begin anew."""
        # The parent's launcher sees the parent's end by the end of these pipes.
        for line in list(self._lines):
            line.close()
        if self._keeper is not None:
            self._keeper.abandon()
        self._begin()


_alive: weakref.WeakSet[LocalBackend] = weakref.WeakSet()


def _after_fork_in_child() -> None:
    for backend in list(_alive):
        backend.after_fork_in_child()


os.register_at_fork(after_in_child=_after_fork_in_child)


class _Template:
    """A template as the app sees it: INIT, then the queues of environments ahead of use."""

    def __init__(self, backend: LocalBackend, code: Code, *, snapshot: bool = True) -> None:
        self._backend = backend
        self.code = evolve(code, snapshot=code.snapshot and snapshot)
        self._state = threading.Condition()
        self._phase = "new"  # new, initialising, ready, gone
        self._number = 0
        self._line: Line | None = None
        self.keeper: Keeper | None = None
        self._ahead: dict[Limits, deque[tuple[int, Line]]] = {}
        self._running = 0
        self._floor = 0

    @property
    def gone(self) -> bool:
        """Whether nothing more can come of it."""
        return self._phase == "gone"

    def discard(self) -> None:
        """Take it out of use, with what it has ready."""
        with self._state:
            was, self._phase = self._phase, "gone"
            ahead, self._ahead = self._ahead, {}
            self._state.notify_all()
        for _, line in itertools.chain.from_iterable(ahead.values()):
            line.close()
        if was != "new" and self.keeper is not None:
            with contextlib.suppress(SandboxError):
                self.keeper.order([{"op": "retire", "number": self._number}])

    # INIT

    def prepare(self, limits: Limits) -> Iterator[Event]:
        """
        Run INIT, or wait until another thread has.

        Yields its log and its service calls, and an ``Outcome`` if it fails.

        Returns:
            How long INIT took, in ms, if it ran here.
        """
        with self._state:
            while self._phase == "initialising":
                self._state.wait()
            if self._phase == "ready":
                return None
            if self._phase == "gone":
                msg = "the template ended while it was waited for"
                raise _StaleError(SandboxError(msg, step="run INIT"), counts=False)
            self._phase = "initialising"
        try:
            return (yield from self._initialise(limits))
        finally:
            with self._state:
                if self._phase == "initialising":
                    self._phase = "gone"  # failed, or whoever drove it was interrupted
                self._state.notify_all()

    def _initialise(self, limits: Limits) -> Iterator[Event]:
        self.keeper = self._backend.keeper()
        self._number, line = self._backend.new_line(limits)
        self._line = line
        began = time.perf_counter_ns()
        try:
            with _code_file(self.code) as file:
                order = {
                    "op": "template",
                    "number": self._number,
                    "fds": 5,
                    "seconds": limits.init_timeout,
                    **_tree_limits(limits),
                }
                self.keeper.order([order], [file, *line.theirs])
            line.hand_over()
            return (yield from self._hear_init(line, limits, began))
        finally:
            if self._phase == "initialising":
                with contextlib.suppress(SandboxError):
                    self.keeper.order([{"op": "abort", "number": self._number}])
            line.close()
            self._line = None

    def _hear_init(self, line: Line, limits: Limits, began: int) -> Iterator[Event]:
        end = _End(self, line, limits, phase="init")
        init_ms: float | None = None
        while True:
            for item in line.listen():
                if isinstance(item, Message) and item.kind == wire.INIT_DONE:
                    init_ms = (time.perf_counter_ns() - began) / 1e6
                    if item.payload == b"threads":
                        self._backend.without_snapshot(self.code, self)
                        warnings.warn(
                            f"function {self.code.function_name!r} leaves a thread running after "
                            "INIT, which can't be copied; INIT runs in every environment instead. "
                            "Start the thread in the handler to get the snapshot back",
                            RuntimeWarning,
                            stacklevel=2,
                        )
                        msg = "INIT left a thread running"
                        raise _StaleError(SandboxError(msg, step="run INIT"))
                elif isinstance(item, Verdict) and item.facts and item.facts["ending"] == "ready":
                    yield from map(_log, line.rest_of_log())
                    if self.code.snapshot and init_ms is None:
                        msg = "the template was ready without having run INIT"
                        raise SandboxError(msg, step="run INIT")
                    with self._state:
                        self._phase = "ready"
                    return init_ms
                else:
                    yield from end.hear(item)
                    if end.outcome is not None:
                        took = (time.perf_counter_ns() - began) / 1e6
                        usage = evolve(end.outcome.usage, duration_ms=0.0, init_duration_ms=took)
                        yield evolve(end.outcome, usage=usage)
                        return None

    def reply(self, call_id: int, reply: ServiceReply) -> None:
        """Answer a service call of INIT."""
        if self._line is not None:
            _write_reply(self._line, call_id, reply)

    # Environments ahead of use

    def take(self, limits: Limits) -> tuple[int, Line]:
        """Return an environment that may be ready already, ordering one if there is none."""
        while True:
            with self._state:
                queue = self._ahead.setdefault(limits, deque())
                taken = queue.popleft() if queue else None
                self._running += 1
            try:
                if taken is None:
                    return self._order_one(limits)
            except BaseException:
                self.done()
                raise
            if not taken[1].told:
                return taken
            taken[1].close()  # it died while it was waiting: killed from outside
            self.done()

    def _order_one(self, limits: Limits) -> tuple[int, Line]:
        number, line, order = self.next_order(limits)
        try:
            assert self.keeper is not None
            self.keeper.order([order], line.theirs)
        except BaseException:
            line.close()
            raise
        line.hand_over()
        return number, line

    def next_order(self, limits: Limits) -> tuple[int, Line, dict[str, Any]]:
        """Return the order for one more environment, to be sent with its descriptors."""
        number, line = self._backend.new_line(limits)
        order = {
            "op": "fork",
            "number": number,
            "template": self._number,
            "fds": 4,
            "environment": {
                "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(limits.memory_size),
                "AWS_LAMBDA_LOG_STREAM_NAME": new_log_stream(),
            },
            **_tree_limits(limits),
        }
        return number, line, order

    def done(self) -> None:
        """One that was taken has ended."""
        with self._state:
            self._running -= 1

    def wants_another(self, limits: Limits) -> bool:
        """Whether fewer are ready than the load of this moment would use."""
        with self._state:
            if self._phase != "ready":
                return False
            wanted = max(self._floor, min(self._running + 1, _READY_MAX))
            return len(self._ahead.get(limits, ())) < wanted

    def give(self, limits: Limits, number: int, line: Line) -> None:
        """Put an environment that was not used with those that are ready."""
        with self._state:
            if self._phase == "ready":
                self._ahead.setdefault(limits, deque()).append((number, line))
                return
        line.close()

    def keep_ready(self, count: int) -> None:
        """Have at least so many ready from now on."""
        with self._state:
            self._floor = max(self._floor, count)


class LocalEnvironment:
    """One fresh environment; see ``contract.Environment``."""

    def __init__(self, backend: LocalBackend, code: Code, limits: Limits) -> None:
        self._backend = backend
        self._code = code
        self._limits = limits
        self._template: _Template | None = None
        self._number = 0
        self._line: Line | None = None
        self._cancelled = False
        self._began = False
        self.init_duration_ms: float | None = None

    def prepare(self) -> Iterator[Event]:
        """Run INIT if nobody has, and wait until this environment is parked."""
        attempts = 0
        while True:
            try:
                yield from self._prepare()
            except _StaleError as stale:
                self._drop()
                attempts += stale.counts
                if attempts == _ATTEMPTS:
                    raise stale.error from None
            except BaseException:
                self._drop()
                raise
            else:
                return

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
            preparing.close()  # type: ignore[attr-defined]  # a generator
        if init_ms is not None:
            self.init_duration_ms = init_ms
        assert template.keeper is not None
        try:
            self._number, self._line = template.take(self._limits)
        except SandboxError as error:
            if self._backend._closed:
                raise
            self._backend.lost(template.keeper)
            raise _StaleError(error) from error
        if self._cancelled:
            raise RunCancelledError
        yield from self._wait_until_parked(self._line)

    def _wait_until_parked(self, line: Line) -> Iterator[Event]:
        while not line.parked:
            for item in line.listen():
                if isinstance(item, Message) and item.kind == wire.READY:
                    line.parked = True
                    break
                if isinstance(item, Text):
                    yield Log(item.data)
                elif isinstance(item, Message) and item.kind == wire.SETUP_FAILED:
                    raise _setup_failed(item.payload)
                elif isinstance(item, Verdict):
                    self._gone_before_start(item)
                else:
                    msg = "an environment ended before it was ready"
                    raise _StaleError(SandboxError(msg, step="set up an environment"))

    def _gone_before_start(self, verdict: Verdict) -> None:
        if self._cancelled:
            raise RunCancelledError
        template = self._template
        assert template is not None
        if verdict.facts is None:
            assert template.keeper is not None
            self._backend.lost(template.keeper)
            msg = "the launcher was killed before the event was sent"
        else:
            if verdict.facts["ending"] == "sandbox":
                template.discard()
            msg = f"no environment: {verdict.facts.get('detail') or verdict.facts['ending']}"
        facts = verdict.facts or {}
        error = SandboxError(msg, step=facts.get("step", "fork"), errno=facts.get("errno"))
        raise _StaleError(error)

    def run(self, request: Request) -> Iterator[Event]:
        """Hand the event over and yield what happens, an ``Outcome`` last."""
        if self._line is None:
            for event in self.prepare():
                yield event
                if isinstance(event, Outcome):
                    return
        template, line = self._template, self._line
        assert template is not None
        assert line is not None
        try:
            yield from self._run(template, line, request)
        finally:
            self._drop()

    def _run(self, template: _Template, line: Line, request: Request) -> Iterator[Event]:
        keeper = template.keeper
        assert keeper is not None
        snapshot = template.code.snapshot
        phase = "invoke" if snapshot else "init"
        seconds = self._limits.timeout if snapshot else self._limits.init_timeout
        header = {
            "context": request.context,
            "timeout": self._limits.timeout,
            "trace_id": request.trace_id,
            "init": not snapshot,
        }
        frames = wire.encode_message(wire.REQUEST, 0, header, request.event)
        end = _End(template, line, self._limits, phase=phase)
        end.init_duration_ms = self.init_duration_ms
        self._began = True
        began = time.perf_counter_ns()
        for item in line.write(frames):
            yield from end.hear(item, began)
        keeper.order([{"op": "start", "number": self._number, "seconds": seconds}])
        finished = False
        while end.outcome is None:
            for item in line.listen():
                if isinstance(item, Message) and item.kind == wire.INIT_DONE and end.phase == "init":
                    now = time.perf_counter_ns()
                    end.init_duration_ms = (now - began) / 1e6
                    end.phase, began = "invoke", now
                    order = {"number": self._number, "seconds": self._limits.timeout}
                    keeper.order([{"op": "start", **order}])
                    continue
                yield from end.hear(item, began)
                if end.answered and not finished:
                    finished = True
                    self._finish(template, keeper)
                elif end.hung_up and not finished:
                    finished = True
                    keeper.order([{"op": "gone", "number": self._number}])
        if self._cancelled:
            raise RunCancelledError
        yield end.outcome

    def _finish(self, template: _Template, keeper: Keeper) -> None:
        """End this environment and, in the same message, order its successor."""
        orders: list[dict[str, Any]] = [{"op": "finish", "number": self._number}]
        if not template.wants_another(self._limits):
            keeper.order(orders)
            return
        number, line, order = template.next_order(self._limits)
        try:
            keeper.order([*orders, order], line.theirs)
        except BaseException:
            line.close()
            raise
        line.hand_over()
        template.give(self._limits, number, line)

    def reply(self, call_id: int, reply: ServiceReply) -> None:
        """Answer a service call, of INIT or of the handler."""
        if self._line is not None:
            _write_reply(self._line, call_id, reply)
        elif self._template is not None:
            self._template.reply(call_id, reply)

    def cancel(self) -> None:
        """Kill what runs, from any thread; ``run`` then raises ``RunCancelledError``."""
        self._cancelled = True
        template, number = self._template, self._number
        if template is not None and template.keeper is not None and number:
            with contextlib.suppress(SandboxError):
                template.keeper.order([{"op": "abort", "number": number}])

    def release(self) -> None:
        """Give a prepared environment back unused."""
        template, line = self._template, self._line
        if template is not None and line is not None and not self._began:
            self._line = None
            template.done()
            template.give(self._limits, self._number, line)

    def _drop(self) -> None:
        template, line, self._line = self._template, self._line, None
        if template is None or line is None:
            return
        template.done()
        if not line.told and template.keeper is not None:
            with contextlib.suppress(SandboxError):
                template.keeper.order([{"op": "abort", "number": self._number}])
        line.close()


class _End:
    """Hears items until the end, and makes an outcome of them."""

    def __init__(self, template: _Template, line: Line, limits: Limits, phase: str) -> None:
        self._template = template
        self._line = line
        self._limits = limits
        self.phase = phase
        self.init_duration_ms: float | None = None
        self.outcome: Outcome | None = None
        self.hung_up = False
        self._answer: tuple[Ending, bytes] | None = None
        self._duration_ms: float | None = None
        self._detail = ""

    @property
    def answered(self) -> bool:
        """Whether the function has given its result."""
        return self._answer is not None

    def hear(self, item: Text | Message | Hangup | Verdict, began: int | None = None) -> Iterator[Event]:
        """Take one item; yield what the invocation has to know."""
        if isinstance(item, Text):
            yield Log(item.data)
        elif isinstance(item, Message):
            yield from self._message(item, began)
        elif isinstance(item, Hangup):
            self._hang_up(item.reason, began)
        else:
            yield from map(_log, self._line.rest_of_log())
            self._verdict(item, began)

    def _hang_up(self, reason: str, began: int | None) -> None:
        self.hung_up = True
        self._detail = reason
        self._stop_clock(began)

    def _stop_clock(self, began: int | None) -> None:
        if self._duration_ms is None and began is not None:
            self._duration_ms = (time.perf_counter_ns() - began) / 1e6

    def _message(self, item: Message, began: int | None) -> Iterator[Event]:
        if self.answered:
            return  # nothing counts after the result
        if item.kind == wire.CALL:
            try:
                yield _service_call(item)
            except wire.WireError as error:
                self._hang_up(str(error), began)
        elif item.kind == wire.RESULT:
            self._stop_clock(began)
            self._answer = ("result", item.payload)
        elif item.kind == wire.ERROR:
            self._stop_clock(began)
            self._answer = self._error(item.payload)

    def _error(self, payload: bytes) -> tuple[Ending, bytes]:
        try:
            body = json.loads(payload)
            if body.pop("out_of_memory"):
                return "out_of_memory", b""
            body.pop("phase")
        except (ValueError, KeyError, AttributeError, RecursionError):
            return "exit", b""
        return "error", json.dumps(body).encode()

    def _verdict(self, item: Verdict, began: int | None) -> None:
        self._stop_clock(began)
        facts = item.facts
        if facts is None:
            assert self._template.keeper is not None
            self._template._backend.lost(self._template.keeper)
            msg = "the launcher was killed while the function ran; the call can be made again"
            raise SandboxError(msg, step="run")
        ending = facts["ending"]
        if ending == "sandbox":
            self._template.discard()
            msg = f"the sandbox failed: {facts.get('detail') or facts.get('step')}"
            raise SandboxError(msg, step=facts.get("step", "run"), errno=facts.get("errno"))
        payload = b""
        if self._answer is not None:
            ending, payload = self._answer
        elif ending == "aborted":
            raise RunCancelledError
        elif ending == "finished":
            ending = "exit"
        self.outcome = Outcome(
            ending=ending,
            usage=Usage(
                duration_ms=self._duration_ms or 0.0,
                cpu_time_ms=facts["cpu_ns"] / 1e6,
                max_memory_bytes=facts["peak"],
                init_duration_ms=self.init_duration_ms,
            ),
            payload=payload,
            exit_code=facts.get("exit_code"),
            signal=facts.get("signal"),
            phase="init" if self.phase == "init" else "invoke",
            detail=facts.get("detail") or self._detail,
        )


def _service_call(item: Message) -> ServiceCall:
    header, body = wire.split_message(item.payload)
    service, operation = header.get("service"), header.get("operation")
    parameters = header.get("parameters")
    if not (isinstance(service, str) and isinstance(operation, str)):
        msg = "a service call without a service and an operation"
        raise wire.WireError(msg)
    if not isinstance(parameters, dict):
        msg = "a service call whose parameters are no object"
        raise wire.WireError(msg)
    return ServiceCall(
        service, operation, parameters, body if header.get("has_body") else None, item.number
    )


def _write_reply(line: Line, call_id: int, reply: ServiceReply) -> None:
    header: dict[str, Any] = {"output": dict(reply.output), "has_body": reply.body is not None}
    if reply.failure is not None:
        failure = reply.failure
        header["failure"] = {
            "code": failure.code,
            "message": failure.message,
            "details": dict(failure.details),
        }
    line.answer(wire.encode_message(wire.REPLY, call_id, header, reply.body or b""))


def _log(text: Text) -> Log:
    return Log(text.data)


def _setup_failed(payload: bytes) -> SandboxError:
    try:
        facts, _ = wire.split_message(payload)
    except wire.WireError:
        facts = {}
    msg = f"an environment could not {facts.get('step', 'be set up')}: {facts.get('message', '?')}"
    return SandboxError(msg, step=str(facts.get("step")), errno=facts.get("errno"))


@contextlib.contextmanager
def _code_file(code: Code) -> Iterator[int]:
    """Put the code where the template can read it: an unlinked file, of any size."""
    header = {
        "handler": code.handler,
        "sys_path": list(code.sys_path),
        "environment": dict(code.environment),
        "snapshot": code.snapshot,
        "sources": dict(code.sources),
    }
    with tempfile.TemporaryFile() as file:
        head = json.dumps(header).encode()
        file.write(len(head).to_bytes(4, "big") + head + (code.pickled or b""))
        file.flush()
        yield file.fileno()


def new_log_stream() -> str:
    """Return a log stream's name, ``YYYY/MM/DD/[$LATEST]`` and 32 hex digits."""
    return f"{time.strftime('%Y/%m/%d', time.gmtime())}/[$LATEST]{uuid.uuid4().hex}"
