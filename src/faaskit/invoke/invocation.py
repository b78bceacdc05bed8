"""An invocation that has ended: what came back, what was written, what it used."""

from __future__ import annotations

import json
from typing import Any

from attrs import evolve, field, frozen

from faaskit.billing import Meter
from faaskit.definition import MB_PER_VCPU
from faaskit.exceptions import InvocationError
from faaskit.invoke.endings import Status, error_for
from faaskit.runtimes.contract import Permission

__all__ = ["Access", "Invocation"]

_THROTTLED_SHARE = 0.1  # of the duration: less is nothing to act upon


@frozen
class Access:
    """
    One service call of a function, and what was decided about it.

    Attributes:
        service: botocore's name, such as ``s3``.
        operation: AWS's name, such as ``GetObject``.
        permissions: Each that it needed: action, resource, effect, reason. None where the call
            was malformed, and for what AWS always answers.
        code: AWS's code of the error that the function got; empty where it went well.
    """

    service: str
    operation: str
    permissions: tuple[Permission, ...]
    code: str = ""

    @property
    def allowed(self) -> bool:
        """Whether all that it needed was allowed; a malformed call never is."""
        if not self.permissions:
            return not self.code  # AWS answers GetCallerIdentity whatever policies say
        return all(one.allowed for one in self.permissions)


@frozen(repr=False)
class Invocation:
    """
    One call of a function, over. A failed one is a value, too.

    Attributes:
        function_name: Of the function.
        request_id: A UUID; retries of an asynchronous invocation share it.
        status: ``ok``, or how it failed.
        raw: What Lambda's caller would get, as bytes: the result or the error object.
        logs: START, what was written to stdout and stderr, END and REPORT.
        meter: What it used and what that costs.
        error: What ``result`` raises, or None.
        log_stream_name: AWS's name of the log stream that ``logs`` would be in; its group is
            ``/aws/lambda/`` and the function's name.
        access: Its service calls, in order, INIT's too where it waited for that; up to 10,000
            permissions.
    """

    function_name: str
    request_id: str
    status: Status
    raw: bytes
    logs: str
    meter: Meter
    error: InvocationError | None = field(default=None, eq=False)
    access: tuple[Access, ...] = field(default=(), eq=False)
    log_stream_name: str = field(default="", eq=False)

    @property
    def ok(self) -> bool:
        """Whether the handler returned a result."""
        return self.status == "ok"

    @property
    def payload(self) -> Any:
        """
        What Lambda's caller would see, parsed; parsed anew each time it is asked for.

        A handler that returned bytes that are no JSON has them here as they are.
        """
        try:
            return json.loads(self.raw)
        except (ValueError, RecursionError):  # no JSON, or nested too deeply to be read
            return self.raw

    def result(self) -> Any:
        """
        Return the payload of an invocation that went well.

        Raises:
            InvocationError: The one in ``error``.
        """
        if self.error is not None:
            raise self.error
        return self.payload

    def __repr__(self) -> str:
        cost = f"{self.meter.cost_usd:f}"
        return (
            f"Invocation({self.function_name!r}, {self.status!r}, "
            f"{self.meter.duration_ms:.2f} ms, {self.meter.max_memory_used_mb} MB used, "
            f"${cost}, {self._throttled()}request_id={self.request_id!r})"
        )

    def _throttled(self) -> str:
        """Tell of a call that its share of CPU held up, and what would not have."""
        meter = self.meter
        throttled_ms = meter.cpu_throttled_ms
        if throttled_ms <= _THROTTLED_SHARE * meter.duration_ms:
            return ""
        told = f"{throttled_ms:.0f} ms of it throttled"
        if meter.memory_size < MB_PER_VCPU:
            told += f": memory_size={MB_PER_VCPU} has a whole vCPU"
        return f"{told}, "

    def to_wire(self) -> dict[str, Any]:
        """Return it as JSON values, without ``raw``: what a function that invoked it gets."""
        meter = self.meter
        return {
            "function_name": self.function_name,
            "request_id": self.request_id,
            "status": self.status,
            "logs": self.logs,
            "meter": {
                "request_id": meter.request_id,
                "memory_size": meter.memory_size,
                "ephemeral_storage": meter.ephemeral_storage,
                "architecture": meter.architecture,
                "duration_ms": meter.duration_ms,
                "init_duration_ms": meter.init_duration_ms,
                "max_memory_used_mb": meter.max_memory_used_mb,
                "cpu_time_ms": meter.cpu_time_ms,
                "cpu_throttled_ms": meter.cpu_throttled_ms,
                "status": meter.status,
                "error_type": meter.error_type,
            },
        }

    @classmethod
    def from_wire(cls, facts: dict[str, Any], raw: bytes) -> Invocation:
        """Rebuild an invocation from ``to_wire`` and its payload."""
        meter = Meter(**facts["meter"])
        made = cls(
            function_name=facts["function_name"],
            request_id=facts["request_id"],
            status=facts["status"],
            raw=raw,
            logs=facts["logs"],
            meter=meter,
        )
        return made if made.ok else evolve(made, error=error_for(made.status, raw, meter))
