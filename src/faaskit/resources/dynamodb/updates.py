"""Update expressions: whether DynamoDB takes them, and what they make of an item. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from attrs import field, frozen

from faaskit.resources.dynamodb.grammar import SyntaxProblem
from faaskit.resources.dynamodb.numbers import added
from faaskit.resources.dynamodb.paths import branches, found
from faaskit.resources.dynamodb.refusals import invalid
from faaskit.resources.dynamodb.syntax import (
    Action,
    Arithmetic,
    Call,
    Constant,
    Operand,
    Path,
    Update,
)
from faaskit.resources.dynamodb.values import (
    MAX_ITEM_BYTES,
    AttributeValue,
    Item,
    checked_depth,
    item_size,
    kind_of,
)

__all__ = ["actions_of", "check_update", "creates", "updated"]

_SETS = {"SS", "NS", "BS"}
_LONG_NAMES = {
    "S": "STRING",
    "N": "NUMBER",
    "B": "BINARY",
    "SS": "STRING_SET",
    "NS": "NUMBER_SET",
    "BS": "BINARY_SET",
    "BOOL": "BOOLEAN",
    "NULL": "NULL",
    "L": "LIST",
    "M": "MAP",
}
_OPERANDS = 2  # of each function that SET has


def actions_of(update: Update) -> Iterator[Action]:
    """Yield all that an update does."""
    for section in update:
        yield from section.actions


def creates(update: Update | None) -> bool:
    """Return whether an update makes an item where there is none: removing alone does not."""
    return update is None or any(section.kind in {"SET", "ADD"} for section in update)


def check_update(update: Update) -> None:
    """
    See that an update is one that can be done.

    Raises:
        SyntaxProblem: It is not.
        Refusal: Its paths are in each other's way.
    """
    seen = set()
    for section in update:
        if section.kind in seen:
            msg = f'The "{section.kind}" section can only be used once in an update expression;'
            raise SyntaxProblem(msg)
        seen.add(section.kind)
    for action in actions_of(update):
        _check_action(action)
    branches("UpdateExpression", (action.path for action in actions_of(update)))


def updated(update: Update, item: Mapping[str, AttributeValue], *, exists: bool) -> Item:
    """
    Return what an update that was checked makes of an item, which stays as it is.

    Args:
        update: Checked.
        item: Its attributes; those of the key where there is none.
        exists: Whether there is one.

    Raises:
        Refusal: It can't be done to this item.
    """
    work = _Work(item, exists)
    for action in actions_of(update):
        work.do(action)
    return work.finish()


@frozen
class _Growth:
    """What a list is to lose, by place, and to gain, each with the place it was meant for."""

    elements: list[AttributeValue]
    lost: set[int] = field(factory=set)
    gained: list[tuple[int, AttributeValue]] = field(factory=list)


class _Work:
    """An update under way. What is read is read of the item as it was."""

    def __init__(self, item: Mapping[str, AttributeValue], exists: bool) -> None:
        self._before = item
        self._exists = exists
        self._after = dict(item)
        self._copied: set[str] = set()
        self._growths: dict[int, _Growth] = {}
        self._appended = 0  # elements

    def do(self, action: Action) -> None:
        parts = action.path.parts
        if action.kind == "REMOVE":
            if self._exists or len(parts) == 1:
                self._remove(parts)
        elif action.kind == "SET":
            assert action.value is not None
            self._set(parts, self._assigned(action.value))
        else:
            assert isinstance(action.value, Constant)
            old = found(self._before, parts)
            value = dict(action.value.value)
            if action.kind == "ADD":
                self._set(parts, value if old is None else _sum_or_union(old, value))
            elif old is not None:
                self._delete(parts, old, value)

    def finish(self) -> Item:
        """Return the item as it is to be."""
        for growth in self._growths.values():
            kept = [one for at, one in enumerate(growth.elements) if at not in growth.lost]
            gained = [value for _, value in sorted(growth.gained, key=lambda pair: pair[0])]
            growth.elements[:] = kept + gained
        if item_size(self._after, MAX_ITEM_BYTES) > MAX_ITEM_BYTES:
            raise _too_large()
        for name in self._copied:
            if name in self._after:
                checked_depth(self._after[name])
        return self._after

    def _set(self, parts: tuple[str | int, ...], value: AttributeValue) -> None:
        last = parts[-1]
        if len(parts) == 1:
            self._copied.add(str(last))
            self._after[str(last)] = value
            return
        inside = self._container(parts)
        if isinstance(last, str) or last < len(inside):
            inside[last] = value
        else:
            self._growth(inside).gained.append((last, value))

    def _remove(self, parts: tuple[str | int, ...]) -> None:
        last = parts[-1]
        if len(parts) == 1:
            self._after.pop(str(last), None)
            return
        inside = self._container(parts)
        if isinstance(last, str):
            inside.pop(last, None)
        else:
            self._growth(inside).lost.add(last)

    def _delete(
        self, parts: tuple[str | int, ...], old: AttributeValue, value: AttributeValue
    ) -> None:
        kind = kind_of(value)
        if kind_of(old) != kind:
            raise _wrong_type()
        gone = set(value[kind])
        kept = [each for each in old[kind] if each not in gone]
        if kept:
            self._set(parts, {kind: kept})
        else:
            self._remove(parts)

    def _container(self, parts: tuple[str | int, ...]) -> Any:
        """Return the map or list that a path's last part is in, free to be changed."""
        name = str(parts[0])
        top = self._after.get(name)
        if top is not None and name not in self._copied:
            self._copied.add(name)
            top = self._after[name] = _copy(top)
        value = None if top is None else found({name: top}, parts[:-1])
        content = None if value is None else value.get("L" if isinstance(parts[-1], int) else "M")
        if content is None:
            msg = "The document path provided in the update expression is invalid for update"
            raise invalid(msg)
        return content

    def _growth(self, elements: list[AttributeValue]) -> _Growth:
        # By identity: the item holds the list for as long as this lasts.
        return self._growths.setdefault(id(elements), _Growth(elements))

    def _assigned(self, value: Operand | Arithmetic) -> AttributeValue:
        if not isinstance(value, Arithmetic):
            return self._operand(value)
        left, right = self._operand(value.left), self._operand(value.right)
        if "N" not in left or "N" not in right:
            raise _wrong_type()
        return {"N": added(left["N"], right["N"], sign=-1 if value.operator == "-" else 1)}

    def _operand(self, operand: Operand) -> AttributeValue:
        if isinstance(operand, Constant):
            return dict(operand.value)
        if isinstance(operand, Path):
            value = found(self._before, operand.parts)
            if value is None:
                msg = (
                    "The provided expression refers to an attribute that does not exist in the item"
                )
                raise invalid(msg)
            return value
        assert isinstance(operand, Call), operand
        first, second = operand.operands
        if operand.function == "if_not_exists":
            assert isinstance(first, Path)
            value = found(self._before, first.parts)
            return self._operand(second) if value is None else value
        left, right = self._operand(first), self._operand(second)
        if "L" not in left or "L" not in right:
            raise _wrong_type()
        # Lists are named in a few bytes, and doubled: what can't fit is not even put together.
        self._appended += len(left["L"]) + len(right["L"])
        if self._appended > MAX_ITEM_BYTES:
            raise _too_large()
        return {"L": [*left["L"], *right["L"]]}


