"""Entries of PutEvents, checked, and the events that come of them. Pure."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime, timezone
from typing import Any, NoReturn

from attrs import field, frozen

from faaskit.resources.members import Members

__all__ = ["Entry", "EntryProblem", "event_text", "read_entry", "valid_detail"]

MAX_DETAIL_TYPE_CHARACTERS = 128
MAX_DEPTH = 1000
# EventBridge counts the time of an entry that has one with so many bytes.
_TIME_BYTES = 14


class EntryProblem(Exception):  # noqa: N818 - no error: it becomes a part of the answer
    """
    Why one entry fails, where others may not.

    Attributes:
        code: AWS's.
    """

    def __init__(self, message: str, *, code: str) -> None:
        super().__init__(message)
        self.code = code


@frozen
class Entry:
    """
    An entry, as it came in.

    Attributes:
        bus: Name or ARN; None is the default bus.
        time: None is that of the call.
    """

    bus: str | None
    source: str | None
    detail_type: str | None
    detail: str | None = field(repr=False)
    resources: Sequence[str]
    time: datetime | None

    @property
    def size(self) -> int:
        """In bytes, as EventBridge counts it for its limit."""
        texts = (self.source, self.detail_type, self.detail, *self.resources)
        size = sum(len(text.encode()) for text in texts if text is not None)
        return size + (_TIME_BYTES if self.time is not None else 0)


def read_entry(members: Members) -> Entry:
    """
    Return an entry of the right types.

    Raises:
        Refusal: A member of another type, or one that has no effect here.
    """
    members.only("Time", "Source", "Resources", "DetailType", "Detail", "EventBusName")
    return Entry(
        bus=members.text("EventBusName"),
        source=members.text("Source"),
        detail_type=members.text("DetailType"),
        detail=members.text("Detail"),
        resources=members.texts("Resources"),
        time=members.moment("Time"),
    )


def event_text(entry: Entry, *, event_id: str, now: datetime, region: str, account: str) -> str:
    """
    Return the event of an entry, as rules and functions get it, as JSON.

    The detail is in it as it was given, so that no number of it is rounded.

    Raises:
        EntryProblem: The entry lacks something, or is malformed.
    """
    for name, value in (
        ("Source", entry.source),
        ("DetailType", entry.detail_type),
        ("Detail", entry.detail),
    ):
        if not value:
            _invalid(f"Parameter {name} is not valid. Reason: {name} is a required argument.")
    assert entry.source is not None
    assert entry.detail_type is not None
    assert entry.detail is not None
    if entry.source.startswith("aws."):
        msg = "Not authorized for the source."
        raise EntryProblem(msg, code="NotAuthorizedForSourceException")
    if len(entry.detail_type) > MAX_DETAIL_TYPE_CHARACTERS:
        _invalid(
            "Parameter DetailType is not valid. Reason: DetailType must have length less than or "
            f"equal to {MAX_DETAIL_TYPE_CHARACTERS}."
        )
    if not valid_detail(entry.detail):
        msg = "Detail is malformed."
        raise EntryProblem(msg, code="MalformedDetail")
    moment = (entry.time or now).astimezone(timezone.utc)
    envelope = {
        "version": "0",
        "id": event_id,
        "detail-type": entry.detail_type,
        "source": entry.source,
        "account": account,
        "time": f"{moment:%Y-%m-%dT%H:%M:%SZ}",
        "region": region,
        "resources": list(entry.resources),
    }
    return f'{json.dumps(envelope)[:-1]}, "detail": {entry.detail}}}'


def valid_detail(text: str) -> bool:
    """Return whether a text is a JSON object, nested no deeper than EventBridge takes."""
    brackets = text.count("{") + text.count("[")
    if brackets > MAX_DEPTH and _depth(text) > MAX_DEPTH:
        return False  # before Python's own limit of recursion is met
    try:
        value = json.loads(text, parse_constant=_no_constant, parse_int=_is_number)
    except (ValueError, RecursionError):
        return False
    return isinstance(value, dict)


def _depth(text: str) -> int:
    """Return how deeply brackets nest, those in strings left out."""
    depth = deepest = 0
    quoted = escaped = False
    for character in text:
        if quoted:
            if escaped:
                escaped = False
            elif character == "\\":
                escaped = True
            elif character == '"':
                quoted = False
        elif character == '"':
            quoted = True
        elif character in "{[":
            depth += 1
            deepest = max(deepest, depth)
        elif character in "}]":
            depth -= 1
    return deepest


def _no_constant(name: str) -> NoReturn:
    msg = f"{name} is not JSON"
    raise ValueError(msg)


def _is_number(text: str) -> Any:
    # Not turned into a number: that takes quadratic time, and Python refuses 4,301 digits.
    return text


def _invalid(message: str) -> NoReturn:
    raise EntryProblem(message, code="InvalidArgument")
