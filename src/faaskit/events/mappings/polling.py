"""
Queues, as work: messages are received in batches, and those that were done are deleted.

Nothing is held in memory between look and invocation: a batch is received when it is due. A
message that was received and not deleted is seen again when its visibility timeout has ended,
whatever became of who received it.
"""

from __future__ import annotations

import json
import logging
import threading
import uuid
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from attrs import field, frozen

from faaskit.clock import epoch_ms, from_epoch_ms
from faaskit.events.asynchronous import AsynchronousQueue
from faaskit.events.details import in_log
from faaskit.events.mappings.outcomes import Answer, read_answer
from faaskit.events.mappings.queues import QueueSource, record
from faaskit.events.mappings.reader import Invocable, Reader
from faaskit.events.mappings.registry import OK, PROBLEM, Declared
from faaskit.events.mappings.settings import MAX_RECORDS_BYTES
from faaskit.events.work import Ended, Errors
from faaskit.gate.lineage import MAX_DEPTH, behind
from faaskit.resources.sqs import messages
from faaskit.resources.sqs.queues import StoredQueue, keep_queue, load_queue
from faaskit.resources.sqs.receipts import Receipt

if TYPE_CHECKING:
    import sqlite3

__all__ = ["QueueMappings"]

_log = logging.getLogger(__name__)

_F = TypeVar("_F", bound=Invocable)
_I = TypeVar("_I", bound=Ended)


@frozen
class _Batch:
    """
    Messages that were received, and are hidden.

    Attributes:
        entries: As they are in the event, with the receipt of each.
        depth: How many invocations stand behind it.
    """

    mapping: Declared
    entries: Sequence[tuple[Mapping[str, Any], Receipt]] = field(repr=False)
    depth: int

    @property
    def receipts(self) -> list[Receipt]:
        """Of its messages."""
        return [receipt for _, receipt in self.entries]


