"""A handler that makes the calls that its event lists."""

from __future__ import annotations

import base64
from typing import Any

import boto3
from botocore.exceptions import ClientError


def make(event: list[dict[str, Any]], context: Any) -> list[str]:
    """Return the error code of each call, or ``done``."""
    outcomes = []
    for call in event:
        client: Any = boto3.client(call["service"], "us-east-1")
        given = {
            name: base64.b64decode(value["base64"])
            if isinstance(value, dict) and "base64" in value
            else value
            for name, value in call["parameters"].items()
        }
        try:
            getattr(client, call["method"])(**given)
        except ClientError as error:
            outcomes.append(error.response["Error"]["Code"])
        else:
            outcomes.append("done")
    return outcomes
