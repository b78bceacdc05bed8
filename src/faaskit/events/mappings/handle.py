"""An event source mapping, as users hold it."""

from __future__ import annotations

from faaskit.events.mappings.registry import Declared, Registry
from faaskit.events.mappings.settings import MappingSettings

__all__ = ["EventSourceMapping"]


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
