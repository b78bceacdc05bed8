"""Query, Scan and BatchGetItem: many items at a time."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from attrs import frozen

from faaskit.gate.service import excerpt
from faaskit.resources.dynamodb.capacity import consumed, read_units
from faaskit.resources.dynamodb.conditions import holds
from faaskit.resources.dynamodb.keys import key_of
from faaskit.resources.dynamodb.pages import Page
from faaskit.resources.dynamodb.paths import picked
from faaskit.resources.dynamodb.refusals import duplicate_keys, invalid
from faaskit.resources.dynamodb.requests import (
    Catalogue,
    Read,
    flag,
    members_of,
    read_request,
    refuse_legacy,
)
from faaskit.resources.dynamodb.store import load
from faaskit.resources.dynamodb.values import Item, item_size
from faaskit.resources.members import Members

if TYPE_CHECKING:
    import sqlite3

__all__ = ["Batch", "batch_request", "page_output", "read_batch"]

_MAX_KEYS = 100
_MAX_BATCH_BYTES = 16 << 20


@frozen
class Batch:
    """
    The reads of a BatchGetItem.

    Attributes:
        tables: As the request names each, with what it says beside the keys, and the reads.
    """

    tables: dict[str, tuple[Members, list[Read]]]


def page_output(
    page: Page, texts: list[tuple[int, str]], asked: str, *, more: bool
) -> dict[str, Any]:
    """
    Return the output of a page.

    Args:
        page: As it was asked for.
        texts: The size and text of each item that was looked at.
        asked: What is to be told of consumed capacity.
        more: Whether the page ended before they did.
    """
    items: list[Item] = [json.loads(text) for _, text in texts]
    wanted = [item for item in items if holds(page.filter, item)]
    output: dict[str, Any] = {"Count": len(wanted), "ScannedCount": len(items)}
    if not page.counted:
        paths = page.paths
        output["Items"] = wanted if paths is None else [picked(item, paths) for item in wanted]
    if more:
        output["LastEvaluatedKey"] = key_of(page.settings, items[-1])
    units = read_units(sum(size for size, _ in texts), consistent=page.consistent)
    told = consumed(asked, page.table, units)
    if told is not None:
        output["ConsumedCapacity"] = told
    return output


def batch_request(members: Members, tables: Catalogue) -> Batch:
    """
    Return the reads that a BatchGetItem asks for.

    Raises:
        Refusal: DynamoDB does not take it.
    """
    members.only("RequestItems", "ReturnConsumedCapacity")
    given = members.required("RequestItems", members.structure("RequestItems"))
    _refuse_count(given)
    found: dict[str, tuple[Members, list[Read]]] = {}
    places = set()
    for name in given.values:
        table = members_of("BatchGetItem", given.values[name])
        refuse_legacy(table)
        table.only("Keys", "ProjectionExpression", "ExpressionAttributeNames", "ConsistentRead")
        flag(table, "ConsistentRead")
        beside = {one: value for one, value in table.values.items() if one != "Keys"}
        reads = []
        for key in table.values["Keys"]:
            parameters = {**beside, "TableName": name, "Key": key}
            read = read_request(members_of("BatchGetItem", parameters), tables, alone=True)
            if (read.table, read.place) in places:
                raise duplicate_keys()
            places.add((read.table, read.place))
            reads.append(read)
        found[name] = (table, reads)
    return Batch(found)


def read_batch(connection: sqlite3.Connection, batch: Batch, asked: str) -> dict[str, Any]:
    """Return the output of a BatchGetItem: what does not fit into 16 MB is left over."""
    responses: dict[str, list[Item]] = {}
    left: dict[str, Any] = {}
    capacity = []
    total = 0
    for name, (given, reads) in batch.tables.items():
        items = responses.setdefault(name, [])
        unread = []
        units = 0.0
        for read in reads:
            item = None if total > _MAX_BATCH_BYTES else load(connection, read.table, read.place)
            size = item_size(item or {})
            total += size
            if total > _MAX_BATCH_BYTES:
                unread.append(read.key)
                continue
            units += read_units(size, consistent=read.consistent)
            if item is not None:
                items.append(item if read.paths is None else picked(item, read.paths))
        if unread:
            left[name] = {**given.values, "Keys": unread}
        told = consumed(asked, name, units)
        if told is not None:
            capacity.append(told)
    output: dict[str, Any] = {"Responses": responses, "UnprocessedKeys": left}
    if capacity:
        output["ConsumedCapacity"] = capacity
    return output


def _refuse_count(given: Members) -> None:
    count = 0
    for name, of_table in given.values.items():
        keys = members_of("BatchGetItem", of_table).values.get("Keys")
        if not isinstance(keys, (list, tuple)) or not keys:
            msg = (
                "1 validation error detected: Value at "
                f"'requestItems.{excerpt(name)[1:-1]}.member.keys' failed to satisfy constraint: "
                "Member must have length greater than or equal to 1"
            )
            raise invalid(msg)
        count += len(keys)
    if not count:
        msg = (
            "1 validation error detected: Value '{}' at 'requestItems' failed to satisfy "
            "constraint: Member must have length greater than or equal to 1"
        )
        raise invalid(msg)
    if count > _MAX_KEYS:
        msg = "Too many items requested for the BatchGetItem call"
        raise invalid(msg)
