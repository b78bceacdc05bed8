"""The condition keys of every call, in the forms that AWS gives them."""

from __future__ import annotations

import re
from datetime import datetime, timezone

from faaskit.gate.conditions import global_conditions, role_id

_ROLE = "arn:aws:iam::123456789012:role/thumbnail"


def test_keys_and_values() -> None:
    """What is known, as texts; what is not known is not there."""
    assert global_conditions(
        role_arn=_ROLE,
        user_id="AROAX:thumbnail",
        account="123456789012",
        region="eu-west-1",
        now=datetime(2026, 1, 2, 3, 4, 5, 999_999, tzinfo=timezone.utc),
        function_arn="arn:aws:lambda:eu-west-1:123456789012:function:thumbnail",
    ) == {
        "aws:CurrentTime": "2026-01-02T03:04:05Z",
        "aws:EpochTime": "1767323045",
        "aws:PrincipalAccount": "123456789012",
        "aws:PrincipalArn": _ROLE,
        "aws:PrincipalIsAWSService": "false",
        "aws:PrincipalType": "AssumedRole",
        "aws:RequestedRegion": "eu-west-1",
        "aws:SecureTransport": "true",
        "aws:ViaAWSService": "false",
        "aws:userid": "AROAX:thumbnail",
        "lambda:SourceFunctionArn": "arn:aws:lambda:eu-west-1:123456789012:function:thumbnail",
    }


def test_role_id_is_that_of_the_role() -> None:
    """Of AWS's form, the same each time, another one for another role."""
    assert re.fullmatch(r"AROA[A-Z2-7]{17}", role_id(_ROLE))
    assert role_id(_ROLE) == role_id(_ROLE)
    assert role_id(_ROLE) != role_id(f"{_ROLE}2")
