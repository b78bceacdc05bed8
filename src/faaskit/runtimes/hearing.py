"""
What is heard on a line, made into the events and the outcome of an invocation.

Everything that comes from an environment may have been written by hostile code: nothing of
it is trusted to have a shape, and nothing is ever unpickled.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

from faaskit.exceptions import SandboxError
from faaskit.runtimes.contract import (
    Ending,
    Event,
    Limits,
    Log,
    Outcome,
    RunCancelledError,
    ServiceCall,
    ServiceFailure,
    ServiceReply,
    Usage,
)
from faaskit.runtimes.errno_advice import sandbox_error
from faaskit.runtimes.json_limits import JsonLimits, JsonTooLargeError, loads
from faaskit.runtimes.reading import Used
from faaskit.sandbox import wire
from faaskit.sandbox.handler import RESPONSE_LIMIT
from faaskit.sandbox.keeper import LauncherLostError
from faaskit.sandbox.line import Hangup, Item, Line, Message, Text, Verdict

__all__ = [
    "Hearing",
    "log_of",
    "message_limits",
    "setup_failed",
    "write_reply",
]

_MB = 1024 * 1024

# The largest document that any operation of AWS's has is 16 MB of JSON, BatchWriteItem's; what
# is larger, such as an object of S3, is a body. The most that is written in it for one value is
# a number of a list, about ten digits: `{"N": "0.12345678"}, `. Parsed, such a document has 240 MB.
_HEADER_LIMIT = 16 * _MB
_CALL_LIMITS = JsonLimits(values=2_000_000, depth=128)  # DynamoDB's 32 levels are 64 and some
# A stack trace is a list of lines.
_ERROR_LIMITS = JsonLimits(values=100_000, depth=8)


def message_limits(limits: Limits) -> dict[int, int]:
    """Return the largest message of each kind that an environment may send."""
    return {
        wire.READY: wire.REASON_LIMIT,
        wire.INIT_DONE: wire.REASON_LIMIT,
        wire.RESULT: RESPONSE_LIMIT,
        wire.ERROR: RESPONSE_LIMIT,
        # A body can't be larger than what the function can hold.
        wire.CALL: _HEADER_LIMIT + limits.memory_size * _MB + _MB,
        wire.SETUP_FAILED: 1 << 16,
    }


class Hearing:
    """Hears items until the end, and makes an outcome of them."""

    def __init__(self, line: Line, phase: str) -> None:
        self._line = line
        self.phase = phase
        self.init_duration_ms: float | None = None
        self.outcome: Outcome | None = None
        self.hung_up = False
        self._answer: tuple[Ending, bytes] | None = None
        self._duration_ms: float | None = None
        self._detail = ""

    @property
    def answered(self) -> bool:
        """Whether the function has given its result."""
        return self._answer is not None

    def hear(self, item: Item, began: int | None = None) -> Iterator[Event]:
        """Take one item; yield what the invocation has to know."""
        if isinstance(item, Text):
            yield Log(item.data)
        elif isinstance(item, Message):
            yield from self._message(item, began)
        elif isinstance(item, Hangup):
            self._hang_up(item.reason, began)
        else:
            yield from map(log_of, self._line.rest_of_log())
            self._verdict(item, began)

    def _hang_up(self, reason: str, began: int | None) -> None:
        self.hung_up = True
        self._detail = reason
        self._stop_clock(began)

    def _stop_clock(self, began: int | None, at: int | None = None) -> None:
        if self._duration_ms is None and began is not None:
            now = time.monotonic_ns()
            ended = now if at is None else min(max(at, began), now)
            self._duration_ms = (ended - began) / 1e6

    def _message(self, item: Message, began: int | None) -> Iterator[Event]:
        if self.answered:
            return  # nothing counts after the result
        if item.kind == wire.CALL:
            try:
                yield _service_call(item, self._line.number)
            except (wire.HeaderTooLargeError, JsonTooLargeError) as error:
                call_id = self._line.number << _NUMBER_BITS | item.number
                write_reply(self._line, call_id, _too_large(error))
            except wire.WireError as error:
                self._hang_up(str(error), began)
        elif item.kind == wire.RESULT:
            self._stop_clock(began)
            self._answer = ("result", item.payload)
        elif item.kind == wire.ERROR:
            self._stop_clock(began)
            self._answer = self._error(item.payload)

    def _error(self, payload: bytes) -> tuple[Ending, bytes]:
        try:
            body = loads(payload, _ERROR_LIMITS)
        except JsonTooLargeError as error:
            self._detail = f"its error object is too large: {error}"
            return "exit", b""
        except (ValueError, RecursionError):
            return "exit", b""
        if not isinstance(body, dict):
            return "exit", b""
        if body.get("out_of_memory") is True:
            return "out_of_memory", b""
        if not {"errorMessage", "errorType"} <= body.keys():
            return "exit", b""
        return "error", json.dumps(_error_object(body)).encode()

    def settle(self, used: Used | None) -> None:
        """Make the outcome of an answer, where what it used is known without the launcher."""
        if used is None or self._answer is None:
            return
        ending, payload = self._answer
        if used.over:
            # The watchdog looks every few milliseconds: this one was faster.
            ending, payload = "out_of_memory", b""
        self._conclude(ending, payload, used)

    def _verdict(self, item: Verdict, began: int | None) -> None:
        if self.outcome is not None:
            return
        facts = item.facts
        if facts is None:
            msg = "the launcher was killed while the function ran; the call can be made again"
            raise LauncherLostError(msg, step="run")
        # The launcher knows when it ended; this side may have come to hear of it late.
        self._stop_clock(began, facts["at"])
        ending = facts["ending"]
        if ending == "sandbox":
            raise sandbox_error(facts, "the sandbox", "run")
        payload = b""
        if self._answer is not None and ending != "out_of_memory":
            ending, payload = self._answer
        elif ending == "aborted":
            raise RunCancelledError
        elif ending == "finished":
            ending = "exit"
        # What this side has seen says more than that the channel was closed upon it.
        self._detail = self._detail or facts.get("detail", "")
        used = Used(facts["cpu_ns"], facts["peak"], facts["throttled_ns"])
        self._conclude(ending, payload, used, facts.get("exit_code"), facts.get("signal"))

    def _conclude(
        self,
        ending: Ending,
        payload: bytes,
        used: Used,
        exit_code: int | None = None,
        signal: int | None = None,
    ) -> None:
        took_ms = self._duration_ms or 0.0
        in_init = self.phase == "init"
        self.outcome = Outcome(
            ending=ending,
            usage=Usage(
                duration_ms=0.0 if in_init else took_ms,
                cpu_time_ms=used.cpu_ns / 1e6,
                max_memory_bytes=used.peak,
                cpu_throttled_ms=used.throttled_ns / 1e6,
                init_duration_ms=took_ms if in_init else self.init_duration_ms,
            ),
            payload=payload,
            exit_code=exit_code,
            signal=signal,
            phase="init" if in_init else "invoke",
            detail=self._detail,
        )


def _error_object(body: dict[str, Any]) -> dict[str, Any]:
    """Return an error object of AWS's shape, whatever was sent for one."""
    made: dict[str, Any] = {
        name: str(body[name]) for name in ("errorMessage", "errorType", "requestId") if name in body
    }
    trace = body.get("stackTrace")
    if isinstance(trace, list):
        made["stackTrace"] = [str(frame) for frame in trace]
    return made


