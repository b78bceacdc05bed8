"""What a service call needs, by the table. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Protocol

from faaskit.gate.operations.dynamodb import item_context
from faaskit.gate.operations.resources import arn_of, refuse
from faaskit.gate.operations.table import Ask, table
from faaskit.gate.service import Requirement, excerpt
from faaskit.runtimes.contract import ServiceCall

__all__ = ["Needs", "Resolve", "requirements"]

# Tells what a call's parameters alone don't, or None: of ("partition key", a table's ARN) its
# name, of ("stream", a shard iterator) the stream's ARN.
Resolve = Callable[[str, str], str | None]

_MOST = 2000  # AWS takes 1,000 objects at once, and of nothing else as many
_NAME_CHARACTERS = 128


class Needs(Protocol):
    """What ``requirements`` is, for the gate."""

    def __call__(
        self, call: ServiceCall, *, region: str, account: str, resolve: Resolve
    ) -> Sequence[Requirement]:
        """Return all that a role must allow."""


def _unknown(_kind: str, _value: str) -> None:
    """Return that nothing more is known."""


def requirements(
    call: ServiceCall, *, region: str, account: str, resolve: Resolve = _unknown
) -> Sequence[Requirement]:
    """
    Return all that a role must allow before a call is carried out; never nothing.

    Args:
        call: Not trusted.
        region: Of calls that name none.
        account: Of resources that are named without one.
        resolve: Tells what the parameters alone don't.

    Raises:
        Refusal: The call is malformed: what it needs can't be told.
    """
    if not _is_name(call.service) or not _is_name(call.operation):
        refuse(f"{excerpt(call.service)}:{excerpt(call.operation)} is no operation of AWS's")
    service = table(call.service)
    asks = None if service is None else service.operations.get(call.operation)
    if asks is None:
        prefix = call.service if service is None else service.prefix
        action = f"{prefix}:{call.operation}"
        note = (
            f"The gate does not know what {call.service}'s {call.operation} is about: a role must "
            f"allow {action} itself on '*'"
        )
        return [Requirement(action, "*", note=note)]
    found: list[Requirement] = []
    given = {**call.parameters, **_implied(call.parameters)}
    for one in asks:
        for parameters in _each(given, one.each):
            if not _applies(one, parameters):
                continue
            resource = "*"
            if one.on is not None:
                resource = arn_of(one.on, parameters, region=call.region or region, account=account)
            context = _context(one, parameters)
            if one.special == "item":
                key = resolve("partition key", resource)
                context |= item_context(call.operation, parameters, key)
            elif one.special == "iterator":
                iterator = parameters.get("ShardIterator")
                known = resolve("stream", iterator) if isinstance(iterator, str) else None
                resource = known or "*"
            found.append(Requirement(one.action, resource, context))
            if len(found) > _MOST:
                refuse(f"{call.operation} names over {_MOST} resources")
    if not found:
        refuse(f"{call.operation} names no resource")
    return found


def _is_name(text: str) -> bool:
    return text.isascii() and text.replace("-", "").isalnum() and len(text) <= _NAME_CHARACTERS


def _applies(ask: Ask, parameters: Mapping[str, Any]) -> bool:
    if ask.when and not any(parameters.get(name) is not None for name in ask.when):
        return False
    return not any(parameters.get(name) is not None for name in ask.unless)


def _each(parameters: Mapping[str, Any], path: str) -> Iterator[Mapping[str, Any]]:
    """Yield the parameters of each of what a path names, beside those of the call."""
    if not path:
        yield parameters
        return
    places: list[tuple[Any, dict[str, Any]]] = [(parameters, {})]
    for step in path.split("."):
        places = list(_stepped(places, step))
        if len(places) > _MOST:
            refuse(f"{path} has over {_MOST} entries")
    for value, bound in places:
        members = value if isinstance(value, Mapping) else {"$value": value}
        yield {**parameters, **bound, **members}


def _stepped(
    places: list[tuple[Any, dict[str, Any]]], step: str
) -> Iterator[tuple[Any, dict[str, Any]]]:
    name, kind = step.rstrip("[]{}"), step[-2:]
    for value, bound in places:
        if not isinstance(value, Mapping):
            refuse(f"{excerpt(value)} stands where {name} should be in a structure")
        inner = value.get(name)
        if inner is None:
            continue
        if kind == "[]":
            if not isinstance(inner, list):
                refuse(f"parameter {name} is {excerpt(inner)}: pass a list")
            yield from ((one, bound) for one in inner)
        elif kind == "{}":
            if not isinstance(inner, Mapping):
                refuse(f"parameter {name} is {excerpt(inner)}: pass values by name")
            for key, one in inner.items():
                yield {"$of": one} if not isinstance(one, Mapping) else one, {**bound, "$key": key}
        else:
            yield inner, bound


def _context(ask: Ask, parameters: Mapping[str, Any]) -> dict[str, str | tuple[str, ...]]:
    found: dict[str, str | tuple[str, ...]] = {}
    for key, source in ask.context.items():
        if source.startswith("="):
            found[key] = source[1:]
            continue
        value = parameters.get(source)
        if key.endswith("/*"):  # a key for each entry of a map
            if isinstance(value, Mapping):
                found |= {f"{key[:-1]}{name}": _plain(one) for name, one in value.items()}
            elif value is not None:
                refuse(f"parameter {source} is {excerpt(value)}: pass values by name")
        elif isinstance(value, list):
            found[key] = tuple(_plain(one) for one in value)
        elif value is not None:
            found[key] = _plain(value)
    return found


def _implied(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Return what parts of parameters say: a copy's version, a key's alias. Theirs are the $."""
    implied: dict[str, Any] = {name: None for name in parameters if name.startswith("$")}
    key, source = parameters.get("KeyId"), parameters.get("CopySource")
    if isinstance(key, str) and "alias/" in key:
        implied["$alias"] = "alias/" + key.partition("alias/")[2]
    if isinstance(source, str) and "?versionId=" in source:
        implied["$version"] = True
    return implied


def _plain(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str | int):
        return str(value)
    return refuse(f"{excerpt(value)} stands where a condition key's value should be")
