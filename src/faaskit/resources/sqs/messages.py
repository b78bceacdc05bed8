"""Messages as rows: sent, selected, received, moved. Each inside its caller's transaction."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from attrs import field, frozen

from faaskit.gate.lineage import current
from faaskit.resources.sqs.attributes import selected
from faaskit.resources.sqs.digests import Attribute, attributes_md5, body_md5
from faaskit.resources.sqs.queues import StoredQueue
from faaskit.resources.sqs.receipts import Receipt, new_nonce
from faaskit.resources.sqs.requests import Outgoing, Receive

if TYPE_CHECKING:
    import sqlite3

__all__ = [
    "MAX_IN_FLIGHT",
    "Held",
    "Row",
    "Sent",
    "append",
    "count",
    "delete",
    "expire",
    "find",
    "hand_back",
    "in_flight",
    "is_there_one",
    "move_away",
    "next_batch_ms",
    "next_change_ms",
    "output",
    "remember",
    "remembered",
    "sequence_number",
    "take",
]

DEDUPLICATION_MS = 5 * 60 * 1000
MAX_IN_FLIGHT = 120_000
# AWS's sequence numbers have twenty digits.
_FIRST_SEQUENCE = 18_000_000_000_000_000_000
# The ids, times, names and ARNs of a message in an event.
_BESIDE_A_BODY = 2048
# How many rounds of messages that were received too often one receive moves away.
_ROUNDS = 100

_COLUMNS = (
    "id, message_id, body, attributes, trace_header, sender, sent_ms, first_received_ms,"
    " receives, group_id, deduplication_id, sequence, source, depth"
)
# A group is held up by what is in flight of it, and by what is before, and delayed.
_AVAILABLE = "m.queue = :queue AND m.visible_ms <= :now AND m.sent_ms > :horizon"
_UNBLOCKED = (
    " AND m.group_id IS NOT NULL AND NOT EXISTS (SELECT 1 FROM messages AS b"
    " WHERE b.queue = m.queue AND b.group_id = m.group_id AND b.visible_ms > :now"
    " AND b.sent_ms > :horizon AND (b.receipt IS NOT NULL OR b.id < m.id))"
)


@frozen
class Sent:
    """A message that is stored."""

    message_id: str
    sequence: int | None


@frozen
class Held:
    """A message, as a receipt handle finds it."""

    id: int
    receipt: str | None
    received_ms: int
    visible_ms: int


@frozen
class Row:
    """A message as it is stored; see ``schema.py``."""

    id: int
    message_id: str
    body: str = field(repr=False)
    attributes: str
    trace_header: str | None
    sender: str
    sent_ms: int
    first_received_ms: int | None
    receives: int
    group_id: str | None
    deduplication_id: str | None
    sequence: int | None
    source: str | None
    depth: int

    @property
    def bytes(self) -> int:
        """What it takes in an event, about: never less."""
        return len(json.dumps(self.body)) + 2 * len(self.attributes) + _BESIDE_A_BODY


def append(
    connection: sqlite3.Connection,
    queue: StoredQueue,
    message: Outgoing,
    *,
    sender: str,
    now: int,
    deduplication_id: str | None = None,
) -> Sent:
    """
    Store a new message.

    Args:
        connection: In a transaction.
        queue: As it is now.
        message: Checked.
        sender: AWS's unique id of who sends it.
        now: Milliseconds.
        deduplication_id: Of a FIFO queue: the caller's, or that of the content.
    """
    message_id = str(uuid.uuid4())
    delay = queue.settings.delay_seconds
    if message.delay_seconds is not None:
        delay = message.delay_seconds
    attributes = {name: [one.data_type, one.value] for name, one in message.attributes.items()}
    cursor = connection.execute(
        "INSERT INTO messages (queue, message_id, body, attributes, trace_header, sender,"
        " sent_ms, visible_ms, group_id, deduplication_id, depth)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            queue.name,
            message_id,
            message.body,
            json.dumps(attributes),
            None if message.trace_header is None else message.trace_header.value,
            sender,
            now,
            now + delay * 1000,
            message.group_id,
            deduplication_id,
            current(),
        ),
    )
    if not queue.fifo:
        return Sent(message_id, None)
    sequence = int(cursor.lastrowid or 0)
    connection.execute("UPDATE messages SET sequence = id WHERE id = ?", (sequence,))
    return Sent(message_id, sequence)


def remembered(
    connection: sqlite3.Connection, queue: str, deduplication_id: str, now: int
) -> Sent | None:
    """Return the message that was sent with that id in the last five minutes."""
    row = connection.execute(
        "SELECT message_id, sequence FROM deduplications"
        " WHERE queue = ? AND deduplication_id = ? AND sent_ms > ?",
        (queue, deduplication_id, now - DEDUPLICATION_MS),
    ).fetchone()
    return None if row is None else Sent(*row)


def remember(
    connection: sqlite3.Connection, queue: str, deduplication_id: str, sent: Sent, now: int
) -> None:
    """Keep what a later message with that id is a duplicate of, and forget what is too old."""
    connection.execute(
        "DELETE FROM deduplications WHERE queue = ? AND sent_ms <= ?",
        (queue, now - DEDUPLICATION_MS),
    )
    connection.execute(
        "INSERT OR REPLACE INTO deduplications VALUES (?, ?, ?, ?, ?)",
        (queue, deduplication_id, sent.message_id, sent.sequence, now),
    )


def expire(connection: sqlite3.Connection, queue: StoredQueue, now: int) -> None:
    """Throw away what was kept for as long as the queue keeps messages."""
    connection.execute(
        "DELETE FROM messages WHERE queue = ? AND sent_ms <= ?", (queue.name, _horizon(queue, now))
    )


def is_there_one(connection: sqlite3.Connection, queue: StoredQueue, now: int) -> bool:
    """Return whether a receive would find something."""
    return bool(_select(connection, queue, now, 1))


def next_change_ms(connection: sqlite3.Connection, queue: StoredQueue, now: int) -> int | None:
    """Return when the next message that is hidden becomes visible; None for never."""
    (moment,) = connection.execute(
        "SELECT MIN(visible_ms) FROM messages WHERE queue = ? AND visible_ms > ?",
        (queue.name, now),
    ).fetchone()
    return None if moment is None else int(moment)


def next_batch_ms(
    connection: sqlite3.Connection, queue: StoredQueue, now: int, *, size: int, window_ms: int
) -> int | None:
    """
    Return when a batch of a queue is due: it is full, or its first message waited for so long.

    Args:
        connection: For a query.
        queue: As it is now.
        now: Milliseconds.
        size: How many messages are a full batch.
        window_ms: How long one that is not full is waited for.
    """
    if queue.fifo:
        rows = _select(connection, queue, now, 1)
        if rows:
            return rows[0].sent_ms
    else:
        first, last, count = connection.execute(
            "SELECT MIN(visible_ms), MAX(visible_ms), COUNT(*) FROM ("
            "SELECT visible_ms FROM messages INDEXED BY messages_visible"
            " WHERE queue = ? AND visible_ms <= ? AND sent_ms > ? ORDER BY visible_ms LIMIT ?)",
            (queue.name, now, _horizon(queue, now), size),
        ).fetchone()
        if count:
            return int(last) if count == size else int(first) + window_ms
    change = next_change_ms(connection, queue, now)
    return None if change is None else change + window_ms


def delete(connection: sqlite3.Connection, receipts: Sequence[Receipt]) -> None:
    """Delete messages, each unless it was received again since."""
    connection.executemany(
        "DELETE FROM messages WHERE id = ? AND receipt = ?",
        [(receipt.id, receipt.nonce) for receipt in receipts],
    )


def hand_back(connection: sqlite3.Connection, receipts: Sequence[Receipt], now: int) -> None:
    """Have messages be as if they had not been received, each unless it was again since."""
    connection.executemany(
        "UPDATE messages SET visible_ms = ?, receipt = NULL, receives = receives - 1,"
        " first_received_ms = CASE WHEN receives = 1 THEN NULL ELSE first_received_ms END"
        " WHERE id = ? AND receipt = ?",
        [(now, receipt.id, receipt.nonce) for receipt in receipts],
    )


def move_away(
    connection: sqlite3.Connection, queue: StoredQueue, row: Row, now: int, *, arn: str
) -> None:
    """Move a message to the dead-letter queue; without one it is gone."""
    if queue.settings.dead_letter is None:
        connection.execute("DELETE FROM messages WHERE id = ?", (row.id,))
    else:
        _move(connection, queue, row, now, arn=arn)


def in_flight(connection: sqlite3.Connection, queue: StoredQueue, now: int) -> int:
    """Return how many messages were received, and neither deleted nor are visible again."""
    (number,) = connection.execute(
        "SELECT COUNT(*) FROM messages WHERE queue = ? AND visible_ms > ? AND receipt IS NOT NULL",
        (queue.name, now),
    ).fetchone()
    return int(number)


def count(connection: sqlite3.Connection, queue: StoredQueue, now: int) -> dict[str, int]:
    """Return how many messages there are of each kind, by AWS's names."""
    return {
        "ApproximateNumberOfMessages": _count(connection, queue, "visible_ms <= ?", now),
        "ApproximateNumberOfMessagesNotVisible": _count(
            connection, queue, "visible_ms > ? AND receipt IS NOT NULL", now
        ),
        "ApproximateNumberOfMessagesDelayed": _count(
            connection, queue, "visible_ms > ? AND receipt IS NULL", now
        ),
    }


