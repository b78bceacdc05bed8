"""
What the texts in conditions and requests stand for: numbers, instants, addresses. Pure.

IAM compares texts: every value is one text, or several, and each operator reads them its
own way. The readers here answer None for what they can't read; they never guess, because
a condition that guesses wrong is an allow or a missing deny.
"""

from __future__ import annotations

import base64
import binascii
import ipaddress
import re
from datetime import date, datetime
from decimal import Decimal

from attrs import frozen

__all__ = [
    "Network",
    "fold_case",
    "plain_text",
    "read_address",
    "read_binary",
    "read_instant",
    "read_network",
    "read_number",
]

_NUMBER = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)")
_EPOCH = re.compile(r"[0-9]+")
_LAST_EPOCH = 2**63 - 1
_YEAR = re.compile(r"[0-9]{4}")
_INSTANT = re.compile(
    r"([0-9]{4})-([0-9]{2})(?:-([0-9]{2})"
    r"(?:T([0-9]{2}):([0-9]{2})(?::([0-9]{2})(\.[0-9]{1,9})?)?(?:Z|([+-])([0-9]{2}):([0-9]{2})))?)?"
)
_CIDR = re.compile(r"[^/%]+(?:/[0-9]{1,3})?")
_BASE64 = re.compile(r"[A-Za-z0-9+/]*={0,2}")
_EPOCH_DAY = date(1970, 1, 1).toordinal()
_MAPPED_BITS = 96


def plain_text(value: object) -> str | None:
    """
    Return a value of a policy or a request as IAM's text, or None for what has none.

    Numbers come without an exponent, booleans as ``true`` and ``false``, bytes as base64,
    aware datetimes as ISO 8601.
    """
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, bytes):
        return base64.b64encode(value).decode("ascii")
    if isinstance(value, datetime):
        return None if value.tzinfo is None else value.isoformat()
    if isinstance(value, float):
        value = Decimal(repr(value))
    if not isinstance(value, int | Decimal):
        return None
    # By Decimal, because str refuses integers of thousands of digits.
    number = Decimal(value)
    return format(number, "f") if number.is_finite() else None


def read_number(text: str) -> Decimal | None:
    """Return an integer or decimal, exactly; exponents, blanks and names are no numbers."""
    return Decimal(text) if _NUMBER.fullmatch(text) else None


def read_instant(text: str) -> Decimal | None:
    """
    Return the seconds since 1970 of a W3C date or an epoch time.

    The W3C profile of ISO 8601 has YYYY-MM, YYYY-MM-DD and, with a zone, times to the
    minute, the second or a fraction of it (nine digits at most). Four digits alone would be
    a year there and a second of 1970 as an epoch: that is not decided but refused. So are
    epochs with a minus sign, which begins a year for IAM, with a fraction, and beyond 63 bits.
    """
    if _EPOCH.fullmatch(text):
        epoch = Decimal(text)
        return None if _YEAR.fullmatch(text) or epoch > _LAST_EPOCH else epoch
    found = _INSTANT.fullmatch(text)
    if found is None:
        return None
    year, month, day, hour, minute, second, fraction, sign, zone_hour, zone_minute = found.groups()
    try:
        days = date(int(year), int(month), int(day or 1)).toordinal() - _EPOCH_DAY
    except ValueError:
        return None
    hours, minutes, seconds = int(hour or 0), int(minute or 0), int(second or 0)
    zone_hours, zone_minutes = int(zone_hour or 0), int(zone_minute or 0)
    if max(hours, zone_hours) > 23 or max(minutes, zone_minutes, seconds) > 59:  # noqa: PLR2004
        return None
    offset = (zone_hours * 60 + zone_minutes) * (-60 if sign == "-" else 60)
    whole = days * 86_400 + hours * 3_600 + minutes * 60 + seconds - offset
    # Built from text: the arithmetic of Decimal rounds, its constructor does not.
    digits = (fraction or ".")[1:]
    return Decimal(f"{whole * 10 ** len(digits) + int(digits or 0)}E-{len(digits)}")


def read_binary(text: str) -> bytes | None:
    """Return the bytes that a base64 text stands for."""
    if not _BASE64.fullmatch(text):
        return None
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error:
        return None


@frozen
class Network:
    """
    A range of addresses: those that agree on all but the last ``host_bits`` bits.

    Attributes:
        version: 4 or 6.
        prefix: The address, shifted right by ``host_bits``.
    """

    version: int
    prefix: int
    host_bits: int

    def holds(self, address: tuple[int, int]) -> bool:
        """Whether an address, as ``read_address`` gives it, is in the range."""
        version, number = address
        return version == self.version and number >> self.host_bits == self.prefix


def read_address(text: str) -> tuple[int, int] | None:
    """
    Return version and number of an IP address.

    An IPv4 address written as IPv6 (``::ffff:10.0.0.1``) is the IPv4 one: otherwise a
    deny of 10.0.0.0/8 could be walked around by the way that an address is written.
    """
    if "%" in text:
        return None
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        return 4, int(address.ipv4_mapped)
    return address.version, int(address)


def read_network(text: str) -> Network | None:
    """
    Return the range of a CIDR; an address alone is a range of one.

    Bits to the right of the prefix are ignored, as they are in the comparison.
    """
    if not _CIDR.fullmatch(text):
        return None
    try:
        network = ipaddress.ip_network(text, strict=False)
    except ValueError:
        return None
    version, bits, number = network.version, network.prefixlen, int(network.network_address)
    width = network.max_prefixlen
    mapped = getattr(network.network_address, "ipv4_mapped", None)
    if mapped is not None and bits >= _MAPPED_BITS:
        version, bits, number, width = 4, bits - _MAPPED_BITS, int(mapped), 32
    return Network(version, number >> (width - bits), width - bits)


def fold_case(text: str) -> str:
    """
    Return the text with the case of each character taken out.

    One character for one, as Java's ``equalsIgnoreCase`` compares: ``casefold`` would make
    'ß' equal to 'SS', two texts that IAM tells apart.
    """
    if text.isascii():
        return text.lower()
    return "".join(_fold_character(character) for character in text)


def _fold_character(character: str) -> str:
    upper = character.upper()
    upper = upper if len(upper) == 1 else character
    lower = upper.lower()
    return lower if len(lower) == 1 else upper
