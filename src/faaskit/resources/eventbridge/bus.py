"""A bus, as users hold it: the same in the app and inside a function."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from typing import Any, Protocol

from faaskit.clock import iso8601
from faaskit.exceptions import ServiceError
from faaskit.gate.ask import Performer, ask
from faaskit.names import bus_arn
from faaskit.resources.eventbridge.requests import validate_bus_name

__all__ = ["Bus", "BusOwner"]


class BusOwner(Performer, Protocol):
    """What a bus needs of its app."""

    @property
    def region(self) -> str:
        """In ARNs."""

    @property
    def account(self) -> str:
        """In ARNs."""

    def bus(self, name: str) -> Bus:
        """Return the bus of that name."""


class Bus:
    """
    An event bus of an app: EventBridge's operations, embedded and durable.

    Make one with ``app.bus(name)``. In the app every operation is carried out as the owner;
    inside a function it goes through the gate under the function's role, and may raise
    AccessDeniedError. Making a Bus opens nothing.

    Attributes:
        name: Unique in its app; ``default`` is the one that PutEvents means without a name.
    """

    def __init__(self, name: str, owner: BusOwner) -> None:
        self.name = validate_bus_name(name)
        self._owner = owner

    def __repr__(self) -> str:
        return f"Bus({self.name!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        # By name: a bus that travels is looked up again where it arrives.
        return _bus_of, (self._owner, self.name)

    @property
    def arn(self) -> str:
        """``arn:aws:events:REGION:ACCOUNT:event-bus/NAME``: what a role allows actions on."""
        return bus_arn(self.name, region=self._owner.region, account=self._owner.account)

    def put(
        self,
        *,
        source: str,
        detail_type: str,
        detail: Mapping[str, Any],
        resources: Sequence[str] = (),
        time: datetime | None = None,
    ) -> str:
        """
        Put an event (events:PutEvents). It is on the disk when this returns.

        Args:
            source: Who it is from, such as ``shop``; not beginning with ``aws.``.
            detail_type: What happened, up to 128 characters.
            detail: JSON; 1 MB with all of the rest.
            resources: ARNs that it is about.
            time: Aware; None is now.

        Returns:
            The event's id.

        Raises:
            AccessDeniedError: Inside a function whose role does not allow it.
            ServiceError: EventBridge does not take such an event.
            TypeError: The detail is not JSON.
            ValueError: It has a number that JSON lacks, or the time has no zone.
        """
        entry: dict[str, Any] = {
            "EventBusName": self.name,
            "Source": source,
            "DetailType": detail_type,
            "Detail": json.dumps(detail, allow_nan=False),
        }
        if resources:
            entry["Resources"] = list(resources)
        if time is not None:
            if time.tzinfo is None:
                msg = f"the event's time {time.isoformat()} has no zone: add timezone.utc"
                raise ValueError(msg)
            entry["Time"] = iso8601(time.astimezone(timezone.utc))
        output = ask(self._owner, "events", "PutEvents", {"Entries": [entry]}).output
        (result,) = output["Entries"]
        if "EventId" not in result:
            raise ServiceError(result["ErrorMessage"], code=result["ErrorCode"])
        return str(result["EventId"])


def _bus_of(owner: BusOwner, name: str) -> Bus:
    return owner.bus(name)
