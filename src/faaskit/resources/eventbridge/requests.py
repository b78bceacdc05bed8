"""What EventBridge's operations take, checked as far as the request alone tells. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence

from attrs import frozen

from faaskit.exceptions import DefinitionError
from faaskit.gate.service import Refusal, excerpt
from faaskit.names import bus_arn
from faaskit.resources.eventbridge.entries import Entry, read_entry
from faaskit.resources.members import Members, refuse_operation
from faaskit.runtimes.contract import ServiceCall

__all__ = [
    "DEFAULT_BUS",
    "OPERATIONS",
    "BusRequest",
    "DescribeBus",
    "ListBuses",
    "PutEvents",
    "bus_of",
    "named_buses",
    "understand",
    "validate_bus_name",
]

DEFAULT_BUS = "default"
MAX_ENTRIES = 10
MAX_LISTED = 100
MAX_REQUEST_BYTES = 1 << 20
_NAME = re.compile(r"[/.\-_A-Za-z0-9]{1,256}")


@frozen
class PutEvents:
    """PutEvents."""

    entries: Sequence[Entry]


@frozen
class DescribeBus:
    """
    DescribeEventBus.

    Attributes:
        bus: Name or ARN.
    """

    bus: str


@frozen
class ListBuses:
    """
    ListEventBuses.

    Attributes:
        after: The name behind which the page begins; empty for the first.
    """

    prefix: str
    after: str
    limit: int


BusRequest = PutEvents | DescribeBus | ListBuses


def understand(call: ServiceCall) -> BusRequest:
    """
    Return the request that a call makes.

    Args:
        call: Not trusted.

    Raises:
        Refusal: With EventBridge's code: it is not one that is taken here. Nothing is ignored.
    """
    make = OPERATIONS.get(call.operation)
    if make is None:
        refuse_operation("EventBridge", call.operation, OPERATIONS)
    return make(Members(call.operation, call.parameters, _missing))


def bus_of(bus: str | None, *, region: str, account: str) -> str | None:
    """Return the name of a bus in this region and account, by name or ARN; None for another's."""
    if bus is None:
        return DEFAULT_BUS
    if not bus.startswith("arn:"):
        return bus
    prefix = bus_arn("", region=region, account=account)
    return bus[len(prefix) :] if bus.startswith(prefix) else None


def named_buses(call: ServiceCall, *, region: str, account: str) -> Iterator[str]:
    """Return the names of the buses here that a call is about; malformed parts name none."""
    if call.region not in {"", region}:
        return
    buses: list[object] = []
    if call.operation == "DescribeEventBus":
        buses = [call.parameters.get("Name")]
    elif call.operation == "PutEvents":
        entries = call.parameters.get("Entries")
        if isinstance(entries, (list, tuple)):
            buses = [
                entry.get("EventBusName")
                for entry in entries[:MAX_ENTRIES]
                if isinstance(entry, Mapping)
            ]
    for bus in buses:
        if bus is None or isinstance(bus, str):
            name = bus_of(bus, region=region, account=account)
            if name is not None:
                yield name


def validate_bus_name(name: object) -> str:
    """Return a legal name of a bus, or raise DefinitionError."""
    if not isinstance(name, str) or not _NAME.fullmatch(name) or name.startswith("aws."):
        msg = (
            f"bus name {name!r} is not one that EventBridge takes: 1 to 256 characters of a-z, "
            "A-Z, 0-9, '/', '.', '-' and '_', not beginning with 'aws.'"
        )
        raise DefinitionError(msg)
    return name


def _put(members: Members) -> PutEvents:
    members.only("Entries")
    members.required("Entries", members.values.get("Entries"))
    count = members.count("Entries")
    if not 1 <= count <= MAX_ENTRIES:
        bound = f"less than or equal to {MAX_ENTRIES}" if count else "greater than or equal to 1"
        msg = (
            f"1 validation error detected: Value {excerpt(members.values['Entries'])} at 'entries' "
            f"failed to satisfy constraint: Member must have length {bound}"
        )
        raise Refusal(msg, code="ValidationException")
    entries = [read_entry(entry) for entry in members.structures("Entries")]
    if sum(entry.size for entry in entries) > MAX_REQUEST_BYTES:
        msg = "Total size of the entries in the request is over the limit."
        raise Refusal(msg, code="ValidationException")
    return PutEvents(entries)


def _describe(members: Members) -> DescribeBus:
    members.only("Name")
    return DescribeBus(members.text("Name") or DEFAULT_BUS)


def _list(members: Members) -> ListBuses:
    members.only("NamePrefix", "NextToken", "Limit")
    limit = members.integer("Limit")
    if limit is not None and not 1 <= limit <= MAX_LISTED:
        msg = (
            f"1 validation error detected: Value '{excerpt(limit)}' at 'limit' failed to satisfy "
            f"constraint: Member must have value between 1 and {MAX_LISTED}"
        )
        raise Refusal(msg, code="ValidationException")
    return ListBuses(
        prefix=members.text("NamePrefix") or "",
        after=members.text("NextToken") or "",
        limit=MAX_LISTED if limit is None else limit,
    )


def _missing(name: str) -> Refusal:
    where = name[0].lower() + name[1:]
    msg = (
        f"1 validation error detected: Value null at '{where}' failed to satisfy constraint: "
        "Member must not be null"
    )
    return Refusal(msg, code="ValidationException")


OPERATIONS: Mapping[str, Callable[[Members], BusRequest]] = {
    "DescribeEventBus": _describe,
    "ListEventBuses": _list,
    "PutEvents": _put,
}
