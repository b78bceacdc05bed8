"""Filter criteria: which records of a source a function gets. Pure."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterable, Mapping
from typing import Any

from attrs import frozen

from faaskit.events.patterns import Pattern
from faaskit.exceptions import DefinitionError

__all__ = ["Filters"]

MAX_FILTERS = 10
# Where a source's records have what their senders put there.
_DATA = {"stream": "data", "queue": "body"}
_PLAIN, _JSON = "plain", "json"


@frozen
class Filters:
    """
    Patterns of which one must match; none at all lets everything pass.

    Attributes:
        key: What a record's data is called in them; empty where all of it is JSON.
        patterns: Each with what it asks the data to be: ``plain``, ``json``, or nothing.
    """

    key: str = ""
    patterns: tuple[tuple[Pattern, str], ...] = ()

    @classmethod
    def parse(cls, patterns: Iterable[Any], kind: str, what: str) -> Filters:
        """
        Read filter criteria.

        Args:
            patterns: Dicts or their JSON, up to 10.
            kind: Of the source: ``stream``, ``table`` or ``queue``.
            what: The mapping, for messages.

        Raises:
            DefinitionError: Lambda does not take one of them.
        """
        if isinstance(patterns, (str, bytes, Mapping)):
            msg = f"{what}: filters is one pattern: pass a list of them"
            raise DefinitionError(msg)
        key = _DATA.get(kind, "")
        read = []
        for pattern in patterns:
            try:
                parsed = Pattern.parse(pattern, kind="filter")
            except DefinitionError as error:
                msg = f"{what}: {error.message}"
                raise DefinitionError(msg) from None
            asked = json.loads(parsed.text).get(key) if key else None
            form = _JSON if isinstance(asked, dict) else _PLAIN if asked is not None else ""
            if kind == "stream" and form == _PLAIN:
                msg = f"{what}: a filter asks for plain data: Lambda takes JSON there, an object"
                raise DefinitionError(msg)
            read.append((parsed, form))
        if len(read) > MAX_FILTERS:
            msg = f"{what}: it has {len(read)} filters, and may have {MAX_FILTERS}"
            raise DefinitionError(msg)
        return cls(key, tuple(read))

    def pass_record(self, record: Mapping[str, Any]) -> bool:
        """
        Return whether a function gets a record.

        Args:
            record: As it is in the function's event.
        """
        if not self.patterns:
            return True
        seen, form = self._seen(record)
        return any(
            wanted in {"", form} and pattern.matches(seen) for pattern, wanted in self.patterns
        )

    def _seen(self, record: Mapping[str, Any]) -> tuple[Mapping[str, Any], str]:
        """Return a record as patterns see it, and what its data is."""
        if not self.key:
            return record, ""
        # Kinesis' own members are beside the data in a pattern, and one deeper in an event.
        flat = {**record, **record.get("kinesis", {})}
        text = flat[self.key]
        if self.key == "data":
            try:
                text = base64.b64decode(text).decode()
            except (binascii.Error, UnicodeDecodeError):
                return {**flat, "data": None}, ""
        try:
            data = json.loads(text)
        except (ValueError, RecursionError):
            data = text
        form = _JSON if isinstance(data, (dict, list)) else _PLAIN
        return {**flat, self.key: data if form == _JSON else text}, form
