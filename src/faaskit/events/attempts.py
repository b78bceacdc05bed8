"""
Asynchronous invocations, as work: an attempt at each event of the queue that is due.

What follows from the last attempt (a record for a destination, a dead letter) is put into the
queue in the transaction that ends the event, and is sent from there: a crash in between loses
neither, and invokes nothing twice.
"""

from __future__ import annotations

import json
import logging
import threading
import uuid
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Generic, Protocol, TypeVar

from attrs import frozen

from faaskit.clock import Clock
from faaskit.events.asynchronous import AsynchronousQueue, Delivery, Onward
from faaskit.events.details import in_log
from faaskit.events.records import dead_letter, destination, invocation_record
from faaskit.events.retries import Again, Dead, Verdict, after_error, after_throttle, overdue
from faaskit.events.targets import Parcel, Target, target_arn
from faaskit.events.work import Ended, Errors
from faaskit.exceptions import ThrottledError
from faaskit.gate.lineage import MAX_DEPTH, behind
from faaskit.runtimes.contract import ServiceReply

__all__ = ["Attempts", "Configured", "Invocable", "check_destinations"]

_log = logging.getLogger(__name__)

_DESTINATIONS = {
    "on_success": ("queue", "topic", "function", "bus"),
    "on_failure": ("queue", "topic", "function", "bus", "bucket"),
    "dead_letter": ("queue", "topic"),
}
_STATUS = {"ok": 200, "throttled": 429, "refused": 400}
# What a later try may mend; everything else says that the target is not there, or closed.
_PASSING = {
    "InternalError",
    "InternalFailure",
    "ProvisionedThroughputExceededException",
    "RequestThrottled",
    "ServiceException",
    "ServiceUnavailable",
    "ThrottlingException",
    "TooManyRequestsException",
}


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

    @property
    def on_success(self) -> Any:
        """Where the record of a success goes: what has an ARN, or the ARN."""

    @property
    def on_failure(self) -> Any:
        """Where the record of a failure goes."""

    @property
    def dead_letter(self) -> Any:
        """Where an event goes that was given up."""


class Invocable(Protocol):
    """What is needed of a Function."""

    @property
    def name(self) -> str:
        """Unique in the app."""

    @property
    def arn(self) -> str:
        """Unqualified."""

    @property
    def config(self) -> Configured:
        """Its configuration."""


_F = TypeVar("_F", bound=Invocable)
_I = TypeVar("_I", bound=Ended)


