"""
Queues that are not the app's own, as work: SQS at any endpoint, polled through boto3.

Each poll is a task of its own, in a thread of its own, so that a slow network holds nothing else
up. Nothing is kept here: a message that was received and not deleted is seen again when its
visibility timeout has ended, as on AWS.
"""

from __future__ import annotations

import json
import logging
import threading
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Generic, TypeVar

from attrs import define

from faaskit.clock import from_epoch_ms
from faaskit.events.details import in_log
from faaskit.events.mappings.outcomes import Answer, read_answer
from faaskit.events.mappings.queues import record
from faaskit.events.mappings.reader import Invocable, Reader
from faaskit.events.mappings.registry import OK, PROBLEM, Declared
from faaskit.events.mappings.settings import MAX_RECORDS_BYTES
from faaskit.events.work import Ended, Errors
from faaskit.exceptions import ServiceError
from faaskit.runtimes.contract import ServiceCall, ServiceReply

__all__ = ["RemoteQueueSource", "RemoteQueues"]

_log = logging.getLogger(__name__)

# As many batches at once as Lambda begins with.
_AT_ONCE = 5
_A_CALL = 10  # messages, for SQS
# Between two polls that found nothing, and after failures.
_PAUSE = timedelta(seconds=1)
_LONGEST_PAUSE = timedelta(seconds=60)
_LONG_AGO = from_epoch_ms(0)  # due before any moment that was looked at by now
_LONGEST_WAIT = 20  # seconds, of a ReceiveMessage


_F = TypeVar("_F", bound=Invocable)
_I = TypeVar("_I", bound=Ended)


class RemoteQueueSource:
    """
    A queue elsewhere.

    Args:
        arn: Its ARN.
    """

    kind = "remote queue"

    def __init__(self, arn: str) -> None:
        self.key = arn
        _, _, _, self.region, self.account, self.name = arn.split(":")


@define
class _Poll:
    """What is known of a mapping while the app runs."""

    due: datetime = _LONG_AGO
    running: int = 0
    failures: int = 0
    url: str = ""


