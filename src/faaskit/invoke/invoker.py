"""The Invoker: owns the processes, runs functions in them, keeps the bill."""

from __future__ import annotations

import atexit
import contextvars
import functools
import json
import logging
import os
import sys
import threading
import time
import uuid
import weakref
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator
from concurrent.futures import Future, InvalidStateError, ThreadPoolExecutor
from typing import Any, Protocol, cast

from typing_extensions import Self

from faaskit.billing import Bill, Meter
from faaskit.definition import MB_PER_VCPU, SYNC_REQUEST_LIMIT_BYTES, FunctionConfig
from faaskit.exceptions import (
    DefinitionError,
    FaaskitError,
    MissingExtraError,
    PayloadError,
    SandboxError,
)
from faaskit.invoke.acceptance import ACCEPT_VARIABLE, accepted, accepted_in, declared, refusal
from faaskit.invoke.call_threads import Answering, CallThreads
from faaskit.invoke.concurrency import Concurrency, Need
from faaskit.invoke.endings import error_for, error_type_of, payload_of, status_of
from faaskit.invoke.invocation import Access, Invocation
from faaskit.invoke.logs import LogBuffer
from faaskit.names import log_group_name
from faaskit.runtimes.capacity import capacity
from faaskit.runtimes.contract import (
    Backend,
    Code,
    Environment,
    Event,
    Limits,
    Log,
    Outcome,
    Request,
    RunCancelledError,
    ServiceCall,
    ServiceReply,
)
from faaskit.runtimes.link import current_link
from faaskit.runtimes.room import RoomReader

__all__ = ["Invocable", "Invoker", "default_invoker"]

_log = logging.getLogger(__name__)

_MB = 1024 * 1024
_RECORDED_PERMISSIONS = 10_000
_NAME_LENGTH = 128


class Invocable(Protocol):
    """What an Invoker needs of a Function."""

    @property
    def name(self) -> str:
        """Its name."""

    @property
    def arn(self) -> str:
        """Its ARN."""

    @property
    def config(self) -> FunctionConfig:
        """Its configuration."""

    def code(self) -> Code:
        """Return what its template loads."""

    def start_services(self) -> None:
        """Start what ``serve`` needs, on nobody's time; at once where that is done."""

    def serve(self, call: ServiceCall, request_id: str, invoker: Invoker) -> ServiceReply:
        """Answer a service call by its gate; never raises. The Invoker is what runs it."""


