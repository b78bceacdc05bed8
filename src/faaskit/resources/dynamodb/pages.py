"""What Query and Scan take, checked and understood. Pure."""

from __future__ import annotations

from attrs import frozen

from faaskit.gate.service import excerpt
from faaskit.resources.dynamodb.binding import Bindings
from faaskit.resources.dynamodb.conditions import paths_of
from faaskit.resources.dynamodb.definition import TableSettings
from faaskit.resources.dynamodb.key_conditions import KeyRange, key_range
from faaskit.resources.dynamodb.keys import SLOTS, Place, true_key
from faaskit.resources.dynamodb.paths import Branch
from faaskit.resources.dynamodb.refusals import invalid, unsupported
from faaskit.resources.dynamodb.requests import (
    Catalogue,
    choice,
    condition_of,
    flag,
    projection,
    refuse_legacy,
)
from faaskit.resources.dynamodb.syntax import Condition
from faaskit.resources.dynamodb.values import checked_item
from faaskit.resources.members import Members

__all__ = ["Page", "query_request", "scan_request"]

_SHARED = (
    "TableName",
    "FilterExpression",
    "ProjectionExpression",
    "ExpressionAttributeNames",
    "ExpressionAttributeValues",
    "ExclusiveStartKey",
    "Limit",
    "Select",
    "ConsistentRead",
    "ReturnConsumedCapacity",
)
_SELECT = ("SPECIFIC_ATTRIBUTES", "COUNT", "ALL_ATTRIBUTES", "ALL_PROJECTED_ATTRIBUTES")
_MAX_SEGMENTS = 1_000_000


@frozen
class Page:
    """
    A page of a table's items.

    Attributes:
        run: The items of one partition key; None for a scan.
        slots: Which of the table's slots a scan goes through: from the first on, below the last.
        filter: What of the page is returned.
        paths: What of each item is returned; None is all.
        limit: How many items are looked at; None is as many as a page has.
        start: Where the page before ended.
        forward: In the order of the sort key, or against it.
        counted: Only the numbers are returned.
        consistent: For what it would cost; every read is.
    """

    table: str
    settings: TableSettings
    run: KeyRange | None = None
    slots: tuple[int, int] = (0, SLOTS)
    filter: Condition | None = None
    paths: Branch | None = None
    limit: int | None = None
    start: Place | None = None
    forward: bool = True
    counted: bool = False
    consistent: bool = False


def query_request(members: Members, tables: Catalogue) -> Page:
    """
    Return the page that a Query asks for.

    Raises:
        Refusal: DynamoDB does not take it.
    """
    _refuse_unknown(members, "KeyConditionExpression", "ScanIndexForward")
    table, settings = tables.settings(
        members.required("TableName", members.values.get("TableName"))
    )
    bindings = Bindings(members.values)
    condition = condition_of(bindings, "KeyConditionExpression", members)
    wanted = condition_of(bindings, "FilterExpression", members)
    paths = projection(bindings, members)
    bindings.finish()
    if condition is None:
        msg = (
            "Either the KeyConditions or KeyConditionExpression parameter must be specified in "
            "the request."
        )
        raise invalid(msg)
    run = key_range(condition, settings)
    _refuse_keys(wanted, settings)
    start = _start(members, settings)
    if start is not None and not (start.partition == run.partition and run.holds(start.sort)):
        msg = "The provided starting key is outside query boundaries based on provided conditions"
        raise invalid(msg)
    return Page(
        table=table,
        settings=settings,
        run=run,
        filter=wanted,
        paths=paths,
        limit=_limit(members),
        start=start,
        forward=flag(members, "ScanIndexForward", default=True),
        counted=_counted(members, paths),
        consistent=flag(members, "ConsistentRead"),
    )


