"""What AWS says when it denies. Pure."""

from __future__ import annotations

from faaskit.exceptions import DefinitionError
from faaskit.iam.decision import Decision

__all__ = ["denial_message"]


def denial_message(principal_arn: str, action: str, resource: str, decision: Decision) -> str:
    """
    Return AWS's message for a denied request.

    Source: IAM User Guide, "Troubleshoot access denied error messages".

    Args:
        principal_arn: Who asked.
        action: What for.
        resource: On what; ``*`` is written, too.
        decision: That denied it.

    Raises:
        DefinitionError: The decision allows it.
    """
    if decision.allowed:
        msg = f"{action} on {resource} was allowed: there is no message for that"
        raise DefinitionError(msg)
    said = f"User: {principal_arn} is not authorized to perform: {action} on resource: {resource}"
    policy_type = decision.policy_type or "identity-based policy"
    if policy_type == "trust policy":
        policy_type = "role trust policy"
    if decision.effect == "ExplicitDeny":
        article = "an" if policy_type.startswith("i") else "a"
        article = "the" if policy_type.startswith("role") else article
        return f"{said} with an explicit deny in {article} {policy_type}"
    return f"{said} because no {policy_type} allows the {action} action"
