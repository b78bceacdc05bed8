"""
The fixed forms of expressions that need no grammar. Pure.

What the handle writes, and what boto3's ``Key`` and ``Attr`` write for one condition or two
joined by ``&``: placeholders only, nothing nested, each in one way of writing it. Whatever
is not of such a form is no error here: ``grammar.py`` reads it.
"""

from __future__ import annotations

import re

from faaskit.resources.dynamodb.syntax import (
    Action,
    All,
    Argument,
    Between,
    Call,
    Comparison,
    Condition,
    Path,
    Section,
    Update,
)

__all__ = ["condition_form", "projection_form", "update_form"]

_NAME = r"#[A-Za-z0-9_]+"
_VALUE = r":[A-Za-z0-9_]+"
_COMPARISON = re.compile(rf"({_NAME}) (=|<>|<=|>=|<|>) ({_VALUE})")
_BETWEEN = re.compile(rf"({_NAME}) BETWEEN ({_VALUE}) AND ({_VALUE})")
_CALL = re.compile(rf"(attribute_exists|attribute_not_exists)\(({_NAME})\)")
_BEGINS = re.compile(rf"begins_with\(({_NAME}), ({_VALUE})\)")
_TERM = (
    rf"(?:{_NAME} (?:=|<>|<=|>=|<|>) {_VALUE}|{_NAME} BETWEEN {_VALUE} AND {_VALUE}"
    rf"|(?:attribute_exists|attribute_not_exists)\({_NAME}\)|begins_with\({_NAME}, {_VALUE}\))"
)
_ONE = re.compile(_TERM)
_TERMS = re.compile(rf"({_TERM})(?: AND ({_TERM}))?")
_PROJECTION = re.compile(rf"{_NAME}(?:, ?{_NAME})*")

_SET = rf"SET {_NAME} = {_VALUE}(?:, {_NAME} = {_VALUE})*"
_REMOVE = rf"REMOVE {_NAME}(?:, {_NAME})*"
_ADD = rf"ADD {_NAME} {_VALUE}(?:, {_NAME} {_VALUE})*"
_DELETE = rf"DELETE {_NAME} {_VALUE}(?:, {_NAME} {_VALUE})*"
_UPDATE = re.compile(
    rf"(?=.)(?P<SET>{_SET})?(?: ?(?P<REMOVE>{_REMOVE}))?(?: ?(?P<ADD>{_ADD}))?"
    rf"(?: ?(?P<DELETE>{_DELETE}))?"
)
_SECTIONS = ("SET", "REMOVE", "ADD", "DELETE")


def condition_form(text: str) -> Condition | None:
    """Return a condition of one term, or of two that are joined by AND; None for any other."""
    inner = text
    if text.startswith("(") and text.endswith(")"):
        inner = text[1:-1]  # as boto3 writes two that are joined
        if _ONE.fullmatch(inner):
            return None  # one alone in parentheses is for the grammar to judge
    match = _TERMS.fullmatch(inner)
    if match is None:
        return None
    first = _term(match[1])
    return first if match[2] is None else All((first, _term(match[2])))


def update_form(text: str) -> Update | None:
    """Return an update of whole attributes to values; None for any other."""
    match = _UPDATE.fullmatch(text)
    if match is None:
        return None
    sections = [(kind, match[kind]) for kind in _SECTIONS if match[kind] is not None]
    return tuple(_section(kind, found) for kind, found in sections)


def projection_form(text: str) -> tuple[Path, ...] | None:
    """Return a list of whole attributes; None for any other."""
    if not _PROJECTION.fullmatch(text):
        return None
    return tuple(Path((name.strip(),)) for name in text.split(","))


def _term(text: str) -> Condition:
    if match := _COMPARISON.fullmatch(text):
        return Comparison(match[2], Path((match[1],)), Argument(match[3]))
    if match := _BETWEEN.fullmatch(text):
        return Between(Path((match[1],)), Argument(match[2]), Argument(match[3]))
    if match := _BEGINS.fullmatch(text):
        return Call("begins_with", (Path((match[1],)), Argument(match[2])))
    match = _CALL.fullmatch(text)
    assert match is not None
    return Call(match[1], (Path((match[2],)),))


def _section(kind: str, text: str) -> Section:
    actions = []
    for part in text.removeprefix(f"{kind} ").split(", "):
        name, *rest = part.split(" ")
        value = Argument(rest[-1]) if rest else None
        actions.append(Action(kind, Path((name,)), value))
    return Section(kind, tuple(actions))
