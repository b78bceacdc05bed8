"""Names, ARNs and ids: what is taken, what is refused, how AWS writes it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from faaskit import names
from faaskit.exceptions import DefinitionError

_Validator = Callable[[object], str]


@pytest.mark.parametrize("name", ["a", "Z", "9", "-", "_", "resize-Image_2", "x" * 64])
def test_function_names_taken(name: str) -> None:
    """AWS's alphabet, 1 to 64 characters, comes back unchanged."""
    assert names.validate_function_name(name) == name


@pytest.mark.parametrize(
    "name",
    [
        "",
        "x" * 65,
        "a b",
        "a.b",
        "a:b",
        "a/b",
        "<lambda>",
        "caf\u00e9",
        "a\n",
        "\u0661",
        None,
        7,
        b"f",
    ],
)
def test_function_names_refused(name: object) -> None:
    """Outside of it: a message that has the name, the rule, and the way out."""
    with pytest.raises(DefinitionError, match=r"1 to 64 characters.*pass name=") as caught:
        names.validate_function_name(name)
    assert repr(name) in str(caught.value)


@pytest.mark.parametrize(
    "name", ["abc", "1-2", "my.bucket", "a.b-c.d", "x" * 63, "192.168.5.4x", "1.2.3"]
)
def test_bucket_names_taken(name: str) -> None:
    """S3's alphabet, 3 to 63 characters; a name may look like part of an address."""
    assert names.validate_bucket_name(name) == name


@pytest.mark.parametrize(
    "name",
    [
        "",
        "ab",
        "x" * 64,
        "Uploads",
        "my_bucket",
        "-abc",
        "abc-",
        ".abc",
        "abc.",
        "a..b",
        "192.168.5.4",
        "a b",
        "abc\n",
        "\u0661\u0662\u0663",
        None,
        b"abc",
    ],
)
def test_bucket_names_refused(name: object) -> None:
    """S3's rules: case, edges, double dots and IP addresses are refused by name."""
    with pytest.raises(DefinitionError, match="3 to 63 characters") as caught:
        names.validate_bucket_name(name)
    assert repr(name) in str(caught.value)


@pytest.mark.parametrize(
    "region", ["us-east-1", "eu-central-2", "ap-southeast-5", "us-gov-west-1", "us-isob-east-1"]
)
def test_regions_taken(region: str) -> None:
    """Commercial, government and isolated regions are all AWS's form."""
    assert names.validate_region(region) == region


@pytest.mark.parametrize(
    "region", ["", "us-east", "us-east-1a", "US-EAST-1", "useast1", "us-east-1\n", "local", None]
)
def test_regions_refused(region: object) -> None:
    """An availability zone, or a made-up name, is no region."""
    with pytest.raises(DefinitionError, match="'us-east-1'"):
        names.validate_region(region)


@pytest.mark.parametrize("account", ["123456789012", "000000000000"])
def test_accounts_taken(account: str) -> None:
    """12 digits as str; leading zeros count, which is why it is no int."""
    assert names.validate_account(account) == account


@pytest.mark.parametrize(
    "account", ["", "12345678901", "1234567890123", "12345678901x", "123456789012\n", 123456789012]
)
def test_accounts_refused(account: object) -> None:
    """Too short, too long, an int: refused, with the rule."""
    with pytest.raises(DefinitionError, match="12 digits"):
        names.validate_account(account)


@pytest.mark.parametrize(
    ("arn", "expected"),
    [
        (names.function_arn("f"), "arn:aws:lambda:us-east-1:123456789012:function:f"),
        (
            names.function_arn("f", region="eu-west-1", account="000000000000"),
            "arn:aws:lambda:eu-west-1:000000000000:function:f",
        ),
        (names.role_arn("r"), "arn:aws:iam::123456789012:role/r"),
        (names.role_arn("r", account="000000000000"), "arn:aws:iam::000000000000:role/r"),
        (names.session_arn("r", "f"), "arn:aws:sts::123456789012:assumed-role/r/f"),
        (
            names.session_arn("r", "f", account="000000000000"),
            "arn:aws:sts::000000000000:assumed-role/r/f",
        ),
        (names.bucket_arn("uploads"), "arn:aws:s3:::uploads"),
        (names.table_arn("t"), "arn:aws:dynamodb:us-east-1:123456789012:table/t"),
        (names.stream_arn("s"), "arn:aws:kinesis:us-east-1:123456789012:stream/s"),
        (names.queue_arn("q"), "arn:aws:sqs:us-east-1:123456789012:q"),
        (names.bus_arn("b"), "arn:aws:events:us-east-1:123456789012:event-bus/b"),
        (names.log_group_name("f"), "/aws/lambda/f"),
    ],
)
def test_arns(arn: str, expected: str) -> None:
    """Every ARN and log group reads as AWS writes it, defaults included."""
    assert arn == expected


@pytest.mark.parametrize(
    ("validate", "default"),
    [
        (names.validate_account, names.DEFAULT_ACCOUNT),
        (names.validate_region, names.DEFAULT_REGION),
    ],
)
def test_the_defaults_are_legal(validate: _Validator, default: str) -> None:
    """What is used when nothing is said passes its own check."""
    assert validate(default) == default


def test_exports() -> None:
    """``__all__`` is sorted, and has everything public that is defined there."""
    public = [
        name
        for name, value in vars(names).items()
        if not name.startswith("_")
        and (name.isupper() or getattr(value, "__module__", "") == names.__name__)
    ]
    assert names.__all__ == sorted(public)