def take(
    connection: sqlite3.Connection,
    queue: StoredQueue,
    request: Receive,
    now: int,
    *,
    arn: str,
    most_bytes: int | None = None,
) -> list[tuple[Row, Receipt]]:
    """
    Receive messages: hide them, and give each a new receipt.

    What was received too often goes to the dead-letter queue instead.

    Args:
        connection: In a transaction.
        queue: As it is now.
        request: How many, and for how long they are hidden.
        now: Milliseconds.
        arn: The queue's, told in the dead-letter queue.
        most_bytes: What they may take in an event; one alone may take more.
    """
    settings = queue.settings
    rows: Sequence[Row] = []
    for _ in range(_ROUNDS):
        rows = _select(connection, queue, now, request.max_messages)
        dead = [
            row
            for row in rows
            if settings.max_receive_count is not None and row.receives >= settings.max_receive_count
        ]
        if not dead:
            break
        for row in dead:
            _move(connection, queue, row, now, arn=arn)
        rows = []
    timeout = request.visibility_timeout
    if timeout is None:
        timeout = settings.visibility_timeout
    taken: list[tuple[Row, Receipt]] = []
    size = 0
    for row in rows:
        size += row.bytes
        if most_bytes is not None and taken and size > most_bytes:
            break
        receipt = Receipt(queue.name, row.id, new_nonce())
        connection.execute(
            "UPDATE messages SET visible_ms = ?, receipt = ?, received_ms = ?,"
            " first_received_ms = COALESCE(first_received_ms, ?), receives = receives + 1"
            " WHERE id = ?",
            (now + timeout * 1000, receipt.nonce, now, now, row.id),
        )
        taken.append((row, receipt))
    return taken


