"""An event source mapping, as users hold it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeVar

from faaskit.events.mappings.registry import Declared, Registry
from faaskit.events.mappings.settings import MappingSettings

__all__ = ["EventSourceMapping", "RemoteQueue"]

_F = TypeVar("_F")


class RemoteOwner(Protocol):
    """What a queue elsewhere needs of its app."""

    def mapped_remote(self, queue: RemoteQueue, **settings: Any) -> Callable[[_F], _F]:
        """Return a decorator that makes an event source mapping."""


class RemoteQueue:
    """
    An SQS queue that is not the app's own: made by ``app.remote_queue(arn)``.

    Attributes:
        arn: Its ARN.
        name: The last part of it.
    """

    def __init__(self, arn: str, owner: RemoteOwner) -> None:
        self.arn = arn
        self.name = arn.rpartition(":")[2]
        self._owner = owner

    def __repr__(self) -> str:
        return f"RemoteQueue({self.arn!r})"

    def on_messages(
        self,
        *,
        batch_size: int = 10,
        max_batching_window: int = 0,
        report_batch_item_failures: bool = False,
        filters: Sequence[Any] = (),
        max_concurrency: int | None = None,
        enabled: bool = True,
    ) -> Callable[[_F], _F]:
        """
        Have a function invoked for the queue's messages, in batches: as ``queue.on_messages``.

        Args:
            batch_size: How many messages one invocation gets, at the most: 1 to 10000, and over
                10 with a window; 1 to 10 of a FIFO queue.
            max_batching_window: Seconds for which a batch that is not full is waited for, in
                real time: 0 to 300. Not of a FIFO queue.
            report_batch_item_failures: The function returns what of its batch failed.
            filters: Up to 10 patterns, of which one must match; what matches none is deleted.
            max_concurrency: How many batches are under way at once: 2 to 1000. None: 5, with
                which Lambda begins.
            enabled: Whether it is polled; ``app.mappings`` have a switch.

        Raises:
            DefinitionError: Lambda does not take one of these; what is decorated is not a
                function of this app; or there is a mapping of the two already.
        """
        return self._owner.mapped_remote(
            self,
            batch_size=batch_size,
            max_batching_window=max_batching_window,
            report_batch_item_failures=report_batch_item_failures,
            filters=filters,
            max_concurrency=max_concurrency,
            enabled=enabled,
        )


class EventSourceMapping:
    """
    What reads a stream, table or queue, and invokes a function: one of ``app.mappings``.

    Made by ``stream.on_records``, ``table.on_change`` and ``queue.on_messages``.
    """

    def __init__(self, declared: Declared, registry: Registry) -> None:
        self._declared = declared
        self._registry = registry

    def __repr__(self) -> str:
        where = f"{self.event_source_arn!r} to {self.function_name!r}"
        return f"<EventSourceMapping {where}: {self.state}>"

    @property
    def uuid(self) -> str:
        """The same over runs of the program; opens the state folder."""
        self._registry.refresh()
        return self._declared.uuid

    @property
    def event_source_arn(self) -> str:
        """Of the stream, table or queue."""
        return str(self._declared.source.key)

    @property
    def function_name(self) -> str:
        """Of the function that it invokes."""
        return self._declared.function

    @property
    def settings(self) -> MappingSettings:
        """What it was declared with."""
        return self._declared.settings

    @property
    def state(self) -> str:
        """``Enabled`` or ``Disabled``."""
        self._registry.refresh()
        return "Enabled" if self._declared.enabled else "Disabled"

    @property
    def last_processing_result(self) -> str:
        """``No records processed``, ``OK``, or ``PROBLEM: …``."""
        self._registry.refresh()
        return self._declared.result

    def enable(self) -> None:
        """Have it read from now on, in every process that has the state folder."""
        self._registry.refresh()
        self._registry.set_enabled(self._declared, True)

    def disable(self) -> None:
        """Have it read no more; what is under way comes to its end, and nothing is lost."""
        self._registry.refresh()
        self._registry.set_enabled(self._declared, False)
