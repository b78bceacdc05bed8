"""The gate: decides by a role whether a call may be carried out, then carries it out."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

from attrs import evolve, frozen

from faaskit.clock import Clock
from faaskit.gate.conditions import UNKNOWN_KEYS, global_conditions, role_id
from faaskit.gate.lineage import behind, current
from faaskit.gate.operations.requirements import Needs, Resolve, requirements
from faaskit.gate.service import Caller, Place, Refusal, Requirement, Service, excerpt
from faaskit.iam.context import KNOWN, Unknowns
from faaskit.iam.decision import Decision
from faaskit.iam.messages import denial_message
from faaskit.iam.policies import Policy
from faaskit.names import session_arn
from faaskit.runtimes.contract import (
    Permission,
    RunCancelledError,
    ServiceCall,
    ServiceFailure,
    ServiceReply,
)

__all__ = ["Decider", "Gate", "Policies", "Principal"]

_log = logging.getLogger(__name__)

# What denials of the services are called that speak XML or the query protocol, or did; the
# others say AccessDeniedException.
_DENIED = {
    "cloudwatch": "AccessDenied",
    "s3": "AccessDenied",
    "sns": "AuthorizationError",
    "sqs": "AccessDenied",
    "sts": "AccessDenied",
}
# AWS answers these whatever policies say, a Deny included.
_OPEN = frozenset({("sts", "GetCallerIdentity")})
_RECORDED = 2048  # characters: an ARN has no more, and what a function names may have


class _NoPolicies:
    """Resources without policies."""

    def of(self, _resource: str) -> None:
        """Return that a resource has none."""

    def among(self, _pattern: str, _account: str) -> tuple[None]:
        """Return that none of them has one."""
        return (None,)


def _nothing(_kind: str, _value: str) -> None:
    """Return that nothing more is known."""


class Policies(Protocol):
    """The policies that resources have themselves."""

    def of(self, resource: str, /) -> Policy | None:
        """Return the policy of what a request is about; None where it has none."""

    def among(self, pattern: str, account: str, /) -> tuple[Policy | None, ...]:
        """Return all the policies that a resource may have of which a pattern is known."""


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
        self,
        action: str,
        resource: str,
        context: Mapping[str, Any] | None = None,
        *,
        session: Iterable[Policy] | None = None,
        resource_policy: Policy | None = None,
        resource_account: str | None = None,
        principal: str | None = None,
        unknown: Unknowns = KNOWN,
    ) -> Decision:
        """Say whether a session of it may do that."""


@frozen
class Principal:
    """
    Who asks: a session of an execution role.

    Attributes:
        role: Decides.
        session_name: Lambda's is the function's name.
        function_arn: For ``lambda:SourceFunctionArn``; None where the function assumed the
            role itself.
        policies: The session's own, which narrow what the role allows.
    """

    role: Decider
    session_name: str
    function_arn: str | None = None
    policies: tuple[Policy, ...] = ()

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
        account: The owner of resources whose ARN names none. Default: the caller's.
        policies: The policies that resources have themselves.
        elsewhere: Carries out what is about none of the services' own resources.
        needs: Tells what a call needs; AWS's table, unless services are not AWS's.
        resolve: Tells what a call's parameters alone don't.
    """

    def __init__(
        self,
        *services: Service,
        clock: Clock,
        region: str,
        account: str | None = None,
        policies: Policies | None = None,
        elsewhere: Place | None = None,
        needs: Needs = requirements,
        resolve: Resolve = _nothing,
    ) -> None:
        self._services = {service.name: service for service in services}
        self._clock = clock
        self._region = region
        self._account = account
        self._policies: Policies = policies or _NoPolicies()
        self._elsewhere = elsewhere
        self._needs = needs
        self._resolve = resolve

    def serve(self, principal: Principal, call: ServiceCall) -> ServiceReply:
        """
        Answer a call that came from inside a function, whatever it holds.

        Args:
            principal: Whose role decides.
            call: Not trusted: any service, operation, parameters and body.

        Returns:
            The output; or the failure, with AWS's code: ``AccessDenied``, ``NoSuchKey``.
            A fault of ours is ``InternalFailure``, and in the log with its traceback.

        Raises:
            RunCancelledError: The invocation that calls was cancelled: nobody wants a reply.
        """
        asked: list[Permission] = []
        try:
            # One that nobody sent, such as a test's, has itself behind what it causes.
            with behind(max(1, current())):
                reply = self._serve(principal, call, asked)
        except Refusal as refusal:
            reply = ServiceReply(failure=refusal.failure)
        except RunCancelledError:
            raise
        except Exception:  # noqa: BLE001 - whatever it is, the function must get an answer
            # It learns nothing more: the traceback names the app's own files.
            _log.exception(
                "the gate failed in %s %s", excerpt(call.service), excerpt(call.operation)
            )
            msg = "the gate failed, not the function: the app's log says where"
            reply = ServiceReply(failure=ServiceFailure("InternalFailure", msg))
        return evolve(reply, permissions=tuple(asked))

    def perform(self, call: ServiceCall, caller: Caller) -> ServiceReply:
        """
        Carry out a call of the app itself, which owns all resources: nothing is asked of IAM.

        Returns:
            The output, or the failure where the call can't be carried out.

        Raises:
            FaaskitError: The host failed, such as a disk that is full.
        """
        try:
            return self._find(call)[1].perform(call, caller)
        except Refusal as refusal:
            return ServiceReply(failure=refusal.failure)

    def _find(self, call: ServiceCall) -> tuple[Service | None, Place]:
        """Return the service that a call is of, if the app has it, and who carries it out."""
        if not _well_formed(call):
            msg = "a service call is an operation's name, parameters by name, and a body of bytes"
            raise Refusal(msg, code="ValidationException")
        service = self._services.get(call.service)
        if service is not None and (self._elsewhere is None or service.owns(call)):
            return service, service
        if self._elsewhere is not None:
            return service, self._elsewhere
        known = ", ".join(sorted(self._services))
        msg = (
            f"service {excerpt(call.service)} is none of the app's own ({known}): name where its "
            "calls go, such as App(aws='moto'), App(aws='http://127.0.0.1:5000') or "
            "App(aws='profile:NAME')"
        )
        raise Refusal(msg, code="UnknownOperationException")

    def _serve(
        self, principal: Principal, call: ServiceCall, asked: list[Permission]
    ) -> ServiceReply:
        service, place = self._find(call)
        is_open = (call.service, call.operation) in _OPEN
        needed = () if is_open else self._requirements(call, principal)
        if not needed and not is_open:
            msg = f"{call.service}:{call.operation} needs no permission: that would leave it open"
            raise RuntimeError(msg)
        # All of them, so that who looks at the record need not find out one after another.
        refusals = [self._decide(principal, call, one, asked) for one in needed]
        for refusal in refusals:
            if refusal is not None:
                raise refusal
        caller = Caller(
            principal.user_id, principal.function_arn, principal.arn, principal.role.account
        )
        try:
            reply = place.perform(call, caller)
        except Refusal as refusal:
            reply = ServiceReply(failure=refusal.failure)
        if reply.failure is not None and service is not None:
            also = service.discloses(call, reply.failure)
            hidden = None if also is None else self._decide(principal, call, also, asked)
            if hidden is not None:
                raise hidden
        return reply

    def _requirements(self, call: ServiceCall, principal: Principal) -> Sequence[Requirement]:
        return self._needs(
            call,
            region=self._region,
            account=self._account or principal.role.account,
            caller=principal.role.account,
            resolve=self._resolve,
        )

    def _decide(
        self,
        principal: Principal,
        call: ServiceCall,
        requirement: Requirement,
        asked: list[Permission],
    ) -> Refusal | None:
        """Return a Refusal, in AWS's words, unless the role allows it; add it to the record."""
        action, resource = requirement.action, requirement.resource
        context = global_conditions(
            role_arn=principal.role.arn,
            user_id=principal.user_id,
            account=principal.role.account,
            region=call.region or self._region,
            now=self._clock.now(),
            function_arn=principal.function_arn,
        )
        decision = self._decision(principal, requirement, context)
        asked.append(
            Permission(action, resource[:_RECORDED], decision.effect, decision.reason[:_RECORDED])
        )
        if decision.allowed:
            return None
        code = _DENIED.get(call.service, "AccessDeniedException")
        msg = denial_message(principal.arn, action, resource, decision)
        if requirement.note:
            msg = f"{msg}. {requirement.note}"
        details = {"action": action, "resource": resource, "reason": decision.reason}
        return Refusal(msg, code=code, details=details)

    def _decision(
        self, principal: Principal, requirement: Requirement, context: Mapping[str, str]
    ) -> Decision:
        """Return the decision; of a resource that isn't known, the worst that it may be."""
        resource, unknown = requirement.resource, requirement.unknown
        policies: Sequence[Policy | None]
        if unknown.resource:
            account = self._account or principal.role.account
            policies = self._policies.among(resource, account)
        else:
            policies = (self._policies.of(resource),)
        keys = unknown.keys | UNKNOWN_KEYS
        unknown = Unknowns(unknown.resource, keys, unknown.actions)
        decision: Decision | None = None
        for policy in policies:
            decision = principal.role.decide(
                requirement.action,
                resource,
                {**requirement.context, **context},
                session=principal.policies or None,
                resource_policy=policy,
                resource_account=self._account,
                principal=principal.arn,
                unknown=unknown,
            )
            if not decision.allowed:
                break
        if decision is None:
            msg = f"{resource} has no policies, not even None"
            raise RuntimeError(msg)
        return decision


def _well_formed(call: ServiceCall) -> bool:
    """Return whether a call is of the types that it says; it is made of what came in."""
    named: list[tuple[object, type]] = [
        (call.service, str),
        (call.operation, str),
        (call.parameters, Mapping),
        (call.body, bytes | None),  # type: ignore[list-item]
        (call.region, str),
        (call.session, str),
    ]
    return all(isinstance(value, kind) for value, kind in named) and all(
        isinstance(name, str) for name in call.parameters
    )
