"""A bucket's triggers: which functions are invoked for what happens to its objects."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from typing import TYPE_CHECKING

from attrs import frozen

from faaskit.events.asynchronous import AsynchronousQueue
from faaskit.events.s3 import Rule, overlapping, record
from faaskit.exceptions import DefinitionError
from faaskit.resources.s3.service import ObjectChange

if TYPE_CHECKING:
    import sqlite3

__all__ = ["BucketTriggers", "Trigger"]


@frozen
class Trigger:
    """
    A rule of a bucket, and the function that it invokes.

    Attributes:
        function: Its name: a function that is defined again takes over.
        definition: Which of its definitions asked for it; see ``BucketTriggers.add``.
    """

    bucket: str
    rule: Rule
    function: str
    definition: int


class BucketTriggers:
    """
    The triggers of an app's buckets; turns changes into events of their functions.

    They are part of the program, not of the state folder: a write makes the events that
    the program which writes has triggers for.

    Args:
        queue: Where events go.
        region: The app's.
        account: The app's.
    """

    def __init__(self, queue: AsynchronousQueue, *, region: str, account: str) -> None:
        self._queue = queue
        self._region = region
        self._account = account
        self._triggers: tuple[Trigger, ...] = ()  # replaced, never changed: threads read it

    def add(self, bucket: str, rule: Rule, function: str, definition: int) -> None:
        """
        Have a function invoked by a rule.

        The first trigger of a function's new definition takes the place of all those of
        its earlier ones, as when a notebook's cell is run twice.

        Args:
            bucket: Its name.
            rule: Which of its events.
            function: Its name.
            definition: Grows with each definition of a function of that name.

        Raises:
            DefinitionError: S3 would refuse the rule beside those that there are.
        """
        kept = tuple(
            trigger
            for trigger in self._triggers
            if trigger.function != function or trigger.definition == definition
        )
        added = Trigger(bucket, rule, function, definition)
        if added in kept:
            return
        for trigger in kept:
            if trigger.bucket == bucket and overlapping(trigger.rule, rule):
                msg = (
                    f"trigger of function {function!r} on bucket {bucket!r} overlaps with that "
                    f"of {trigger.function!r}: both would get {_common(trigger.rule, rule)} of "
                    "the same keys, and S3 sends an event to one function only; tell them "
                    "apart by events, or by prefix or suffix"
                )
                raise DefinitionError(msg)
        self._triggers = (*kept, added)

    def object_changed(self, connection: sqlite3.Connection, change: ObjectChange) -> None:
        """Put the events of a change into the queue, in the change's own transaction."""
        for trigger, configuration_id in self._matching(change):
            entry = record(
                event=change.event,
                bucket=change.bucket,
                key=change.key,
                time=change.time,
                sequencer=change.sequencer,
                size=change.size,
                etag=change.etag,
                region=self._region,
                account=self._account,
                user_id=change.caller.user_id,
                configuration_id=configuration_id,
                request_id=uuid.uuid4().hex[:16].upper(),
            )
            event = json.dumps({"Records": [entry]}).encode()
            self._queue.enqueue(connection, trigger.function, event)

    def _matching(self, change: ObjectChange) -> Iterator[tuple[Trigger, str]]:
        """Yield the triggers of a change, each with its id, which stays the same over runs."""
        numbers: dict[str, int] = {}
        for trigger in self._triggers:
            if trigger.bucket != change.bucket:
                continue
            number = numbers[trigger.function] = numbers.get(trigger.function, 0) + 1
            if trigger.rule.matches(change.event, change.key):
                yield trigger, f"{trigger.function}-{number}"


def _common(one: Rule, other: Rule) -> str:
    return ", ".join(f"s3:{name}" for name in sorted(one.types & other.types))