def scan_request(members: Members, tables: Catalogue) -> Page:
    """
    Return the page that a Scan asks for.

    Raises:
        Refusal: DynamoDB does not take it.
    """
    _refuse_unknown(members, "Segment", "TotalSegments")
    table, settings = tables.settings(
        members.required("TableName", members.values.get("TableName"))
    )
    bindings = Bindings(members.values)
    wanted = condition_of(bindings, "FilterExpression", members)
    paths = projection(bindings, members)
    bindings.finish()
    start = _start(members, settings)
    segment, total = _segment(members)
    slots = (segment * SLOTS // total, (segment + 1) * SLOTS // total)
    if start is not None and not slots[0] <= start.slot < slots[1]:
        msg = (
            "Invalid ExclusiveStartKey. Please use ExclusiveStartKey with correct Segment. "
            f"TotalSegments: {total} Segment: {segment}"
        )
        raise invalid(msg)
    return Page(
        table=table,
        settings=settings,
        slots=slots,
        filter=wanted,
        paths=paths,
        limit=_limit(members),
        start=start,
        counted=_counted(members, paths),
        consistent=flag(members, "ConsistentRead"),
    )


def _refuse_unknown(members: Members, *own: str) -> None:
    refuse_legacy(members)
    if members.has("IndexName"):
        what = f"{members.of}'s parameter IndexName"
        raise unsupported(what, instead="the app's own tables have no secondary indexes: scan")
    members.only(*_SHARED, *own)


def _refuse_keys(wanted: Condition | None, settings: TableSettings) -> None:
    """Refuse a query's filter that looks at a key: that is for the key condition."""
    keys = {key.name for key in settings.keys}
    for path in [] if wanted is None else paths_of(wanted):
        if path.parts[0] in keys:
            msg = (
                "Filter Expression can only contain non-primary key attributes: Primary key "
                f"attribute: {path.parts[0]}"
            )
            raise invalid(msg)


def _start(members: Members, settings: TableSettings) -> Place | None:
    given = members.values.get("ExclusiveStartKey")
    if given is None:
        return None
    key = checked_item(given, "ExclusiveStartKey")
    wanted = {one.name: one.kind for one in settings.keys}
    if {name: next(iter(value)) for name, value in key.items()} != wanted:
        msg = (
            "The provided starting key is invalid: The provided key element does not match the "
            "schema"
        )
        raise invalid(msg)
    return true_key(settings, key)


def _limit(members: Members) -> int | None:
    limit = members.integer("Limit")
    if limit is not None and limit < 1:
        msg = (
            f"1 validation error detected: Value '{excerpt(limit)}' at 'limit' failed to satisfy "
            "constraint: Member must have value greater than or equal to 1"
        )
        raise invalid(msg)
    return limit


def _counted(members: Members, paths: Branch | None) -> bool:
    select = choice(members, "Select", _SELECT)
    if select == "ALL_PROJECTED_ATTRIBUTES":
        msg = "ALL_PROJECTED_ATTRIBUTES can be used only when Querying using an IndexName"
        raise invalid(msg)
    if select == "SPECIFIC_ATTRIBUTES" and paths is None:
        msg = (
            "Must specify the AttributesToGet or ProjectionExpression when choosing to get "
            "SPECIFIC_ATTRIBUTES"
        )
        raise invalid(msg)
    if paths is not None and select in {"COUNT", "ALL_ATTRIBUTES"}:
        chosen = "only the Count" if select == "COUNT" else select
        msg = f"Cannot specify the ProjectionExpression when choosing to get {chosen}"
        raise invalid(msg)
    return select == "COUNT"


def _segment(members: Members) -> tuple[int, int]:
    segment, total = members.integer("Segment"), members.integer("TotalSegments")
    if segment is None and total is None:
        return 0, 1
    if segment is None or total is None:
        given, lacks = (
            ("TotalSegments", "Segment") if segment is None else ("Segment", "TotalSegments")
        )
        msg = (
            f"The {lacks} parameter is required but was not present in the request when parameter "
            f"{given} is present"
        )
        raise invalid(msg)
    if not 1 <= total <= _MAX_SEGMENTS:
        msg = (
            f"1 validation error detected: Value '{excerpt(total)}' at 'totalSegments' failed to "
            f"satisfy constraint: Member must have value from 1 to {_MAX_SEGMENTS}"
        )
        raise invalid(msg)
    if not 0 <= segment < total:
        msg = (
            "The Segment parameter is zero-based and must be less than parameter TotalSegments: "
            f"Segment: {excerpt(segment)} is not less than TotalSegments: {total}"
        )
        raise invalid(msg)
    return segment, total
