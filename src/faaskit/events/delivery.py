"""
Takes events out of the queue and invokes their functions, one by one or in the background.

One thread looks for what is due and claims it; each claim is carried out by a thread of
its own, up to so many at once. Nothing is done twice for being handed over: the claim is
the row in the queue, and what ends without a word there is handed back.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import threading
import weakref
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Generic, Protocol, TypeVar

from faaskit.clock import Clock
from faaskit.events.asynchronous import AsynchronousQueue, Delivery
from faaskit.events.retries import Again, Dead, Verdict, after_error, after_throttle, overdue
from faaskit.exceptions import FaaskitError, SandboxError, ThrottledError
from faaskit.resources.state import Changes

__all__ = ["Configured", "Deliverer", "Ended", "Target", "Timed"]

_log = logging.getLogger(__name__)

# How long another process's writes may go unseen, and claims of one that died untaken.
_LOOK_EVERY = timedelta(milliseconds=250)
# After a failure of the state folder, real time.
_PAUSE_SECONDS = 1.0


class Configured(Protocol):
    """What is needed of a FunctionConfig."""

    @property
    def retry_attempts(self) -> int:
        """How often a failed asynchronous invocation is tried again."""

    @property
    def max_event_age(self) -> int:
        """How long it is, in seconds."""

    @property
    def reserved_concurrency(self) -> int | None:
        """How many invocations may run at once; None: no limit of its own."""


class Target(Protocol):
    """What is needed of a Function."""

    @property
    def name(self) -> str:
        """Unique in the app."""

    @property
    def config(self) -> Configured:
        """Its configuration."""


class Ended(Protocol):
    """What is needed of an Invocation."""

    @property
    def ok(self) -> bool:
        """Whether the handler returned."""

    @property
    def raw(self) -> bytes:
        """The result, or the error object, as JSON."""


class Timed(Protocol):
    """What puts events into the queue when their time has come."""

    def fire_due(self) -> None:
        """Put what is due into the queue."""

    def next_due(self) -> datetime | None:
        """Return when it has something next; None for never."""


_Errors = tuple[type[Exception], ...]
_I = TypeVar("_I", bound=Ended)
_T = TypeVar("_T", bound=Target)


class Deliverer(Generic[_T, _I]):
    """
    Delivers an app's asynchronous invocations.

    Args:
        queue: Where they wait.
        changes: Tells when something was put there by this process.
        functions: Returns the functions that there are by now, by name.
        invoke: Runs one with a parsed event, under a request id.
        clock: Decides what is due.
        timed: What puts events there when their time has come.
    """

    def __init__(
        self,
        queue: AsynchronousQueue,
        changes: Callable[[], Changes],
        *,
        functions: Callable[[], Mapping[str, _T]],
        invoke: Callable[[_T, Any, str], _I],
        clock: Clock,
        timed: Sequence[Timed] = (),
    ) -> None:
        self._queue = queue
        self._timed = timed
        self._changes = changes
        self._functions = functions
        self._invoke = invoke
        self._clock = clock
        self._told_of: set[str] = set()
        self._begin()
        _deliverers.add(self)

    def _begin(self) -> None:
        # Held from before a claim until it is in _active, so that no one takes it for lost.
        self._claiming = threading.Lock()
        self._active: set[tuple[int, int]] = set()
        self._background: _Background | None = None

    @property
    def running(self) -> bool:
        """Whether it delivers in the background."""
        return self._background is not None

    def drain(self) -> list[_I]:
        """
        Deliver all that is due, one after another, until nothing is.

        Returns:
            The invocations, in order. What could not be run (throttled, a fault of the
            host) has none: it is in the log, and due later.

        Raises:
            DefinitionError: A function can't run at all; its event is handed back.
        """
        invocations = []
        self._hand_back_lost()
        while (delivery := self._claim_due()) is not None:
            invocation = self._deliver(delivery, (ThrottledError, SandboxError))
            if invocation is not None:
                invocations.append(invocation)
        self._tell_of_stranded()
        return invocations

    def start(self, concurrency: int, on_delivery: Callable[[_I], object] | None) -> None:
        """
        Deliver in the background from now on.

        Args:
            concurrency: How many at once, at the most.
            on_delivery: Called with each invocation, in the thread that delivered it.

        Raises:
            FaaskitError: It does already.
        """
        if self._background is not None:
            msg = "the app delivers in the background already: run() and running() are for one"
            raise FaaskitError(msg)
        self._background = background = _Background()
        background.start_dispatcher(self._dispatch, background, concurrency, on_delivery)

    def stop(self) -> None:
        """
        Stop taking events, and wait for the deliveries under way.

        Ctrl-C while it waits hands them back, to be delivered again, and goes on up.

        Raises:
            FaaskitError: In a delivery's own thread.
        """
        background = self._background
        if background is None:
            return
        if background.is_current():
            msg = (
                "the app can't be stopped or closed by on_delivery, which runs in a delivery that "
                "would wait for itself; tell the thread that began running() to do it"
            )
            raise FaaskitError(msg)
        self._background = None
        background.stopping = True
        self._changes().tell()
        try:
            background.join()
        except BaseException:
            with self._claiming:
                self._active.clear()
                self._queue.hand_back_all()
            raise

    def after_fork_in_child(self) -> None:
        """Let go of what is the parent's: its threads, its claims, and a lock one may hold."""
        self._begin()

    def _hand_back_lost(self) -> None:
        """Free the claims of deliveries whose end could not be noted."""
        with self._claiming:
            self._queue.hand_back_all(but=self._active)

    def _tell_of_stranded(self) -> None:
        """Log, once for each name, that events wait for functions that there are not."""
        for name, count in self._queue.stranded(self._functions().keys()).items():
            if name not in self._told_of:
                self._told_of.add(name)
                _log.warning(
                    "%d events wait for function %r, which the app does not have; define one "
                    "of that name, or they go on waiting",
                    count,
                    name,
                )

    def _claim_due(self) -> Delivery | None:
        for one in self._timed:
            one.fire_due()
        return self._claim()

    def _next_due(self) -> datetime | None:
        every = [self._queue.next_due(self._functions().keys())]
        every += [one.next_due() for one in self._timed]
        return min((due for due in every if due is not None), default=None)

    def _claim(self) -> Delivery | None:
        with self._claiming:
            delivery = self._queue.claim(self._functions().keys())
            if delivery is not None:
                self._active.add((delivery.id, delivery.claim))
            return delivery

    def _deliver(self, delivery: Delivery, later: _Errors) -> _I | None:
        """
        Carry a claim out and note how it ended; nothing is claimed when this returns.

        Args:
            delivery: The claim.
            later: The errors of ``invoke`` for which it is tried again later; others are
                raised.
        """
        try:
            return self._attempt(delivery, later)
        except BaseException:
            # Ctrl-C, or a function that can't run at all: as if it had not been tried.
            self._queue.hand_back(delivery)
            raise
        finally:
            self._active.discard((delivery.id, delivery.claim))

    def _attempt(self, delivery: Delivery, later: _Errors) -> _I | None:
        function = self._functions()[delivery.function]
        config = function.config
        if config.reserved_concurrency == 0:
            self._settle(delivery, Dead("ZeroReservedConcurrency"), "reserved_concurrency is 0")
            return None
        age_limit = config.max_event_age
        if overdue(delivery.tried, self._clock.now(), age_limit):
            detail = f"older than max_event_age, {age_limit} s, before it could be tried again"
            self._settle(delivery, Dead("EventAgeExceeded"), detail)
            return None
        try:
            invocation = self._invoke(function, json.loads(delivery.event), delivery.request_id)
        except later as error:
            throttles = delivery.throttles + 1
            verdict = after_throttle(
                throttles=throttles,
                tried=delivery.tried,
                now=self._clock.now(),
                max_event_age=age_limit,
            )
            self._settle(delivery, verdict, f"{type(error).__name__}: {error}", throttles=throttles)
            return None
        if invocation.ok:
            self._queue.done(delivery)
            return invocation
        attempts = delivery.attempts + 1
        verdict = after_error(
            attempts=attempts,
            tried=delivery.tried,
            now=self._clock.now(),
            retry_attempts=config.retry_attempts,
            max_event_age=age_limit,
        )
        detail = invocation.raw.decode("utf-8", "replace")
        self._settle(delivery, verdict, detail, attempts=attempts)
        return invocation

    def _settle(
        self,
        delivery: Delivery,
        verdict: Verdict,
        detail: str,
        *,
        attempts: int | None = None,
        throttles: int = 0,
    ) -> None:
        attempts = delivery.attempts if attempts is None else attempts
        self._queue.settle(delivery, verdict, attempts=attempts, throttles=throttles, detail=detail)
        what = f"event {delivery.request_id} for function {delivery.function!r}"
        if isinstance(verdict, Again):
            _log.warning("%s is due again at %s: %s", what, verdict.due.isoformat(), detail)
        else:
            _log.error("%s was given up (%s): %s", what, verdict.reason, detail)

    # --- the background's threads -------------------------------------------------------

    def _dispatch(
        self,
        background: _Background,
        concurrency: int,
        on_delivery: Callable[[_I], object] | None,
    ) -> None:
        changes = self._changes()
        with contextlib.suppress(FaaskitError):  # below, a failure of the folder is dealt with
            self._tell_of_stranded()
        while not background.stopping:
            seen = changes.count  # before looking: what changes from here on is looked at again
            try:
                delivery = None
                self._hand_back_lost()
                if background.working < concurrency:
                    delivery = self._claim_due()
                if delivery is not None:
                    background.start_worker(self._work, background, delivery, on_delivery)
                    continue
                due = self._next_due()
            except Exception:  # noqa: BLE001 - this thread must not end before it is told to
                _log.exception("looking for what is due failed; trying again")
                if delivery is not None:  # its thread could not be started
                    self._active.discard((delivery.id, delivery.claim))
                with changes.condition:
                    changes.condition.wait(_PAUSE_SECONDS)
                continue
            look = self._clock.now() + _LOOK_EVERY
            with changes.condition:
                if changes.count == seen:
                    full = background.working >= concurrency
                    until = look if due is None or full else min(due, look)
                    self._clock.wait(changes.condition, until)

    def _work(
        self,
        background: _Background,
        delivery: Delivery,
        on_delivery: Callable[[_I], object] | None,
    ) -> None:
        try:
            # Whatever it is: raised again at once, it would keep the dispatcher busy.
            invocation = self._deliver(delivery, (Exception,))
            if invocation is not None and on_delivery is not None:
                on_delivery(invocation)
        except Exception:  # noqa: BLE001 - there is no one above to catch it
            _log.exception("delivery of event %s failed", delivery.request_id)
        finally:
            background.ended(threading.current_thread())
            self._changes().tell()


