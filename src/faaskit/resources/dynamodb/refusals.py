"""DynamoDB's errors, in its words. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from faaskit.gate.service import Refusal

__all__ = [
    "bad_value",
    "condition_failed",
    "duplicate_keys",
    "invalid",
    "no_such_table",
    "transaction_canceled",
    "unsupported",
]


def invalid(message: str) -> Refusal:
    """Return the refusal of a request that is not as DynamoDB takes it."""
    return Refusal(message, code="ValidationException")


def bad_value(message: str) -> Refusal:
    """Return the refusal of a value, with the beginning that most of DynamoDB's have."""
    return invalid(f"One or more parameter values were invalid: {message}")


def unsupported(what: str, instead: str = "") -> Refusal:
    """
    Return the refusal of something that DynamoDB has, and this table has not.

    Args:
        what: The beginning of a sentence, such as "Query's parameter KeyConditions".
        instead: What does it here, if something does.
    """
    way = f"; {instead}, or" if instead else ":"
    msg = (
        f"{what} is not one that the app's own tables know{way} use a table that the app does not "
        'declare, with App(aws="moto")'
    )
    return invalid(msg)


def no_such_table(message: str = "Requested resource not found") -> Refusal:
    """Return the refusal of a table that there is not."""
    return Refusal(message, code="ResourceNotFoundException")


def duplicate_keys() -> Refusal:
    """Return the refusal of a batch that names an item twice."""
    return invalid("Provided list of item keys contains duplicates")


def condition_failed(item: Mapping[str, Any] | None = None) -> Refusal:
    """
    Return the refusal of a write whose condition does not hold.

    Args:
        item: What is there, where the caller asked for it.
    """
    details = {} if item is None else _members({"Item": item})
    msg = "The conditional request failed"
    return Refusal(msg, code="ConditionalCheckFailedException", details=details)


def transaction_canceled(reasons: Sequence[Mapping[str, Any]]) -> Refusal:
    """Return the refusal of a transaction, with a reason for each of its items."""
    codes = ", ".join(reason["Code"] for reason in reasons)
    msg = f"Transaction cancelled, please refer cancellation reasons for specific reasons [{codes}]"
    details = _members({"CancellationReasons": list(reasons)})
    return Refusal(msg, code="TransactionCanceledException", details=details)


def _members(members: Mapping[str, Any]) -> dict[str, str]:
    """Return an error's members as the details of a failure: ``response`` is their JSON."""
    return {"response": json.dumps(members)}