class Invoker:
    """
    Runs functions, each call in a fresh environment. Thread-safe.

    Nothing is started before the first call. Closing it ends every process of its own.
    As a context manager it waits for what was submitted; an exception on the way out, or
    ``close()``, kills what still runs.

    Args:
        isolation: ``"auto"`` is the best level that this host and version can give.
        cpu_scaling: Whether CPU follows memory, where the level holds it.
        max_concurrency: Of all functions together; over it a call is throttled.
        accept: Limits that may go unenforced where this host can't enforce them: some of
            ``"network"``, ``"readable"``, ``"disk"``, ``"memory"`` and ``"cpu"``. Those that the
            environment variable ``FAASKIT_ACCEPT`` names, with commas between them, are
            accepted too. A function that declares any other such limit is not run.
        backend: ``"local"``, or an object that makes environments.

    Raises:
        DefinitionError: No such isolation, concurrency, backend or limit.
        SandboxError: An explicit isolation that can't be given here.
        FaaskitError: Inside a function.
    """

    def __init__(
        self,
        isolation: str = "auto",
        *,
        cpu_scaling: bool = True,
        max_concurrency: int = 1000,
        accept: Collection[str] = (),
        backend: str | Backend = "local",
    ) -> None:
        if current_link() is not None:
            msg = (
                "Invoker() can't be made inside a function; to run another function from "
                "here, call its .invoke(event): that goes through the gate"
            )
            raise FaaskitError(msg)
        self._wanted = _checked(isolation)
        self._isolation = _chosen("namespace") if isolation == "namespace" else ""
        self.cpu_scaling = cpu_scaling
        self._max_concurrency = _positive(max_concurrency, "max_concurrency")
        self._made = _checked_backend(backend)
        self._accepted = accepted(accept)
        _accepted_here()  # a misspelt name is an error now, not in the first call
        self._host_vcpus = capacity().cpus
        self._said_vcpus = False
        self._bill = Bill()
        self._begin()
        _alive.add(self)

    def _begin(self) -> None:
        self._room = RoomReader()
        self._concurrency = Concurrency(self._max_concurrency, self._room, self._held_bytes)
        self._lock = threading.Lock()
        self._executor: ThreadPoolExecutor | None = None
        self._submitted: weakref.WeakSet[Future[Invocation]] = weakref.WeakSet()
        self.threads = CallThreads()
        # Told of every invocation, in the thread that waited for it; it must not raise.
        self.on_end: Callable[[Invocation], object] | None = None
        self._closed = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is None:
            executor = self._executor
            if executor is not None:
                executor.shutdown(wait=True)
        self.close()

    def __repr__(self) -> str:
        return f"Invoker(isolation={self._isolation or self._wanted!r})"

    @property
    def isolation(self) -> str:
        """The level that is held, "process" or "namespace"; tried when it is first asked for."""
        if not self._isolation:
            self._isolation = _chosen(self._wanted)
        return self._isolation

    @property
    def _backend(self) -> Backend:
        with self._lock:
            if self._made is None:
                from faaskit.runtimes.local import LocalBackend

                if self.isolation != "namespace" and self._wanted == "auto":
                    _warn_of_process()
                self._made = LocalBackend(jailed=self.isolation == "namespace")
            return self._made

    def _held_bytes(self) -> int:
        return 0 if self._made is None else self._made.held_bytes()

    def check(self, function: Invocable) -> None:
        """
        Check that each limit of a function is enforced here, or accepted. Runs nothing.

        Args:
            function: A Function.

        Raises:
            SandboxError: It names the limit, the reason and the ways out.
        """
        unenforced, config = self._backend.unenforced, function.config
        if not unenforced:
            return
        names = declared(config, unenforced, cpu_scaling=self.cpu_scaling)
        if not names:
            return
        taken = self._accepted | _accepted_here()
        refused = [name for name in names if name not in taken]
        if refused:
            other_level = {"network", "readable"}.intersection(refused)
            advice = self._advice() if other_level else ""
            raise refusal(config, refused, unenforced, advice)

    def _advice(self) -> str:
        if self._isolation != "process":
            return ""
        if self._wanted == "process":
            return "Isolation 'namespace' enforces more: Invoker(isolation='auto')."
        from faaskit.runtimes.host import jail_problem

        return (
            f"Isolation 'namespace' enforces more, and this host can't give it ({jail_problem()}); "
            "`faaskit doctor` says what to change."
        )

    @property
    def closed(self) -> bool:
        """Whether nothing can be run any more."""
        return self._closed

    @property
    def bill(self) -> Bill:
        """What everything that this Invoker ran has cost."""
        return self._bill

    def close(self) -> None:
        """Kill what runs, end every process; none is left when this returns. Twice is fine."""
        with self._lock:
            self._closed = True
            executor, self._executor = self._executor, None
        for future in list(self._submitted):
            future.cancel()
        if self._made is not None:
            self._made.close()
        if executor is not None:
            executor.shutdown(wait=True, cancel_futures=True)

    # Ways to call

    def invoke(
        self, function: Invocable, event: Any = None, *, request_id: str | None = None
    ) -> Invocation:
        """
        Run a function and wait for it. A function that fails is a value.

        Args:
            function: A Function.
            event: JSON values, up to 6 MB.
            request_id: A new one by default.

        Raises:
            PayloadError: The event can't be sent.
            ThrottledError: Over a concurrency limit.
            SandboxError: faaskit or the host failed, or the host can't enforce one of the
                function's limits; nothing is billed.
            DefinitionError: The function's code can't travel.
        """
        data = _encode(event, function.name)
        self._concurrency.enter(function.arn, function.config.reserved_concurrency)
        try:
            return self._run(function, data, request_id, _Handle())
        finally:
            self._concurrency.leave(function.arn)

    def submit(self, function: Invocable, event: Any = None) -> Future[Invocation]:
        """
        Run a function in the background.

        Cancelling the Future kills the function. A throttled call's Future has the
        ThrottledError, at once.

        Raises:
            PayloadError: The event can't be sent.
        """
        data = _encode(event, function.name)
        future: _RunFuture = _RunFuture()
        try:
            self._concurrency.enter(function.arn, function.config.reserved_concurrency)
        except FaaskitError as error:
            future.set_exception(error)
            return future
        try:
            with self._lock:
                self._refuse_closed()
                if self._executor is None:
                    workers = min(self._max_concurrency, self._room().threads or sys.maxsize)
                    self._executor = ThreadPoolExecutor(workers, "faaskit")
                self._submitted.add(future)
                self._executor.submit(self._work, function, data, future, _running.get())
        except BaseException:
            self._concurrency.leave(function.arn)
            raise
        return future

    def _work(
        self, function: Invocable, data: bytes, future: _RunFuture, caller: _Handle | None
    ) -> None:
        token = _running.set(caller)
        try:
            try:
                if not future.cancelled():
                    invocation = self._run(function, data, None, future.handle)
            finally:
                # Before anybody who waits goes on and calls again.
                self._concurrency.leave(function.arn)
        except BaseException as error:  # noqa: BLE001  # the caller's, wherever it waits
            future.fail(error)
        else:
            if future.cancelled():
                future.set_running_or_notify_cancel()
            else:
                future.succeed(invocation)
        finally:
            _running.reset(token)

    def map(
        self,
        function: Invocable,
        events: Iterable[Any],
        *,
        concurrency: int = 8,
        progress: bool = False,
    ) -> Iterator[Invocation]:
        """
        Run a function for each event: taken lazily, given in order, failures as values.

        Args:
            function: A Function.
            events: Any iterable; no more than ``concurrency`` are taken ahead.
            concurrency: How many run at once; a lower reserved concurrency bounds it.
            progress: Show a progress bar (tqdm, of the extra ``demo``).

        Raises:
            PayloadError: An event can't be sent; those before it are given first.
        """
        _positive(concurrency, "concurrency")
        reserved = function.config.reserved_concurrency
        if reserved:
            concurrency = min(concurrency, reserved)
        invocations = self._map(function, events, concurrency)
        return _with_progress(invocations, events) if progress else invocations

    def _map(
        self, function: Invocable, events: Iterable[Any], concurrency: int
    ) -> Iterator[Invocation]:
        window: deque[Future[Invocation]] = deque()
        try:
            failed: BaseException | None = None
            source = iter(events)
            while True:
                while failed is None and len(window) < concurrency:
                    try:
                        event = next(source)
                        window.append(self.submit(function, event))
                    except StopIteration:
                        break
                    except Exception as error:  # noqa: BLE001  # after those before it
                        failed = error
                if not window:
                    break
                yield window.popleft().result()
            if failed is not None:
                raise failed
        finally:
            for future in window:
                future.cancel()

    async def ainvoke(self, function: Invocable, event: Any = None) -> Invocation:
        """Run a function without blocking the event loop; cancelling it kills the function."""
        import asyncio  # 30 ms that most programs which import faaskit have no use for

        return await asyncio.wrap_future(self.submit(function, event))

    def warm(self, function: Invocable, count: int = 1) -> None:
        """
        Run INIT now and have environments ready. The INIT is billed to the function.

        Raises:
            InvocationError: INIT fails.
            SandboxError: As for ``invoke``.
        """
        _positive(count, "count")
        self.check(function)
        function.start_services()
        limits, code = self._limits(function.config), function.code()
        self._backend.keep_ready(code, limits, count)
        environments: list[Environment] = []
        try:
            for _ in range(count):
                environment = self._backend.acquire(code, limits)
                run = _Run(self, function, environment, str(uuid.uuid4()))
                outcome = run.follow(environment.prepare())
                if environment.init_duration_ms is not None:
                    self._bill_init(function, environment.init_duration_ms)
                if outcome is not None:
                    if outcome.usage.init_duration_ms is not None:
                        self._bill_init(function, outcome.usage.init_duration_ms)
                    invocation = run.ended(outcome)
                    assert invocation.error is not None
                    raise invocation.error
                environments.append(environment)
        finally:
            for environment in environments:
                environment.release()

    def _bill_init(self, function: Invocable, init_duration_ms: float) -> None:
        config = function.config
        self._bill.record_init(
            function.name,
            init_duration_ms=init_duration_ms,
            memory_size=config.memory_size,
            ephemeral_storage=config.ephemeral_storage,
            architecture=config.architecture,
        )

    # One call

    def _run(
        self, function: Invocable, data: bytes, request_id: str | None, handle: _Handle
    ) -> Invocation:
        self._refuse_closed()
        caller = _running.get()
        config = function.config
        self.check(function)
        need = _need_of(config.memory_size, config.ephemeral_storage)
        self._concurrency.take_room(need, nested=caller is not None)
        token = _running.set(handle)
        try:
            if caller is not None:
                caller.add(handle)
            function.start_services()
            environment = self._backend.acquire(function.code(), self._limits(config))
            handle.attach(environment)
            run = _Run(self, function, environment, request_id or str(uuid.uuid4()))
            invocation = run.invoke(data)
        except BaseException as error:
            # Ctrl-C, or cancelled: what it invoked is for nobody. After a timeout that runs on,
            # as on AWS.
            handle.cancel_callees()
            if self._closed and isinstance(error, SandboxError):
                msg = f"function {function.name!r} was killed: its Invoker was closed"
                raise SandboxError(msg, step="run") from error
            raise
        finally:
            _running.reset(token)
            if caller is not None:
                caller.discard(handle)
            self._concurrency.give_room(need)
        self._bill.record(function.name, invocation.status, invocation.meter)
        if self.on_end is not None:
            self.on_end(invocation)
        return invocation

    def _limits(self, config: FunctionConfig) -> Limits:
        if config.memory_size > self._host_vcpus * MB_PER_VCPU and not self._said_vcpus:
            self._say_vcpus(config)
        return _limits_of(
            config.memory_size,
            config.timeout,
            config.ephemeral_storage,
            config.memory_size / MB_PER_VCPU if self.cpu_scaling else 0,
            config.init_timeout,
        )

    def _say_vcpus(self, config: FunctionConfig) -> None:
        self._said_vcpus = True
        _log.warning(
            "function %r: memory_size=%d comes with %.2f vCPUs on AWS, and this host has %g; it "
            "will be slower here when it uses them all",
            config.name,
            config.memory_size,
            config.memory_size / MB_PER_VCPU,
            self._host_vcpus,
        )

    def _refuse_closed(self) -> None:
        if self._closed:
            msg = "this Invoker is closed; make a new one"
            raise SandboxError(msg, step="invoke")

    def after_fork_in_child(self) -> None:
        """Begin anew in a process that the user's program forked; its threads are gone."""
        closed = self._closed
        self._begin()
        self._closed = closed