# A call's id is the line that it came by and its number there. A reply that is late, to a
# call of a line that is closed, must not go to the one that took its place.
_NUMBER_BITS = 32


def _too_large(error: Exception) -> ServiceReply:
    msg = (
        f"The request is too large: {error}. A request has at most {_HEADER_LIMIT:,} bytes of "
        f"JSON beside its body, {_CALL_LIMITS.values:,} values and {_CALL_LIMITS.depth} levels."
    )
    return ServiceReply(failure=ServiceFailure("RequestEntityTooLargeException", msg))


def _service_call(item: Message, line: int) -> ServiceCall:
    text, body = wire.split_payload(item.payload, _HEADER_LIMIT)
    try:
        header = loads(text, _CALL_LIMITS)
    except JsonTooLargeError:
        raise
    except (ValueError, RecursionError) as error:
        msg = "a service call whose header is not JSON"
        raise wire.WireError(msg) from error
    if not isinstance(header, dict):
        msg = "a service call whose header is not an object"
        raise wire.WireError(msg)
    service, operation = header.get("service"), header.get("operation")
    parameters = header.get("parameters")
    if not (isinstance(service, str) and isinstance(operation, str)):
        msg = "a service call without a service and an operation"
        raise wire.WireError(msg)
    if not isinstance(parameters, dict):
        msg = "a service call whose parameters are no object"
        raise wire.WireError(msg)
    region, session = header.get("region", ""), header.get("session", "")
    if not (isinstance(region, str) and isinstance(session, str)):
        msg = "a service call whose region or session is no text"
        raise wire.WireError(msg)
    return ServiceCall(
        service,
        operation,
        parameters,
        body if header.get("has_body") else None,
        line << _NUMBER_BITS | item.number,
        region,
        session,
    )


def write_reply(line: Line, call_id: int, reply: ServiceReply) -> None:
    """Answer a service call, from any thread; a call of another line is left alone."""
    came_by, number = divmod(call_id, 1 << _NUMBER_BITS)
    if came_by != line.number:
        return
    header: dict[str, Any] = {"output": dict(reply.output), "has_body": reply.body is not None}
    if reply.failure is not None:
        failure = reply.failure
        header["failure"] = {
            "code": failure.code,
            "message": failure.message,
            "details": dict(failure.details),
        }
    line.answer(wire.encode_message(wire.REPLY, number, header, reply.body or b""))


def log_of(text: Text) -> Log:
    """Return the event of a piece of log."""
    return Log(text.data)


def setup_failed(payload: bytes) -> SandboxError:
    """Return the error that an environment's failed set-up is."""
    try:
        facts, _ = wire.split_message(payload)
    except wire.WireError:
        facts = {}
    return sandbox_error(facts, "an environment", "be set up")