def _sum_or_union(old: AttributeValue, value: AttributeValue) -> AttributeValue:
    kind = kind_of(value)
    if kind_of(old) != kind:
        raise _wrong_type()
    if kind == "N":
        return {"N": added(old["N"], value["N"])}
    return {kind: list(dict.fromkeys([*old[kind], *value[kind]]))}


def _copy(value: AttributeValue) -> AttributeValue:
    if "M" in value:
        return {"M": {name: _copy(inner) for name, inner in value["M"].items()}}
    if "L" in value:
        return {"L": [_copy(inner) for inner in value["L"]]}
    return value


def _too_large() -> Exception:
    msg = "Item size to update has exceeded the maximum allowed size"
    return invalid(msg)


def _wrong_type() -> Exception:
    msg = "An operand in the update expression has an incorrect data type"
    return invalid(msg)


# --- whether it can be done ---------------------------------------------------------------


def _check_action(action: Action) -> None:
    value = action.value
    if action.kind in {"ADD", "DELETE"}:
        assert isinstance(value, Constant)
        kind = kind_of(value.value)
        if kind not in _SETS and (action.kind == "DELETE" or kind != "N"):
            msg = (
                f"Incorrect operand type for operator or function; operator: {action.kind}, "
                f"operand type: {_LONG_NAMES[kind]}, "
                f"typeSet: ALLOWED_FOR_{action.kind}_OPERAND"
            )
            raise SyntaxProblem(msg)
    elif isinstance(value, Arithmetic):
        for operand in (value.left, value.right):
            _check_operand(operand)
            _check_kind(value.operator, operand, "N")
            if isinstance(operand, Call) and operand.function == "list_append":
                msg = (
                    "Incorrect operand type for operator or function; operator or function: "
                    f"{value.operator}, operand type: L"
                )
                raise SyntaxProblem(msg)
    elif value is not None:
        _check_operand(value)


def _check_operand(operand: Operand) -> None:
    if not isinstance(operand, Call):
        return
    name = operand.function
    if name not in {"if_not_exists", "list_append"}:
        known = {"attribute_exists", "attribute_not_exists", "attribute_type", "begins_with"}
        if name in {*known, "contains", "size"}:
            raise _misplaced(name)
        msg = f"Invalid function name; function: {name}"
        raise SyntaxProblem(msg)
    if len(operand.operands) != _OPERANDS:
        msg = (
            "Incorrect number of operands for operator or function; operator or function: "
            f"{name}, number of operands: {len(operand.operands)}"
        )
        raise SyntaxProblem(msg)
    if name == "if_not_exists" and not isinstance(operand.operands[0], Path):
        msg = f"Operator or function requires a document path; operator or function: {name}"
        raise SyntaxProblem(msg)
    for inner in operand.operands:
        if isinstance(inner, Call) and inner.function == "list_append":
            raise _misplaced(inner.function)
        _check_operand(inner)
        if name == "list_append":
            _check_kind(name, inner, "L")


def _check_kind(name: str, operand: Operand, allowed: str) -> None:
    if isinstance(operand, Constant) and allowed not in operand.value:
        kind = kind_of(operand.value)
        msg = (
            f"Incorrect operand type for operator or function; operator or function: {name}, "
            f"operand type: {kind}"
        )
        raise SyntaxProblem(msg)


def _misplaced(function: str) -> SyntaxProblem:
    msg = f"The function is not allowed to be used this way in an expression; function: {function}"
    return SyntaxProblem(msg)
