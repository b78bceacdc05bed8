"""The ``dynamodb`` service: carries DynamoDB's operations out on the state folder."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from faaskit.clock import Clock, epoch_ms, from_epoch_ms, iso8601
from faaskit.gate.service import Caller, Refusal, Requirement
from faaskit.resources.dynamodb.definition import DeclaredTable, TableSettings
from faaskit.resources.dynamodb.items import change, change_output, read_output
from faaskit.resources.dynamodb.pages import Page, query_request, scan_request
from faaskit.resources.dynamodb.reading import batch_request, page_output, read_batch
from faaskit.resources.dynamodb.refusals import no_such_table
from faaskit.resources.dynamodb.requests import (
    Catalogue,
    Kind,
    capacity_asked,
    members_of,
    read_request,
    write_request,
)
from faaskit.resources.dynamodb.store import check_table, keep_table, load, rows
from faaskit.resources.dynamodb.transactions import (
    carry_out,
    get_request,
    read_all,
    transaction_request,
)
from faaskit.resources.dynamodb.writing import batch_output, batch_writes
from faaskit.resources.members import Members, refuse_operation
from faaskit.resources.state import State
from faaskit.runtimes.contract import ServiceCall, ServiceFailure, ServiceReply

if TYPE_CHECKING:
    import sqlite3

__all__ = ["DynamoDbService"]

_PARTS = ("ConditionCheck", "Put", "Update", "Delete", "Get")
# These are about tables that are not there yet, even if they name one that is.
_OF_THE_ENDPOINT = {"CreateTable", "ListTables"}
_IDLE = {"NumberOfDecreasesToday": 0, "ReadCapacityUnits": 0, "WriteCapacityUnits": 0}


class DynamoDbService:
    """
    DynamoDB, as far as faaskit has it: see ``requests.py`` and ``pages.py`` for what is taken.

    Args:
        state: Where items are kept.
        tables: Those that the app declares, by name.
        clock: For when things happened.
        region: The app's, in ARNs.
        account: The app's, too.
    """

    name = "dynamodb"

    def __init__(
        self,
        state: State,
        *,
        tables: Mapping[str, DeclaredTable],
        clock: Clock,
        region: str,
        account: str,
    ) -> None:
        self._state = state
        self._clock = clock
        self._tables = Catalogue(tables, region, account)
        self._operations: Mapping[str, Callable[[Members], dict[str, Any]]] = {
            "BatchGetItem": self._batch_get,
            "BatchWriteItem": self._batch_write,
            "DeleteItem": lambda members: self._write("Delete", members),
            "DescribeTable": self._describe,
            "GetItem": self._get,
            "PutItem": lambda members: self._write("Put", members),
            "Query": lambda members: self._page(members, query_request),
            "Scan": lambda members: self._page(members, scan_request),
            "TransactGetItems": self._transact_get,
            "TransactWriteItems": self._transact_write,
            "UpdateItem": lambda members: self._write("Update", members),
        }

    def owns(self, call: ServiceCall) -> bool:
        """Return whether a call names a table of the app, be it one of several."""
        if call.operation in _OF_THE_ENDPOINT or call.region not in {"", self._tables.region}:
            return False
        return any(self._tables.named(name) is not None for _, name in _named(call))

    def partition_of(self, arn: str) -> str | None:
        """Return the name of a table's partition key, by the ARN of it or of an index."""
        name = self._tables.named(arn.partition("/index/")[0])
        return None if name is None else self._tables.tables[name].settings.partition.name

    def discloses(self, call: ServiceCall, failure: ServiceFailure) -> Requirement | None:  # noqa: ARG002
        """Return None: DynamoDB tells everyone who may call what is wrong."""
        return None

    def perform(self, call: ServiceCall, caller: Caller) -> ServiceReply:  # noqa: ARG002
        """
        Carry a call out. What it changed is durable when this returns.

        Raises:
            Refusal: There is no such table, or DynamoDB does not take such a request.
            DefinitionError: What is stored of a table has another key than is declared.
            SandboxError: The host failed.
        """
        operation = self._operations.get(call.operation)
        if operation is None:
            refuse_operation("DynamoDB", call.operation, self._operations)
        if call.body:
            msg = f"{call.operation} takes no body"
            raise Refusal(msg, code="ValidationException")
        if call.region not in {"", self._tables.region}:
            raise no_such_table()
        return ServiceReply(operation(members_of(call.operation, call.parameters)))

    # --- one item -----------------------------------------------------------------------

    def _write(self, kind: Kind, members: Members) -> dict[str, Any]:
        asked = capacity_asked(members)
        write = write_request(kind, members, self._tables, alone=True)
        tables = {write.table: write.settings}
        with self._writing(tables, frees=kind == "Delete") as (connection, now_ms):
            done = change(connection, write, now_ms)
        return change_output(write, done, asked)

    def _get(self, members: Members) -> dict[str, Any]:
        asked = capacity_asked(members)
        read = read_request(members, self._tables, alone=True)
        with self._state.reading() as connection:
            check_table(connection, read.table, read.settings)
            item = load(connection, read.table, read.place)
        return read_output(read, item, asked)

    # --- many ---------------------------------------------------------------------------

    def _page(
        self, members: Members, understand: Callable[[Members, Catalogue], Page]
    ) -> dict[str, Any]:
        asked = capacity_asked(members)
        page = understand(members, self._tables)
        with self._state.reading() as connection:
            check_table(connection, page.table, page.settings)
            texts, more = rows(connection, page)
        return page_output(page, texts, asked, more=more)

    def _batch_get(self, members: Members) -> dict[str, Any]:
        asked = capacity_asked(members)
        batch = batch_request(members, self._tables)
        with self._state.reading() as connection:
            for _, reads in batch.tables.values():
                check_table(connection, reads[0].table, reads[0].settings)
            return read_batch(connection, batch, asked)

    def _batch_write(self, members: Members) -> dict[str, Any]:
        asked = capacity_asked(members)
        writes = batch_writes(members, self._tables)
        tables = {write.table: write.settings for _, write in writes}
        frees = all(write.kind == "Delete" for _, write in writes)
        with self._writing(tables, frees=frees) as (connection, now_ms):
            done = [(name, change(connection, write, now_ms)) for name, write in writes]
        return batch_output(done, asked)

    def _transact_get(self, members: Members) -> dict[str, Any]:
        asked = capacity_asked(members)
        reads = get_request(members, self._tables)
        with self._state.reading() as connection:
            connection.execute("BEGIN")  # one moment for all of them, whoever else writes
            try:
                for read in reads:
                    check_table(connection, read.table, read.settings)
                return read_all(connection, reads, asked)
            finally:
                connection.rollback()

    def _transact_write(self, members: Members) -> dict[str, Any]:
        asked = capacity_asked(members)
        transaction = transaction_request(members, self._tables)
        tables = {write.table: write.settings for write in transaction.writes}
        with self._writing(tables) as (connection, now_ms):
            return carry_out(connection, transaction, asked, now_ms)

    # --- tables -------------------------------------------------------------------------

    def _describe(self, members: Members) -> dict[str, Any]:
        members.only("TableName")
        name, settings = self._tables.settings(
            members.required("TableName", members.values.get("TableName"))
        )
        with self._writing({name: settings}) as (connection, now_ms):
            stored = keep_table(connection, name, settings, now_ms)
            query = "SELECT COUNT(*), COALESCE(SUM(size), 0) FROM dynamodb_items WHERE name = ?"
            count, size = connection.execute(query, (name,)).fetchone()
        arn = self._tables.arn(name)
        keys = zip(settings.keys, ("HASH", "RANGE"), strict=False)
        table: dict[str, Any] = {
            "TableName": name,
            "TableArn": arn,
            "TableStatus": "ACTIVE",
            "CreationDateTime": iso8601(from_epoch_ms(stored.created_ms)),
            "AttributeDefinitions": [
                {"AttributeName": key.name, "AttributeType": key.kind} for key in settings.keys
            ],
            "KeySchema": [{"AttributeName": key.name, "KeyType": role} for key, role in keys],
            "BillingModeSummary": {"BillingMode": "PAY_PER_REQUEST"},
            "ProvisionedThroughput": dict(_IDLE),
            "ItemCount": count,
            "TableSizeBytes": size,
            "DeletionProtectionEnabled": False,
        }
        if settings.stream is not None and stored.stream_ms is not None:
            label = iso8601(from_epoch_ms(stored.stream_ms)).rstrip("Z")
            table["StreamSpecification"] = {
                "StreamEnabled": True,
                "StreamViewType": settings.stream,
            }
            table["LatestStreamLabel"] = label
            table["LatestStreamArn"] = f"{arn}/stream/{label}"
        return {"Table": table}

    @contextlib.contextmanager
    def _writing(
        self, tables: Mapping[str, TableSettings], *, frees: bool = False
    ) -> Iterator[tuple[sqlite3.Connection, int]]:
        """Lend the connection inside a transaction, and the time, in which tables are there."""
        with self._state.writing(frees=frees) as connection:
            now_ms = epoch_ms(self._clock.now())
            for name, settings in tables.items():
                keep_table(connection, name, settings, now_ms)
            yield connection, now_ms


def _named(call: ServiceCall) -> list[tuple[str, str]]:
    """Return the tables that a call names, whatever it holds, each with what is done to it."""
    parameters = call.parameters
    found: list[tuple[str, object]] = [(call.operation, parameters.get("TableName"))]
    items = parameters.get("RequestItems")
    if isinstance(items, Mapping):
        found += ((call.operation, name) for name in items)
    parts = parameters.get("TransactItems")
    for part in parts if isinstance(parts, (list, tuple)) else ():
        for kind in _PARTS if isinstance(part, Mapping) else ():
            one = part.get(kind)
            if isinstance(one, Mapping):
                found.append((f"{kind}Item", one.get("TableName")))
    return [(action, name) for action, name in found if isinstance(name, str)]
