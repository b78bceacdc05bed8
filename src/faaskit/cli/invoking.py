"""``faaskit invoke``: one function, once."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from faaskit.app import App
from faaskit.cli.finding import find, handler_file
from faaskit.cli.role_file import read_role
from faaskit.exceptions import DefinitionError, PayloadError
from faaskit.functions import Function, define
from faaskit.invoke import Invocation

__all__ = ["invoke"]


def invoke(arguments: argparse.Namespace) -> int:
    """Run it; the result goes to stdout, the log to stderr."""
    asked = {"memory_size": arguments.memory_size, "timeout": arguments.timeout}
    changes: dict[str, Any] = {name: value for name, value in asked.items() if value is not None}
    event = _event(arguments.event)
    if arguments.role is not None:
        name = _function_name(arguments.function)
        changes["role"] = read_role(arguments.role, f"{name}-role"[:64])
    file = handler_file(arguments.function)
    if file is None:
        if arguments.aws is not None:
            msg = (
                f"--aws is for a file's handler, and {arguments.function} is a module's: its App "
                "says where calls go, App(aws=…)"
            )
            raise DefinitionError(msg)
        function = _function(arguments.function)
        if changes:
            function = function.with_config(**changes)
        invocation = function.invoke(event)
    else:
        invocation = _invoke_file(*file, changes, event, arguments.aws)
    if arguments.json:
        print(json.dumps(_facts(invocation), indent=2))
    else:
        if not arguments.quiet:
            sys.stderr.write(invocation.logs)
        print(invocation.raw.decode("utf-8", "replace"))
    return 0 if invocation.ok else 1


def _invoke_file(
    file: Path, handler: str, settings: dict[str, Any], event: Any, aws: str | None
) -> Invocation:
    """Run what was written for AWS, in an App of its own; nothing of it is imported here."""
    with App(_function_name(str(file)), aws=aws) as app:
        function = app.add_function(
            _function_name(handler), code=file.parent, handler=f"{file.stem}.{handler}", **settings
        )
        return function.invoke(event)


def _function_name(path: str) -> str:
    """Return what a function of that path is called: what of it AWS takes in a name."""
    named = path.rpartition(":")[2].rpartition("/")[2].removesuffix(".py")
    return "".join(one if one.isalnum() or one in "-_" else "-" for one in named)[:64]


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
