"""An App whose functions are called in the test's own process: for what delivery does with them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from attrs import frozen

from faaskit.app import App
from faaskit.exceptions import FaaskitError
from faaskit.functions import Function
from faaskit.testing import FakeClock

Handler = Callable[[Any], Any]


@frozen
class Ended:
    """An invocation that has ended."""

    ok: bool
    raw: bytes
    request_id: str
    function_name: str

    @property
    def payload(self) -> Any:
        """What it returned, or the error object."""
        return json.loads(self.raw)


class InlineApp(App):
    """
    An App that records the events that its functions get.

    Args:
        folder: Of the state.
        clock: To share between two apps; a new one by default.
    """

    def __init__(self, folder: Path, clock: FakeClock | None = None, **settings: Any) -> None:
        self.clock = FakeClock("2026-01-01T00:00:00Z") if clock is None else clock
        super().__init__("inline", state=folder, clock=self.clock, **settings)
        self.received: list[Any] = []
        self.handlers: dict[str, Handler] = {}

    def calls(self, handler: Handler, name: str = "reader", **settings: Any) -> Function:
        """Return a function that calls a handler with its event."""
        self.handlers[name] = handler

        @self.function(name=name, **settings)
        def named(event: Any, context: Any) -> None:
            """Not called: the handler is."""

        return named

    def pass_time(self, **duration: float) -> list[Any]:
        """Move the clock, and deliver what is due by then."""
        self.clock.advance(**duration)
        return self.drain()

    def _invoke(self, function: Function, event: Any, request_id: str) -> Any:
        self.received.append(event)
        try:
            # A copy, as in a function: what the handler does with it changes nothing here.
            answer = self.handlers[function.name](json.loads(json.dumps(event)))
            raw, ok = json.dumps(answer).encode(), True
        except FaaskitError:  # the host's, not the function's
            raise
        except (ValueError, KeyError) as error:
            told = {"errorType": type(error).__name__, "errorMessage": str(error)}
            raw, ok = json.dumps(told).encode(), False
        return Ended(ok, raw, request_id, function.name)


def nothing(_: Any) -> None:
    """Do nothing with an event."""


def fail(_: Any) -> None:
    """Fail."""
    msg = "no"
    raise ValueError(msg)
