"""The ``events`` service: carries EventBridge's operations out on the state folder."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any, Protocol

from faaskit.clock import Clock, epoch_ms, from_epoch_ms, iso8601
from faaskit.gate.service import Caller, Refusal, Requirement
from faaskit.names import bus_arn
from faaskit.resources.eventbridge.entries import Entry, EntryProblem, event_text
from faaskit.resources.eventbridge.requests import (
    DescribeBus,
    ListBuses,
    PutEvents,
    bus_of,
    named_buses,
    understand,
)
from faaskit.resources.state import State
from faaskit.runtimes.contract import ServiceCall, ServiceFailure, ServiceReply

if TYPE_CHECKING:
    import sqlite3

__all__ = ["EVENT_MS", "EventsService"]

# As long as EventBridge tries to deliver an event.
EVENT_MS = 24 * 3_600_000


class EventListener(Protocol):
    """Who is told of events."""

    def event_put(self, connection: sqlite3.Connection, bus: str, event: str) -> None:
        """Take note of an event, in the transaction in which it came in."""


class EventsService:
    """
    EventBridge, as far as faaskit has it: see ``requests.py`` for what each operation takes.

    Events are kept for a day, in the order in which they were put, to be looked at.

    Args:
        state: Where events are kept.
        buses: The names that there are.
        listener: Told of each event.
        clock: For events without a time.
        region: The app's, in events and ARNs.
        account: The app's, too.
    """

    name = "events"

    def __init__(
        self,
        state: State,
        *,
        buses: Collection[str],
        listener: EventListener,
        clock: Clock,
        region: str,
        account: str,
    ) -> None:
        self._state = state
        self._buses = buses
        self._listener = listener
        self._clock = clock
        self._region = region
        self._account = account

    def owns(self, call: ServiceCall) -> bool:
        """Return whether a call names a bus of the app; one of several entries is enough."""
        names = named_buses(call, region=self._region, account=self._account)
        return any(name in self._buses for name in names)

    def discloses(self, call: ServiceCall, failure: ServiceFailure) -> Requirement | None:  # noqa: ARG002
        """Return None: EventBridge tells everyone who may call what is wrong."""
        return None

    def perform(self, call: ServiceCall, caller: Caller) -> ServiceReply:  # noqa: ARG002
        """
        Carry a call out. Events are durable when this returns.

        Raises:
            Refusal: There is no such bus, or EventBridge does not take such a request.
            SandboxError: The host failed.
        """
        request = understand(call)
        if call.body:
            msg = f"{call.operation} takes no body"
            raise Refusal(msg, code="ValidationException")
        here = call.region in {"", self._region}
        if isinstance(request, PutEvents):
            return ServiceReply(self._put(request, here=here))
        if isinstance(request, ListBuses):
            return ServiceReply(self._list(request))
        return ServiceReply(self._describe(request, here=here))

    def _put(self, request: PutEvents, *, here: bool) -> Mapping[str, Any]:
        results: list[dict[str, str]] = []
        failed = 0
        with self._state.writing() as connection:
            for entry in request.entries:
                try:
                    results.append({"EventId": self._put_entry(connection, entry, here=here)})
                except EntryProblem as problem:
                    failed += 1
                    results.append({"ErrorCode": problem.code, "ErrorMessage": str(problem)})
        return {"FailedEntryCount": failed, "Entries": results}

    def _put_entry(self, connection: sqlite3.Connection, entry: Entry, *, here: bool) -> str:
        now = self._clock.now()
        event_id = str(uuid.uuid4())
        event = event_text(
            entry, event_id=event_id, now=now, region=self._region, account=self._account
        )
        bus = bus_of(entry.bus, region=self._region, account=self._account)
        if not here or bus is None or bus not in self._buses:
            # EventBridge takes such an event, and no one ever sees it.
            msg = (
                f"Event bus {entry.bus or 'default'} is not one of the app's: make it with "
                'app.bus(…); App(aws="moto") has buses that the app does not define itself.'
            )
            raise EntryProblem(msg, code="InvalidArgument")
        current = epoch_ms(now)
        connection.execute("INSERT OR IGNORE INTO buses VALUES (?, ?)", (bus, current))
        connection.execute(
            "DELETE FROM bus_events WHERE bus = ? AND put_ms <= ?", (bus, current - EVENT_MS)
        )
        connection.execute(
            "INSERT INTO bus_events (bus, event_id, event, put_ms) VALUES (?, ?, ?, ?)",
            (bus, event_id, event, current),
        )
        self._listener.event_put(connection, bus, event)
        return event_id

    def _describe(self, request: DescribeBus, *, here: bool) -> Mapping[str, Any]:
        name = bus_of(request.bus, region=self._region, account=self._account)
        if not here or name is None or name not in self._buses:
            msg = f"Event bus {request.bus} does not exist."
            raise Refusal(msg, code="ResourceNotFoundException")
        return self._bus(name)

    def _list(self, request: ListBuses) -> Mapping[str, Any]:
        names = [
            name
            for name in sorted(self._buses)
            if name.startswith(request.prefix) and name > request.after
        ]
        output: dict[str, Any] = {
            "EventBuses": [self._bus(name) for name in names[: request.limit]]
        }
        if len(names) > request.limit:
            output["NextToken"] = names[request.limit - 1]
        return output

    def _bus(self, name: str) -> dict[str, Any]:
        query = "SELECT created_ms FROM buses WHERE name = ?"
        with self._state.reading() as connection:
            row = connection.execute(query, (name,)).fetchone()
        if row is None:
            with self._state.writing() as connection:
                now = epoch_ms(self._clock.now())
                connection.execute("INSERT OR IGNORE INTO buses VALUES (?, ?)", (name, now))
                row = connection.execute(query, (name,)).fetchone()
        created = iso8601(from_epoch_ms(row[0]))
        return {
            "Name": name,
            "Arn": self._arn(name),
            "CreationTime": created,
            "LastModifiedTime": created,
        }

    def _arn(self, name: str) -> str:
        return bus_arn(name, region=self._region, account=self._account)