_alive: weakref.WeakSet[Invoker] = weakref.WeakSet()


def _after_fork_in_child() -> None:
    for invoker in list(_alive):
        invoker.after_fork_in_child()


os.register_at_fork(after_in_child=_after_fork_in_child)


def _close_all() -> None:
    # Without it they would end, too, but with the warnings of sockets and processes that
    # nobody closed.
    for invoker in list(_alive):
        invoker.close()


atexit.register(_close_all)


# The same object for the same limits: it is looked up by its hash several times in a call.
_limits_of = functools.lru_cache(maxsize=1024)(Limits)
_need_of = functools.lru_cache(maxsize=1024)(Need)


class _Run:
    """One invocation under way: its log, its service calls, and what is made of its end."""

    def __init__(
        self, invoker: Invoker, function: Invocable, environment: Environment, request_id: str
    ) -> None:
        self._invoker = invoker
        self._function = function
        self._environment = environment
        self._request_id = request_id
        self._init_log: LogBuffer | None = None
        self._log: LogBuffer | None = None
        self._access: list[Access] = []
        self._permissions = 0
        self._answering: Answering | None = None

    def invoke(self, data: bytes) -> Invocation:
        """Prepare the environment, hand the event over, see it to its end."""
        outcome = self.follow(self._environment.prepare())
        if outcome is None:
            self._init_log, self._log = self._log, None
            outcome = self.follow(self._environment.run(self._request(data)))
            assert outcome is not None
        return self.ended(outcome)

    def follow(self, events: Iterator[Event]) -> Outcome | None:
        """Take what happens, have service calls answered; return the outcome if there is one."""
        outcome = None
        try:
            for event in events:
                if isinstance(event, Log):
                    if self._log is None:
                        self._log = LogBuffer()
                    self._log.add(event.data)
                elif isinstance(event, ServiceCall):
                    if self._answering is None:
                        self._answering = self._make_answering()
                    self._answering.begin(event)
                    del event  # nothing here keeps its body
                elif isinstance(event, Outcome):
                    outcome = event
        finally:
            # Ctrl-C in here: what runs is killed now, not when the generator is collected.
            events.close()  # type: ignore[attr-defined]  # it is one
            if self._answering is not None:
                self._answering.end()
                self._answering = None
        return outcome

    def _make_answering(self) -> Answering:
        return Answering(self._invoker.threads, self._serve, self._environment.reply)

    def _serve(self, call: ServiceCall) -> ServiceReply:
        reply = self._function.serve(call, self._request_id, self._invoker)
        self._record(call, reply)
        return reply

    def _record(self, call: ServiceCall, reply: ServiceReply) -> None:
        self._permissions += max(1, len(reply.permissions))
        if self._permissions <= _RECORDED_PERMISSIONS:
            code = "" if reply.failure is None else reply.failure.code
            # What a function calls a service may be of any length.
            names = call.service[:_NAME_LENGTH], call.operation[:_NAME_LENGTH]
            self._access.append(Access(*names, reply.permissions, code))

    def _request(self, data: bytes) -> Request:
        function, config = self._function, self._function.config
        context = {
            "request_id": self._request_id,
            "function_name": function.name,
            "function_version": config.version,
            "invoked_function_arn": function.arn,
            "memory_limit_in_mb": str(config.memory_size),
            "log_group_name": log_group_name(function.name),
        }
        return Request(self._request_id, data, context, _trace_id())

    def ended(self, outcome: Outcome) -> Invocation:
        """Make the invocation of its outcome."""
        function, config = self._function, self._function.config
        status = status_of(outcome)
        limit_s = config.init_timeout if outcome.phase == "init" else config.timeout
        raw = payload_of(outcome, self._request_id, limit_s)
        usage = outcome.usage
        meter = Meter(
            request_id=self._request_id,
            memory_size=config.memory_size,
            ephemeral_storage=config.ephemeral_storage,
            architecture=config.architecture,
            duration_ms=usage.duration_ms,
            init_duration_ms=usage.init_duration_ms,
            max_memory_used_mb=usage.max_memory_bytes / _MB,
            cpu_time_ms=usage.cpu_time_ms,
            cpu_throttled_ms=usage.cpu_throttled_ms,
            status=status,
            error_type=_reported_type(raw, outcome) if status == "error" else "",
        )
        error = None
        if status != "ok":
            error = error_for(status, raw, meter, outcome, limit_s)
        return Invocation(
            function_name=function.name,
            request_id=self._request_id,
            status=status,
            raw=raw,
            logs=self._logs(meter, config.version),
            meter=meter,
            error=error,
            access=tuple(self._access),
            log_stream_name=self._environment.log_stream_name,
        )

    def _logs(self, meter: Meter, version: str) -> str:
        before = "" if self._init_log is None else self._init_log.text()
        body = "" if self._log is None else self._log.text()
        if body and not body.endswith("\n"):
            body += "\n"
        return (
            f"{before}START RequestId: {self._request_id} Version: {version}\n"
            f"{body}END RequestId: {self._request_id}\n{meter.report_line()}\n"
        )


