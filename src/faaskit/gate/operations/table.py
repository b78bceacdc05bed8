"""
The table of operations, read from its files.

Each file has IAM's ``prefix`` of the service, ``resources``, and ``operations``. An operation is
a list of asks, all of which must be allowed. An ask has:

- ``action``: IAM's; by default the operation's name. One with a colon is another service's.
- ``on``: a name in ``resources``; by default ``*``.
- ``each``: a path in the parameters, for an ask for each of what is there: ``Delete.Objects[]``
  are the elements of a list, ``RequestItems{}`` the entries of a map, whose keys are then the
  parameter ``$key``. Their members count as parameters beside those of the call.
- ``if``, ``unless``: parameters of which one must be there, or none may be.
- ``context``: parameters by condition key; ``=text`` stands for the text itself.

A resource has ``from``, the parameter that names it, ``as``, how it is read (see
``resources.py``), and ``arn``, with ``{region}``, ``{account}`` and ``{value}``. ``then`` appends
to it where a further parameter is there.

``regular`` lists operations that ask for one resource under their own name.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from importlib.resources import files
from typing import Any

from attrs import field, frozen

__all__ = ["SERVICES", "Ask", "Resource", "Table", "table"]

SERVICES = (
    "cloudwatch",
    "dynamodb",
    "events",
    "kinesis",
    "kms",
    "lambda",
    "logs",
    "s3",
    "secretsmanager",
    "sns",
    "sqs",
    "ssm",
    "stepfunctions",
    "sts",
)


@frozen
class Resource:
    """How the ARN of a resource follows from parameters."""

    source: str
    reading: str = "name"
    arn: str = ""
    then: Mapping[str, str] = field(factory=dict)
    optional: str = ""


@frozen
class Ask:
    """One permission that an operation needs, for each of what its path names."""

    action: str
    on: Resource | None = None
    each: str = ""
    when: tuple[str, ...] = ()
    unless: tuple[str, ...] = ()
    context: Mapping[str, str] = field(factory=dict)
    special: str = ""


@frozen
class Table:
    """A service's part of the table."""

    prefix: str
    operations: Mapping[str, tuple[Ask, ...]]


@lru_cache(maxsize=len(SERVICES))
def table(service: str) -> Table | None:
    """Return the part of a service, by botocore's name; None for one that the table lacks."""
    if service not in SERVICES:
        return None
    data: dict[str, Any] = json.loads(
        files("faaskit.gate.operations").joinpath(f"{service}.json").read_text("utf-8")
    )
    prefix = data["prefix"]
    resources = {
        name: Resource(
            source=one["from"],
            reading=one.get("as", "name"),
            arn=one.get("arn", ""),
            then=one.get("then", {}),
            optional=one.get("optional", ""),
        )
        for name, one in data.get("resources", {}).items()
    }

    def ask(operation: str, one: Mapping[str, Any]) -> Ask:
        action = one.get("action", operation)
        return Ask(
            action=action if ":" in action else f"{prefix}:{action}",
            on=None if one.get("on", "*") == "*" else resources[one["on"]],
            each=one.get("each", ""),
            when=tuple(one.get("if", ())),
            unless=tuple(one.get("unless", ())),
            context=one.get("context", {}),
            special=one.get("special", ""),
        )

    operations = {
        operation: (ask(operation, {"on": resource}),)
        for resource, names in data.get("regular", {}).items()
        for operation in names
    }
    operations |= {
        operation: tuple(ask(operation, one) for one in asks)
        for operation, asks in data.get("operations", {}).items()
    }
    return Table(prefix, operations)
