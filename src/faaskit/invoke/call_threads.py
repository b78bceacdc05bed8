"""
Threads that carry out service calls, so that whoever waits for a function keeps listening.

A call may block: on a busy state folder, on an upstream, on another function. The thread of
the invocation has to see that the function was killed meanwhile. Answering in that thread
and listening in another one was rejected: each invocation would pay for a switch of threads,
where now only those do that make calls.

A call whose function was killed is *abandoned*: it can't be stopped, and goes on to its end
with nobody to hear of it, as on AWS.
"""

from __future__ import annotations

import contextvars
import functools
import logging
import threading
from collections import deque
from collections.abc import Callable
from errno import EAGAIN
from queue import Empty, SimpleQueue

from faaskit.exceptions import SandboxError
from faaskit.runtimes.contract import (
    RunCancelledError,
    ServiceCall,
    ServiceFailure,
    ServiceReply,
)

__all__ = ["ABANDONED_MAX", "Answering", "CallThreads"]

_log = logging.getLogger(__name__)

_IDLE_S = 10.0
# What abandoned calls may be under way. An upstream that hangs would collect any number.
ABANDONED_MAX = 64
_ABANDONED_BYTES = 256 * 1024 * 1024


class CallThreads:
    """
    Threads that are used again, from call to call, and end when they are idle. Thread-safe.

    Daemons: a call that never ends must not keep a program from ending.
    """

    def __init__(self) -> None:
        self._idle: deque[_Thread] = deque()
        self._lock = threading.Lock()
        self._abandoned = 0
        self._abandoned_bytes = 0

    @property
    def full(self) -> bool:
        """True if too many abandoned calls are under way for another call to begin."""
        return self._abandoned >= ABANDONED_MAX or self._abandoned_bytes >= _ABANDONED_BYTES

    def run(self, job: Callable[[], None]) -> None:
        """
        Run a job, which must not raise, in a thread; do not wait for it.

        Raises:
            SandboxError: This process can't start another thread.
        """
        try:
            self._idle.pop().jobs.put(job)
        except IndexError:
            thread = _Thread(self._idle, job)
            try:
                thread.start()
            except RuntimeError as error:
                msg = (
                    f"no thread to carry out a service call in: {error}; this process has as "
                    "many as its user may (ulimit -u)"
                )
                raise SandboxError(msg, step="answer a service call", errno=EAGAIN) from error

    def abandon(self, size: int) -> None:
        """Count a call that goes on though its function was killed."""
        with self._lock:
            self._abandoned += 1
            self._abandoned_bytes += size

    def forget(self, size: int) -> None:
        """Count an abandoned call no more: it has ended."""
        with self._lock:
            self._abandoned -= 1
            self._abandoned_bytes -= size


class _Thread(threading.Thread):
    """One thread. It is in ``idle`` while it waits for a job, and only then."""

    def __init__(self, idle: deque[_Thread], job: Callable[[], None]) -> None:
        super().__init__(name="faaskit-call", daemon=True)
        self.jobs: SimpleQueue[Callable[[], None]] = SimpleQueue()
        self.jobs.put(job)
        self._idle = idle

    def run(self) -> None:
        """Run jobs until there was none for a while."""
        while True:
            try:
                job = self.jobs.get(timeout=_IDLE_S)
            except Empty:
                try:
                    self._idle.remove(self)
                except ValueError:  # taken at this moment: the job is on its way
                    continue
                return
            job()
            del job
            self._idle.append(self)


class Answering:
    """
    The service calls of one invocation, of which one is under way at a time.

    Args:
        threads: Shared by the invocations of an Invoker.
        serve: Carries a call out.
        reply: Takes the id of a call and its reply; drops it where the function is gone.
    """

    def __init__(
        self,
        threads: CallThreads,
        serve: Callable[[ServiceCall], ServiceReply],
        reply: Callable[[int, ServiceReply], None],
    ) -> None:
        self._threads = threads
        self._serve = serve
        self._reply = reply
        self._lock = threading.Lock()
        self._size: int | None = None  # of the call under way
        self._ended = False

    def begin(self, call: ServiceCall) -> None:
        """
        Have a call carried out and answered, in a copy of this thread's context.

        Raises:
            SandboxError: There is no thread for it.
        """
        self._size = len(call.body or b"")
        # A list, so that nothing here holds the body once the call is carried out: the reply
        # may be written for long, and the function's next call is as large.
        job = functools.partial(self._answer, [call], contextvars.copy_context())
        self._threads.run(job)

    def end(self) -> None:
        """Abandon the call that is under way, if there is one: nobody waits for its reply."""
        with self._lock:
            self._ended = True
            if self._size is not None:
                self._threads.abandon(self._size)

    def _answer(self, calls: list[ServiceCall], context: contextvars.Context) -> None:
        call = calls.pop()
        number, size = call.id, len(call.body or b"")
        reply = _TOO_MANY if self._threads.full else self._carry_out(call, context)
        del call
        with self._lock:
            self._size = None
            if self._ended:
                self._threads.forget(size)
                return
        self._reply(number, reply)

    def _carry_out(self, call: ServiceCall, context: contextvars.Context) -> ServiceReply:
        try:
            return context.run(self._serve, call)
        except RunCancelledError:
            return _FAILED  # nobody waits for it
        except BaseException:  # noqa: BLE001 - the function must get an answer
            _log.exception("service call %s.%s failed", call.service[:64], call.operation[:64])
            return _FAILED


_FAILED = ServiceReply(
    failure=ServiceFailure(
        "InternalFailure", "the gate failed, not the function: the app's log says where"
    )
)
_TOO_MANY = ServiceReply(
    failure=ServiceFailure(
        "ServiceUnavailable",
        f"{ABANDONED_MAX} service calls, or as many as hold 256 MB, are still under way for "
        "functions that were killed, and no more begin until one of them ends: see why their "
        "service is slow",
    )
)