class Attempts(Generic[_F, _I]):
    """
    The queue's events, as work.

    Args:
        queue: Where they wait.
        functions: Returns the functions that there are by now, by name.
        invoke: Runs one with a parsed event, under a request id.
        forward: Carries a service call out under the role of a function of that name, or as
            the app where the name is empty.
        clock: Decides what is due.
    """

    def __init__(
        self,
        queue: AsynchronousQueue,
        *,
        functions: Callable[[], Mapping[str, _F]],
        invoke: Callable[[_F, Any, str], _I],
        forward: Callable[[str, Parcel], ServiceReply],
        clock: Clock,
    ) -> None:
        self._queue = queue
        self._functions = functions
        self._invoke = invoke
        self._forward = forward
        self._clock = clock
        self._told_of: set[str] = set()
        self._told = False
        self.after_fork_in_child()

    def after_fork_in_child(self) -> None:
        """Let go of the parent's claims."""
        # Held from before a claim until it is in _active, so that no one takes it for lost.
        self._claiming = threading.Lock()
        self._active: set[tuple[int, int]] = set()

    def look(self) -> None:
        """Free the claims of processes that are gone, and those whose end could not be noted."""
        if not self._told:
            self._tell_of_stranded()
        self._queue.take_over()
        with self._claiming:
            self._queue.hand_back_all(but=self._active)

    def rest(self) -> None:
        """Tell of what waits in vain."""
        self._tell_of_stranded()
        self._told = False

    def next_due(self) -> datetime | None:
        """Return when the next event is due."""
        return self._queue.next_due(self._functions().keys())

    def claim(self) -> _Attempt[_F, _I] | None:
        """Claim the next event that is due."""
        with self._claiming:
            delivery = self._queue.claim(self._functions().keys())
            if delivery is None:
                return None
            self._active.add((delivery.id, delivery.claim))
        return _Attempt(self, delivery)

    def abandon(self) -> None:
        """Hand back every claim of this process."""
        with self._claiming:
            self._active.clear()
            self._queue.hand_back_all()

    def forget(self, delivery: Delivery) -> None:
        """Have nobody be at a delivery any more."""
        self._active.discard((delivery.id, delivery.claim))

    def carry_out(self, delivery: Delivery, later: Errors) -> _I | None:
        """Attempt it, and note how it ended."""
        try:
            if delivery.target is not None:
                self._send(delivery, Target.parse(delivery.target), later)
                return None
            return self._attempt(delivery, later)
        except BaseException:
            # Ctrl-C, or a function that can't run at all: as if it had not been tried.
            self._queue.hand_back(delivery)
            raise
        finally:
            self.forget(delivery)

    def _tell_of_stranded(self) -> None:
        """Log, once for each name, that events wait for functions that there are not."""
        self._told = True
        for name, count in self._queue.stranded(self._functions().keys()).items():
            if name not in self._told_of:
                self._told_of.add(name)
                _log.warning(
                    "%d events wait for function %r, which the app does not have; define one "
                    "of that name, or they go on waiting",
                    count,
                    name,
                )

    # --- invocations --------------------------------------------------------------------

    def _attempt(self, delivery: Delivery, later: Errors) -> _I | None:
        function = self._functions()[delivery.function]
        over = _Over(function, delivery)
        refused = self._refused(over)
        if refused is not None:
            self._settle(refused, Dead(refused.reason))  # type: ignore[arg-type]  # a Reason
            return None
        config = function.config
        try:
            with behind(delivery.depth + 1):
                event = json.loads(delivery.event)
                invocation = self._invoke(function, event, delivery.request_id)
        except later as error:
            throttles = delivery.throttles + 1
            verdict = after_throttle(
                throttles=throttles,
                tried=delivery.tried,
                now=self._clock.now(),
                max_event_age=config.max_event_age,
            )
            status = "throttled" if isinstance(error, ThrottledError) else "refused"
            over = over.ended("", f"{type(error).__name__}: {error}", status)
            self._settle(over, verdict, throttles=throttles)
            return None
        if invocation.ok:
            self._queue.done(delivery, onward=self._onward(over, invocation.raw, failed=False))
            return invocation
        attempts = delivery.attempts + 1
        verdict = after_error(
            attempts=attempts,
            tried=delivery.tried,
            now=self._clock.now(),
            retry_attempts=config.retry_attempts,
            max_event_age=config.max_event_age,
        )
        detail = invocation.raw.decode("utf-8", "replace")
        over = over.ended("", detail, "ok", attempts=attempts)
        self._settle(over, verdict, response=invocation.raw)
        return invocation

    def _refused(self, over: _Over) -> _Over | None:
        """Return why an event is not tried at all; None where it is."""
        delivery, config = over.delivery, over.function.config
        if config.reserved_concurrency == 0:
            return over.ended("ZeroReservedConcurrency", "reserved_concurrency is 0", "throttled")
        if delivery.depth >= MAX_DEPTH:
            detail = f"a recursive loop: {MAX_DEPTH} invocations stand behind this event"
            return over.ended("RecursiveInvocation", detail, "refused")
        age_limit = config.max_event_age
        if overdue(delivery.tried, self._clock.now(), age_limit):
            detail = f"older than max_event_age, {age_limit} s, before it could be tried again"
            return over.ended("EventAgeExceeded", detail, "throttled")
        return None

    def _settle(
        self, over: _Over, verdict: Verdict, *, response: bytes | None = None, throttles: int = 0
    ) -> None:
        onward: list[Onward] = []
        if isinstance(verdict, Dead):
            over = over.because(verdict.reason)
            onward = self._onward(over, response, failed=True)
        self._note(
            over.delivery,
            verdict,
            attempts=over.attempts,
            throttles=throttles,
            detail=over.detail,
            onward=onward,
        )

    def _onward(self, over: _Over, response: bytes | None, *, failed: bool) -> list[Onward]:
        """Return what a function's destinations get of an event that is over."""
        config, delivery, function = over.function.config, over.delivery, over.function
        chosen = config.on_failure if failed else config.on_success
        now = self._clock.now()
        onward = []
        if chosen is not None:
            target = destination(
                _arn_of(chosen),
                function=function.name,
                function_arn=function.arn,
                failed=failed,
                now=now,
                unique=str(uuid.uuid4()),
            )
            record = invocation_record(
                now=now,
                request_id=delivery.request_id,
                function_arn=function.arn,
                condition=over.reason or "Success",
                attempts=over.attempts if failed else over.attempts + 1,
                event=delivery.event,
                response=response,
                failed=failed,
            )
            onward.append(Onward(target.text, record))
        if failed and config.dead_letter is not None:
            target = dead_letter(
                _arn_of(config.dead_letter),
                request_id=delivery.request_id,
                status=_STATUS[over.status],
                message=over.detail,
            )
            onward.append(Onward(target.text, delivery.event))
        return onward

    # --- what goes elsewhere ------------------------------------------------------------

    def _send(self, delivery: Delivery, target: Target, later: Errors) -> None:
        """Send to a target; what can't be sent goes to the target's dead-letter queue."""
        try:
            with behind(delivery.depth):
                reply = self._forward(delivery.function, target.parcel(delivery.event))
        except later as error:
            code, message = type(error).__name__, str(error)
            passing = True
        else:
            code, message = _problem(reply)
            if not code:
                self._queue.done(delivery)
                return
            passing = code in _PASSING
        now = self._clock.now()
        attempts = delivery.attempts + 1
        verdict: Verdict = Dead("Undeliverable")
        if passing:
            verdict = Dead("RetriesExhausted")
            if attempts <= target.retries:
                verdict = after_throttle(
                    throttles=attempts,
                    tried=delivery.tried,
                    now=now,
                    max_event_age=target.max_age,
                )
        onward: list[Onward] = []
        if isinstance(verdict, Dead) and target.dead_letter:
            letter = Target(target.dead_letter, attributes=_why(target, code, message, delivery))
            onward.append(Onward(letter.text, delivery.event))
        self._note(delivery, verdict, attempts=attempts, detail=f"{code}: {message}", onward=onward)

    def _note(
        self,
        delivery: Delivery,
        verdict: Verdict,
        *,
        attempts: int,
        detail: str,
        onward: list[Onward],
        throttles: int = 0,
    ) -> None:
        self._queue.settle(
            delivery,
            verdict,
            attempts=attempts,
            throttles=throttles,
            detail=detail,
            onward=onward,
        )
        what = _label(delivery)
        if isinstance(verdict, Again):
            _log.warning("%s is due again at %s: %s", what, verdict.due.isoformat(), in_log(detail))
        else:
            _log.error("%s was given up (%s): %s", what, verdict.reason, in_log(detail))


