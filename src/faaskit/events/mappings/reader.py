"""What the works of mappings have of their app, and which mappings are to read now."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Generic, Protocol, TypeVar

from attrs import frozen

from faaskit.clock import Clock
from faaskit.events.mappings.registry import Declared, Registry
from faaskit.events.work import Ended
from faaskit.resources.state import State

__all__ = ["Invocable", "Reader"]


class HasArn(Protocol):
    """What is needed of a Role."""

    @property
    def arn(self) -> str:
        """Its ARN."""


class HasTimeout(Protocol):
    """What is needed of a FunctionConfig."""

    @property
    def timeout(self) -> int:
        """In seconds."""


class Invocable(Protocol):
    """What is needed of a Function."""

    @property
    def name(self) -> str:
        """Unique in the app."""

    @property
    def arn(self) -> str:
        """Unqualified."""

    @property
    def role(self) -> HasArn:
        """Under which it runs."""

    @property
    def config(self) -> HasTimeout:
        """Its configuration."""


_F = TypeVar("_F", bound=Invocable)
_I_co = TypeVar("_I_co", bound=Ended, covariant=True)


@frozen
class Reader(Generic[_F, _I_co]):
    """
    What is read with.

    Attributes:
        registry: Which mappings there are.
        state: Where is kept how far each of them is.
        functions: Returns the functions that there are by now, by name.
        invoke: Runs one with a parsed event, under a request id.
        permitted: Returns whether a function's role lets its mapping read there.
        clock: Decides what is due.
    """

    registry: Registry
    state: State
    functions: Callable[[], Mapping[str, _F]]
    invoke: Callable[[_F, Any, str], _I_co]
    permitted: Callable[[_F, Declared], bool]
    clock: Clock

    def function_of(self, mapping: Declared) -> _F | None:
        """Return the function that a mapping invokes; None if it was taken away since."""
        return self.functions().get(mapping.function)

    def readable(self, *kinds: str) -> list[tuple[Declared, _F]]:
        """Return the mappings of sources of some kinds that are to read now, with functions."""
        mappings = self.registry.of(*kinds)
        if not mappings:
            return []
        functions = self.functions()
        return [
            (mapping, function)
            for mapping in mappings
            if mapping.enabled
            and mapping.uuid  # else the state folder was not opened yet
            and (function := functions.get(mapping.function)) is not None
            and self.permitted(function, mapping)
        ]
