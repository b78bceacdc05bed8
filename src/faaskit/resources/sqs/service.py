"""The ``sqs`` service: carries SQS's operations out on the state folder."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from faaskit.clock import Clock, epoch_ms, from_epoch_ms
from faaskit.gate.service import Caller, Refusal, Requirement
from faaskit.names import queue_arn
from faaskit.resources.sqs import messages
from faaskit.resources.sqs.digests import attributes_md5, body_md5, size_of
from faaskit.resources.sqs.queues import (
    StoredQueue,
    changed_settings,
    keep_queue,
    load_queue,
    store_settings,
)
from faaskit.resources.sqs.receipts import Receipt
from faaskit.resources.sqs.refusals import (
    refuse,
    refuse_missing,
    refuse_parameter,
    refuse_queue,
)
from faaskit.resources.sqs.requests import (
    ChangeVisibility,
    DeleteMessages,
    Entry,
    GetAttributes,
    GetUrl,
    ListQueues,
    Outgoing,
    Purge,
    Receive,
    SendMessages,
    SetAttributes,
    named_queue,
    understand,
)
from faaskit.resources.sqs.settings import DeclaredQueue, QueueSettings
from faaskit.resources.state import State
from faaskit.runtimes.contract import ServiceCall, ServiceFailure, ServiceReply

if TYPE_CHECKING:
    import sqlite3

__all__ = ["SqsService"]

_MAX_LISTED = 1000
_MAX_VISIBILITY_MS = 43_200 * 1000
_PURGE_MS = 60 * 1000
# Commits of other processes tell no one here: a long poll looks by itself, so often.
_LOOK_EVERY = timedelta(milliseconds=100)


class SqsService:
    """
    SQS, as far as faaskit has it: see ``requests.py`` for what each operation takes.

    Args:
        state: Where messages are kept.
        queues: Those that the app declares, by name.
        clock: Decides what is visible, and what is too old.
        region: The app's, in ARNs and URLs.
        account: The app's, too.
        correct: Called before a receive: puts right what a clock that was set back hides.
    """

    name = "sqs"

    def __init__(
        self,
        state: State,
        *,
        queues: Mapping[str, DeclaredQueue],
        clock: Clock,
        region: str,
        account: str,
        correct: Callable[[], None] = lambda: None,
    ) -> None:
        self._state = state
        self._correct = correct
        self._queues = queues
        self._clock = clock
        self._region = region
        self._account = account

    def owns(self, call: ServiceCall) -> bool:
        """Return whether a call names a queue of the app."""
        name = named_queue(call, region=self._region, account=self._account)
        return name is not None and name in self._queues

    def discloses(self, call: ServiceCall, failure: ServiceFailure) -> Requirement | None:  # noqa: ARG002
        """Return None: SQS tells everyone who may call what is wrong."""
        return None

    def perform(self, call: ServiceCall, caller: Caller) -> ServiceReply:
        """
        Carry a call out. What it changed is durable when this returns.

        ReceiveMessage waits for up to 20 seconds where it says so, and holds nothing meanwhile.

        Raises:
            Refusal: There is no such queue, or SQS does not take such a request.
            SandboxError: The host failed.
        """
        request = understand(call, region=self._region, account=self._account)
        if call.body:
            msg = f"{call.operation} takes no body"
            raise Refusal(msg, code="ValidationException")
        if isinstance(request, ListQueues):
            return ServiceReply(self._list(request))
        known = self._queues.get(request.queue)
        if known is None or call.region not in {"", self._region}:
            refuse_queue()
        declared = known.settings
        if isinstance(request, GetUrl):
            return ServiceReply({"QueueUrl": self._url(request.queue)})
        if isinstance(request, Receive):
            return ServiceReply(self._receive(request, declared))
        if isinstance(request, GetAttributes):
            return ServiceReply(self._attributes(request, declared))
        with self._state.writing(frees=isinstance(request, (DeleteMessages, Purge))) as connection:
            now = epoch_ms(self._clock.now())
            queue = keep_queue(connection, request.queue, declared, now)
            return ServiceReply(self._change(connection, queue, request, now, caller))

    # --- operations that change something -----------------------------------------------

    def _change(
        self,
        connection: sqlite3.Connection,
        queue: StoredQueue,
        request: SendMessages | DeleteMessages | ChangeVisibility | SetAttributes | Purge,
        now: int,
        caller: Caller,
    ) -> Mapping[str, Any]:
        if isinstance(request, SendMessages):
            return self._send(connection, queue, request, now, caller)
        if isinstance(request, DeleteMessages):
            return _each(request, lambda entry: self._delete(connection, queue, entry, now))
        if isinstance(request, ChangeVisibility):
            return _each(request, lambda entry: self._hide(connection, queue, entry, now))
        if isinstance(request, SetAttributes):
            targets = {self._arn(name): name for name in list(self._queues)}
            settings = changed_settings(queue, request.attributes, targets)
            declared = self._queues[queue.name].settings
            store_settings(connection, queue, declared, settings, now)
            return {}
        if queue.purged_ms is not None and now - queue.purged_ms < _PURGE_MS:
            msg = f"Only one PurgeQueue operation on {queue.name} is allowed every 60 seconds."
            refuse("AWS.SimpleQueueService.PurgeQueueInProgress", msg)
        connection.execute("DELETE FROM messages WHERE queue = ?", (queue.name,))
        connection.execute("UPDATE queues SET purged_ms = ? WHERE name = ?", (now, queue.name))
        return {}

    def _send(
        self,
        connection: sqlite3.Connection,
        queue: StoredQueue,
        request: SendMessages,
        now: int,
        caller: Caller,
    ) -> Mapping[str, Any]:
        messages.expire(connection, queue, now)
        for entry in request.entries:
            # What a FIFO queue must know of each message fails a whole batch.
            if entry.message is not None:
                _check_fifo(queue, entry.message, batch=request.batch)

        def send(entry: Entry) -> Mapping[str, Any]:
            assert entry.message is not None
            return _store(connection, queue, entry.message, sender=caller.user_id, now=now)

        return _each(request, send)

    def _delete(
        self, connection: sqlite3.Connection, queue: StoredQueue, entry: Entry, now: int
    ) -> Mapping[str, Any]:
        receipt = _receipt(queue, entry.handle)
        held = messages.find(connection, receipt)
        if held is None:
            return {}  # deleted already
        current = held.receipt == receipt.nonce
        if queue.fifo and (not current or held.visible_ms <= now):
            refuse_parameter("ReceiptHandle", entry.handle, "The receipt handle has expired.")
        if current:
            connection.execute("DELETE FROM messages WHERE id = ?", (held.id,))
        return {}  # an old handle is taken, and nothing is deleted

    def _hide(
        self, connection: sqlite3.Connection, queue: StoredQueue, entry: Entry, now: int
    ) -> Mapping[str, Any]:
        receipt = _receipt(queue, entry.handle)
        held = messages.find(connection, receipt)
        if held is None or held.receipt != receipt.nonce:
            reason = "Message does not exist or is not available for visibility timeout change."
            refuse_parameter("ReceiptHandle", entry.handle, reason)
        until = now + entry.visibility_timeout * 1000
        if until - held.received_ms > _MAX_VISIBILITY_MS:
            reason = "Total VisibilityTimeout for the message is beyond the limit [43200 seconds]"
            refuse_parameter("VisibilityTimeout", entry.visibility_timeout, reason)
        connection.execute("UPDATE messages SET visible_ms = ? WHERE id = ?", (until, held.id))
        return {}

    # --- operations that look -----------------------------------------------------------

    def _receive(self, request: Receive, declared: QueueSettings) -> Mapping[str, Any]:
        deadline: datetime | None = None
        while True:
            changes = self._state.changes
            seen = changes.count
            self._correct()
            moment = self._clock.now()
            now = epoch_ms(moment)
            with self._state.reading() as connection:
                # A look costs microseconds, a transaction milliseconds.
                queue = load_queue(connection, request.queue, declared)
                found = queue is None or messages.is_there_one(connection, queue, now)
                change = None if queue is None else messages.next_change_ms(connection, queue, now)
            if found:
                received, queue = self._take(request, declared)
                if received:
                    return {"Messages": received}
            assert queue is not None
            if deadline is None:
                wait = request.wait_seconds
                wait = queue.settings.receive_wait_seconds if wait is None else wait
                deadline = moment + timedelta(seconds=wait)
            if moment >= deadline:
                return {}
            until = min(deadline, moment + _LOOK_EVERY)
            if change is not None:
                until = min(until, from_epoch_ms(change))
            with changes.condition:
                if changes.count == seen:
                    self._clock.wait(changes.condition, until)

    def _take(
        self, request: Receive, declared: QueueSettings
    ) -> tuple[list[Mapping[str, Any]], StoredQueue]:
        with self._state.writing() as connection:
            now = epoch_ms(self._clock.now())
            queue = keep_queue(connection, request.queue, declared, now)
            messages.expire(connection, queue, now)
            if messages.in_flight(connection, queue, now) >= messages.MAX_IN_FLIGHT:
                if queue.fifo:
                    return [], queue
                msg = f"Too many messages in flight: the limit is {messages.MAX_IN_FLIGHT}."
                refuse("OverLimit", msg)
            taken = messages.take(connection, queue, request, now, arn=self._arn(queue.name))
            return [messages.output(row, receipt, request, now) for row, receipt in taken], queue

    def _attributes(self, request: GetAttributes, declared: QueueSettings) -> Mapping[str, Any]:
        now = epoch_ms(self._clock.now())
        with self._state.reading() as connection:
            known = load_queue(connection, request.queue, declared)
        if known is None:
            with self._state.writing() as connection:
                known = keep_queue(connection, request.queue, declared, now)
        with self._state.reading() as connection:
            counts = messages.count(connection, known, now)
        attributes = {
            name: value
            for name, value in known.attributes(self._arn(known.name), counts).items()
            if request.names & {name, "All"}
        }
        return {"Attributes": attributes} if attributes else {}

    def _list(self, request: ListQueues) -> Mapping[str, Any]:
        names = [
            name
            for name in sorted(self._queues)
            if name.startswith(request.prefix) and name > request.after
        ]
        most = _MAX_LISTED if request.max_results is None else request.max_results
        output: dict[str, Any] = {}
        if names:
            output["QueueUrls"] = [self._url(name) for name in names[:most]]
        if request.max_results is not None and len(names) > most:
            output["NextToken"] = names[most - 1]
        return output

    def _arn(self, name: str) -> str:
        return queue_arn(name, region=self._region, account=self._account)

    def _url(self, name: str) -> str:
        return f"https://sqs.{self._region}.amazonaws.com/{self._account}/{name}"


def _each(
    request: SendMessages | DeleteMessages | ChangeVisibility,
    carry_out: Callable[[Entry], Mapping[str, Any]],
) -> Mapping[str, Any]:
    """Carry out every entry; in a batch one that fails does not keep the others from it."""
    if not request.batch:
        return carry_out(request.entries[0])
    successful, failed = [], []
    for entry in request.entries:
        try:
            if entry.problem is not None:
                raise entry.problem
            successful.append({"Id": entry.id, **carry_out(entry)})
        except Refusal as problem:
            failure = problem.failure
            failed.append(
                {
                    "Id": entry.id,
                    "SenderFault": True,
                    "Code": failure.code,
                    "Message": failure.message,
                }
            )
    return {"Successful": successful, "Failed": failed}


def _receipt(queue: StoredQueue, handle: str) -> Receipt:
    receipt = Receipt.parse(handle)
    if receipt is None or receipt.queue != queue.name:
        shown = handle if len(handle) <= 1024 else f"{handle[:1024]}…"  # noqa: PLR2004
        msg = f'The input receipt handle "{shown}" is not a valid receipt handle.'
        refuse("ReceiptHandleIsInvalid", msg)
    return receipt


def _check_fifo(queue: StoredQueue, message: Outgoing, *, batch: bool) -> None:
    if not queue.fifo:
        if message.deduplication_id is not None:
            reason = "The request include parameter that is not valid for this queue type."
            refuse_parameter("MessageDeduplicationId", message.deduplication_id, reason)
        return
    if message.group_id is None:
        if not batch:
            refuse_missing("MessageGroupId")
        msg = "The request must contain the parameter MessageGroupId."
        refuse("InvalidParameterValue", msg)  # SQS has another code for it here
    if message.deduplication_id is None and not queue.settings.content_based_deduplication:
        msg = (
            "The queue should either have ContentBasedDeduplication enabled or "
            "MessageDeduplicationId provided explicitly"
        )
        refuse("InvalidParameterValue", msg)
    if message.delay_seconds:
        reason = "The request include parameter that is not valid for this queue type."
        refuse_parameter("DelaySeconds", message.delay_seconds, reason)


def _store(
    connection: sqlite3.Connection,
    queue: StoredQueue,
    message: Outgoing,
    *,
    sender: str,
    now: int,
) -> Mapping[str, Any]:
    """Store a message, unless it is a duplicate; return AWS's output for it."""
    most = queue.settings.max_message_bytes
    if size_of(message.body, message.attributes) > most:
        msg = (
            "One or more parameters are invalid. Reason: Message must be shorter than "
            f"{most} bytes."
        )
        refuse("InvalidParameterValue", msg)
    output = {"MD5OfMessageBody": body_md5(message.body)}
    if message.attributes:
        output["MD5OfMessageAttributes"] = attributes_md5(message.attributes)
    if message.trace_header is not None:
        output["MD5OfMessageSystemAttributes"] = attributes_md5(
            {"AWSTraceHeader": message.trace_header}
        )
    if not queue.fifo:
        sent = messages.append(connection, queue, message, sender=sender, now=now)
        return {**output, "MessageId": sent.message_id}
    unique = message.deduplication_id
    if unique is None:
        unique = hashlib.sha256(message.body.encode()).hexdigest()
    known = messages.remembered(connection, queue.name, unique, now)
    if known is None:
        known = messages.append(
            connection, queue, message, sender=sender, now=now, deduplication_id=unique
        )
        messages.remember(connection, queue.name, unique, known, now)
    assert known.sequence is not None
    return {
        **output,
        "MessageId": known.message_id,
        "SequenceNumber": messages.sequence_number(known.sequence),
    }
