"""What the texts of conditions stand for, and what is no number, date, address at all."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest

from faaskit.iam.values import (
    fold_case,
    plain_text,
    read_address,
    read_binary,
    read_instant,
    read_network,
    read_number,
)

UTC = timezone.utc


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("a", "a"),
        (True, "true"),
        (False, "false"),
        (10, "10"),
        (2.5, "2.5"),
        (1e22, "10000000000000000000000"),
        (1e-7, "0.0000001"),
        (Decimal("1E+3"), "1000"),
        (b"ab", "YWI="),
        (datetime(2026, 1, 31, tzinfo=UTC), "2026-01-31T00:00:00+00:00"),
        (datetime(2026, 1, 31), None),  # noqa: DTZ001 (naive on purpose)
        (float("nan"), None),
        (float("inf"), None),
        (Decimal("sNaN"), None),
        (None, None),
        ({"a": 1}, None),
    ],
)
def test_values_have_one_text(value: Any, expected: str | None) -> None:
    """Python's values become IAM's text; what has none is not given one."""
    assert plain_text(value) == expected


def test_long_integers_have_a_text() -> None:
    """Python refuses to write integers of thousands of digits; a request may have one."""
    assert plain_text(10**5_000) == "1" + "0" * 5_000


@pytest.mark.parametrize("text", ["1", "1.0", "01", "+1", "1.", "1.000"])
def test_numbers_are_compared_as_decimals(text: str) -> None:
    """However it is written, it is the number one."""
    assert read_number(text) == 1


def test_numbers_are_exact() -> None:
    """Two decimals that are the same float are two numbers."""
    assert read_number("0.1000000000000000000001") != read_number("0.1")


@pytest.mark.parametrize(
    "text", ["", "x", "1e3", "1,5", " 1", "1\n", "0x1", "NaN", "٣", ".", "--1"]
)
def test_what_is_no_number(text: str) -> None:
    """Exponents, blanks, names and digits of other scripts are not guessed at."""
    assert read_number(text) is None


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("2026-01-31T00:00:00Z", 1769817600),
        ("2026-01-31T00:00Z", 1769817600),
        ("2026-01-31", 1769817600),
        ("2026-02", 1769904000),
        ("2026-01-31T02:00:00+02:00", 1769817600),
        ("2026-01-30T19:30:00-04:30", 1769817600),
        ("2026-01-31T00:00:00.25Z", Decimal("1769817600.25")),
        ("1769817600", 1769817600),
        ("1970-01-01T00:00:00Z", 0),
        ("1969-12-31T23:59:59.5Z", Decimal("-0.5")),
        ("9223372036854775807", 2**63 - 1),
        ("0", 0),
        ("2024-02-29", 1709164800),
    ],
)
def test_dates_are_instants(text: str, seconds: int | Decimal) -> None:
    """W3C dates and epoch seconds are the same instants."""
    assert read_instant(text) == seconds


@pytest.mark.parametrize("instant", [datetime(2026, 1, 31, 12, 30, 15, 250_000, tzinfo=UTC)])
def test_datetimes_survive_as_text(instant: datetime) -> None:
    """An aware datetime in any zone is the instant that it was."""
    elsewhere = instant.astimezone(timezone(timedelta(hours=-4, minutes=-30)))
    text = plain_text(elsewhere)
    assert text is not None
    assert read_instant(text) == Decimal(str(instant.timestamp()))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2026",
        "1970",
        "tomorrow",
        "2026-13-01",
        "2023-02-29",
        "2026-01-31T00:00:00",
        "2026-01-31 00:00:00Z",
        "2026-01-31T24:00:00Z",
        "2026-01-31T00:60Z",
        "2026-01-31T00:00:61Z",
        "2026-01-31T00:00:00+24:00",
        "2026-01-31T00Z",
        "0000-01-01",
        "2026-1-31",
        "*",
        "2026-01-31T00:00:00Z\n",
        "9223372036854775808",
        "-86400",
        "1769817600.5",
    ],
)
def test_what_is_no_date(text: str) -> None:
    """No zone, no such day, a number that is not a second, or that could be a year as well."""
    assert read_instant(text) is None


@pytest.mark.parametrize(
    ("network", "address", "expected"),
    [
        ("203.0.113.0/24", "203.0.113.1", True),
        ("203.0.113.0/24", "203.0.114.1", False),
        ("203.0.113.77/24", "203.0.113.1", True),
        ("203.0.113.5", "203.0.113.5", True),
        ("203.0.113.5", "203.0.113.6", False),
        ("0.0.0.0/0", "8.8.8.8", True),
        ("0.0.0.0/0", "2001:db8::1", False),
        ("::/0", "8.8.8.8", False),
        ("2001:DB8:1234:5678::/64", "2001:db8:1234:5678::9", True),
        ("2001:db8::1", "2001:db8::1", True),
        ("2001:db8::1", "2001:db8::2", False),
        ("10.0.0.0/8", "::ffff:10.1.2.3", True),
        ("::ffff:10.0.0.0/104", "10.1.2.3", True),
        ("::ffff:10.0.0.0/104", "11.1.2.3", False),
    ],
)
def test_addresses_in_ranges(network: str, address: str, expected: bool) -> None:
    """A range holds what agrees on its prefix, however the address is written."""
    found, number = read_network(network), read_address(address)
    assert found is not None
    assert number is not None
    assert found.holds(number) is expected


@pytest.mark.parametrize(
    "text", ["", "x", "10.0.0", "10.0.0.256", "010.0.0.1", "fe80::1%eth0", "1"]
)
def test_what_is_no_address(text: str) -> None:
    """Short forms, zones and leading zeros are not guessed at."""
    assert read_address(text) is None
    assert read_network(text) is None


@pytest.mark.parametrize("text", ["10.0.0.0/33", "10.0.0.0/255.0.0.0", "10.0.0.0/", "10.0.0.0/8/8"])
def test_what_is_no_range(text: str) -> None:
    """A range is an address and the length of a prefix, not a netmask."""
    assert read_network(text) is None


def test_binary_values_are_base64() -> None:
    """Exactly base64: anything else is no value."""
    assert read_binary("QmluYXJ5VmFsdWVJbkJhc2U2NA==") == b"BinaryValueInBase64"
    assert read_binary("") == b""
    for text in ("Q", "QQ", "Q===", "QQ==x", "Q Q=", "QQ==\n", "_-=="):
        assert read_binary(text) is None


def test_case_is_folded_character_by_character() -> None:
    """As Java's equalsIgnoreCase: one letter is never two."""
    assert fold_case("PreProd") == fold_case("PREPROD")
    assert fold_case("ÄÖ") == fold_case("äö")
    assert fold_case("straße") != fold_case("STRASSE")
