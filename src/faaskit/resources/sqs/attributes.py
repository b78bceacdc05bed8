"""Attributes of messages, checked as SQS checks them. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NoReturn

from faaskit.gate.service import excerpt
from faaskit.resources.members import Members
from faaskit.resources.sqs.digests import Attribute
from faaskit.resources.sqs.refusals import refuse
from faaskit.resources.sqs.settings import MAX_MESSAGE_BYTES

__all__ = ["MAX_ATTRIBUTES", "message_attributes", "selected", "trace_header"]

MAX_ATTRIBUTES = 10
_MAX_TYPE_CHARACTERS = 256
_NAME = re.compile(r"(?!(?i:aws|amazon)\.)(?!\.)(?!.*\.\.)[a-zA-Z0-9_.-]{1,256}(?<!\.)")
_KINDS = ("Binary", "Number", "String")
_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,3})?")
_MAX_DIGITS = 60  # 38 count, and there may be zeros around them
_INVALID_CHARACTERS = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def message_attributes(members: Members) -> Mapping[str, Attribute]:
    """
    Return the member ``MessageAttributes``, checked.

    Raises:
        Refusal: There are too many; or a name, type or value that SQS does not take.
    """
    given = members.structure("MessageAttributes")
    if given is None:
        return {}
    count = len(given.values)
    if count > MAX_ATTRIBUTES:
        msg = (
            f"Number of message attributes [{count}] exceeds the allowed maximum "
            f"[{MAX_ATTRIBUTES}]."
        )
        _invalid(msg)
    attributes = {}
    for name in given.values:
        if not _NAME.fullmatch(name):
            msg = (
                f"Message (user) attribute name {excerpt(name)} is invalid. It can contain A-Z, "
                "a-z, 0-9, underscore (_), hyphen (-), and period (.), up to 256 characters; it "
                "must not start with 'AWS.' or 'Amazon.', start or end with a period, or have "
                "periods in succession."
            )
            _invalid(msg)
        attributes[name] = _attribute(given, name, "user")
    return attributes


def trace_header(members: Members) -> Attribute | None:
    """Return AWSTraceHeader, the only one of ``MessageSystemAttributes`` that there is."""
    given = members.structure("MessageSystemAttributes")
    if given is None or not given.values:
        return None
    given.only("AWSTraceHeader")
    attribute = _attribute(given, "AWSTraceHeader", "system")
    if attribute.data_type != "String":
        msg = "Message (system) attribute 'AWSTraceHeader' must be of type 'String'."
        _invalid(msg)
    return attribute


def selected(attributes: Mapping[str, Attribute], names: frozenset[str]) -> dict[str, Attribute]:
    """Return the attributes that ``MessageAttributeNames`` ask for."""
    if names & {"All", ".*"}:
        return dict(attributes)
    prefixes = tuple(name[:-2] for name in names if name.endswith(".*"))
    return {
        name: attribute
        for name, attribute in attributes.items()
        if name in names or name.startswith(prefixes)
    }


def _attribute(given: Members, name: str, kind: str) -> Attribute:
    value = given.structure(name)
    if value is None:
        msg = f"Message ({kind}) attribute '{name}' must contain a non-empty value."
        _invalid(msg)
    value.only("DataType", "StringValue", "BinaryValue")
    data_type = value.text("DataType")
    if not data_type:
        msg = f"The type of message ({kind}) attribute '{name}' must not be empty."
        _invalid(msg)
    base = data_type.partition(".")[0]
    if base not in _KINDS or len(data_type) > _MAX_TYPE_CHARACTERS or not data_type.isascii():
        msg = (
            f"The type of message ({kind}) attribute '{name}' is invalid. You must use only the "
            f"following supported type prefixes: {', '.join(_KINDS)}."
        )
        _invalid(msg)
    member = "BinaryValue" if base == "Binary" else "StringValue"
    text = value.text(member)
    if not text:
        msg = (
            f"Message ({kind}) attribute '{name}' must contain a non-empty value of type "
            f"'{data_type}'."
        )
        _invalid(msg)
    if base == "Binary":
        data = value.blob(member, MAX_MESSAGE_BYTES) or b""
        if len(data) > MAX_MESSAGE_BYTES:
            msg = (
                "One or more parameters are invalid. Reason: Message must be shorter than "
                f"{MAX_MESSAGE_BYTES} bytes."
            )
            _invalid(msg)
    else:
        _check_text(name, kind, text, number=base == "Number")
    return Attribute(data_type, text)


def _check_text(name: str, kind: str, text: str, *, number: bool) -> None:
    if _INVALID_CHARACTERS.search(text):
        msg = f"Message ({kind}) attribute '{name}' contains characters that are not allowed."
        _invalid(msg)
    if number and (len(text) > _MAX_DIGITS or not _NUMBER.fullmatch(text)):
        msg = f"Can't cast the value of message ({kind}) attribute '{name}' to a number."
        _invalid(msg)


def _invalid(message: str) -> NoReturn:
    refuse("InvalidParameterValue", message)
