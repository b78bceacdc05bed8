"""What a Deliverer delivers: kinds of work, each of which knows what is due and does it."""

from __future__ import annotations

from datetime import datetime
from typing import Protocol, TypeVar

__all__ = ["Ended", "Errors", "Task", "Timed", "Work"]

Errors = tuple[type[Exception], ...]


class Ended(Protocol):
    """What is needed of an Invocation."""

    @property
    def ok(self) -> bool:
        """Whether the handler returned."""

    @property
    def raw(self) -> bytes:
        """The result, or the error object, as JSON."""

    @property
    def request_id(self) -> str:
        """A UUID."""


_I_co = TypeVar("_I_co", bound=Ended, covariant=True)


class Task(Protocol[_I_co]):
    """One thing to do, claimed: nobody else does it meanwhile."""

    @property
    def label(self) -> str:
        """What it is, for the log."""

    def carry_out(self, later: Errors) -> _I_co | None:
        """
        Do it and note how it ended; nothing is claimed when this returns or raises.

        Args:
            later: The errors of an invocation for which it is tried again later; others are
                raised, and it is as if it had not been tried.

        Returns:
            The invocation; None where there was none.
        """

    def drop(self) -> None:
        """Give the claim up without having done anything."""


class Work(Protocol[_I_co]):
    """One kind of things to do. Safe to use from several threads."""

    def look(self) -> None:
        """Take up what no process is at any more, and what others wrote. Called now and then."""

    def next_due(self) -> datetime | None:
        """Return when something is due next, past or future; None for what is not known."""

    def claim(self) -> Task[_I_co] | None:
        """Claim what is due first; None where nothing is."""

    def abandon(self) -> None:
        """Hand back all that this process has claimed: who did it will not note how it ended."""

    def rest(self) -> None:
        """Let other processes have what this one kept for itself: it claims nothing for now."""

    def after_fork_in_child(self) -> None:
        """Let go of what is the parent's: its claims, and a lock that a thread may hold."""


class Timed(Protocol):
    """What makes things due when their time has come."""

    def fire_due(self) -> None:
        """Put what is due where the work finds it."""

    def next_due(self) -> datetime | None:
        """Return when it has something next; None for never."""
