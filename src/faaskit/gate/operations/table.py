"""
The table of operations, read from its files.

The files are generated (``tools/operations/generate.py``) from AWS's service authorization
reference, botocore's models and the overrides beside the generator; each names the versions that
it was made from. A file has IAM's ``prefix`` of the service, ``resources``, and ``operations``.
An operation has ``asks``, all of which must be allowed, and may have ``exclusive`` (parameters of
which one may be given at most) and ``same`` (resources that must be the same one, where several
are named). An ask has:

- ``action``: IAM's.
- ``on``: a name in ``resources``; by default ``*``, for an action that is about no resource.
- ``each``: a path in the parameters, for an ask for each of what is there: ``Delete.Objects[]``
  are the elements of a list, ``RequestItems{}`` the entries of a map, whose keys are then the
  parameter ``$key``. Their members count as parameters beside those of the call.
- ``if``, ``unless``: parameters of which one must be there, or none may be; ``where``: patterns
  that parameters must match.
- ``context``: where a condition key's value comes from, see ``keys.py``.
- ``unknown``: condition keys of the action whose value can't be known here.
- ``unlisted``: the reference has no such action: any Deny of the service may mean it.

A resource has ``from``, the parameter that names it, ``as``, how it is read (see
``resources.py``), and ``arn``, with ``{region}``, ``{account}`` and ``{value}``. ``then`` appends
to it where a further parameter is there; ``account`` is the parameter that names its owner. One
that is read as a ``pattern`` isn't known: its ARN is a pattern of what it may be.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from importlib.resources import files
from typing import Any

from attrs import field, frozen

__all__ = [
    "SERVICES",
    "Ask",
    "Exclusive",
    "Operation",
    "Resource",
    "Table",
    "prefixes",
    "table",
]

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

    source: str = ""
    reading: str = "name"
    arn: str = ""
    then: Mapping[str, str] = field(factory=dict)
    optional: str = ""
    account: str = ""


@frozen
class Ask:
    """One permission that an operation needs, for each of what its path names."""

    action: str
    on: Resource | None = None
    each: str = ""
    when: tuple[str, ...] = ()
    unless: tuple[str, ...] = ()
    where: Mapping[str, str] = field(factory=dict)
    context: Mapping[str, str] = field(factory=dict)
    unknown: frozenset[str] = frozenset()
    special: str = ""
    unlisted: bool = False


@frozen
class Exclusive:
    """Parameters that name the same thing, of which AWS takes one; and its error otherwise."""

    members: tuple[str, ...]
    code: str
    message: str


@frozen
class Operation:
    """An operation's permissions, and the rules for parameters that name one resource twice."""

    asks: tuple[Ask, ...]
    exclusive: tuple[Exclusive, ...] = ()
    same: tuple[Resource, ...] = ()


@frozen
class Table:
    """A service's part of the table."""

    prefix: str
    operations: Mapping[str, Operation]


@lru_cache(maxsize=len(SERVICES))
def table(service: str) -> Table | None:
    """Return the part of a service, by botocore's name; None for one that the table lacks."""
    if service not in SERVICES:
        return None
    data = _read(f"{service}.json")
    resources = {name: _resource(one) for name, one in data["resources"].items()}
    operations = {name: _operation(one, resources) for name, one in data["operations"].items()}
    return Table(data["prefix"], operations)


@lru_cache(maxsize=1)
def prefixes() -> Mapping[str, str]:
    """Return IAM's prefix of each of botocore's services for which it is known."""
    found: Mapping[str, str] = _read("prefixes.json")["prefixes"]
    return found


def _read(name: str) -> dict[str, Any]:
    text = files("faaskit.gate.operations").joinpath(name).read_text("utf-8")
    data: dict[str, Any] = json.loads(text)
    return data


def _resource(one: Mapping[str, Any]) -> Resource:
    return Resource(
        source=one.get("from", ""),
        reading=one.get("as", "name"),
        arn=one.get("arn", ""),
        then=one.get("then", {}),
        optional=one.get("optional", ""),
        account=one.get("account", ""),
    )


def _operation(one: Mapping[str, Any], resources: Mapping[str, Resource]) -> Operation:
    return Operation(
        asks=tuple(_ask(ask, resources) for ask in one["asks"]),
        exclusive=tuple(
            Exclusive(tuple(rule["members"]), rule["code"], rule["message"])
            for rule in one.get("exclusive", ())
        ),
        same=tuple(resources[name] for name in one.get("same", ())),
    )


def _ask(one: Mapping[str, Any], resources: Mapping[str, Resource]) -> Ask:
    return Ask(
        action=one["action"],
        on=resources[one["on"]] if "on" in one else None,
        each=one.get("each", ""),
        when=tuple(one.get("if", ())),
        unless=tuple(one.get("unless", ())),
        where=one.get("where", {}),
        context=one.get("context", {}),
        unknown=frozenset(one.get("unknown", ())),
        special=one.get("special", ""),
        unlisted=one.get("unlisted", False),
    )
