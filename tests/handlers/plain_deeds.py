"""Handlers for the Invoker's own tests. ``act`` does what its event says, in one template."""

from __future__ import annotations

import logging
import os
import socket
import sys
import time
from collections.abc import Callable
from decimal import Decimal
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


def _exits(event: Any, context: Any) -> Any:
    sys.exit(event["code"])


def _sleeps(event: Any, context: Any) -> Any:
    time.sleep(600)


def _hoards(event: Any, context: Any) -> Any:
    hoard = []
    while True:
        hoard.append([0] * 100_000)


def _holds(event: Any, context: Any) -> Any:
    """Ring a test's ``Lifeline``, and return the word with which it lets go."""
    line = socket.create_connection(("127.0.0.1", event["port"]))
    line.sendall(event.get("name", "somebody").encode())
    return line.recv(64).decode()


def _tells(event: Any, context: Any) -> Any:
    before = context.get_remaining_time_in_millis()
    time.sleep(0.05)
    after = context.get_remaining_time_in_millis()
    names = [name for name in dir(context) if not name.startswith("_")]
    values = {name: getattr(context, name) for name in names if name != "identity"}
    return {
        "context": {k: v for k, v in values.items() if not callable(v)},
        "methods": [name for name, value in values.items() if callable(value)],
        "identity": {
            name: getattr(context.identity, name)
            for name in ("cognito_identity_id", "cognito_identity_pool_id")
        },
        "remaining": [before, after],
        "w3c": context.w3c(),
        "environment": dict(os.environ),
    }


def _writes(event: Any, context: Any) -> Any:
    print("to stdout")
    context.log("by the context\n")
    logging.getLogger().warning("a warning")
    logging.getLogger().info("not shown")
    os.write(2, b"to stderr, without a newline")


def _logs(event: Any, context: Any) -> Any:
    logging.getLogger().setLevel(logging.DEBUG)
    logger = logging.getLogger("a.module")
    for level in ("debug", "info", "warning", "error", "critical"):
        getattr(logger, level)("at %s", level)
    try:
        _raises({"message": "caught"}, context)
    except ValueError:
        logger.exception("it went wrong")


_DEEDS: dict[str, Callable[[Any, Any], Any]] = {
    "returns": _returns,
    "measures": _measures,
    "returns much": _returns_much,
    "raises": _raises,
    "exits": _exits,
    "sleeps": _sleeps,
    "hoards": _hoards,
    "holds": _holds,
    "tells": _tells,
    "writes": _writes,
    "logs": _logs,
}
