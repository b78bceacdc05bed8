"""The ``sts`` service: roles that functions assume, and who they are."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any, NoReturn

from faaskit.clock import Clock, iso8601
from faaskit.exceptions import DefinitionError
from faaskit.gate.gate import Principal
from faaskit.gate.service import Caller, Refusal, Requirement, excerpt
from faaskit.gate.sessions import Sessions
from faaskit.iam.policies import Policy
from faaskit.iam.roles import Role
from faaskit.names import session_arn
from faaskit.runtimes.contract import ServiceCall, ServiceFailure, ServiceReply

__all__ = ["StsService"]

_SESSION_NAME = re.compile(r"[\w+=,.@-]{2,64}", re.ASCII)
_PARAMETERS = {
    "RoleArn": str,
    "RoleSessionName": str,
    "DurationSeconds": int,
    "ExternalId": str,
    "Policy": str,
}
_SHORTEST_S = 900
_LONGEST_S = 3600  # for who is a role's session already: role chaining
_POLICY_LIMIT = 2048


class StsService:
    """
    STS, as far as faaskit has it: AssumeRole of the app's roles, and GetCallerIdentity.

    Args:
        find: Returns the app's role of an ARN, or None.
        sessions: Where what is assumed is known from then on.
        clock: For when a session ends.
    """

    name = "sts"

    def __init__(
        self, find: Callable[[str], Role | None], *, sessions: Sessions, clock: Clock
    ) -> None:
        self._find = find
        self._sessions = sessions
        self._clock = clock

    def owns(self, call: ServiceCall) -> bool:
        """Whether it is about a role of the app, or about the caller."""
        if call.operation == "GetCallerIdentity":
            return True
        arn = call.parameters.get("RoleArn")
        return call.operation == "AssumeRole" and isinstance(arn, str) and self._knows(arn)

    def _knows(self, arn: str) -> bool:
        return self._find(arn) is not None

    def perform(self, call: ServiceCall, caller: Caller) -> ServiceReply:
        """
        Carry a call out that the caller's role and the trust policy allowed.

        Raises:
            Refusal: STS does not take such a request, or the app has no such role.
        """
        if call.operation == "GetCallerIdentity":
            return ServiceReply(
                {"UserId": caller.user_id, "Account": caller.account, "Arn": caller.arn}
            )
        if call.operation != "AssumeRole":
            msg = (
                f"operation {excerpt(call.operation)} is not one that sts has here: AssumeRole, "
                'GetCallerIdentity; App(aws="moto") has it'
            )
            raise Refusal(msg, code="UnknownOperationException")
        return self._assume(_checked(call.parameters))

    def discloses(
        self,
        call: ServiceCall,  # noqa: ARG002
        failure: ServiceFailure,  # noqa: ARG002
    ) -> Requirement | None:
        """Return None: nothing is learnt from a failure."""
        return None

    def _assume(self, parameters: Mapping[str, Any]) -> ServiceReply:
        role = self._find(parameters["RoleArn"])
        if role is None:
            msg = f"the App has no role {excerpt(parameters['RoleArn'])}: app.add_role(role)"
            raise Refusal(msg, code="AccessDenied")
        session = parameters["RoleSessionName"]
        principal = Principal(role, session, policies=_session_policies(parameters))
        seconds = parameters.get("DurationSeconds", _LONGEST_S)
        expires = self._clock.now() + timedelta(seconds=seconds)
        made = self._sessions.begin(principal, expires)
        return ServiceReply(
            {
                "Credentials": {
                    "AccessKeyId": made.access_key_id,
                    "SecretAccessKey": made.secret_access_key,
                    "SessionToken": made.session_token,
                    "Expiration": iso8601(expires),
                },
                "AssumedRoleUser": {
                    "AssumedRoleId": principal.user_id,
                    "Arn": session_arn(role.name, session, account=role.account),
                },
            }
        )


def _checked(parameters: Mapping[str, Any]) -> Mapping[str, Any]:
    for name, value in parameters.items():
        kind = _PARAMETERS.get(name)
        if kind is None:
            _invalid(f"parameter {excerpt(name)} has no effect here: leave it out")
        if not isinstance(value, kind) or isinstance(value, bool):
            _invalid(f"parameter {name} is {excerpt(value)}: pass {kind.__name__}")
    for name in ("RoleArn", "RoleSessionName"):
        if name not in parameters:
            _invalid(f"parameter {name} is missing")
    session = parameters["RoleSessionName"]
    if not _SESSION_NAME.fullmatch(session):
        _invalid(
            f"1 validation error detected: Value {excerpt(session)} at 'roleSessionName' failed "
            "to satisfy constraint: Member must satisfy regular expression pattern: [\\w+=,.@-]*"
        )
    seconds = parameters.get("DurationSeconds", _LONGEST_S)
    if seconds < _SHORTEST_S:
        _invalid(
            f"1 validation error detected: Value {excerpt(seconds)} at 'durationSeconds' failed "
            "to satisfy constraint: Member must have value greater than or equal to 900"
        )
    if seconds > _LONGEST_S:
        _invalid(
            "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by "
            "role chaining"
        )
    return parameters


def _session_policies(parameters: Mapping[str, Any]) -> tuple[Policy, ...]:
    text = parameters.get("Policy")
    if text is None:
        return ()
    if len(text) > _POLICY_LIMIT:
        _invalid(f"the session policy has {len(text)} characters; {_POLICY_LIMIT} is the most")
    try:
        return (Policy.from_document(text),)
    except DefinitionError as error:
        msg = f"This policy contains invalid Json or is malformed: {error}"
        raise Refusal(msg, code="MalformedPolicyDocument") from error


def _invalid(message: str) -> NoReturn:
    raise Refusal(message, code="ValidationError")