class QueueMappings(Generic[_F, _I]):
    """
    The mappings of queues, as work.

    Args:
        reader: What is read with.
        dead: Where messages of a recursive loop are kept, among the dead events.
    """

    def __init__(self, reader: Reader[_F, _I], dead: AsynchronousQueue) -> None:
        self._reader = reader
        self._registry = reader.registry
        self._state = reader.state
        self._clock = reader.clock
        self._dead = dead
        self.after_fork_in_child()

    def after_fork_in_child(self) -> None:
        """Let go of the parent's batches."""
        self._lock = threading.RLock()
        self._under_way: dict[int, _Batch] = {}
        self._numbers = 0
        self._seen: tuple[int, tuple[int, Declared] | None] = (-1, None)

    # --- as work ------------------------------------------------------------------------

    def look(self) -> None:
        """See what other processes wrote."""
        if self._registry.of("queue"):
            self._registry.refresh()
            with self._lock:
                self._seen = (-1, None)

    def next_due(self) -> datetime | None:
        """Return when the next batch is due."""
        with self._lock:
            first = self._next()
            return None if first is None else from_epoch_ms(first[0])

    def claim(self) -> _Attempt[_F, _I] | None:
        """Receive the batch that is due first."""
        with self._lock:
            first = self._next()
            now_ms = epoch_ms(self._clock.now())
            if first is None or first[0] > now_ms:
                return None
            batch = self._receive(first[1], now_ms)
            self._numbers += 1
            self._under_way[self._numbers] = batch
            return _Attempt(self, self._numbers, batch)

    def abandon(self) -> None:
        """Hand back all that this process has received and not noted the end of."""
        with self._lock:
            batches = list(self._under_way.values())
            self._under_way.clear()
        self._hand_back(*batches)

    def rest(self) -> None:
        """Have nothing to let go of: nothing is kept between batches."""

    def forget(self, number: int, *, tried: bool) -> None:
        """Have nobody be at a batch any more."""
        with self._lock:
            batch = self._under_way.pop(number, None)
            self._seen = (-1, None)
        if batch is not None and not tried:
            self._hand_back(batch)

    # --- receiving ----------------------------------------------------------------------

    def _next(self) -> tuple[int, Declared] | None:
        """Return what is due first, and when."""
        changes = self._state.changes.count
        if self._seen[0] != changes:
            self._seen = (changes, self._first_due())
        return self._seen[1]

    def _first_due(self) -> tuple[int, Declared] | None:
        readable = self._readable()
        if not readable:
            return None
        now_ms = epoch_ms(self._clock.now())
        due = []
        with self._state.reading() as connection:
            for mapping in readable:
                source: QueueSource = mapping.source
                queue = load_queue(connection, source.name, source.queue.settings)
                if queue is None:
                    continue
                moment = messages.next_batch_ms(
                    connection,
                    queue,
                    now_ms,
                    size=mapping.settings.batch_size,
                    window_ms=mapping.settings.max_batching_window * 1000,
                )
                if moment is not None:
                    due.append((moment, mapping))
        return min(due, key=lambda one: one[0], default=None)

    def _readable(self) -> list[Declared]:
        """Return the mappings that may receive a batch now."""
        running = Counter(batch.mapping.uuid for batch in self._under_way.values())
        return [
            mapping
            for mapping, _ in self._reader.readable("queue")
            if running[mapping.uuid] < (mapping.settings.max_concurrency or float("inf"))
        ]

    def _receive(self, mapping: Declared, now_ms: int) -> _Batch:
        """Receive a batch; what the function is not to get is gone, or moved away."""
        source: QueueSource = mapping.source
        request = source.receive(mapping.settings.batch_size)
        entries: list[tuple[Mapping[str, Any], Receipt]] = []
        depth = 0
        with self._state.writing() as connection:
            queue = keep_queue(connection, source.name, source.queue.settings, now_ms)
            messages.expire(connection, queue, now_ms)
            taken = messages.take(
                connection, queue, request, now_ms, arn=source.key, most_bytes=MAX_RECORDS_BYTES
            )
            for row, receipt in taken:
                made = record(
                    messages.output(row, receipt, request, now_ms),
                    arn=source.key,
                    region=source.region,
                )
                if row.depth >= MAX_DEPTH:
                    self._stop(connection, queue, row, mapping, made)
                elif mapping.settings.filters.pass_record(made):
                    entries.append((made, receipt))
                    depth = max(depth, row.depth)
                else:
                    messages.delete(connection, [receipt])
        return _Batch(mapping, entries, depth)

    def _stop(
        self,
        connection: sqlite3.Connection,
        queue: StoredQueue,
        row: messages.Row,
        mapping: Declared,
        made: Mapping[str, Any],
    ) -> None:
        """Move a message away that so many invocations stand behind: a recursive loop."""
        detail = f"a recursive loop: {row.depth} invocations stand behind this message"
        now_ms = epoch_ms(self._clock.now())
        messages.move_away(connection, queue, row, now_ms, arn=mapping.source.key)
        self._dead.bury(
            connection,
            request_id=str(uuid.uuid4()),
            function=mapping.function,
            event=json.dumps({"Records": [made]}).encode(),
            accepted=from_epoch_ms(row.sent_ms),
            attempts=0,
            reason="RecursiveInvocation",
            detail=detail,
        )
        _log.error("a message of queue %r for %r: %s", queue.name, mapping.function, detail)

    def _hand_back(self, *batches: _Batch) -> None:
        receipts = [receipt for batch in batches for receipt in batch.receipts]
        if receipts:
            with self._state.writing() as connection:
                messages.hand_back(connection, receipts, epoch_ms(self._clock.now()))

    # --- attempts -----------------------------------------------------------------------

    def carry_out(self, number: int, batch: _Batch, later: Errors) -> _I | None:
        """Try a batch, and delete what was done."""
        function = self._reader.function_of(batch.mapping)
        if not batch.entries or function is None:
            self.forget(number, tried=False)
            return None
        try:
            event = {"Records": [entry for entry, _ in batch.entries]}
            with behind(batch.depth + 1):
                invocation = self._reader.invoke(function, event, str(uuid.uuid4()))
        except later as error:
            # As on AWS: the messages are seen again when their visibility timeout has ended.
            detail = f"{type(error).__name__}: {error}"
            _log.warning("messages for %r are put off: %s", function.name, in_log(detail))
            self._note(batch, Answer(None, problem=detail))
            self.forget(number, tried=True)
            return None
        except BaseException:
            self.forget(number, tried=False)  # Ctrl-C, or a function that can't run at all
            raise
        if invocation.ok:
            known = {entry["messageId"] for entry, _ in batch.entries}
            reports = batch.mapping.settings.report_batch_item_failures
            answer = read_answer(invocation.raw, known, reports=reports)
        else:
            answer = Answer(None, problem=invocation.raw.decode("utf-8", "replace"))
        try:
            self._note(batch, answer)
        finally:
            self.forget(number, tried=True)
        return invocation

    def _note(self, batch: _Batch, answer: Answer) -> None:
        """Delete what was done; the rest is seen again."""
        done = []
        if answer.failed is not None:
            failed = set(answer.failed)
            done = [one for entry, one in batch.entries if entry["messageId"] not in failed]
        if answer.failed != ():
            _log.warning(
                "%d messages for %r failed, and are seen again later: %s",
                len(batch.entries) - len(done),
                batch.mapping.function,
                in_log(answer.problem or "batchItemFailures"),
            )
        with self._state.writing() as connection:
            messages.delete(connection, done)
            result = OK if answer.failed == () else PROBLEM
            self._registry.note(connection, batch.mapping, result)


class _Attempt(Generic[_F, _I]):
    """One batch, received."""

    def __init__(self, mappings: QueueMappings[_F, _I], number: int, batch: _Batch) -> None:
        self._mappings = mappings
        self._number = number
        self._batch = batch

    @property
    def label(self) -> str:
        """What it is, for the log."""
        mapping = self._batch.mapping
        count = len(self._batch.entries)
        return f"{count} messages of {mapping.source.key} for function {mapping.function!r}"

    def carry_out(self, later: Errors) -> _I | None:
        """Try it."""
        return self._mappings.carry_out(self._number, self._batch, later)

    def drop(self) -> None:
        """Hand it back."""
        self._mappings.forget(self._number, tried=False)