class _Background:
    """The threads of one ``start``. Daemons: one that never ends must not keep a program up."""

    def __init__(self) -> None:
        self.stopping = False
        self._lock = threading.Lock()
        self._dispatcher: threading.Thread | None = None
        self._workers: set[threading.Thread] = set()

    @property
    def working(self) -> int:
        """How many deliveries are under way."""
        return len(self._workers)

    def start_dispatcher(self, run: Callable[..., None], *arguments: Any) -> None:
        thread = threading.Thread(
            target=run, args=arguments, name="faaskit-dispatcher", daemon=True
        )
        thread.start()
        self._dispatcher = thread

    def start_worker(self, run: Callable[..., None], *arguments: Any) -> None:
        thread = threading.Thread(target=run, args=arguments, name="faaskit-delivery", daemon=True)
        with self._lock:
            self._workers.add(thread)
        try:
            thread.start()
        except BaseException:
            self.ended(thread)
            raise

    def is_current(self) -> bool:
        """Return whether the thread that asks is one of these."""
        return threading.current_thread() in self._workers

    def ended(self, thread: threading.Thread) -> None:
        with self._lock:
            self._workers.discard(thread)

    def join(self) -> None:
        """Wait for all of them: first for the one that starts the others."""
        if self._dispatcher is not None:
            self._dispatcher.join()
        with self._lock:
            workers = list(self._workers)
        for thread in workers:
            thread.join()


_deliverers: weakref.WeakSet[Deliverer[Any, Any]] = weakref.WeakSet()


def _after_fork_in_child() -> None:
    for deliverer in list(_deliverers):
        deliverer.after_fork_in_child()


os.register_at_fork(after_in_child=_after_fork_in_child)
