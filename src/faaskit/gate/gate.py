"""The gate: decides by a role whether a call may be carried out, then carries it out."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any, Protocol

from attrs import frozen

from faaskit.clock import Clock
from faaskit.gate.conditions import global_conditions, role_id
from faaskit.gate.service import Caller, Refusal, Requirement, Service, excerpt
from faaskit.iam.decision import Decision
from faaskit.iam.messages import denial_message
from faaskit.names import session_arn
from faaskit.runtimes.contract import ServiceCall, ServiceFailure, ServiceReply

__all__ = ["Decider", "Gate", "Principal"]

_log = logging.getLogger(__name__)


class Decider(Protocol):
    """What the gate needs of a role."""

    @property
    def name(self) -> str:
        """The last part of its ARN."""

    @property
    def arn(self) -> str:
        """Its ARN, which is ``aws:PrincipalArn`` of its sessions."""

    @property
    def account(self) -> str:
        """The account that it is in."""

    def decide(
        self, action: str, resource: str, context: Mapping[str, Any] | None = None
    ) -> Decision:
        """Say whether it may do that."""


@frozen
class Principal:
    """
    Who asks: a session of an execution role.

    Attributes:
        role: Decides.
        session_name: Lambda's is the function's name.
        function_arn: For ``lambda:SourceFunctionArn``.
    """

    role: Decider
    session_name: str
    function_arn: str | None = None

    @property
    def arn(self) -> str:
        """The session's ARN, which AWS's messages name."""
        return session_arn(self.role.name, self.session_name, account=self.role.account)

    @property
    def user_id(self) -> str:
        """AWS's unique id of the session."""
        return f"{role_id(self.role.arn)}:{self.session_name}"


class Gate:
    """
    Decides, and then carries out. Safe to use from several threads.

    Args:
        services: What can be called, each under its name.
        clock: For the condition keys that tell the time.
        region: ``aws:RequestedRegion`` of calls that name none.
    """

    def __init__(self, *services: Service, clock: Clock, region: str) -> None:
        self._services = {service.name: service for service in services}
        self._clock = clock
        self._region = region

    def serve(self, principal: Principal, call: ServiceCall) -> ServiceReply:
        """
        Answer a call that came from inside a function, whatever it holds.

        Args:
            principal: Whose role decides.
            call: Not trusted: any service, operation, parameters and body.

        Returns:
            The output; or the failure, with AWS's code: ``AccessDenied``, ``NoSuchKey``.
            A fault of ours is ``InternalFailure``, and in the log with its traceback.
        """
        try:
            return self._serve(principal, call)
        except Refusal as refusal:
            return ServiceReply(failure=refusal.failure)
        except Exception:  # noqa: BLE001 - whatever it is, the function must get an answer
            # It learns nothing more: the traceback names the app's own files.
            _log.exception("the gate failed in %s %s", excerpt(call.service), call.operation)
            msg = "the gate failed, not the function: the app's log says where"
            return ServiceReply(failure=ServiceFailure("InternalFailure", msg))

    def perform(self, call: ServiceCall, caller: Caller) -> ServiceReply:
        """
        Carry out a call of the app itself, which owns all resources: nothing is asked of IAM.

        Returns:
            The output, or the failure where the call can't be carried out.

        Raises:
            FaaskitError: The host failed, such as a disk that is full.
        """
        try:
            return self._service(call).perform(call, caller)
        except Refusal as refusal:
            return ServiceReply(failure=refusal.failure)

    def _service(self, call: ServiceCall) -> Service:
        if not _well_formed(call):
            msg = "a service call is an operation's name, parameters by name, and a body of bytes"
            raise Refusal(msg, code="ValidationException")
        service = self._services.get(call.service)
        if service is None:
            known = ", ".join(sorted(self._services))
            msg = f"service {excerpt(call.service)} is not one that the gate has: {known}"
            raise Refusal(msg, code="UnknownOperationException")
        return service

    def _serve(self, principal: Principal, call: ServiceCall) -> ServiceReply:
        service = self._service(call)
        requirements = service.requirements(call)
        if not requirements:
            msg = f"service {service.name!r} asks for no permission: that would leave it open"
            raise RuntimeError(msg)
        for requirement in requirements:
            self._require(principal, call, requirement)
        caller = Caller(principal.user_id, principal.function_arn)
        try:
            reply = service.perform(call, caller)
        except Refusal as refusal:
            reply = ServiceReply(failure=refusal.failure)
        if reply.failure is not None:
            also = service.discloses(call, reply.failure)
            if also is not None:
                self._require(principal, call, also)
        return reply

    def _require(self, principal: Principal, call: ServiceCall, requirement: Requirement) -> None:
        """Raise a Refusal, in AWS's words, unless the role allows it."""
        action, resource = requirement.action, requirement.resource
        context = global_conditions(
            role_arn=principal.role.arn,
            user_id=principal.user_id,
            account=principal.role.account,
            region=call.region or self._region,
            now=self._clock.now(),
            function_arn=principal.function_arn,
        )
        decision = principal.role.decide(action, resource, {**requirement.context, **context})
        if not decision.allowed:
            # S3's code lacks the ending that every other service has.
            code = "AccessDenied" if call.service == "s3" else "AccessDeniedException"
            msg = denial_message(principal.arn, action, resource, decision)
            if requirement.note:
                msg = f"{msg}. {requirement.note}"
            details = {"action": action, "resource": resource, "reason": decision.reason}
            raise Refusal(msg, code=code, details=details)


def _well_formed(call: ServiceCall) -> bool:
    """Return whether a call is of the types that it says; it is made of what came in."""
    named: list[tuple[object, type]] = [
        (call.service, str),
        (call.operation, str),
        (call.parameters, Mapping),
        (call.body, bytes | None),  # type: ignore[list-item]
        (call.region, str),
    ]
    return all(isinstance(value, kind) for value, kind in named) and all(
        isinstance(name, str) for name in call.parameters
    )
