"""What a service call needs, by the table. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any, Protocol

from attrs import frozen

from faaskit.gate.operations.dynamodb import item_context
from faaskit.gate.operations.keys import Accounts, Filled, fill, plain, value_at
from faaskit.gate.operations.partiql import read_statement
from faaskit.gate.operations.resources import Arn, arn_of, refuse
from faaskit.gate.operations.table import Ask, Operation, Resource, Table, prefixes, table
from faaskit.gate.service import Refusal, Requirement, excerpt
from faaskit.iam.context import Unknowns
from faaskit.runtimes.contract import ServiceCall

__all__ = ["Needs", "Resolve", "requirements"]

# Tells what a call's parameters alone don't, or None: of ("partition key", a table's ARN) its
# name, of ("stream", a shard iterator) the stream's ARN.
Resolve = Callable[[str, str], str | None]

_MOST = 2000  # AWS takes 1,000 objects at once, and of nothing else as many
_NAME_CHARACTERS = 128
_ANY = frozenset({"*"})
_ALIASES = {
    "$alias": "KeyId",
    "$sourceAlias": "SourceKeyId",
    "$destinationAlias": "DestinationKeyId",
}
_FUNCTION = "arn:aws:lambda:{region}:{account}:function:{value}"
_OF_A_MACHINE = 6  # colons in a state machine's ARN, without a version or alias


class Needs(Protocol):
    """What ``requirements`` is, for the gate."""

    def __call__(
        self,
        call: ServiceCall,
        *,
        region: str,
        account: str,
        caller: str = "",
        resolve: Resolve,
    ) -> Sequence[Requirement]:
        """Return all that a role must allow."""


def _unknown(_kind: str, _value: str) -> None:
    """Return that nothing more is known."""


@frozen
class _Place:
    """The region and account of a call, for the ARNs of what it names."""

    region: str
    accounts: Accounts
    resolve: Resolve

    def function_arn(self, name: object) -> str:
        """Return the ARN of a Lambda function, for a condition key."""
        function = Resource("FunctionName", "function", _FUNCTION)
        named = {"FunctionName": name}
        return arn_of(function, named, region=self.region, account=self.accounts.owner).text

    def fill(self, ask: Ask, parameters: Mapping[str, Any]) -> Filled:
        return fill(
            ask.context,
            parameters,
            accounts=self.accounts,
            function_arn=self.function_arn,
            unknown=ask.unknown,
        )

    def arn(self, ask: Ask, parameters: Mapping[str, Any]) -> Arn:
        if ask.on is None:
            return Arn("*", pattern=ask.unlisted)
        return arn_of(ask.on, parameters, region=self.region, account=self.accounts.owner)


def requirements(
    call: ServiceCall,
    *,
    region: str,
    account: str,
    caller: str = "",
    resolve: Resolve = _unknown,
) -> Sequence[Requirement]:
    """
    Return all that a role must allow before a call is carried out; never nothing.

    Args:
        call: Not trusted.
        region: Of calls that name none.
        account: Of resources that are named without one.
        caller: The account of who calls. Default: ``account``.
        resolve: Tells what the parameters alone don't.

    Raises:
        Refusal: The call is malformed: what it needs can't be told.
    """
    if not _is_name(call.service) or not _is_name(call.operation):
        refuse(f"{excerpt(call.service)}:{excerpt(call.operation)} is no operation of AWS's")
    service = table(call.service)
    operation = None if service is None else service.operations.get(call.operation)
    if operation is None:
        return [_unlisted(call, service)]
    place = _Place(call.region or region, Accounts(caller or account, account), resolve)
    given = {**call.parameters, **_implied(call.parameters)}
    _check_names(operation, given, place)
    found: list[Requirement] = []
    for ask in operation.asks:
        for parameters in _each(given, ask.each):
            if _applies(ask, parameters):
                found.append(_requirement(call, ask, parameters, place))
            if len(found) > _MOST:
                refuse(f"{call.operation} names over {_MOST} resources")
    if not found:
        refuse(f"{call.operation} names no resource")
    return found


def _requirement(
    call: ServiceCall, ask: Ask, parameters: Mapping[str, Any], place: _Place
) -> Requirement:
    if ask.special == "statement":
        return _of_statement(call, ask, parameters, place)
    arn = place.arn(ask, parameters)
    filled = place.fill(ask, parameters)
    context = filled.context
    if ask.special == "item":
        key = place.resolve("partition key", arn.text)
        context |= item_context(call.operation, parameters, key)
    elif ask.special == "iterator":
        iterator = parameters.get("ShardIterator")
        known = place.resolve("stream", iterator) if isinstance(iterator, str) else None
        arn = Arn(known) if known else arn
    actions = f"{ask.action.partition(':')[0]}:*" if ask.unlisted else ""
    keys = _ANY if ask.unlisted else filled.unknown
    unknown = Unknowns(arn.pattern, keys, actions)
    note = _note(call.service, call.operation, ask.action) if ask.unlisted else ""
    return Requirement(ask.action, arn.text, context, note, unknown)


def _of_statement(
    call: ServiceCall, ask: Ask, parameters: Mapping[str, Any], place: _Place
) -> Requirement:
    """Return the permission that a PartiQL statement needs on its table or index."""
    target = read_statement(parameters.get("Statement"))
    named = {"TableName": target.table}
    if target.index is not None:
        named["IndexName"] = target.index
    arn = place.arn(ask, named)
    filled = place.fill(ask, parameters)
    action = f"dynamodb:{target.action}"
    context = filled.context
    if call.operation == "ExecuteTransaction":
        context["dynamodb:EnclosingOperation"] = call.operation
    return Requirement(action, arn.text, context, unknown=Unknowns(arn.pattern, filled.unknown))


def _unlisted(call: ServiceCall, service: Table | None) -> Requirement:
    """Return what an operation needs that the table lacks: itself, and no Deny of its service."""
    prefix = service.prefix if service else prefixes().get(call.service)
    action = f"{prefix or call.service}:{call.operation}"
    actions = f"{prefix.lower()}:*" if prefix else "*"
    return Requirement(
        action,
        "*",
        note=_note(call.service, call.operation, action),
        unknown=Unknowns(resource=True, keys=_ANY, actions=actions),
    )


def _note(service: str, operation: str, action: str) -> str:
    return (
        f"The gate does not know what {service}'s {operation} is about: a role must allow "
        f"{action} itself on '*', and no statement may deny an action of the service"
    )


def _is_name(text: str) -> bool:
    return text.isascii() and text.replace("-", "").isalnum() and len(text) <= _NAME_CHARACTERS


def _check_names(operation: Operation, parameters: Mapping[str, Any], place: _Place) -> None:
    """Refuse parameters that name a resource twice, and not the same one."""
    for rule in operation.exclusive:
        if sum(value_at(parameters, name) is not None for name in rule.members) > 1:
            raise Refusal(rule.message, code=rule.code)
    named = [
        (one.source, arn_of(one, parameters, region=place.region, account=place.accounts.owner))
        for one in operation.same
        if parameters.get(one.source) is not None
    ]
    for source, arn in named[1:]:
        if arn.text != named[0][1].text:
            first = named[0][0]
            refuse(
                f"{first} {excerpt(parameters[first])} and {source} "
                f"{excerpt(parameters[source])} name different resources"
            )


def _applies(ask: Ask, parameters: Mapping[str, Any]) -> bool:
    if ask.when and all(value_at(parameters, name) is None for name in ask.when):
        return False
    if any(value_at(parameters, name) is not None for name in ask.unless):
        return False
    return all(_matches(parameters, name, text) for name, text in ask.where.items())


def _matches(parameters: Mapping[str, Any], name: str, pattern: str) -> bool:
    value = value_at(parameters, name)
    return value is not None and fnmatchcase(plain(value).lower(), pattern)


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
        if path[-1] in "]}" and any(parameters.get(name) is not None for name in members):
            # An entry's own Bucket, say, would stand in for the call's.
            refuse(f"an entry of {path} has a parameter of the call itself")
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


def _implied(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Return what parts of parameters say: a copy's version, a key's alias. Theirs are the $."""
    implied: dict[str, Any] = {name: None for name in parameters if name.startswith("$")}
    for name, source in _ALIASES.items():
        key = parameters.get(source)
        if isinstance(key, str) and "alias/" in key:
            implied[name] = "alias/" + key.partition("alias/")[2]
    copied, machine = parameters.get("CopySource"), parameters.get("stateMachineArn")
    if isinstance(copied, str) and "?versionId=" in copied:
        implied["$version"] = copied.partition("?versionId=")[2]
    if isinstance(machine, str) and machine.count(":") > _OF_A_MACHINE:
        implied["$qualifier"] = machine.split(":")[_OF_A_MACHINE + 1]
    for name in ("CustomerMasterKeySpec", "KeySpec"):
        if parameters.get(name) is not None:
            implied["$keySpec"] = parameters[name]
    return implied
