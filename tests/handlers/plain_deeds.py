"""Handlers for the Invoker's own tests. ``act`` does what its event says, in one template."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

print("hello from INIT")


def act(event: Any, context: Any) -> Any:
    """Do the deed that the event names, or return the event."""
    deed = event.get("do") if isinstance(event, dict) else None
    return event if deed is None else _DEEDS[deed](event, context)


_RESULTS: dict[str, Callable[[], Any]] = {
    "object": object,
    "set": lambda: {1, 2},
    "NaN": lambda: [float("nan")],
    "decimals": lambda: {"price": Decimal("1.10"), "exact": Decimal("0.1234567890123456789")},
    "bytes": lambda: b"\xff\x00no JSON",
    "JSON bytes": lambda: b'{"a": 1}',
    "None": lambda: None,
    "text": lambda: "naïve ☃",
}


def _returns(event: Any, context: Any) -> Any:
    return _RESULTS[event["what"]]()


def _measures(event: Any, context: Any) -> Any:
    return len(event["filler"])


def _returns_much(event: Any, context: Any) -> Any:
    return "x" * (event["size"] - 2)  # and two quotes


def _raises(event: Any, context: Any) -> Any:
    raise ValueError(event["message"])


def _sleeps(event: Any, context: Any) -> Any:
    mark = Path(event["started"])
    part = mark.with_suffix(".part")
    part.write_text(str(os.getpid()))
    part.rename(mark)  # whoever sees it can read all of it
    time.sleep(600)


def _tells(event: Any, context: Any) -> Any:
    names = [name for name in dir(context) if not name.startswith("_")]
    values = {name: getattr(context, name) for name in names}
    return {
        "context": {k: v for k, v in values.items() if not callable(v) and k != "identity"},
        "identity": context.identity.cognito_identity_id,
        "remaining": context.get_remaining_time_in_millis(),
        "environment": dict(os.environ),
    }


def _writes(event: Any, context: Any) -> Any:
    print("to stdout")
    context.log("by the context\n")
    logging.getLogger().warning("a warning")
    logging.getLogger().info("not shown")
    os.write(2, b"to stderr, without a newline")


_DEEDS: dict[str, Callable[[Any, Any], Any]] = {
    "returns": _returns,
    "measures": _measures,
    "returns much": _returns_much,
    "raises": _raises,
    "sleeps": _sleeps,
    "tells": _tells,
    "writes": _writes,
}
