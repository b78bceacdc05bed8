"""
The condition keys that a call's parameters give. Pure.

Where the value of a key comes from:

- ``Name`` or ``Outer.Name``: a parameter; the request lacks the key where it isn't given.
  A key that ends in ``*`` is a family: one key for each tag or entry that the parameter holds.
- ``Name=text``: the same, with AWS's default where it isn't given.
- ``Name?``: the same; not known where it isn't given, as AWS fills it by other means.
- ``?Name``: not known where the parameter is given; the request lacks the key otherwise.
- ``#Name``: the names alone of the tags or entries that the parameter holds.
- ``&Name``: the ARN of the Lambda function that the parameter names.
- ``=text``: the text itself; ``@account`` is the caller's account, ``@owner`` the resources'.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any
from urllib.parse import parse_qsl

from attrs import frozen

from faaskit.gate.operations.resources import refuse
from faaskit.gate.service import excerpt

__all__ = ["Accounts", "Filled", "fill", "plain", "value_at"]

_NAMES = ("Key", "key", "TagKey", "tagKey")
_VALUES = ("Value", "value", "TagValue", "tagValue")
_MOST = 1000  # entries of one parameter

Context = dict[str, str | tuple[str, ...]]


@frozen
class Accounts:
    """The account of the caller, and the one that owns what a name alone names."""

    caller: str
    owner: str


@frozen
class Filled:
    """The condition keys of one ask: those with a value, and those that aren't known."""

    context: Context
    unknown: frozenset[str]


def fill(
    sources: Mapping[str, str],
    parameters: Mapping[str, Any],
    *,
    accounts: Accounts,
    function_arn: Callable[[object], str],
    unknown: frozenset[str] = frozenset(),
) -> Filled:
    """
    Return the condition keys that parameters give.

    Args:
        sources: Where each key comes from.
        parameters: Not trusted.
        accounts: For the keys that name an account.
        function_arn: Returns the ARN of a function by its name.
        unknown: Keys, in lower case, that aren't known whatever the parameters are.

    Raises:
        Refusal: A parameter can't be read as what it should be.
    """
    context: Context = {}
    doubtful: set[str] = set()
    for key, source in sources.items():
        if source.isalnum() and parameters.get(source) is None:
            continue  # most parameters aren't given, and most sources are one by its name
        kind, name = source[0], source[1:]
        if kind == "=":
            context[key] = name
        elif kind == "@":
            context[key] = accounts.caller if name == "account" else accounts.owner
        elif kind == "?":
            if value_at(parameters, name) is not None:
                doubtful.add(key.lower())
        elif kind == "&":
            if value_at(parameters, name) is not None:
                context[key] = function_arn(value_at(parameters, name))
        elif kind == "#":
            names = tuple(name for name, _ in _entries(name, value_at(parameters, name)))
            if names:
                context[key] = names
        elif key.endswith("*"):
            _fill_family(key, _entries(source, value_at(parameters, source)), context, doubtful)
        else:
            _fill_one(key, source, parameters, context, doubtful)
    return Filled(context, unknown | doubtful if doubtful else unknown)


def _fill_one(
    key: str, source: str, parameters: Mapping[str, Any], context: Context, doubtful: set[str]
) -> None:
    open_ended = source.endswith("?")
    name, has_default, default = source.removesuffix("?").partition("=")
    value = value_at(parameters, name)
    if isinstance(value, list | tuple):
        if len(value) > _MOST:
            refuse(f"parameter {name} has over {_MOST} values")
        context[key] = tuple(plain(one) for one in value)
    elif value is not None:
        context[key] = plain(value)
    elif has_default:
        context[key] = default
    elif open_ended:
        doubtful.add(key.lower())


def _fill_family(
    key: str, entries: Iterator[tuple[str, Any]], context: Context, doubtful: set[str]
) -> None:
    seen: set[str] = set()
    for name, value in entries:
        one = key[:-1] + name
        folded = one.lower()
        if folded in seen:
            # Tags whose names differ in case only are one key to IAM; which of the values
            # AWS compares isn't documented.
            context.pop(next(other for other in context if other.lower() == folded), None)
            doubtful.add(folded)
            continue
        seen.add(folded)
        context[one] = "" if value is None else plain(value)


def value_at(parameters: Mapping[str, Any], path: str) -> Any:
    """Return what a dotted path names in the parameters; None where a part of it is missing."""
    if "." not in path:
        return parameters.get(path)
    value: Any = parameters
    for name in path.split("."):
        if not isinstance(value, Mapping):
            refuse(f"{excerpt(value)} stands where {name} should be in a structure")
        value = value.get(name)
        if value is None:
            return None
    return value


def _entries(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    """Yield the name and value of each tag: of a map, a list of tags or names, or a query."""
    if value is None:
        return
    if isinstance(value, str):
        try:
            found: Any = parse_qsl(value, keep_blank_values=True, max_num_fields=_MOST)
        except ValueError:
            refuse(f"parameter {name} has over {_MOST} fields")
    elif isinstance(value, Mapping):
        found = list(value.items())
    elif isinstance(value, list | tuple):
        found = [_entry(name, one) for one in value[: _MOST + 1]]
    else:
        refuse(f"parameter {name} is {excerpt(value)}: pass names and values")
    if len(found) > _MOST:
        refuse(f"parameter {name} has over {_MOST} entries")
    for key, one in found:
        yield plain(key), one


def _entry(name: str, one: Any) -> tuple[Any, Any]:
    if isinstance(one, str):
        return one, None
    if isinstance(one, Mapping):
        for key, value in zip(_NAMES, _VALUES, strict=True):
            if one.get(key) is not None:
                return one[key], one.get(value)
    return refuse(f"{excerpt(one)} in parameter {name} is not a tag: pass its key and value")


def plain(value: object) -> str:
    """Return a parameter's value as a condition compares it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str | int):
        return str(value)
    return refuse(f"{excerpt(value)} stands where a condition key's value should be")
