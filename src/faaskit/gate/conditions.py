"""The condition keys that AWS fills for every call, as far as they can be known here. Pure."""

from __future__ import annotations

import base64
import hashlib
from datetime import datetime
from functools import lru_cache

from faaskit.clock import epoch_ms

__all__ = ["UNKNOWN_KEYS", "global_conditions", "role_id"]

# Keys that every request to AWS has, or may have, and of which nothing is known here.
UNKNOWN_KEYS = frozenset(
    {
        "aws:multifactorauthage",
        "aws:multifactorauthpresent",
        "aws:sourceip",
        "aws:tokenissuetime",
        "aws:useragent",
    }
)


@lru_cache(maxsize=1024)
def role_id(role_arn: str) -> str:
    """
    Return a role's unique id, of AWS's form: ``AROA`` and 17 characters.

    AWS draws it when a role is made. Here it follows from the ARN, so that it stays the
    same from one run to the next, as policies and events that name it expect.
    """
    digest = hashlib.sha256(role_arn.encode("utf-8", "surrogatepass")).digest()
    return f"AROA{base64.b32encode(digest).decode()[:17]}"


def global_conditions(
    *,
    role_arn: str,
    user_id: str,
    account: str,
    region: str,
    now: datetime,
    function_arn: str | None,
) -> dict[str, str]:
    """
    Return the ``aws:`` keys, and ``lambda:SourceFunctionArn`` where a function calls.

    Keys of what isn't there (a role's tags, an organisation, a VPC) are left out: a condition
    on them is then decided as AWS decides on a key that a request lacks. ``UNKNOWN_KEYS`` are
    those that a request may have.
    """
    conditions = {
        "aws:CurrentTime": f"{now:%Y-%m-%dT%H:%M:%SZ}",
        "aws:EpochTime": str(epoch_ms(now) // 1000),
        "aws:PrincipalAccount": account,
        "aws:PrincipalArn": role_arn,
        "aws:PrincipalIsAWSService": "false",
        "aws:PrincipalType": "AssumedRole",
        "aws:RequestedRegion": region,
        "aws:SecureTransport": "true",
        "aws:ViaAWSService": "false",
        "aws:userid": user_id,
    }
    if function_arn is not None:
        conditions["lambda:SourceFunctionArn"] = function_arn
    return conditions