def output(row: Row, receipt: Receipt, request: Receive, now: int) -> dict[str, object]:
    """Return AWS's Message."""
    message: dict[str, object] = {
        "MessageId": row.message_id,
        "ReceiptHandle": receipt.handle,
        "MD5OfBody": body_md5(row.body),
        "Body": row.body,
    }
    if request.system_names:
        known = {
            "SenderId": row.sender,
            "SentTimestamp": str(row.sent_ms),
            "ApproximateReceiveCount": str(row.receives + 1),
            "ApproximateFirstReceiveTimestamp": str(
                now if row.first_received_ms is None else row.first_received_ms
            ),
            "AWSTraceHeader": row.trace_header,
            "MessageGroupId": row.group_id,
            "MessageDeduplicationId": row.deduplication_id,
            "SequenceNumber": None if row.sequence is None else sequence_number(row.sequence),
            "DeadLetterQueueSourceArn": row.source,
        }
        message["Attributes"] = {
            name: value
            for name, value in known.items()
            if value is not None and request.system_names & {name, "All"}
        }
    attributes = selected(_attributes(row.attributes), request.attribute_names)
    if attributes:
        message["MessageAttributes"] = {name: one.output for name, one in attributes.items()}
        message["MD5OfMessageAttributes"] = attributes_md5(attributes)
    return message


