"""Execution roles: the policies that a function runs under, and what they decide. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from attrs import evolve, field, frozen

from faaskit.exceptions import DefinitionError
from faaskit.iam.context import KNOWN, Unknowns
from faaskit.iam.decision import Decision, decide, owner_of, question_of
from faaskit.iam.policies import Attached, Policy, PolicyLike, attach, attach_to, attachable
from faaskit.iam.principals import Caller, parse_caller
from faaskit.iam.statements import Statement
from faaskit.names import DEFAULT_ACCOUNT, role_arn, validate_account

__all__ = ["Role"]

_NAME = re.compile(r"[A-Za-z0-9_+=,.@-]{1,64}")


def _policies(values: object) -> tuple[Policy, ...]:
    return attachable(values, "identity-based policy")


def _boundary(value: object) -> Policy | None:
    return None if value is None else attachable((value,), "permissions boundary")[0]


def _trust(value: object) -> Policy | None:
    return None if value is None else attachable((value,), "trust policy")[0]


def _check_name(name: object) -> None:
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        msg = (
            f"role name {name!r} is not one that AWS takes: 1 to 64 characters of a-z, A-Z, 0-9 "
            "and '_+=,.@-'"
        )
        raise DefinitionError(msg)


@frozen
class Role:
    """
    An execution role.

    Attributes:
        name: 1 to 64 letters, digits and ``_+=,.@-``.
        policies: Its identity-based policies; given as Policies, Statements, documents or
            their JSON.
        boundary: Its permissions boundary: what it may do at the most.
        trust: Its trust policy: who may assume it.
        account: The 12-digit account that it is in.

    Raises:
        DefinitionError: A name or policy that IAM does not take.
    """

    name: str
    policies: tuple[Policy, ...] = field(default=(), converter=_policies)
    boundary: Policy | None = field(default=None, converter=_boundary)
    trust: Policy | None = field(default=None, converter=_trust)
    account: str = DEFAULT_ACCOUNT
    _caller: Caller = field(init=False, eq=False, repr=False)
    _attached: Attached = field(init=False, eq=False, repr=False)
    _limit: Attached | None = field(init=False, eq=False, repr=False)

    def __attrs_post_init__(self) -> None:
        _check_name(self.name)
        validate_account(self.account)
        limit = None if self.boundary is None else attach(self.boundary, "permissions boundary")
        object.__setattr__(self, "_caller", parse_caller(self.arn))
        object.__setattr__(self, "_attached", attach(self.policies, "identity-based policy"))
        object.__setattr__(self, "_limit", limit)

    @property
    def arn(self) -> str:
        """Its Amazon Resource Name."""
        return role_arn(self.name, account=self.account)

    def with_statements(self, *statements: Statement) -> Role:
        """Return this role with one more policy of these statements; this one is as it was."""
        if not statements:
            return self
        return evolve(self, policies=(*self.policies, Policy(statements)))

    def decide(
        self,
        action: str,
        resource: str,
        context: Mapping[str, Any] | None = None,
        *,
        session: PolicyLike | Iterable[PolicyLike] | None = None,
        resource_policy: PolicyLike | None = None,
        resource_account: str | None = None,
        principal: str | None = None,
        unknown: Unknowns = KNOWN,
    ) -> Decision:
        """
        Decide on a request that is made under this role.

        Args:
            action: Such as ``s3:GetObject``.
            resource: Its ARN, taken literally; ``*`` for an action that is about none.
            context: Values by context key, as for ``simulate``.
            session: A session policy, or several.
            resource_policy: The policy of the resource; of a role, its trust policy.
            resource_account: The owner of the resource where its ARN names none. Default:
                the role's account.
            principal: The session of this role that asks, by its ARN, where a policy may
                name it. Default: the role.
            unknown: The parts of the request that aren't known.

        Raises:
            DefinitionError: No such action, context or policy, or another role's session.
        """
        caller = self._caller if principal is None else self._session(principal)
        owner = None if resource_account is None else validate_account(resource_account)
        owner = owner_of(resource) or owner or self.account
        return decide(
            question_of(action, resource, context, caller, owner, unknown=unknown),
            owner,
            identity=self._attached,
            boundary=self._limit,
            session=None if session is None else attach(session, "session policy"),
            resource=attach_to(resource, resource_policy),
        )

    def _session(self, principal: str) -> Caller:
        caller = parse_caller(principal)
        if self._caller.own not in (caller.own, *caller.parents):
            msg = f"principal {principal!r} is neither {self.arn} nor a session of it"
            raise DefinitionError(msg)
        return evolve(caller, role=self.arn)
