"""The MD5s that SQS answers with, and the sizes that count. Pure."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping

from attrs import frozen

__all__ = ["Attribute", "attributes_md5", "body_md5", "size_of"]


@frozen
class Attribute:
    """
    A message attribute.

    Attributes:
        data_type: ``String``, ``Number`` or ``Binary``, perhaps with a label: ``Number.int``.
        value: Text; of a Binary the base64 of its bytes.
    """

    data_type: str
    value: str

    @property
    def binary(self) -> bool:
        """Whether the value is base64."""
        return self.data_type.partition(".")[0] == "Binary"

    @property
    def data(self) -> bytes:
        """The value, as it counts for sizes and digests."""
        return base64.b64decode(self.value) if self.binary else self.value.encode()

    @property
    def output(self) -> dict[str, str]:
        """AWS's MessageAttributeValue."""
        return {"BinaryValue" if self.binary else "StringValue": self.value} | {
            "DataType": self.data_type
        }


def body_md5(body: str) -> str:
    """Return the MD5 of a body's UTF-8, hexadecimal."""
    return hashlib.md5(body.encode(), usedforsecurity=False).hexdigest()


def attributes_md5(attributes: Mapping[str, Attribute]) -> str:
    """
    Return the MD5 of attributes, sorted by name, hexadecimal.

    Of each: the length of the name (4 bytes, big-endian) and the name, those of the type,
    one byte that is 1 for text and 2 for bytes, the length of the value and the value.
    """
    digest = hashlib.md5(usedforsecurity=False)
    for name in sorted(attributes):
        attribute = attributes[name]
        for part in (name.encode(), attribute.data_type.encode()):
            digest.update(len(part).to_bytes(4, "big") + part)
        digest.update(b"\x02" if attribute.binary else b"\x01")
        data = attribute.data
        digest.update(len(data).to_bytes(4, "big") + data)
    return digest.hexdigest()


def size_of(body: str, attributes: Mapping[str, Attribute]) -> int:
    """Return how many bytes a message has: body, and names, types and values of attributes."""
    return len(body.encode()) + sum(
        len(name.encode()) + len(attribute.data_type.encode()) + len(attribute.data)
        for name, attribute in attributes.items()
    )