def find(connection: sqlite3.Connection, receipt: Receipt) -> Held | None:
    """Return the message that a receipt is of, if it is there; perhaps it was received since."""
    row = connection.execute(
        "SELECT id, receipt, received_ms, visible_ms FROM messages WHERE id = ? AND queue = ?",
        (receipt.id, receipt.queue),
    ).fetchone()
    return None if row is None or row[2] is None else Held(*row)


def sequence_number(sequence: int) -> str:
    """Return a sequence number as AWS shows it: twenty digits, growing."""
    return str(_FIRST_SEQUENCE + sequence)


def _select(connection: sqlite3.Connection, queue: StoredQueue, now: int, limit: int) -> list[Row]:
    """Return what can be received, in the order in which it is."""
    # Each in the order of its index, so that what waits is not sorted for every receive.
    if queue.fifo:
        index, query = "messages_order", f"{_AVAILABLE}{_UNBLOCKED} ORDER BY m.id"
    else:
        index, query = "messages_visible", f"{_AVAILABLE} ORDER BY m.visible_ms, m.id"
    names = {"queue": queue.name, "now": now, "horizon": _horizon(queue, now), "limit": limit}
    columns = ", ".join(f"m.{name.strip()}" for name in _COLUMNS.split(","))
    rows = connection.execute(
        f"SELECT {columns} FROM messages AS m INDEXED BY {index}"  # noqa: S608
        f" WHERE {query} LIMIT :limit",
        names,
    )
    return [Row(*row) for row in rows]


def _move(
    connection: sqlite3.Connection, queue: StoredQueue, row: Row, now: int, *, arn: str
) -> None:
    """Move a message to the dead-letter queue, behind what is there."""
    target = (queue.settings.dead_letter or "").rpartition(":")[2]
    # A standard queue's message goes on growing old; a FIFO queue's begins anew.
    sent = now if queue.fifo else row.sent_ms
    connection.execute(
        f"INSERT INTO messages (queue, visible_ms, {_COLUMNS.removeprefix('id, ')})"  # noqa: S608
        f" VALUES (?, ?, {', '.join('?' * 13)})",
        (
            target,
            now,
            row.message_id,
            row.body,
            row.attributes,
            row.trace_header,
            row.sender,
            sent,
            row.first_received_ms,
            row.receives,
            row.group_id,
            row.deduplication_id,
            row.sequence,
            arn,
            row.depth,
        ),
    )
    connection.execute("DELETE FROM messages WHERE id = ?", (row.id,))


def _count(connection: sqlite3.Connection, queue: StoredQueue, which: str, now: int) -> int:
    (number,) = connection.execute(
        f"SELECT COUNT(*) FROM messages WHERE queue = ? AND {which} AND sent_ms > ?",  # noqa: S608
        (queue.name, now, _horizon(queue, now)),
    ).fetchone()
    return int(number)


def _horizon(queue: StoredQueue, now: int) -> int:
    """Return the moment before which everything was sent that is too old."""
    return now - queue.settings.retention_seconds * 1000


def _attributes(text: str) -> Mapping[str, Attribute]:
    return {name: Attribute(*one) for name, one in json.loads(text).items()}
