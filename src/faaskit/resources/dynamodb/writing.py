"""BatchWriteItem: many puts and deletes at a time, none of which depends on another."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from faaskit.gate.service import excerpt
from faaskit.resources.dynamodb.capacity import consumed
from faaskit.resources.dynamodb.items import units_of
from faaskit.resources.dynamodb.refusals import duplicate_keys, invalid
from faaskit.resources.dynamodb.requests import (
    Catalogue,
    Kind,
    Write,
    choice,
    members_of,
    write_request,
)
from faaskit.resources.dynamodb.store import Change
from faaskit.resources.dynamodb.values import item_size
from faaskit.resources.members import Members

__all__ = ["batch_output", "batch_writes"]

_MAX_WRITES = 25
_MAX_BATCH_BYTES = 16 << 20
_KINDS: Mapping[str, Kind] = {"PutRequest": "Put", "DeleteRequest": "Delete"}


def batch_writes(members: Members, tables: Catalogue) -> list[tuple[str, Write]]:
    """
    Return the writes that a BatchWriteItem asks for, each with its table as it was named.

    Raises:
        Refusal: DynamoDB does not take it.
    """
    members.only("RequestItems", "ReturnConsumedCapacity", "ReturnItemCollectionMetrics")
    choice(members, "ReturnItemCollectionMetrics", ("SIZE", "NONE"))
    given = members.required("RequestItems", members.structure("RequestItems"))
    _refuse_count(given)
    writes = []
    places = set()
    size = 0
    for name in given.values:
        for part in given.structures(name):
            write = _write(name, part, tables)
            if (write.table, write.place) in places:
                raise duplicate_keys()
            places.add((write.table, write.place))
            size += item_size(write.item or {})
            writes.append((name, write))
    if size > _MAX_BATCH_BYTES:
        msg = "The batch is larger than 16 MB, which is the most that BatchWriteItem takes"
        raise invalid(msg)
    return writes


def batch_output(done: list[tuple[str, Change]], asked: str) -> dict[str, Any]:
    """Return the output of a BatchWriteItem that was carried out, every write of it."""
    output: dict[str, Any] = {"UnprocessedItems": {}}
    units: dict[str, float] = {}
    for name, change in done:
        units[name] = units.get(name, 0.0) + units_of(change)
    told = [consumed(asked, name, amount) for name, amount in units.items()]
    if told and asked != "NONE":
        output["ConsumedCapacity"] = told
    return output


def _write(name: str, part: Members, tables: Catalogue) -> Write:
    kinds = [kind for kind in _KINDS if part.has(kind)]
    part.only(*_KINDS)
    if len(kinds) != 1:
        msg = (
            "Supplied AttributeValue has more than one datatypes set, must contain exactly one of "
            "the supported datatypes"
            if kinds
            else "Each write of a BatchWriteItem has a PutRequest or a DeleteRequest"
        )
        raise invalid(msg)
    request = members_of(kinds[0], part.values[kinds[0]])
    kind = _KINDS[kinds[0]]
    request.only("Item" if kind == "Put" else "Key")
    parameters = {**request.values, "TableName": name}
    return write_request(kind, members_of(kinds[0], parameters), tables, alone=False)


def _refuse_count(given: Members) -> None:
    count = 0
    for name, of_table in given.values.items():
        if not isinstance(of_table, (list, tuple)) or not of_table:
            msg = (
                f"1 validation error detected: Value at 'requestItems.{excerpt(name)[1:-1]}.member'"
                " failed to satisfy constraint: Member must have length greater than or equal to 1"
            )
            raise invalid(msg)
        count += len(of_table)
    if not count:
        msg = (
            "1 validation error detected: Value '{}' at 'requestItems' failed to satisfy "
            "constraint: Member must have length greater than or equal to 1"
        )
        raise invalid(msg)
    if count > _MAX_WRITES:
        msg = "Too many items requested for the BatchWriteItem call"
        raise invalid(msg)
