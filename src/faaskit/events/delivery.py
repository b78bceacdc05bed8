"""
Carries out what is due, one by one or in the background.

One thread looks for what is due and claims it; each claim is carried out by a thread of
its own, up to so many at once. Nothing is done twice for being handed over: the claim is in
the state folder, and what ends without a word there is handed back.
"""

from __future__ import annotations

import contextlib
import logging
import os
import threading
import time
import weakref
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any, Generic, TypeVar

from faaskit.clock import Clock
from faaskit.events.work import Ended, Task, Timed, Work
from faaskit.exceptions import FaaskitError, SandboxError, ThrottledError
from faaskit.resources.state import Changes

__all__ = ["Deliverer"]

_log = logging.getLogger(__name__)

# How long another process's writes may go unseen, and claims of one that died untaken.
_LOOK_EVERY = timedelta(milliseconds=250)
# After a failure of the state folder, real time.
_PAUSE_SECONDS = 1.0

_I = TypeVar("_I", bound=Ended)


class Deliverer(Generic[_I]):
    """
    Delivers what an app's kinds of work have due.

    Args:
        works: What can be due; of two that are due at one moment the first goes first.
        changes: Tells when something was written to the state folder by this process.
        clock: Decides what is due.
        timed: What makes things due when their time has come.
    """

    def __init__(
        self,
        works: Sequence[Work[_I]],
        changes: Callable[[], Changes],
        *,
        clock: Clock,
        timed: Sequence[Timed] = (),
    ) -> None:
        self._works = works
        self._timed = timed
        self._changes = changes
        self._clock = clock
        self._background: _Background | None = None
        _deliverers.add(self)

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
        self._look()
        try:
            while (task := self._claim_due()) is not None:
                invocation = task.carry_out((ThrottledError, SandboxError))
                if invocation is not None:
                    invocations.append(invocation)
        finally:
            if self._background is None:
                self._rest()
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
            for work in self._works:
                work.abandon()
            self._rest()
            raise
        self._rest()

    def after_fork_in_child(self) -> None:
        """Let go of what is the parent's: its threads, and what its kinds of work hold."""
        self._background = None
        for work in self._works:
            work.after_fork_in_child()

    def _look(self) -> None:
        for work in self._works:
            work.look()

    def _rest(self) -> None:
        for work in self._works:
            work.rest()

    def _claim_due(self) -> Task[_I] | None:
        """Claim what is due first of all."""
        for one in self._timed:
            one.fire_due()
        now = self._clock.now()
        due = [(moment, work) for work in self._works if (moment := work.next_due()) is not None]
        # By time alone: sorting is stable, so the first kind of work goes first.
        for moment, work in sorted(due, key=lambda one: one[0]):
            if moment > now:
                break
            task = work.claim()
            if task is not None:
                return task
        return None

    def _next_due(self) -> datetime | None:
        every = [work.next_due() for work in self._works]
        every += [one.next_due() for one in self._timed]
        return min((due for due in every if due is not None), default=None)

    # --- the background's threads -------------------------------------------------------

    def _dispatch(
        self,
        background: _Background,
        concurrency: int,
        on_delivery: Callable[[_I], object] | None,
    ) -> None:
        changes = self._changes()
        looked = float("-inf")
        while not background.stopping:
            seen = changes.count  # before looking: what changes from here on is looked at again
            task = None
            try:
                if time.monotonic() - looked >= _LOOK_EVERY.total_seconds():
                    looked = time.monotonic()
                    self._look()
                if background.working < concurrency:
                    task = self._claim_due()
                if task is not None:
                    background.start_worker(self._work, background, task, on_delivery)
                    continue
                due = self._next_due()
            except Exception:  # noqa: BLE001 - this thread must not end before it is told to
                _log.exception("looking for what is due failed; trying again")
                if task is not None:  # its thread could not be started
                    with contextlib.suppress(FaaskitError):
                        task.drop()
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
        task: Task[_I],
        on_delivery: Callable[[_I], object] | None,
    ) -> None:
        try:
            # Whatever it is: raised again at once, it would keep the dispatcher busy.
            invocation = task.carry_out((Exception,))
            if invocation is not None and on_delivery is not None:
                on_delivery(invocation)
        except Exception:  # noqa: BLE001 - there is no one above to catch it
            _log.exception("delivery of %s failed", task.label)
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


_deliverers: weakref.WeakSet[Deliverer[Any]] = weakref.WeakSet()


def _after_fork_in_child() -> None:
    for deliverer in list(_deliverers):
        deliverer.after_fork_in_child()


os.register_at_fork(after_in_child=_after_fork_in_child)
