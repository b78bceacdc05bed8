"""``faaskit invoke``: one function, once."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from faaskit.cli.finding import find
from faaskit.exceptions import DefinitionError, PayloadError
from faaskit.functions import Function, define
from faaskit.invoke import Invocation

__all__ = ["invoke"]


def invoke(arguments: argparse.Namespace) -> int:
    """Run it; the result goes to stdout, the log to stderr."""
    function = _function(arguments.function)
    asked = {"memory_size": arguments.memory_size, "timeout": arguments.timeout}
    changes = {name: value for name, value in asked.items() if value is not None}
    if changes:
        function = function.with_config(**changes)
    invocation = function.invoke(_event(arguments.event))
    if arguments.json:
        print(json.dumps(_facts(invocation), indent=2))
    else:
        if not arguments.quiet:
            sys.stderr.write(invocation.logs)
        print(invocation.raw.decode("utf-8", "replace"))
    return 0 if invocation.ok else 1


def _function(path: str) -> Function:
    found = find(path)
    if isinstance(found, Function):
        return found
    if not callable(found):
        msg = f"{path} is no function: {found!r}"
        raise DefinitionError(msg)
    made: Function = define(found)  # a plain AWS handler, with AWS's defaults
    return made


def _event(source: str | None) -> Any:
    if source is None:
        return {}
    try:
        text = sys.stdin.read() if source == "-" else Path(source).read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        msg = f"the event can't be read from {source}: {error}"
        raise PayloadError(msg) from error
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        msg = f"the event in {source} is not JSON: {error}"
        raise PayloadError(msg) from error


def _facts(invocation: Invocation) -> dict[str, Any]:
    facts = invocation.to_wire()
    meter = invocation.meter
    facts["meter"]["billed_duration_ms"] = meter.billed_duration_ms
    facts["meter"]["cost_usd"] = f"{meter.cost_usd:f}"
    payload = invocation.payload
    facts["payload"] = payload.decode("utf-8", "replace") if isinstance(payload, bytes) else payload
    return facts
