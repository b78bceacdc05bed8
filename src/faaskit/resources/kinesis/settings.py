"""What a stream is declared with, and Kinesis' ranges. Pure."""

from __future__ import annotations

import re
from typing import Protocol

from attrs import frozen

from faaskit.exceptions import DefinitionError

__all__ = ["MAX_REQUEST_BYTES", "DeclaredStream", "StreamSettings", "validate_stream_name"]

MAX_SHARDS = 1000
MAX_REQUEST_BYTES = 10 << 20
_RETENTION_HOURS = (24, 8760)
_RECORD_KIB = (1024, 10240)
_NAME = re.compile(r"[a-zA-Z0-9_.-]{1,128}")


@frozen
class StreamSettings:
    """
    How a stream keeps its records; the defaults are those of Kinesis.

    Attributes:
        shards: How many; each has its order.
        retention_hours: After which a record is thrown away.
        max_record_kib: Data and partition key of one record.
    """

    shards: int = 1
    retention_hours: int = 24
    max_record_kib: int = 1024

    def check(self, name: str) -> None:
        """
        Raise for what Kinesis would not take.

        Raises:
            DefinitionError: Says which setting, and its range.
        """
        for setting, value, (low, high) in (
            ("shards", self.shards, (1, MAX_SHARDS)),
            ("retention_hours", self.retention_hours, _RETENTION_HOURS),
            ("max_record_kib", self.max_record_kib, _RECORD_KIB),
        ):
            if type(value) is not int or not low <= value <= high:
                msg = f"stream {name!r}: {setting} is {value!r}: Kinesis takes {low} to {high}"
                raise DefinitionError(msg)


class DeclaredStream(Protocol):
    """A stream that an app has."""

    @property
    def settings(self) -> StreamSettings:
        """What it was declared with."""


def validate_stream_name(name: object) -> str:
    """Return a legal stream name, or raise DefinitionError."""
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        msg = (
            f"stream name {name!r} is not one that Kinesis takes: 1 to 128 characters of a-z, "
            "A-Z, 0-9, '_', '.' and '-'"
        )
        raise DefinitionError(msg)
    return name
