"""A decision on policies that are handed in together, as IAM's simulator makes it. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from faaskit.iam.decision import Decision, decide, owner_of, question_of
from faaskit.iam.policies import PolicyLike, attach, attach_to
from faaskit.iam.principals import parse_caller
from faaskit.names import validate_account

__all__ = ["simulate"]


def simulate(  # noqa: PLR0917 (the order is what the design promises)
    action: str,
    resource: str,
    context: Mapping[str, Any] | None = None,
    identity: PolicyLike | Iterable[PolicyLike] | None = None,
    boundary: PolicyLike | None = None,
    session: PolicyLike | Iterable[PolicyLike] | None = None,
    resource_policy: PolicyLike | None = None,
    principal: str | None = None,
    resource_account: str | None = None,
) -> Decision:
    """
    Decide on a request by the policies that are given.

    What AWS knows of the principal (``aws:PrincipalArn``, ``aws:PrincipalAccount``,
    ``aws:PrincipalType``, ``aws:PrincipalIsAWSService``, ``aws:username`` of a user) and the
    resource (``aws:ResourceAccount``) need not be in the context; what is there counts, and
    None takes a key away. The role of a session is taken to have no path.

    Args:
        action: Such as ``s3:GetObject``.
        resource: Its ARN, taken literally; ``*`` for an action that is about none.
        context: Values by context key.
        identity: The principal's own policies: Policies, Statements, documents or JSON.
        boundary: Its permissions boundary.
        session: Its session policy, or several.
        resource_policy: The policy of the resource; of a role, its trust policy.
        principal: The ARN of a user, role, role session, federated user or root; an account
            id, for somebody of that account; a service such as ``events.amazonaws.com``.
            Without one, only ``*`` in a resource policy allows, and every Deny may be meant.
        resource_account: The owner of the resource where its ARN names none. Default: the
            principal's account.

    Raises:
        DefinitionError: A policy that IAM does not take, or no request at all.
    """
    caller = None if principal is None else parse_caller(principal)
    owner = None if resource_account is None else validate_account(resource_account)
    owner = owner_of(resource) or owner or (caller.account if caller else None)
    return decide(
        question_of(action, resource, context, caller, owner),
        owner,
        identity=attach(() if identity is None else identity, "identity-based policy"),
        boundary=None if boundary is None else attach((boundary,), "permissions boundary"),
        session=None if session is None else attach(session, "session policy"),
        resource=attach_to(resource, resource_policy),
    )
