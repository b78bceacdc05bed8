"""SQS's errors, with its codes and words. Pure."""

from __future__ import annotations

from typing import NoReturn

from faaskit.gate.service import Refusal, excerpt

__all__ = [
    "missing_parameter",
    "refuse",
    "refuse_attribute",
    "refuse_missing",
    "refuse_parameter",
    "refuse_queue",
]

# SQS quotes values whole; a receipt handle of ours has some 150 characters.
_QUOTED_WHOLE = 500

# SQS spoke the query protocol once: `Error.Code` is still that one's, and the name in the
# service model, from which SDKs choose their exception, comes beside it.
_MODELLED = {
    "AWS.SimpleQueueService.BatchEntryIdsNotDistinct": "BatchEntryIdsNotDistinct",
    "AWS.SimpleQueueService.BatchRequestTooLong": "BatchRequestTooLong",
    "AWS.SimpleQueueService.EmptyBatchRequest": "EmptyBatchRequest",
    "AWS.SimpleQueueService.InvalidBatchEntryId": "InvalidBatchEntryId",
    "AWS.SimpleQueueService.NonExistentQueue": "QueueDoesNotExist",
    "AWS.SimpleQueueService.PurgeQueueInProgress": "PurgeQueueInProgress",
    "AWS.SimpleQueueService.TooManyEntriesInBatchRequest": "TooManyEntriesInBatchRequest",
    "InvalidParameterValue": "InvalidParameterValueException",
    "MissingParameter": "MissingRequiredParameterException",
}


def refuse(code: str, message: str) -> NoReturn:
    """
    Raise a refusal whose code is what boto3 has in ``Error.Code``.

    Its details have the name in the service model as ``QueryErrorCode``, as boto3 calls it.
    """
    raise _refusal(code, message)


def refuse_queue() -> NoReturn:
    """Refuse a queue that is not there."""
    refuse("AWS.SimpleQueueService.NonExistentQueue", "The specified queue does not exist.")


def missing_parameter(name: str) -> Refusal:
    """Return the refusal of a request that lacks a parameter."""
    return _refusal("MissingParameter", f"The request must contain the parameter {name}.")


def refuse_missing(name: str) -> NoReturn:
    """Refuse a request that lacks a parameter."""
    raise missing_parameter(name)


def refuse_parameter(name: str, value: object, reason: str) -> NoReturn:
    """Refuse the value of a parameter."""
    shown = str(value)
    if len(shown) > _QUOTED_WHOLE:
        shown = excerpt(shown)
    msg = f"Value {shown} for parameter {name} is invalid. Reason: {reason}"
    refuse("InvalidParameterValue", msg)


def refuse_attribute(name: str, reason: str = "") -> NoReturn:
    """Refuse the value of a queue's attribute."""
    why = f" Reason: {reason}" if reason else ""
    refuse("InvalidAttributeValue", f"Invalid value for the parameter {name}.{why}")


def _refusal(code: str, message: str) -> Refusal:
    return Refusal(message, code=code, details={"QueryErrorCode": _MODELLED.get(code, code)})
