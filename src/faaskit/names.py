"""Names, ARNs and ids: what is a legal name, and how AWS writes it. Pure."""

from __future__ import annotations

import re

from faaskit.exceptions import DefinitionError

__all__ = [
    "DEFAULT_ACCOUNT",
    "DEFAULT_REGION",
    "bucket_arn",
    "bus_arn",
    "function_arn",
    "log_group_name",
    "queue_arn",
    "role_arn",
    "session_arn",
    "stream_arn",
    "table_arn",
    "validate_account",
    "validate_bucket_name",
    "validate_function_name",
    "validate_region",
]

DEFAULT_ACCOUNT = "123456789012"
DEFAULT_REGION = "us-east-1"

_FUNCTION_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_BUCKET_NAME = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_IP_ADDRESS = re.compile(r"[0-9]+\.[0-9]+\.[0-9]+\.[0-9]+")
# S3 keeps these for itself.
_RESERVED_PREFIXES = ("xn--", "sthree-", "amzn-s3-demo-")
_RESERVED_SUFFIXES = ("-s3alias", "--ol-s3", ".mrap", "--x-s3", "--table-s3")
_REGION = re.compile(r"(eusc-)?[a-z]{2}(-gov|-iso[a-z]?)?-[a-z]+-[0-9]")
_ACCOUNT = re.compile(r"[0-9]{12}")


def validate_function_name(name: object) -> str:
    """Return a legal function name (1 to 64 of ``[a-zA-Z0-9-_]``), or raise DefinitionError."""
    if not isinstance(name, str) or not _FUNCTION_NAME.fullmatch(name):
        msg = (
            f"function name {name!r} is not one that AWS takes: 1 to 64 characters of "
            "a-z, A-Z, 0-9, '-' and '_'; pass name='…' to @function"
        )
        raise DefinitionError(msg)
    return name


def validate_bucket_name(name: object) -> str:
    """Return a legal bucket name (S3's rules for general purpose buckets), or raise."""
    if (
        not isinstance(name, str)
        or not _BUCKET_NAME.fullmatch(name)
        or ".." in name
        or _IP_ADDRESS.fullmatch(name)
        or name.startswith(_RESERVED_PREFIXES)
        or name.endswith(_RESERVED_SUFFIXES)
    ):
        msg = (
            f"bucket name {name!r} is not one that S3 takes: 3 to 63 characters of a-z, 0-9, "
            "'-' and '.', beginning and ending with a letter or digit, no '..', no IP address, "
            "and none of the beginnings and endings that S3 reserves, such as 'xn--'"
        )
        raise DefinitionError(msg)
    return name


def validate_region(region: object) -> str:
    """Return a region such as ``us-east-1``, or raise DefinitionError."""
    if not isinstance(region, str) or not _REGION.fullmatch(region):
        msg = f"region {region!r} is not of AWS's form, such as 'us-east-1'"
        raise DefinitionError(msg)
    return region


def validate_account(account: object) -> str:
    """Return a 12-digit account id, or raise DefinitionError."""
    if not isinstance(account, str) or not _ACCOUNT.fullmatch(account):
        msg = f"account {account!r} is not an AWS account id: a string of 12 digits"
        raise DefinitionError(msg)
    return account


def function_arn(name: str, *, region: str = DEFAULT_REGION, account: str = DEFAULT_ACCOUNT) -> str:
    """Return ``arn:aws:lambda:REGION:ACCOUNT:function:NAME``."""
    return f"arn:aws:lambda:{region}:{account}:function:{name}"


def role_arn(name: str, *, account: str = DEFAULT_ACCOUNT) -> str:
    """Return ``arn:aws:iam::ACCOUNT:role/NAME``."""
    return f"arn:aws:iam::{account}:role/{name}"


def session_arn(role: str, session: str, *, account: str = DEFAULT_ACCOUNT) -> str:
    """Return the principal that a role's session has; a function's session is its name."""
    return f"arn:aws:sts::{account}:assumed-role/{role}/{session}"


def bucket_arn(name: str) -> str:
    """Return ``arn:aws:s3:::NAME``."""
    return f"arn:aws:s3:::{name}"


def table_arn(name: str, *, region: str = DEFAULT_REGION, account: str = DEFAULT_ACCOUNT) -> str:
    """Return ``arn:aws:dynamodb:REGION:ACCOUNT:table/NAME``."""
    return f"arn:aws:dynamodb:{region}:{account}:table/{name}"


def stream_arn(name: str, *, region: str = DEFAULT_REGION, account: str = DEFAULT_ACCOUNT) -> str:
    """Return ``arn:aws:kinesis:REGION:ACCOUNT:stream/NAME``."""
    return f"arn:aws:kinesis:{region}:{account}:stream/{name}"


def queue_arn(name: str, *, region: str = DEFAULT_REGION, account: str = DEFAULT_ACCOUNT) -> str:
    """Return ``arn:aws:sqs:REGION:ACCOUNT:NAME``."""
    return f"arn:aws:sqs:{region}:{account}:{name}"


def bus_arn(name: str, *, region: str = DEFAULT_REGION, account: str = DEFAULT_ACCOUNT) -> str:
    """Return ``arn:aws:events:REGION:ACCOUNT:event-bus/NAME``."""
    return f"arn:aws:events:{region}:{account}:event-bus/{name}"


def log_group_name(function: str) -> str:
    """Return ``/aws/lambda/NAME``."""
    return f"/aws/lambda/{function}"
