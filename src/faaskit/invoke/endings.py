"""How an invocation ends, in AWS's words: statuses, error objects, exceptions. Pure."""

from __future__ import annotations

import json
import signal
from typing import Any, Literal

from faaskit.billing import Meter
from faaskit.exceptions import (
    FunctionError,
    FunctionExitError,
    FunctionMemoryError,
    FunctionSignalError,
    FunctionTimeoutError,
    InvocationError,
    PayloadError,
)
from faaskit.runtimes.contract import Outcome

__all__ = ["Status", "error_for", "error_type_of", "payload_of", "status_of"]

Status = Literal["ok", "error", "timeout", "out_of_memory", "exit", "signal"]


def status_of(outcome: Outcome) -> Status:
    """Return an outcome's status."""
    return "ok" if outcome.ending == "result" else outcome.ending


def payload_of(outcome: Outcome, request_id: str, limit_s: float) -> bytes:
    """
    Return what Lambda's caller would get.

    Args:
        outcome: How it ended.
        request_id: Stands in AWS's message.
        limit_s: The timeout, or INIT's, whichever it was that ended it.
    """
    if outcome.ending in ("result", "error"):
        return outcome.payload
    if outcome.ending == "timeout":
        kind, reason = "Sandbox.Timedout", f"Task timed out after {limit_s:.2f} seconds"
    else:
        kind, reason = "Runtime.ExitError", _exit_reason(outcome)
    message = f"RequestId: {request_id} Error: {reason}"
    return json.dumps({"errorType": kind, "errorMessage": message}).encode()


def _exit_reason(outcome: Outcome) -> str:
    if outcome.ending == "out_of_memory":
        number: int | None = signal.SIGKILL
    else:
        number = outcome.signal
    if number is not None:
        name = signal.strsignal(number) or f"signal {number}"
        return f"Runtime exited with error: signal: {name.lower()}"
    if outcome.exit_code:
        return f"Runtime exited with error: exit status {outcome.exit_code}"
    return "Runtime exited without providing a reason"


def error_type_of(raw: bytes) -> str:
    """Return the ``errorType`` of an error object, empty where it has none."""
    return str(_parsed(raw).get("errorType", ""))


def _parsed(raw: bytes) -> dict[str, Any]:
    try:
        parsed = json.loads(raw)
    except (ValueError, RecursionError):
        return {}
    return parsed if isinstance(parsed, dict) else {}


def error_for(
    status: Status, raw: bytes, meter: Meter, outcome: Outcome | None = None, timeout: float = 0
) -> InvocationError:
    """
    Return the exception that ``Invocation.result`` raises.

    Args:
        status: How it ended; not ``ok``.
        raw: The error object.
        meter: For ids and limits.
        outcome: For the exit code or signal, where it is known.
        timeout: In seconds, where it is known.
    """
    request_id = meter.request_id
    body = _parsed(raw)
    message, kind = str(body.get("errorMessage", "")), str(body.get("errorType", ""))
    detail = f" ({outcome.detail})" if outcome is not None and outcome.detail else ""
    if status == "timeout":
        return FunctionTimeoutError(message, request_id=request_id, timeout=timeout or None)
    if status == "out_of_memory":
        msg = (
            f"the function used more than its memory_size of {meter.memory_size} MB and was "
            "killed; give it more, or have it hold less at once"
        )
        return FunctionMemoryError(msg, request_id=request_id, memory_size=meter.memory_size)
    if status == "signal":
        number = None if outcome is None else outcome.signal
        return FunctionSignalError(message + detail, request_id=request_id, signal=number)
    if status == "exit":
        code = None if outcome is None else outcome.exit_code
        return FunctionExitError(message + detail, request_id=request_id, exit_code=code)
    if kind == "Function.ResponseSizeTooLarge":
        return PayloadError(message, request_id=request_id)
    trace = body.get("stackTrace") or ()
    error = FunctionError(
        f"{kind}: {message}{detail}",
        request_id=request_id,
        error_type=kind,
        stack_trace=tuple(map(str, trace)),
    )
    if trace and hasattr(error, "add_note"):  # 3.11: shown below the traceback
        error.add_note("In the function:\n" + "".join(map(str, trace)))
    return error
