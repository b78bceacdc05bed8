"""The meter of one invocation: what it used, what that costs, and AWS's REPORT line."""

from __future__ import annotations

import math
from decimal import Decimal
from typing import Any, Final, Literal, get_args

import attrs
from attrs import field, frozen

from faaskit.billing.cost import cost_usd
from faaskit.billing.exact import exact_figure, tidy, to_gb_seconds, whole_ms_measured
from faaskit.billing.memory_tier import MemoryTier
from faaskit.definition import (
    shown,
    validate_architecture,
    validate_ephemeral_storage,
    validate_memory_size,
)
from faaskit.exceptions import DefinitionError

__all__ = ["Meter", "Status"]

Status = Literal["ok", "error", "timeout", "out_of_memory", "exit", "signal"]

_OWNER: Final = "meter"
_STATUSES: Final = get_args(Status)

# A runtime reports these two and lives on, as after a handler's own exception; every other
# Runtime.* is of an environment that ended.
_ENVIRONMENT_LIVES_ON: Final = frozenset({"Runtime.MarshalError", "Runtime.UnmarshalError"})

# The REPORT line's names. The payload's differ: there, too, a kill for memory is ExitError.
_ENDED_BY: Final = {
    "out_of_memory": "Runtime.OutOfMemory",
    "exit": "Runtime.ExitError",
    "signal": "Runtime.ExitError",
}


def _memory_size(value: object) -> int:
    return validate_memory_size(value, _OWNER)


def _ephemeral_storage(value: object) -> int:
    return validate_ephemeral_storage(value, _OWNER)


def _architecture(value: object) -> str:
    return validate_architecture(value, _OWNER)


def _milliseconds(value: Any) -> float:
    # What the sandbox measures is of this kind. A meter is made in every call, and the exact
    # look at a figure takes as long as everything else about it.
    if type(value) is float and 0.0 <= value < math.inf:
        return value
    exact_figure(value, _OWNER, "a duration")
    return float(value)


def _optional_milliseconds(value: Any) -> float | None:
    return None if value is None else _milliseconds(value)


def _megabytes(value: Any) -> int:
    if type(value) is float and 0.0 <= value < math.inf:
        return math.ceil(value)
    return math.ceil(exact_figure(value, _OWNER, "max_memory_used_mb"))


def _check_status(_meter: Meter, _attribute: attrs.Attribute[str], value: object) -> None:
    if value not in _STATUSES:
        msg = f"{_OWNER}: status={shown(value)} is none; pass one of {', '.join(_STATUSES)}"
        raise DefinitionError(msg)


@frozen(kw_only=True, repr=False)
class Meter:
    """
    What one invocation used, measured from outside, and what it costs.

    Attributes:
        request_id: Of the invocation.
        memory_size: What the function had, in MB; all of it is paid for, used or not.
        ephemeral_storage: The size of /tmp, in MB; what is over 512 is paid for.
        architecture: ``x86_64`` or ``arm64``.
        duration_ms: Of the handler.
        init_duration_ms: Of INIT; None where this invocation did not wait for it.
        max_memory_used_mb: The peak, as measured, rounded up to whole MB.
        cpu_time_ms: User and system time of all its processes.
        cpu_throttled_ms: How long it was kept from running, since it had used its share of
            CPU; 0 where that is not held.
        status: How it ended.
        error_type: With the status ``error``, the payload's errorType: the exception's
            class, or AWS's name, such as ``Runtime.ImportModuleError``.
        requests: 1; 0 for an INIT that ran ahead of any call, which costs its time alone.

    Raises:
        DefinitionError: A figure that can't be: negative, NaN, out of AWS's range.
    """

    request_id: str
    memory_size: int = field(converter=_memory_size)
    ephemeral_storage: int = field(default=512, converter=_ephemeral_storage)
    architecture: str = field(default="x86_64", converter=_architecture)
    duration_ms: float = field(converter=_milliseconds)
    init_duration_ms: float | None = field(default=None, converter=_optional_milliseconds)
    max_memory_used_mb: int = field(converter=_megabytes)
    cpu_time_ms: float = field(converter=_milliseconds)
    cpu_throttled_ms: float = field(default=0.0, converter=_milliseconds)
    status: Status = field(default="ok", validator=_check_status)
    error_type: str = ""
    requests: Literal[0, 1] = 1

    @property
    def billed_duration_ms(self) -> int:
        """What is paid for: INIT, if it waited for it, and handler; whole ms, at least 1."""
        init_ms = 0.0 if self.init_duration_ms is None else self.init_duration_ms
        return whole_ms_measured(init_ms, self.duration_ms)

    @property
    def memory_tier(self) -> MemoryTier:
        """The share of CPU and the price per ms that go with the memory size."""
        return MemoryTier(self.memory_size, self.architecture)

    @property
    def gb_seconds(self) -> Decimal:
        """AWS's unit of compute: memory times billed duration."""
        return tidy(to_gb_seconds(Decimal(self.memory_size), Decimal(self.billed_duration_ms)))

    @property
    def cost_usd(self) -> Decimal:
        """
        Request, compute and storage, exact.

        At the first tier's prices of us-east-1, without the free tier: a discount for
        volume belongs to a month, not to an invocation. ``estimate`` has both.
        """
        return cost_usd(
            self.requests,
            self.billed_duration_ms,
            self.memory_tier,
            ephemeral_storage=self.ephemeral_storage,
        )

    def report_line(self) -> str:
        r"""
        Return the REPORT line that AWS logs, without its newline.

        Fields end in a tab each, on AWS too, the last one included; with a ``Status`` the
        line ends in that. A handler that raised has no ``Status``: its environment lived
        on. Max Memory Used never passes Memory Size, and equals it after a kill for
        memory; the measured figure stays in ``max_memory_used_mb``.
        """
        killed_for_memory = self.status == "out_of_memory"
        used = self.memory_size if killed_for_memory else self.max_memory_used_mb
        fields = [
            f"REPORT RequestId: {self.request_id}",
            f"Duration: {self.duration_ms:.2f} ms",
            f"Billed Duration: {self.billed_duration_ms} ms",
            f"Memory Size: {self.memory_size} MB",
            f"Max Memory Used: {min(used, self.memory_size)} MB",
        ]
        if self.init_duration_ms is not None:
            fields.append(f"Init Duration: {self.init_duration_ms:.2f} ms")
        return "\t".join([*fields, self._ending()])

    def _ending(self) -> str:
        if self.status == "timeout":
            return "Status: timeout"
        error_type = _ENDED_BY.get(self.status, "")
        if self.status == "error" and self.error_type.startswith("Runtime."):
            error_type = "" if self.error_type in _ENVIRONMENT_LIVES_ON else self.error_type
        return f"Status: error\tError Type: {error_type}" if error_type else ""

    def __repr__(self) -> str:
        # All of it would be three lines of a notebook; this is what is asked for most.
        init = self.init_duration_ms
        return (
            f"Meter(status={self.status!r}, duration_ms={self.duration_ms:.2f}, "
            f"{'' if init is None else f'init_duration_ms={init:.2f}, '}"
            f"billed_duration_ms={self.billed_duration_ms}, memory_size={self.memory_size}, "
            f"max_memory_used_mb={self.max_memory_used_mb}, cost_usd={self.cost_usd!r})"
        )
