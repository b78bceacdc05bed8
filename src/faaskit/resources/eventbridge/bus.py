"""A bus, as users hold it: the same in the app and inside a function."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timezone
from typing import Any, Protocol, TypeVar

from faaskit.clock import iso8601
from faaskit.exceptions import ServiceError
from faaskit.functions import Function
from faaskit.gate.ask import Performer, ask
from faaskit.names import bus_arn
from faaskit.resources.eventbridge.requests import validate_bus_name

__all__ = ["Bus", "BusOwner"]

_F = TypeVar("_F", bound=Function)


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

    def ruled(self, bus: Bus, pattern: Any, **settings: Any) -> Callable[[_F], _F]:
        """Return a decorator that makes a rule whose target is a function."""

    def route(self, bus: Bus, pattern: Any, **settings: Any) -> None:
        """Make a rule whose target is no function."""


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

    def on(
        self,
        pattern: Any,
        *,
        name: str | None = None,
        input: Any = None,  # noqa: A002 - AWS's word
        input_path: str | None = None,
        input_transformer: Mapping[str, Any] | None = None,
    ) -> Callable[[_F], _F]:
        """
        Have a function invoked, asynchronously, for events that match a pattern: a rule.

        A decorator that goes on top of ``@app.function``, and returns the function.

        Args:
            pattern: As EventBridge has them: a dict, or its JSON.
            name: Of the rule, 1 to 64 of ``[.-_A-Za-z0-9]``; by default the function's.
            input: What the function gets instead of the event, anything that JSON has.
            input_path: Of the part of the event that it gets, such as ``$.detail``.
            input_transformer: ``{"paths": {"id": "$.detail.id"}, "template": '{"id": <id>}'}``:
                what it gets is made of the event.

        Raises:
            DefinitionError: EventBridge does not take one of these; what is decorated is not a
                function of this app; or the name is another rule's.
        """
        return self._owner.ruled(
            self,
            pattern,
            name=name,
            input=input,
            input_path=input_path,
            input_transformer=input_transformer,
        )

    def rule(
        self,
        pattern: Any,
        *,
        target: Any,
        name: str | None = None,
        input: Any = None,  # noqa: A002 - AWS's word
        input_path: str | None = None,
        input_transformer: Mapping[str, Any] | None = None,
        message_group_id: str = "",
        retry_attempts: int = 185,
        max_event_age: int = 86_400,
        dead_letter: Any = None,
    ) -> None:
        """
        Have events that match a pattern go elsewhere: to a queue, a stream, a topic or a bus.

        Args:
            pattern: As EventBridge has them: a dict, or its JSON.
            target: A queue, stream or bus of the app, or an ARN.
            name: Of the rule, 1 to 64 of ``[.-_A-Za-z0-9]``; by default the target's.
            input: What goes there instead of the event, anything that JSON has.
            input_path: Of the part of the event that goes there, such as ``$.detail``.
            input_transformer: As for ``on``.
            message_group_id: For a FIFO queue.
            retry_attempts: How often it is tried again if it can't be sent: 0 to 185.
            max_event_age: Seconds after which it is not: 60 to 86400.
            dead_letter: A queue for what could not be sent; by default that is only kept among
                ``app.dead()``.

        Raises:
            DefinitionError: EventBridge does not take one of these, or the name is another
                rule's.
        """
        self._owner.route(
            self,
            pattern,
            target=target,
            name=name,
            input=input,
            input_path=input_path,
            input_transformer=input_transformer,
            message_group_id=message_group_id,
            retry_attempts=retry_attempts,
            max_event_age=max_event_age,
            dead_letter=dead_letter,
        )


def _bus_of(owner: BusOwner, name: str) -> Bus:
    return owner.bus(name)