class _Handle:
    """The environment of a call, and its callees, for another thread that kills them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._environment: Environment | None = None
        self._callees: set[_Handle] = set()
        self._cancelled = False

    def attach(self, environment: Environment) -> None:
        """Name the environment; one that was cancelled before is never used."""
        with self._lock:
            if self._cancelled:
                raise RunCancelledError
            self._environment = environment

    def add(self, callee: _Handle) -> None:
        """Note a call that this one waits for."""
        with self._lock:
            self._callees.add(callee)
            cancelled = self._cancelled
        if cancelled:
            callee.cancel()

    def discard(self, callee: _Handle) -> None:
        """Forget a call that has ended."""
        with self._lock:
            self._callees.discard(callee)

    def cancel(self) -> None:
        """Kill it, now or as soon as there is one, and what it invoked and waits for."""
        with self._lock:
            self._cancelled = True
            environment = self._environment
        if environment is not None:
            environment.cancel()
        self.cancel_callees()

    def cancel_callees(self) -> None:
        """Kill what it invoked and waits for."""
        with self._lock:
            callees = list(self._callees)
        for callee in callees:
            callee.cancel()


# The invocation for which something is done in this thread, or in one that serves its calls.
_running: contextvars.ContextVar[_Handle | None] = contextvars.ContextVar(
    "faaskit-running", default=None
)


class _RunFuture(Future[Invocation]):
    """
    A Future that can be cancelled while it runs, because what runs can be killed.

    It never enters the state RUNNING, from which the base class lets nobody cancel.
    """

    def __init__(self) -> None:
        super().__init__()
        self.handle = _Handle()

    def cancel(self) -> bool:
        """Kill the function; return False if it has ended."""
        cancelled = super().cancel()
        if cancelled:
            self.handle.cancel()
        return cancelled

    def succeed(self, invocation: Invocation) -> None:
        """Set the result, unless it was cancelled at this moment."""
        try:
            self.set_result(invocation)
        except InvalidStateError:
            self.set_running_or_notify_cancel()

    def fail(self, error: BaseException) -> None:
        """Set the error, unless it was cancelled."""
        try:
            self.set_exception(error)
        except InvalidStateError:
            self.set_running_or_notify_cancel()


# ``json.dumps`` makes one anew for each call that wants anything but its defaults.
_to_json = json.JSONEncoder(allow_nan=False, ensure_ascii=False).encode


def _encode(event: Any, name: str) -> bytes:
    try:
        data = _to_json(event).encode()
    except (TypeError, ValueError, RecursionError) as error:
        msg = f"the event for function {name!r} is not JSON: {error}; Lambda takes JSON values"
        raise PayloadError(msg) from error
    if len(data) > SYNC_REQUEST_LIMIT_BYTES:
        msg = (
            f"the event for function {name!r} has {len(data)} bytes, and Lambda takes "
            f"{SYNC_REQUEST_LIMIT_BYTES} at the most; put the data in a bucket and send its key"
        )
        raise PayloadError(msg, size=len(data), limit=SYNC_REQUEST_LIMIT_BYTES)
    return data


def _reported_type(raw: bytes, outcome: Outcome) -> str:
    kind = error_type_of(raw)
    # An exception while the module was imported ended its environment; AWS's REPORT line has
    # no name of its own for it.
    return kind if outcome.phase == "invoke" or kind.startswith("Runtime.") else "Runtime.Unknown"


def _trace_id() -> str:
    root = f"{int(time.time()):08x}-{os.urandom(12).hex()}"
    return f"Root=1-{root};Parent={os.urandom(8).hex()};Sampled=0"


def _chosen(wanted: str) -> str:
    """Return the level to use, having tried what this host gives."""
    from faaskit.runtimes.host import jail_problem

    problem = jail_problem() if wanted != "process" else ""
    if wanted == "namespace" and problem:
        msg = (
            f"isolation 'namespace' can't be given on this host: {problem}; "
            "pass isolation='auto' for the best that there is, and see `faaskit doctor`"
        )
        raise SandboxError(msg, step="choose the isolation")
    return "process" if problem or wanted == "process" else "namespace"


def _checked(wanted: object) -> str:
    if wanted in ("auto", "process", "namespace"):
        return str(wanted)
    msg = f"isolation {wanted!r} is none; pass 'auto', 'process' or 'namespace'"
    raise DefinitionError(msg)


def _checked_backend(wanted: Any) -> Backend | None:
    if wanted == "local":
        return None
    if all(hasattr(wanted, name) for name in ("acquire", "unenforced", "held_bytes")):
        return cast("Backend", wanted)  # told apart by what it has
    msg = (
        f"unknown backend {wanted!r}: pass 'local', or an object with acquire, keep_ready, close, "
        "unenforced and held_bytes"
    )
    raise DefinitionError(msg)


def _positive(value: Any, name: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        msg = f"{name}={value!r} is not a whole number of at least 1"
        raise DefinitionError(msg)
    return value


def _with_progress(invocations: Iterator[Invocation], events: Any) -> Iterator[Invocation]:
    try:
        from tqdm.auto import tqdm
    except ImportError as error:
        msg = "a progress bar needs tqdm: pip install 'faaskit[demo]'"
        raise MissingExtraError(msg, extra="demo") from error
    total = len(events) if hasattr(events, "__len__") else None
    return iter(tqdm(invocations, total=total, unit="call"))


def _accepted_here() -> frozenset[str]:
    # Read when it matters: the command and notebooks may set it after an Invoker was made.
    return accepted_in(os.environ.get(ACCEPT_VARIABLE, ""))


_warned = threading.Event()


def _warn_of_process() -> None:
    """Say once that functions are less isolated; a limit that they declare is refused."""
    if not _warned.is_set():
        _warned.set()
        _log.warning(
            "this host can't give isolation 'namespace': functions run at 'process', as this user "
            "and with its files; `faaskit doctor` says why, and lists the gaps"
        )


_default: Invoker | None = None
_default_lock = threading.Lock()


def default_invoker() -> Invoker:
    """Return the Invoker of functions that belong to no App; closed at exit."""
    global _default  # noqa: PLW0603  # one for the process
    with _default_lock:
        if _default is None or _default.closed:
            _default = Invoker()
        return _default
