"""TransactWriteItems and TransactGetItems: all of it, or nothing."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from attrs import frozen

from faaskit.gate.service import Refusal, excerpt
from faaskit.resources.dynamodb.capacity import consumed, read_units
from faaskit.resources.dynamodb.items import change, units_of
from faaskit.resources.dynamodb.paths import picked
from faaskit.resources.dynamodb.refusals import invalid, transaction_canceled
from faaskit.resources.dynamodb.requests import (
    Catalogue,
    Kind,
    Read,
    Write,
    choice,
    members_of,
    read_request,
    write_request,
)
from faaskit.resources.dynamodb.store import load
from faaskit.resources.dynamodb.values import item_size
from faaskit.resources.members import Members

if TYPE_CHECKING:
    import sqlite3

__all__ = ["Transaction", "carry_out", "get_request", "read_all", "transaction_request"]

_MAX_ITEMS = 100
_MAX_BYTES = 4 << 20
_MAX_TOKEN = 36
_TOKEN_MS = 10 * 60 * 1000  # for which a token is remembered
_TRIMMED = 2  # tokens that are too old go, so many with each that comes
_KINDS: Mapping[str, Kind] = {
    "ConditionCheck": "ConditionCheck",
    "Put": "Put",
    "Delete": "Delete",
    "Update": "Update",
}
_CODES = {
    "ConditionalCheckFailedException": "ConditionalCheckFailed",
    "ValidationException": "ValidationError",
}


@frozen
class Transaction:
    """
    The writes of a TransactWriteItems.

    Attributes:
        writes: Each of another item.
        token: Of who asks; the same token is not carried out twice. Empty where there is none.
        digest: Of what is asked for.
    """

    writes: list[Write]
    token: str
    digest: str


def transaction_request(members: Members, tables: Catalogue) -> Transaction:
    """
    Return the writes that a TransactWriteItems asks for.

    Raises:
        Refusal: DynamoDB does not take it.
    """
    members.only(
        "TransactItems",
        "ClientRequestToken",
        "ReturnConsumedCapacity",
        "ReturnItemCollectionMetrics",
    )
    choice(members, "ReturnItemCollectionMetrics", ("SIZE", "NONE"))
    writes = []
    places = set()
    size = 0
    for part in _parts(members):
        write = _write(part, tables)
        if (write.table, write.place) in places:
            msg = "Transaction request cannot include multiple operations on one item"
            raise invalid(msg)
        places.add((write.table, write.place))
        size += item_size(write.item or {})
        writes.append(write)
    if size > _MAX_BYTES:
        msg = "The transaction is larger than 4 MB, which is the most that DynamoDB takes"
        raise invalid(msg)
    token = members.text("ClientRequestToken")
    if token is not None and not 0 < len(token) <= _MAX_TOKEN:
        msg = (
            f"1 validation error detected: Value '{excerpt(token)[1:-1]}' at 'clientRequestToken' "
            f"failed to satisfy constraint: Member must have length from 1 to {_MAX_TOKEN}"
        )
        raise invalid(msg)
    return Transaction(writes, token or "", _digest(members))


def carry_out(
    connection: sqlite3.Connection, transaction: Transaction, asked: str, now_ms: int
) -> dict[str, Any]:
    """
    Do all of a transaction, in the transaction that the connection is in.

    Args:
        connection: What was done is undone where this raises.
        transaction: What is to be done.
        asked: What is to be told of consumed capacity.
        now_ms: Milliseconds since 1970.

    Returns:
        The output.

    Raises:
        Refusal: A condition does not hold, or a write can't be done; nothing is done then.
    """
    if transaction.token and _done_before(connection, transaction, now_ms):
        return {}
    reasons: list[dict[str, Any]] = []
    units: dict[str, float] = {}
    for write in transaction.writes:
        try:
            done = change(connection, write, now_ms)
        except Refusal as refusal:
            reasons.append(_reason(refusal))
        else:
            reasons.append({"Code": "None"})
            units[write.table] = units.get(write.table, 0.0) + units_of(done, transactional=True)
    if any(reason["Code"] != "None" for reason in reasons):
        raise transaction_canceled(reasons)
    return _told(asked, units)


def get_request(members: Members, tables: Catalogue) -> list[Read]:
    """
    Return the reads that a TransactGetItems asks for.

    Raises:
        Refusal: DynamoDB does not take it.
    """
    members.only("TransactItems", "ReturnConsumedCapacity")
    reads = []
    for part in _parts(members):
        part.only("Get")
        get = part.required("Get", part.values.get("Get"))
        reads.append(read_request(members_of("Get", get), tables, alone=False))
    places = {(read.table, read.place) for read in reads}
    if len(places) < len(reads):
        msg = "Transaction request cannot include multiple operations on one item"
        raise invalid(msg)
    return reads


def read_all(connection: sqlite3.Connection, reads: list[Read], asked: str) -> dict[str, Any]:
    """
    Return the output of a TransactGetItems.

    Args:
        connection: Sees one moment of the tables.
        reads: What is to be read.
        asked: What is to be told of consumed capacity.

    Raises:
        Refusal: It is more than 4 MB.
    """
    responses: list[dict[str, Any]] = []
    units: dict[str, float] = {}
    total = 0
    for read in reads:
        item = load(connection, read.table, read.place)
        size = item_size(item or {})
        total += size
        if total > _MAX_BYTES:
            msg = "The items are larger than 4 MB, which is the most that TransactGetItems returns"
            raise invalid(msg)
        units[read.table] = units.get(read.table, 0.0) + read_units(
            size, consistent=True, transactional=True
        )
        if item is None:
            responses.append({})
        else:
            responses.append({"Item": item if read.paths is None else picked(item, read.paths)})
    return {"Responses": responses, **_told(asked, units)}


def _parts(members: Members) -> list[Members]:
    count = members.count("TransactItems")
    if not 0 < count <= _MAX_ITEMS:
        members.required("TransactItems", members.values.get("TransactItems"))
        bound = f"less than or equal to {_MAX_ITEMS}" if count else "greater than or equal to 1"
        msg = (
            "1 validation error detected: Value at 'transactItems' failed to satisfy constraint: "
            f"Member must have length {bound}"
        )
        raise invalid(msg)
    return list(members.structures("TransactItems"))


def _write(part: Members, tables: Catalogue) -> Write:
    part.only(*_KINDS)
    kinds = [kind for kind in _KINDS if part.has(kind)]
    if len(kinds) != 1:
        msg = (
            "TransactItems can only contain one of Check, Put, Update or Delete"
            if kinds
            else "Invalid Request: TransactWriteRequest should contain Delete or Put or Update "
            "request"
        )
        raise invalid(msg)
    return write_request(
        _KINDS[kinds[0]], members_of(kinds[0], part.values[kinds[0]]), tables, alone=False
    )


def _digest(members: Members) -> str:
    asked = members.values["TransactItems"]
    return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()


def _done_before(connection: sqlite3.Connection, transaction: Transaction, now_ms: int) -> bool:
    """Return whether it was done already; from now on it was."""
    since = now_ms - _TOKEN_MS
    connection.execute(
        "DELETE FROM dynamodb_transactions WHERE token IN (SELECT token FROM dynamodb_transactions"
        " WHERE done_ms < ? ORDER BY done_ms LIMIT ?)",
        (since, _TRIMMED),
    )
    query = "SELECT digest FROM dynamodb_transactions WHERE token = ? AND done_ms >= ?"
    row = connection.execute(query, (transaction.token, since)).fetchone()
    if row is None:
        connection.execute(
            "INSERT OR REPLACE INTO dynamodb_transactions VALUES (?, ?, ?)",
            (transaction.token, transaction.digest, now_ms),
        )
        return False
    if row[0] != transaction.digest:
        msg = "Request rejected because parameters do not match a request with the same token"
        raise Refusal(msg, code="IdempotentParameterMismatchException")
    return True


def _reason(refusal: Refusal) -> dict[str, Any]:
    failure = refusal.failure
    reason: dict[str, Any] = {"Code": _CODES[failure.code], "Message": failure.message}
    if "response" in failure.details:
        reason.update(json.loads(failure.details["response"]))
    return reason


def _told(asked: str, units: Mapping[str, float]) -> dict[str, Any]:
    told = [consumed(asked, table, amount) for table, amount in units.items()]
    return {"ConsumedCapacity": told} if told and asked != "NONE" else {}
