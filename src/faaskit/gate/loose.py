"""The functions that belong to no App, and the gate between them: they may invoke each other."""

from __future__ import annotations

import weakref
from typing import Any, Generic, Protocol, TypeVar

from attrs import frozen

from faaskit.clock import Clock
from faaskit.gate.gate import Decider, Gate, Principal
from faaskit.gate.invoking import Callee, Completed, LambdaService
from faaskit.gate.service import Refusal, excerpt
from faaskit.names import DEFAULT_ACCOUNT, DEFAULT_REGION
from faaskit.runtimes.contract import ServiceCall, ServiceFailure, ServiceReply

__all__ = ["Loose", "LooseFunctions", "Runner"]


class Runner(Protocol):
    """What is needed of an Invoker."""

    def invoke(self, function: Any, event: Any) -> Completed:
        """Run a function in a fresh environment and wait for it."""


class Loose(Protocol):
    """What is needed of a function without an App."""

    @property
    def name(self) -> str:
        """What it is invoked by."""

    @property
    def arn(self) -> str:
        """Its ARN, in the default account and region."""

    @property
    def role(self) -> Decider:
        """What decides on its calls."""

    def send(self, event: Any) -> str:
        """Say that there is no queue to keep an event in."""


_F = TypeVar("_F", bound=Loose)


class LooseFunctions(Generic[_F]):
    """
    The functions of this program that belong to no App. Safe to use from several threads.

    Nothing here keeps a function alive: a notebook whose cell runs a hundred times has the
    last of the hundred. So who deletes a function can't have it invoked any more.

    Args:
        clock: For the condition keys that tell the time.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._functions: weakref.WeakValueDictionary[tuple[str, str], _F] = (
            weakref.WeakValueDictionary()
        )

    def adopt(self, function: _F) -> None:
        """
        Have a function found by its name, in place of an earlier one of its module.

        Modules are told apart: two libraries that know nothing of each other may each have
        a ``handler``, and neither may be run for the other.
        """
        self._functions[function.name, function.__module__] = function

    def serve(self, function: _F, call: ServiceCall, runner: Runner) -> ServiceReply:
        """
        Answer a service call of a running function, by its role; never raises.

        Args:
            function: Whose role decides.
            call: Not trusted.
            runner: What runs it. It runs what is invoked, too: there it is billed, and
                there it is known that waiting for room could be for ever.
        """
        if call.service != LambdaService.name:
            msg = (
                f"function {function.name!r} belongs to no App, so there is no "
                f"{excerpt(call.service)} that it may reach, only functions like itself; "
                "declare it with @app.function"
            )
            return ServiceReply(failure=ServiceFailure("AccessDeniedException", msg))

        def find(name: str) -> Callee | None:
            found = self._find(name)
            return None if found is None else _Callee(found, runner)

        service = LambdaService(find, region=DEFAULT_REGION, account=DEFAULT_ACCOUNT)
        gate = Gate(service, clock=self._clock, region=DEFAULT_REGION)
        return gate.serve(Principal(function.role, function.name, function.arn), call)

    def _find(self, name: str) -> _F | None:
        every = [reference() for reference in self._functions.valuerefs()]
        found = {one.__module__: one for one in every if one is not None and one.name == name}
        if len(found) > 1:
            msg = (
                f"there are functions {name!r} in the modules {', '.join(sorted(found))}, and "
                "their ARN does not tell which is meant; pass name='…' to one"
            )
            raise Refusal(msg, code="ResourceConflictException")
        return next(iter(found.values()), None)


@frozen
class _Callee:
    """A function together with what is to run it."""

    function: Loose
    runner: Runner

    def invoke(self, event: Any) -> Completed:
        return self.runner.invoke(self.function, event)

    def send(self, event: Any) -> str:
        return self.function.send(event)
