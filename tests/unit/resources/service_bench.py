"""A service of an app, called as the gate calls it, on a clock that stands still."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from faaskit.app import App
from faaskit.gate.service import Caller, Refusal, Service
from faaskit.runtimes.contract import ServiceCall, ServiceFailure
from faaskit.testing import FakeClock

ME = Caller("AROAEXAMPLE:worker", "arn:aws:lambda:us-east-1:123456789012:function:worker")


class Bench:
    """An app, and one of its services."""

    def __init__(self, folder: Path, name: str) -> None:
        self.clock = FakeClock("2026-01-01T00:00:00Z")
        self.app = App("bench", state=folder, clock=self.clock)
        self.name = name
        self.service: Service = self.app._gate._services[name]

    def call(self, operation: str, region: str = "", **parameters: Any) -> Any:
        """Return the output."""
        call = ServiceCall(self.name, operation, parameters, region=region)
        return self.service.perform(call, ME).output

    def failure(self, operation: str, region: str = "", **parameters: Any) -> ServiceFailure:
        """Return why it is refused."""
        with pytest.raises(Refusal) as caught:
            self.call(operation, region, **parameters)
        return caught.value.failure

    def code(self, operation: str, **parameters: Any) -> str:
        """Return the code with which it is refused."""
        return self.failure(operation, **parameters).code

    def owns(self, operation: str, region: str = "", **parameters: Any) -> bool:
        """Return whether a call names a resource of the app."""
        call = ServiceCall(self.name, operation, parameters, region=region)
        return self.service.owns(call)
