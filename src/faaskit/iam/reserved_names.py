"""
Resources that are AWS's own in an account: none of its policies lets them be changed. Pure.

Sources: KMS API Reference, "CreateAlias"; IAM User Guide, "Managed policies and inline policies";
IAM Identity Center User Guide, on roles that are created by permission sets.
"""

from __future__ import annotations

import re

__all__ = ["reason_against_change"]


def _actions(service: str, names: str) -> frozenset[str]:
    return frozenset(f"{service}:{name}".lower() for name in names.split())


_RESERVED = (
    (
        re.compile(r"arn:[^:]*:kms:[^:]*:[^:]*:alias/aws/", re.IGNORECASE),
        _actions("kms", "CreateAlias DeleteAlias UpdateAlias"),
        "the aliases that begin with alias/aws/ are AWS's",
    ),
    (
        re.compile(r"arn:[^:]*:iam::aws:policy/"),
        _actions(
            "iam",
            "CreatePolicy CreatePolicyVersion DeletePolicy DeletePolicyVersion "
            "SetDefaultPolicyVersion TagPolicy UntagPolicy",
        ),
        "the policy is AWS's",
    ),
    (
        re.compile(r"arn:[^:]*:iam::[^:]*:role/aws-reserved/", re.IGNORECASE),
        _actions(
            "iam",
            "AttachRolePolicy CreateRole CreateServiceLinkedRole DeleteRole "
            "DeleteRolePermissionsBoundary DeleteRolePolicy DeleteServiceLinkedRole "
            "DetachRolePolicy PassRole PutRolePermissionsBoundary PutRolePolicy TagRole UntagRole "
            "UpdateAssumeRolePolicy UpdateRole UpdateRoleDescription",
        ),
        "the roles under /aws-reserved/ are AWS's",
    ),
)


def reason_against_change(folded_action: str, resource: str) -> str:
    """Return in words why no policy of an account can allow a change; or nothing."""
    for pattern, actions, reason in _RESERVED:
        if folded_action in actions and pattern.match(resource):
            return reason
    return ""
