"""The ``lambda`` service: a function that invokes another one, as lambda:InvokeFunction."""

from __future__ import annotations

import base64
import json
import logging
import re
from collections.abc import Callable
from typing import Any, NoReturn, Protocol

from attrs import frozen

from faaskit.exceptions import (
    DefinitionError,
    PayloadError,
    SandboxError,
    ServiceError,
    ThrottledError,
)
from faaskit.gate.lineage import MAX_DEPTH, behind, current
from faaskit.gate.service import Caller, Refusal, Requirement, excerpt
from faaskit.names import function_arn
from faaskit.runtimes.contract import ServiceCall, ServiceFailure, ServiceReply

__all__ = ["Callee", "Completed", "LambdaService"]

_log = logging.getLogger(__name__)

# A name, NAME:QUALIFIER, ACCOUNT:function:NAME, or an ARN of these: AWS's pattern.
_FUNCTION = re.compile(
    r"(?:(?:arn:aws:lambda:(?P<region>[a-z0-9-]{1,32}):)?(?P<account>\d{12}):function:)?"
    r"(?P<name>[a-zA-Z0-9_-]{1,64})(?::(?P<qualifier>\$LATEST|[a-zA-Z0-9_-]{1,128}))?"
)
_QUALIFIER = re.compile(r"\$LATEST|[a-zA-Z0-9_-]{1,128}")
_PARAMETERS = {"FunctionName", "InvocationType", "LogType", "Qualifier"}
_LIMITS = {"RequestResponse": 6_291_456, "Event": 1_048_576, "DryRun": 6_291_456}
_LOG_TAIL = 4096


class Completed(Protocol):
    """What is needed of an ``Invocation``."""

    @property
    def ok(self) -> bool:
        """Whether the handler returned."""

    @property
    def raw(self) -> bytes:
        """The result, or the error object, as JSON."""

    @property
    def logs(self) -> str:
        """What the function wrote, with the lines around it."""

    def to_wire(self) -> dict[str, Any]:
        """Return it as JSON values."""


class Callee(Protocol):
    """What is needed of a function."""

    def invoke(self, event: Any) -> Completed:
        """Run it in a fresh environment and wait for it."""

    def send(self, event: Any) -> str:
        """Invoke it asynchronously; return the request id."""


@frozen
class _Invoke:
    """One Invoke, understood."""

    name: str
    qualifier: str | None
    region: str
    account: str
    kind: str
    tail: bool

    @property
    def arn(self) -> str:
        """The function as it was addressed: a policy on ``f`` does not cover ``f:1``."""
        arn = function_arn(self.name, region=self.region, account=self.account)
        return arn if self.qualifier is None else f"{arn}:{self.qualifier}"