def check_destinations(function: Invocable) -> None:
    """
    See that a function's destinations are what AWS takes.

    Raises:
        DefinitionError: One is no such resource, a FIFO queue, or the function itself.
    """
    for name, kinds in _DESTINATIONS.items():
        chosen = getattr(function.config, name)
        if chosen is not None:
            target_arn(chosen, f"{name} of function {function.name!r}", kinds, own=function.arn)


class _Attempt(Generic[_F, _I]):
    """One claim."""

    def __init__(self, attempts: Attempts[_F, _I], delivery: Delivery) -> None:
        self._attempts = attempts
        self._delivery = delivery

    @property
    def label(self) -> str:
        return _label(self._delivery)

    def carry_out(self, later: Errors) -> _I | None:
        return self._attempts.carry_out(self._delivery, later)

    def drop(self) -> None:
        self._attempts.forget(self._delivery)  # the next look hands it back


@frozen
class _Over:
    """How an event of a function stands after an attempt."""

    function: Invocable
    delivery: Delivery
    reason: str = ""
    detail: str = ""
    status: str = "ok"
    attempts: int = -1

    def __attrs_post_init__(self) -> None:
        if self.attempts < 0:
            object.__setattr__(self, "attempts", self.delivery.attempts)

    def ended(self, reason: str, detail: str, status: str, *, attempts: int = -1) -> _Over:
        return _Over(self.function, self.delivery, reason, detail, status, attempts)

    def because(self, reason: str) -> _Over:
        return _Over(self.function, self.delivery, reason, self.detail, self.status, self.attempts)


def _label(delivery: Delivery) -> str:
    if delivery.target is None:
        return f"event {delivery.request_id} for function {delivery.function!r}"
    whose = f" of function {delivery.function!r}" if delivery.function else ""
    arn = Target.parse(delivery.target).arn
    return f"record {delivery.request_id}{whose} for {arn}"


def _arn_of(chosen: Any) -> str:
    return chosen if isinstance(chosen, str) else str(chosen.arn)


def _problem(reply: ServiceReply) -> tuple[str, str]:
    """Return the code and message of what was wrong; an empty code where nothing was."""
    if reply.failure is not None:
        return reply.failure.code, reply.failure.message
    for entry in reply.output.get("Entries", ()):  # PutEvents says so for each
        if "ErrorCode" in entry:
            return entry["ErrorCode"], entry.get("ErrorMessage", "")
    return "", ""


def _why(target: Target, code: str, message: str, delivery: Delivery) -> dict[str, tuple[str, str]]:
    """Return what EventBridge tells of an event in a dead-letter queue."""
    exhausted = "MaximumRetryAttempts" if delivery.attempts >= target.retries else ""
    known = {
        "RULE_ARN": ("String", target.rule),
        "TARGET_ARN": ("String", target.arn),
        "ERROR_CODE": ("String", code),
        "ERROR_MESSAGE": ("String", message[:1024]),
        "EXHAUSTED_RETRY_CONDITION": ("String", exhausted),
        "RETRY_ATTEMPTS": ("Number", str(delivery.attempts)),
    }
    return {name: value for name, value in known.items() if value[1]}
