"""A table, as users hold it: the same in the app and inside a function."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol, TypeVar

from faaskit.functions import Function
from faaskit.gate.ask import Performer, ask
from faaskit.names import table_arn
from faaskit.resources.dynamodb.definition import TableSettings, validate_table_name
from faaskit.resources.dynamodb.python import from_item, to_attribute, to_item

__all__ = ["Table", "TableOwner"]

_F = TypeVar("_F", bound=Function)

# What ``query`` takes for the sort key, in boto3's words, and how an expression says it.
_CONDITIONS = {
    "eq": "#faaskit_sort = {}",
    "lt": "#faaskit_sort < {}",
    "lte": "#faaskit_sort <= {}",
    "gt": "#faaskit_sort > {}",
    "gte": "#faaskit_sort >= {}",
    "begins_with": "begins_with(#faaskit_sort, {})",
    "between": "#faaskit_sort BETWEEN {} AND {}",
}


class TableOwner(Performer, Protocol):
    """What a table needs of its app."""

    @property
    def region(self) -> str:
        """In ARNs."""

    @property
    def account(self) -> str:
        """In ARNs."""

    def table_of(self, name: str, settings: TableSettings) -> Table:
        """Return the table of that name."""

    def mapped(self, resource: Any, **settings: Any) -> Callable[[_F], _F]:
        """Return a decorator that makes an event source mapping."""


class Table:
    """
    A table of an app: DynamoDB's operations, embedded and durable.

    Make one with ``app.table(name, partition_key=…)``. In the app every operation is carried
    out as the owner; inside a function it goes through the gate under the function's role,
    and may raise AccessDeniedError. Making a Table opens nothing.

    Items are dicts. Their values are text, bytes, numbers (an int, or else a Decimal; floats
    are taken, too), True, False, None, lists, dicts and sets.

    Attributes:
        name: Unique in its app.
        settings: What it was declared as.
    """

    def __init__(self, name: str, owner: TableOwner, settings: TableSettings) -> None:
        self.name = validate_table_name(name)
        self.settings = settings
        self._owner = owner

    def __repr__(self) -> str:
        return f"Table({self.name!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        # By name: a table that travels is looked up again where it arrives.
        return _table_of, (self._owner, self.name, self.settings)

    @property
    def arn(self) -> str:
        """``arn:aws:dynamodb:REGION:ACCOUNT:table/NAME``: what a role allows actions on."""
        return table_arn(self.name, region=self._owner.region, account=self._owner.account)

    def put(
        self,
        item: Mapping[str, Any],
        *,
        condition: str | None = None,
        names: Mapping[str, str] | None = None,
        values: Mapping[str, Any] | None = None,
    ) -> None:
        """
        Store an item, in place of what has its key (dynamodb:PutItem).

        When this returns, the item is on the disk.

        Args:
            item: Attributes by name, the key's among them; up to 400 KB.
            condition: That must hold for what is there, such as
                ``attribute_not_exists(#id)``.
            names: What ``#…`` in the condition stands for.
            values: What ``:…`` in the condition stands for.

        Raises:
            AccessDeniedError: Inside a function whose role does not allow it.
            ServiceError: ``ConditionalCheckFailedException``: the condition does not hold.
                ``ValidationException``: DynamoDB does not take such an item or condition.
            TypeError: DynamoDB has no such type.
        """
        beside = _beside(names, values)
        if condition is not None:
            beside["ConditionExpression"] = condition
        self._ask("PutItem", {"Item": to_item(item), **beside})

    def get(self, /, **key: Any) -> dict[str, Any] | None:
        """
        Return an item; None where there is none (dynamodb:GetItem).

        Args:
            key: The key's attributes: ``orders.get(id="o-1")``.

        Raises:
            AccessDeniedError: Inside a function whose role does not allow it.
            ServiceError: It is not a key of the table.
        """
        output = self._ask("GetItem", {"Key": to_item(key), "ConsistentRead": True})
        return from_item(output["Item"]) if "Item" in output else None

    def update(
        self,
        key: Mapping[str, Any],
        *,
        set: Mapping[str, Any] | None = None,  # noqa: A002 - DynamoDB's words
        remove: Iterable[str] = (),
        add: Mapping[str, Any] | None = None,
        delete: Mapping[str, Any] | None = None,
        condition: str | None = None,
        names: Mapping[str, str] | None = None,
        values: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        """
        Change attributes of an item, and make it where there is none (dynamodb:UpdateItem).

        Args:
            key: The key's attributes, by name.
            set: Attributes to set, by name.
            remove: Names of attributes to remove.
            add: Numbers to add to attributes, or sets to add to sets, by name.
            delete: Sets to take out of sets, by name.
            condition: That must hold for what is there.
            names: What ``#…`` in the condition stands for.
            values: What ``:…`` in the condition stands for.

        Returns:
            The item as it is now; empty where there is none, and nothing but removing was
            asked for.

        Raises:
            AccessDeniedError: Inside a function whose role does not allow it.
            ServiceError: ``ConditionalCheckFailedException``: the condition does not hold.
                ``ValidationException``: DynamoDB does not take such an update.
            TypeError: DynamoDB has no such type.
        """
        beside = _beside(names, values)
        if condition is not None:
            beside["ConditionExpression"] = condition
        writing = _Writing(beside)
        parts = [
            writing.section("SET", set or {}, " = "),
            writing.section("REMOVE", dict.fromkeys(remove), None),
            writing.section("ADD", add or {}, " "),
            writing.section("DELETE", delete or {}, " "),
        ]
        expression = " ".join(part for part in parts if part)
        parameters: dict[str, Any] = {
            "Key": to_item(key),
            "ReturnValues": "ALL_NEW",
            **({"UpdateExpression": expression} if expression else {}),
            **beside,
        }
        return from_item(self._ask("UpdateItem", parameters).get("Attributes", {}))

    def delete(self, /, **key: Any) -> None:
        """
        Remove an item; it is no error if there is none (dynamodb:DeleteItem).

        Args:
            key: The key's attributes: ``orders.delete(id="o-1")``.

        Raises:
            AccessDeniedError: Inside a function whose role does not allow it.
            ServiceError: It is not a key of the table.
        """
        self._ask("DeleteItem", {"Key": to_item(key)})

    def query(
        self,
        partition: Any,
        *,
        reverse: bool = False,
        limit: int | None = None,
        filter: str | None = None,  # noqa: A002 - DynamoDB's word
        names: Mapping[str, str] | None = None,
        values: Mapping[str, Any] | None = None,
        **sort: Any,
    ) -> Iterator[dict[str, Any]]:
        """
        Iterate over the items of one partition key, in the order of the sort key.

        A page of up to 1 MB at a time (dynamodb:Query on the table): what changes meanwhile
        behind the page is seen.

        Args:
            partition: The partition key's value.
            reverse: Against the order of the sort key.
            limit: How many items, at the most.
            filter: What of them is wanted: a filter expression.
            names: What ``#…`` in the filter stands for.
            values: What ``:…`` in the filter stands for.
            sort: One condition on the sort key: ``eq``, ``lt``, ``lte``, ``gt``, ``gte`` or
                ``begins_with`` a value, or ``between=(low, high)``.

        Raises:
            AccessDeniedError: On the first step, inside a function whose role does not allow
                it.
            ServiceError: On the first step: DynamoDB does not take such a query.
            TypeError: No such condition, or more than one.
        """
        parameters = _beside(names, values)
        parameters["ScanIndexForward"] = not reverse
        parameters["KeyConditionExpression"] = self._key_condition(partition, sort, parameters)
        return self._pages("Query", parameters, filter, limit)

    def scan(
        self,
        *,
        limit: int | None = None,
        filter: str | None = None,  # noqa: A002 - DynamoDB's word
        names: Mapping[str, str] | None = None,
        values: Mapping[str, Any] | None = None,
    ) -> Iterator[dict[str, Any]]:
        """
        Iterate over all items, in no order that tells anything (dynamodb:Scan).

        Args:
            limit: How many items, at the most.
            filter: What of them is wanted: a filter expression.
            names: What ``#…`` in the filter stands for.
            values: What ``:…`` in the filter stands for.

        Raises:
            AccessDeniedError: On the first step, inside a function whose role does not allow
                it.
            ServiceError: On the first step: DynamoDB does not take such a filter.
        """
        return self._pages("Scan", _beside(names, values), filter, limit)

    def _key_condition(
        self, partition: Any, sort: Mapping[str, Any], parameters: dict[str, Any]
    ) -> str:
        names = parameters.setdefault("ExpressionAttributeNames", {})
        values = parameters.setdefault("ExpressionAttributeValues", {})
        names["#faaskit_partition"] = self.settings.partition.name
        values[":faaskit_partition"] = to_attribute(partition)
        if not sort:
            return "#faaskit_partition = :faaskit_partition"
        if len(sort) > 1 or not sort.keys() <= _CONDITIONS.keys():
            msg = f"query() takes one of {', '.join(_CONDITIONS)}, not {', '.join(sort)}"
            raise TypeError(msg)
        if self.settings.sort is None:
            msg = f"table {self.name!r} has no sort key, so query() takes no {next(iter(sort))}"
            raise TypeError(msg)
        ((operator, value),) = sort.items()
        operands = tuple(value) if operator == "between" else (value,)
        form = _CONDITIONS[operator]
        if len(operands) != form.count("{}"):
            msg = f"between is {value!r:.100}: pass a pair of the lowest and the highest value"
            raise TypeError(msg)
        names["#faaskit_sort"] = self.settings.sort.name
        places = [f":faaskit_sort{number}" for number in range(len(operands))]
        values.update(zip(places, map(to_attribute, operands), strict=True))
        return f"#faaskit_partition = :faaskit_partition AND {form.format(*places)}"

    def _pages(
        self, operation: str, parameters: dict[str, Any], wanted: str | None, limit: int | None
    ) -> Iterator[dict[str, Any]]:
        parameters["ConsistentRead"] = True
        if wanted is not None:
            parameters["FilterExpression"] = wanted
        left = limit
        while left is None or left > 0:
            if left is not None and wanted is None:
                parameters["Limit"] = left
            output = self._ask(operation, parameters)
            for item in output["Items"][:left]:
                yield from_item(item)
            left = None if left is None else left - len(output["Items"])
            if "LastEvaluatedKey" not in output:
                return
            parameters["ExclusiveStartKey"] = output["LastEvaluatedKey"]

    def on_change(
        self,
        *,
        batch_size: int = 100,
        max_batching_window: int = 0,
        starting_position: str = "TRIM_HORIZON",
        parallelization_factor: int = 1,
        max_record_age: int = -1,
        retry_attempts: int = -1,
        bisect_batch_on_error: bool = False,
        tumbling_window: int = 0,
        on_failure: Any = None,
        report_batch_item_failures: bool = False,
        filters: Sequence[Any] = (),
        enabled: bool = True,
    ) -> Callable[[_F], _F]:
        """
        Have a function invoked, in batches, for what is done to this table's items.

        An event source mapping: a decorator that goes on top of ``@app.function``, and returns
        the function, which gets DynamoDB Streams' event. What follows on a batch waits until
        that is done, or is given up.

        Args:
            batch_size: How many records one invocation gets, at the most: 1 to 10000.
            max_batching_window: Seconds for which a batch that is not full is waited for,
                counted from its first record's arrival: 0 to 300.
            starting_position: Where a mapping that is new begins: ``TRIM_HORIZON`` or
                ``LATEST``. One that was there before goes on where it was.
            parallelization_factor: How many batches of one shard are under way at once, 1 to
                10; records of one key stay in order.
            max_record_age: Seconds; what is older is given up untried: 60 to 604800, or -1 for
                no limit.
            retry_attempts: How often a batch that failed is tried again: 0 to 10000, or -1 for
                no limit. Meanwhile what is behind it waits.
            bisect_batch_on_error: Try a batch that failed in halves, which is no retry.
            tumbling_window: Seconds, 0 to 900: the function's state is carried from invocation
                to invocation for so long; it returns ``{"state": {…}}``.
            on_failure: A queue, topic or bucket, or its ARN, that is told what was given up.
            report_batch_item_failures: The function returns what of its batch failed:
                ``{"batchItemFailures": [{"itemIdentifier": "SEQUENCE NUMBER"}]}``.
            filters: Up to 10 patterns, as EventBridge has them, of which one must match.
            enabled: Whether it reads; ``app.mappings`` have a switch.

        Raises:
            DefinitionError: Lambda does not take one of these; what is decorated is not a
                function of this app, or the table has no stream; or there is a mapping of the
                two already.
        """
        return self._owner.mapped(
            self,
            batch_size=batch_size,
            max_batching_window=max_batching_window,
            starting_position=starting_position,
            parallelization_factor=parallelization_factor,
            max_record_age=max_record_age,
            retry_attempts=retry_attempts,
            bisect_batch_on_error=bisect_batch_on_error,
            tumbling_window=tumbling_window,
            on_failure=on_failure,
            report_batch_item_failures=report_batch_item_failures,
            filters=filters,
            enabled=enabled,
        )

    def _ask(self, operation: str, parameters: Mapping[str, Any]) -> Mapping[str, Any]:
        return ask(
            self._owner, "dynamodb", operation, {"TableName": self.name, **parameters}
        ).output


class _Writing:
    """An update expression being written, with the names and values that it needs beside it."""

    def __init__(self, beside: dict[str, Any]) -> None:
        self._beside = beside
        self._count = 0

    def section(self, kind: str, attributes: Mapping[str, Any], between: str | None) -> str:
        """Return a section of the expression; empty where there is nothing to do."""
        parts = []
        for name, value in attributes.items():
            self._count += 1
            label = f"#faaskit_{self._count}"
            self._beside.setdefault("ExpressionAttributeNames", {})[label] = name
            if between is not None:
                place = f":faaskit_{self._count}"
                values = self._beside.setdefault("ExpressionAttributeValues", {})
                values[place] = to_attribute(value)
                label = f"{label}{between}{place}"
            parts.append(label)
        return f"{kind} {', '.join(parts)}" if parts else ""


def _beside(names: Mapping[str, str] | None, values: Mapping[str, Any] | None) -> dict[str, Any]:
    beside: dict[str, Any] = {}
    if names is not None:
        beside["ExpressionAttributeNames"] = dict(names)
    if values is not None:
        beside["ExpressionAttributeValues"] = to_item(values)
    return beside


def _table_of(owner: TableOwner, name: str, settings: TableSettings) -> Table:
    return owner.table_of(name, settings)