class LambdaService:
    """
    The ``lambda`` service, as far as functions call each other by it.

    Args:
        find: Returns the app's function of a name, or None.
        region: The app's.
        account: The app's.
    """

    name = "lambda"

    def __init__(self, find: Callable[[str], Callee | None], *, region: str, account: str) -> None:
        self._find = find
        self._region = region
        self._account = account

    def owns(self, call: ServiceCall) -> bool:
        """Return whether it invokes: functions are the app's own."""
        return call.operation == "Invoke"

    def perform(self, call: ServiceCall, caller: Caller) -> ServiceReply:  # noqa: ARG002
        """Invoke the function: wait for its end, put it into the queue, or do nothing."""
        invoke = self._understand(call)
        if invoke.region != self._region:
            msg = (
                f"Functions from '{invoke.region}' are not reachable in this region "
                f"('{self._region}')"
            )
            raise Refusal(msg, code="ResourceNotFoundException")
        callee = self._find(invoke.name) if invoke.account == self._account else None
        if callee is None or invoke.qualifier not in {None, "$LATEST"}:
            arn = invoke.arn if invoke.qualifier is not None else f"{invoke.arn}:$LATEST"
            msg = f"Function not found: {arn}"
            raise Refusal(msg, code="ResourceNotFoundException")
        event = _event(call.body, invoke.kind)
        if invoke.kind == "DryRun":
            return ServiceReply({"StatusCode": 204})
        try:
            if invoke.kind == "Event":
                request_id = callee.send(event)
                metadata = {"RequestId": request_id, "HTTPStatusCode": 202}
                return ServiceReply({"StatusCode": 202, "ResponseMetadata": metadata})
            depth = current()
            if depth >= MAX_DEPTH:
                msg = (
                    f"Lambda has detected function {invoke.name!r} being invoked in a recursive "
                    f"loop: {depth} invocations stand behind this one, and there may be no more"
                )
                raise Refusal(msg, code="RecursiveInvocationException")
            with behind(depth + 1):
                return _completed(callee.invoke(event), tail=invoke.tail)
        except ThrottledError as error:
            msg, details = "Rate Exceeded.", {"Reason": error.reason}
            raise Refusal(msg, code="TooManyRequestsException", details=details) from error
        except ServiceError as error:
            raise Refusal(error.message, code=error.code) from error
        except PayloadError as error:
            raise Refusal(error.message, code="RequestTooLargeException") from error
        except DefinitionError as error:
            # Its code can't travel, or there is no queue: a mistake that the user can mend.
            raise Refusal(error.message, code="InvalidParameterValueException") from error
        except SandboxError as error:
            # The caller's function is not at fault, and need not know the host's paths.
            _log.exception("function %r could not be run for another one", invoke.name)
            msg = "faaskit could not run the function; the app's log says why"
            raise Refusal(msg, code="ServiceException") from error

    def discloses(
        self,
        call: ServiceCall,  # noqa: ARG002
        failure: ServiceFailure,  # noqa: ARG002
    ) -> Requirement | None:
        """Return None: who may invoke a function may know whether there is one."""
        return None

    def _understand(self, call: ServiceCall) -> _Invoke:
        if call.operation != "Invoke":
            msg = f"operation {excerpt(call.operation)} is not one that lambda has here: Invoke"
            raise Refusal(msg, code="UnknownOperationException")
        parameters = call.parameters
        for name, value in parameters.items():
            if name not in _PARAMETERS:
                _invalid(f"parameter {excerpt(name)} has no effect here: leave it out")
            if not isinstance(value, str):
                _invalid(f"parameter {name} is {excerpt(value)}: pass a string")
        match = _FUNCTION.fullmatch(parameters.get("FunctionName", ""))
        if match is None:
            value = excerpt(parameters.get("FunctionName"))
            _invalid(f"FunctionName {value} is neither a function's name nor its ARN")
        qualifier = parameters.get("Qualifier", match["qualifier"])
        if qualifier is not None and not _QUALIFIER.fullmatch(qualifier):
            _invalid(f"Qualifier {excerpt(qualifier)} is neither a version nor an alias")
        if match["qualifier"] not in {None, qualifier}:
            _invalid("The derived qualifier from the function name does not match the qualifier")
        kind = parameters.get("InvocationType", "RequestResponse")
        if kind not in _LIMITS:
            _invalid(
                f"1 validation error detected: Value {excerpt(kind)} at 'invocationType' failed "
                "to satisfy constraint: Member must satisfy enum value set: "
                "[Event, RequestResponse, DryRun]"
            )
        log_type = parameters.get("LogType", "None")
        if log_type not in {"None", "Tail"}:
            _invalid(
                f"1 validation error detected: Value {excerpt(log_type)} at 'logType' failed "
                "to satisfy constraint: Member must satisfy enum value set: [Tail, None]"
            )
        return _Invoke(
            name=match["name"],
            qualifier=qualifier,
            region=match["region"] or self._region,
            account=match["account"] or self._account,
            kind=kind,
            tail=log_type == "Tail",
        )


def _invalid(message: str) -> NoReturn:
    raise Refusal(message, code="InvalidParameterValueException")


def _event(body: bytes | None, kind: str) -> Any:
    """Return the parsed payload; an empty one is ``{}``, as on AWS."""
    if not body:
        return {}
    if len(body) > _LIMITS[kind]:
        msg = (
            f"{len(body)} byte payload is too large for the {kind} invocation type "
            f"(limit {_LIMITS[kind]} bytes)"
        )
        raise Refusal(msg, code="RequestTooLargeException")
    try:
        return json.loads(body, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        msg = f"Could not parse request body into json: {error}"
        raise Refusal(msg, code="InvalidRequestContentException") from error


def _no_constant(name: str) -> NoReturn:
    msg = f"{name} is no JSON"
    raise ValueError(msg)


def _completed(invocation: Completed, *, tail: bool) -> ServiceReply:
    output: dict[str, Any] = {"StatusCode": 200, "ExecutedVersion": "$LATEST"}
    if not invocation.ok:
        output["FunctionError"] = "Unhandled"
    if tail:
        log = invocation.logs.encode("utf-8", "replace")[-_LOG_TAIL:]
        output["LogResult"] = base64.b64encode(log).decode()
    output["Invocation"] = invocation.to_wire()
    return ServiceReply(output, invocation.raw)
