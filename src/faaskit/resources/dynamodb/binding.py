"""An expression together with the names and values that its request gives beside it. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from faaskit.gate.service import Refusal, excerpt
from faaskit.resources.dynamodb.grammar import (
    MAX_BYTES,
    SyntaxProblem,
    read_condition,
    read_paths,
    read_update,
)
from faaskit.resources.dynamodb.refusals import invalid
from faaskit.resources.dynamodb.reserved import RESERVED
from faaskit.resources.dynamodb.syntax import (
    Action,
    All,
    Among,
    AnyOf,
    Argument,
    Arithmetic,
    Between,
    Call,
    Comparison,
    Condition,
    Constant,
    Not,
    Operand,
    Path,
    Section,
    Update,
)
from faaskit.resources.dynamodb.values import AttributeValue, checked, utf8

__all__ = ["Bindings", "rejecting"]

_T = TypeVar("_T")
_R = TypeVar("_R")

_NAME_KEY = re.compile(r"#[A-Za-z0-9_]+")
_VALUE_KEY = re.compile(r":[A-Za-z0-9_]+")


class Bindings:
    """
    What a request gives beside its expressions, and which of that they use.

    Args:
        parameters: Of the request, not trusted.

    Raises:
        Refusal: Names or values are not as DynamoDB takes them.
    """

    def __init__(self, parameters: Mapping[str, Any]) -> None:
        self._names = _names(parameters.get("ExpressionAttributeNames"))
        self._values = _values(parameters.get("ExpressionAttributeValues"))
        self._unused_names = set(self._names)
        self._unused_values = set(self._values)
        self._expressions = 0

    def condition(self, expression: str, text: object) -> Condition | None:
        """
        Return what a condition, filter or key condition says; None where there is none.

        Args:
            expression: The name of the parameter, for messages.
            text: Not trusted.

        Raises:
            Refusal: It is not one.
        """
        read = self._read(expression, text, read_condition)
        return None if read is None else self._bound(expression, read, self._condition)

    def update(self, text: object) -> Update | None:
        """Return what an update expression says; None where there is none."""
        read = self._read("UpdateExpression", text, read_update)
        return None if read is None else self._bound("UpdateExpression", read, self._update)

    def paths(self, text: object) -> tuple[Path, ...] | None:
        """Return the paths of a projection expression; None where there is none."""
        read = self._read("ProjectionExpression", text, read_paths)
        return None if read is None else self._bound("ProjectionExpression", read, self._paths)

    def finish(self) -> None:
        """
        See that nothing was given in vain.

        Raises:
            Refusal: Something was.
        """
        for what, given, unused in (
            ("ExpressionAttributeNames", self._names, self._unused_names),
            ("ExpressionAttributeValues", self._values, self._unused_values),
        ):
            if given and not self._expressions:
                msg = f"{what} can only be specified when using expressions"
                raise invalid(msg)
            if unused:
                keys = ", ".join(sorted(unused))
                msg = f"Value provided in {what} unused in expressions: keys: {{{keys[:1000]}}}"
                raise invalid(msg)

    def _read(self, expression: str, text: object, read: Callable[[str], _T]) -> _T | None:
        if text is None:
            return None
        if not isinstance(text, str):
            msg = f"{expression} is {excerpt(text)}: DynamoDB takes a text"
            raise invalid(msg)
        if not text.strip():
            msg = f"Invalid {expression}: The expression can not be empty;"
            raise invalid(msg)
        size = len(utf8(text))
        if size > MAX_BYTES:
            msg = (
                f"Invalid {expression}: Expression size has exceeded the maximum allowed size; "
                f"expression size: {size}"
            )
            raise invalid(msg)
        self._expressions += 1
        return rejecting(expression, read, text)

    def _bound(self, expression: str, read: _T, bind: Callable[[_T], _T]) -> _T:
        return rejecting(expression, bind, read)

    def _condition(self, read: Condition) -> Condition:
        if isinstance(read, (All, AnyOf)):
            return type(read)(tuple(map(self._condition, read.conditions)))
        if isinstance(read, Not):
            return Not(self._condition(read.condition))
        if isinstance(read, Comparison):
            return Comparison(read.operator, self._operand(read.left), self._operand(read.right))
        if isinstance(read, Between):
            return Between(*map(self._operand, (read.operand, read.low, read.high)))
        if isinstance(read, Among):
            return Among(self._operand(read.operand), tuple(map(self._operand, read.options)))
        return self._call(read)

    def _update(self, read: Update) -> Update:
        return tuple(
            Section(section.kind, tuple(map(self._action, section.actions))) for section in read
        )

    def _action(self, read: Action) -> Action:
        path = self._path(read.path)
        if read.value is None:
            return Action(read.kind, path)
        if isinstance(read.value, Arithmetic):
            left, right = self._operand(read.value.left), self._operand(read.value.right)
            return Action(read.kind, path, Arithmetic(read.value.operator, left, right))
        return Action(read.kind, path, self._operand(read.value))

    def _paths(self, read: tuple[Path, ...]) -> tuple[Path, ...]:
        return tuple(map(self._path, read))

    def _operand(self, read: Operand) -> Operand:
        if isinstance(read, Path):
            return self._path(read)
        if isinstance(read, Call):
            return self._call(read)
        if isinstance(read, Argument):
            return Constant(self._value(read.name))
        return read

    def _call(self, read: Call) -> Call:
        return Call(read.function, tuple(map(self._operand, read.operands)))

    def _path(self, read: Path) -> Path:
        return Path(
            tuple(part if isinstance(part, int) else self._part(part) for part in read.parts)
        )

    def _part(self, part: str) -> str:
        if not part.startswith("#"):
            if part.upper() in RESERVED:
                msg = f"Attribute name is a reserved keyword; reserved keyword: {part}"
                raise SyntaxProblem(msg)
            return part
        name = self._names.get(part)
        if name is None:
            msg = (
                "An expression attribute name used in the document path is not defined; "
                f"attribute name: {part}"
            )
            raise SyntaxProblem(msg)
        self._unused_names.discard(part)
        return name

    def _value(self, key: str) -> AttributeValue:
        value = self._values.get(key)
        if value is None:
            msg = (
                "An expression attribute value used in expression is not defined; attribute "
                f"value: {key}"
            )
            raise SyntaxProblem(msg)
        self._unused_values.discard(key)
        return value


def rejecting(expression: str, do: Callable[[_T], _R], what: _T) -> _R:
    """
    Return what a step makes of an expression; a problem becomes a Refusal that names it.

    Args:
        expression: The name of the parameter.
        do: The step.
        what: The expression.
    """
    try:
        return do(what)
    except SyntaxProblem as problem:
        msg = f"Invalid {expression}: {problem}"
        raise invalid(msg) from None
    except RecursionError:
        msg = f"Invalid {expression}: it is nested too deeply for the app's own tables"
        raise invalid(msg) from None


def _names(given: object) -> Mapping[str, str]:
    what = "ExpressionAttributeNames"
    names: dict[str, str] = {}
    for key, name in _entries(what, given, _NAME_KEY):
        if not isinstance(name, str) or not name:
            msg = f"{what} contains invalid value: {excerpt(name)} for key {key}"
            raise invalid(msg)
        utf8(name)
        names[key] = name
    return names


def _values(given: object) -> Mapping[str, AttributeValue]:
    what = "ExpressionAttributeValues"
    values: dict[str, AttributeValue] = {}
    for key, value in _entries(what, given, _VALUE_KEY):
        try:
            values[key] = checked(value)
        except Refusal as refusal:
            msg = f"{what} contains invalid value: {refusal.failure.message} for key {key}"
            raise invalid(msg) from None
    return values


def _entries(what: str, given: object, form: re.Pattern[str]) -> list[tuple[str, object]]:
    if given is None:
        return []
    if not isinstance(given, Mapping):
        msg = f"{what} is {excerpt(given)}: DynamoDB takes a map"
        raise invalid(msg)
    if not given:
        msg = f"{what} must not be empty"
        raise invalid(msg)
    for key in given:
        if not isinstance(key, str) or not form.fullmatch(key):
            shown = key if isinstance(key, str) else excerpt(key)
            msg = f'{what} contains invalid key: Syntax error; key: "{excerpt(shown)[1:-1]}"'
            raise invalid(msg)
    return list(given.items())