class RemoteQueues(Generic[_F, _I]):
    """
    The mappings of queues elsewhere, as work.

    Args:
        reader: What is read with.
        perform: Carries a service call out as the app itself.
    """

    def __init__(
        self, reader: Reader[_F, _I], perform: Callable[[ServiceCall], ServiceReply]
    ) -> None:
        self._reader = reader
        self._registry = reader.registry
        self._clock = reader.clock
        self._perform = perform
        self.after_fork_in_child()

    def after_fork_in_child(self) -> None:
        """Let go of the parent's polls."""
        self._lock = threading.Lock()
        self._polls: dict[Declared, _Poll] = {}

    # --- as work ------------------------------------------------------------------------

    def look(self) -> None:
        """Take up which mappings are enabled."""
        if self._registry.of(RemoteQueueSource.kind):
            self._registry.refresh()

    def next_due(self) -> datetime | None:
        """Return when a queue is polled next."""
        with self._lock:
            due = self._next()
            return None if due is None else due[1].due

    def claim(self) -> _Attempt[_F, _I] | None:
        """Claim the poll that is due first."""
        with self._lock:
            due = self._next()
            if due is None or due[1].due > self._clock.now():
                return None
            due[1].running += 1
            # Until this one has found something, no other one is begun.
            due[1].due = self._clock.now() + _PAUSE
            return _Attempt(self, *due)

    def abandon(self) -> None:
        """Leave what was received: it is seen again when its visibility timeout has ended."""

    def rest(self) -> None:
        """Poll at once when delivery begins again."""
        with self._lock:
            for poll in self._polls.values():
                poll.due = _LONG_AGO

    def leave(self, poll: _Poll) -> None:
        """Have a poll be over."""
        with self._lock:
            poll.running -= 1

    def _next(self) -> tuple[Declared, _Poll] | None:
        ready = []
        for mapping, _ in self._reader.readable(RemoteQueueSource.kind):
            poll = self._polls.setdefault(mapping, _Poll())
            if poll.running < (mapping.settings.max_concurrency or _AT_ONCE):
                ready.append((mapping, poll))
        return min(ready, key=lambda one: one[1].due, default=None)

    # --- attempts -----------------------------------------------------------------------

    def carry_out(self, mapping: Declared, poll: _Poll, later: Errors) -> _I | None:
        """Poll; invoke the function with what came, and delete what it did."""
        function = self._reader.function_of(mapping)
        try:
            if function is None:
                return None
            messages = self._receive(mapping, poll, function)
            poll.failures = 0
            if messages:
                with self._lock:
                    poll.due = self._clock.now()  # there may be more
            entries = self._passing(mapping, poll, messages)
            if not entries:
                return None
            return self._try(mapping, poll, function, entries, later)
        except ServiceError as error:
            self._put_off(mapping, poll, error)
            return None
        finally:
            self.leave(poll)

    def _try(
        self,
        mapping: Declared,
        poll: _Poll,
        function: _F,
        entries: Sequence[Mapping[str, Any]],
        later: Errors,
    ) -> _I | None:
        try:
            event = {"Records": [*entries]}
            invocation = self._reader.invoke(function, event, str(uuid.uuid4()))
        except later as error:
            _log.warning("messages for %r are put off: %s", function.name, error)
            self._registry.tell(mapping, PROBLEM)
            return None
        if invocation.ok:
            reports = mapping.settings.report_batch_item_failures
            known = {entry["messageId"] for entry in entries}
            answer = read_answer(invocation.raw, known, reports=reports)
        else:
            answer = Answer(None, problem=invocation.raw.decode("utf-8", "replace"))
        failed = {entry["messageId"] for entry in entries}
        if answer.failed is not None:
            failed = set(answer.failed)
        done = [entry for entry in entries if entry["messageId"] not in failed]
        if failed:
            _log.warning(
                "%d messages for %r failed, and are seen again later: %s",
                len(failed),
                function.name,
                in_log(answer.problem or "batchItemFailures"),
            )
        self._delete(mapping, poll, done)
        self._registry.tell(mapping, PROBLEM if failed else OK)
        return invocation

    def _put_off(self, mapping: Declared, poll: _Poll, error: ServiceError) -> None:
        poll.failures += 1
        pause = min(_LONGEST_PAUSE, _PAUSE * 2 ** min(poll.failures - 1, 6))
        with self._lock:
            poll.due = self._clock.now() + pause
        _log.warning(
            "%s could not be polled for %r, and is again in %d s: %s",
            mapping.source.key,
            mapping.function,
            pause.total_seconds(),
            error,
        )
        self._registry.tell(mapping, f"PROBLEM: {error}")

    # --- calls --------------------------------------------------------------------------

    def _receive(self, mapping: Declared, poll: _Poll, function: _F) -> list[dict[str, Any]]:
        """Return up to a batch of messages; a window is waited for, the rest is not."""
        if not poll.url:
            self._open(mapping, poll, function)
        settings = mapping.settings
        found: list[dict[str, Any]] = []
        size, began = 0, time.monotonic()
        while len(found) < settings.batch_size and size < MAX_RECORDS_BYTES // 2:
            left = settings.max_batching_window - (time.monotonic() - began)
            wait = int(min(_LONGEST_WAIT, left)) if found and left > 0 else 0
            output = self._ask(
                mapping,
                "ReceiveMessage",
                QueueUrl=poll.url,
                MaxNumberOfMessages=min(_A_CALL, settings.batch_size - len(found)),
                WaitTimeSeconds=max(0, wait),
                MessageSystemAttributeNames=["All"],
                MessageAttributeNames=["All"],
            )
            received = output.get("Messages", [])
            found += received
            size += sum(len(json.dumps(one)) for one in received)
            if not received and (not found or left <= 1):
                break
        return found

    def _open(self, mapping: Declared, poll: _Poll, function: _F) -> None:
        """Find the queue's URL, and see that the function ends before a message is seen again."""
        source: RemoteQueueSource = mapping.source
        found = self._ask(
            mapping,
            "GetQueueUrl",
            QueueName=source.name,
            QueueOwnerAWSAccountId=source.account,
        )
        url = found["QueueUrl"]
        named = self._ask(
            mapping, "GetQueueAttributes", QueueUrl=url, AttributeNames=["VisibilityTimeout"]
        )
        visible = int(named["Attributes"]["VisibilityTimeout"])
        if visible < function.config.timeout:
            msg = (
                f"Queue visibility timeout: {visible} seconds is less than Function timeout: "
                f"{function.config.timeout} seconds"
            )
            raise ServiceError(msg, code="InvalidParameterValueException")
        poll.url = url

    def _passing(
        self, mapping: Declared, poll: _Poll, messages: Sequence[dict[str, Any]]
    ) -> list[Mapping[str, Any]]:
        """Return what the function gets; what matches no filter is deleted."""
        source: RemoteQueueSource = mapping.source
        entries = [record(one, arn=source.key, region=source.region) for one in messages]
        passing: list[Mapping[str, Any]] = [
            one for one in entries if mapping.settings.filters.pass_record(one)
        ]
        self._delete(mapping, poll, [one for one in entries if one not in passing])
        size = 0
        for number, entry in enumerate(passing):
            size += len(json.dumps(entry)) + 2
            if number and size > MAX_RECORDS_BYTES:
                self._hand_back(mapping, poll, passing[number:])
                return passing[:number]
        return passing

    def _hand_back(
        self, mapping: Declared, poll: _Poll, entries: Sequence[Mapping[str, Any]]
    ) -> None:
        """Have messages seen at once that the event has no room for."""
        for entry in entries:
            self._ask(
                mapping,
                "ChangeMessageVisibility",
                QueueUrl=poll.url,
                ReceiptHandle=entry["receiptHandle"],
                VisibilityTimeout=0,
            )

    def _delete(self, mapping: Declared, poll: _Poll, entries: Sequence[Mapping[str, Any]]) -> None:
        for first in range(0, len(entries), _A_CALL):
            named = [
                {"Id": str(number), "ReceiptHandle": entry["receiptHandle"]}
                for number, entry in enumerate(entries[first : first + _A_CALL])
            ]
            answer = self._ask(mapping, "DeleteMessageBatch", QueueUrl=poll.url, Entries=named)
            for one in answer.get("Failed", ()):
                _log.warning("a message of %s was not deleted: %s", mapping.source.key, one)

    def _ask(self, mapping: Declared, operation: str, **parameters: Any) -> Mapping[str, Any]:
        call = ServiceCall("sqs", operation, parameters, region=mapping.source.region)
        reply = self._perform(call)
        if reply.failure is not None:
            raise ServiceError(reply.failure.message, code=reply.failure.code)
        return reply.output


class _Attempt(Generic[_F, _I]):
    """One poll."""

    def __init__(self, queues: RemoteQueues[_F, _I], mapping: Declared, poll: _Poll) -> None:
        self._queues = queues
        self._mapping = mapping
        self._poll = poll

    @property
    def label(self) -> str:
        """What it is, for the log."""
        return f"a poll of {self._mapping.source.key} for function {self._mapping.function!r}"

    def carry_out(self, later: Errors) -> _I | None:
        """Do it."""
        return self._queues.carry_out(self._mapping, self._poll, later)

    def drop(self) -> None:
        """Leave it."""
        self._queues.leave(self._poll)
