"""What a function's answer says of its batch. Pure."""

from __future__ import annotations

import json
from collections.abc import Collection
from typing import Any

from attrs import frozen

__all__ = ["MAX_STATE_BYTES", "Answer", "failed_items", "read_answer"]

MAX_STATE_BYTES = 1 << 20


@frozen
class Answer:
    """
    A function's answer, understood.

    Attributes:
        failed: Identifiers of the records that failed; None where all did.
        state: What a tumbling window carries on.
        problem: What was wrong with the answer; empty for nothing.
    """

    failed: tuple[str, ...] | None = ()
    state: Any = None
    problem: str = ""


def read_answer(
    raw: bytes, known: Collection[str], *, reports: bool, window: bool = False
) -> Answer:
    """
    Return what an answer says.

    Args:
        raw: JSON, of a handler that returned.
        known: The identifiers of the batch's records.
        reports: Whether the mapping has ``report_batch_item_failures``.
        window: Whether it has a tumbling window, whose state must be in the answer.
    """
    if not reports and not window:
        return Answer()
    try:
        answer = json.loads(raw)
    except (ValueError, RecursionError):
        return Answer(None, problem="the function's response is no JSON")
    state = None
    if window:
        state = answer.get("state") if isinstance(answer, dict) else None
        if not isinstance(state, dict):
            return Answer(None, problem="the function's response has no state, an object")
    if not reports:
        return Answer((), state)
    failed = failed_items(answer, known)
    if isinstance(failed, str):
        return Answer(None, problem=failed)
    return Answer(failed, state)


def failed_items(answer: Any, known: Collection[str]) -> tuple[str, ...] | str:
    """
    Return the identifiers in ``batchItemFailures``, or why all of the batch has failed.

    Args:
        answer: Parsed JSON.
        known: Identifiers of the batch.
    """
    if answer is None or answer == []:
        return ()
    if not isinstance(answer, dict):
        return "the function's response is no object with batchItemFailures"
    items = answer.get("batchItemFailures")
    if items is None:
        return ()
    if not isinstance(items, list):
        return "batchItemFailures in the function's response is no list"
    failed = []
    for item in items:
        identifier = item.get("itemIdentifier") if isinstance(item, dict) else None
        if not isinstance(identifier, str) or not identifier:
            return "an item of batchItemFailures has no itemIdentifier"
        if identifier not in known:
            return f"batchItemFailures names {identifier!r}, which is not in the batch"
        failed.append(identifier)
    return tuple(failed)
