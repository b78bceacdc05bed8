"""
Policy documents: JSON in, statements out, and back. Pure.

AWS's names, AWS's case. What is not known is refused, because an element that is skipped
may be the one that denies; so is a name that is there twice, of which JSON's readers keep
the last.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from faaskit.iam.refusal import refuse
from faaskit.iam.statements import ELEMENTS, Statement, check_statement

__all__ = ["DEFAULT_VERSION", "OLD_VERSION", "VERSIONS", "parse_statements", "read_document"]

DEFAULT_VERSION = "2012-10-17"
# The version of a document that names none: it has no variables.
OLD_VERSION = "2008-10-17"
VERSIONS = (DEFAULT_VERSION, OLD_VERSION)

_WHOLE = "the document"


def read_document(document: object) -> Mapping[str, Any]:
    """
    Return a policy document with the elements that a policy has.

    Args:
        document: A mapping, or the text of one in JSON.

    Raises:
        DefinitionError: It is neither, or has other elements.
    """
    if isinstance(document, str):
        document = _read_json(document)
    if not isinstance(document, Mapping):
        refuse(_WHOLE, f"{type(document).__name__} is no policy; pass a dict or its JSON")
    for name in document:
        if name not in {"Version", "Id", "Statement"}:
            reason = f"{name!r} is no element of a policy: Version, Id, Statement"
            refuse(str(name), reason)
    if document.get("Version", DEFAULT_VERSION) not in VERSIONS:
        known = " or ".join(VERSIONS)
        refuse("Version", f"{document['Version']!r} is no version of the language: {known}")
    if not isinstance(document.get("Id", ""), str):
        refuse("Id", f"{document['Id']!r} is no string")
    if "Statement" not in document:
        refuse(_WHOLE, "it has no Statement")
    return document


def parse_statements(value: object) -> tuple[Statement, ...]:
    """
    Return the statements of a Statement element: an object, or a list of objects.

    Raises:
        DefinitionError: One of them is not one that IAM takes.
    """
    if isinstance(value, Mapping):
        return (_parse_statement(value, "Statement"),)
    if not isinstance(value, list | tuple):
        refuse("Statement", f"{value!r} is no statement and no list of them")
    if not value:
        refuse("Statement", "the list is empty; add a statement")
    return tuple(_parse_statement(one, f"Statement[{at}]") for at, one in enumerate(value))


def _parse_statement(value: object, place: str) -> Statement:
    if not isinstance(value, Mapping):
        refuse(place, f"{value!r} is no statement: an object with Effect, Action, …")
    check_statement(value, place)
    return Statement(**{ELEMENTS[name]: element for name, element in value.items()})


def _read_json(text: str) -> object:
    try:
        # Numbers with a point stay text: IAM compares decimals, and a float is not one.
        return json.loads(
            text,
            object_pairs_hook=_refuse_duplicates,
            parse_float=str,
            parse_constant=_refuse_constant,
        )
    except json.JSONDecodeError as error:
        refuse(_WHOLE, f"it is no JSON: {error}")
    except RecursionError:
        refuse(_WHOLE, "it is nested too deep for a policy")


def _refuse_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    document: dict[str, Any] = {}
    for name, value in pairs:
        if name in document:
            refuse(_WHOLE, f"{name!r} is there twice in one object; keep one")
        document[name] = value
    return document


def _refuse_constant(name: str) -> object:
    refuse(_WHOLE, f"{name} is no JSON")
