"""The extra that calls to AWS's APIs need."""

from __future__ import annotations

from typing import Any

from faaskit.exceptions import MissingExtraError

__all__ = ["require"]


def require() -> Any:
    """
    Return boto3.

    Raises:
        MissingExtraError: It is not installed.
    """
    try:
        import boto3
    except ImportError as error:
        msg = "calls to AWS's APIs need boto3: pip install 'faaskit[aws]'"
        raise MissingExtraError(msg, extra="aws") from error
    return boto3
