"""The policies that resources have themselves, by the ARN that they are attached to. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from functools import lru_cache

from faaskit.iam.matching import Wild, meets, split_tokens
from faaskit.iam.policies import Policy, PolicyLike, attachable

__all__ = ["ResourcePolicies"]

# What a policy is attached to, of the ARN of a part of it: an object's bucket, the function of
# a version or alias, a table's index or stream.
_WHOLES = (
    re.compile(r"arn:[^:]*:s3:::[^/]+"),
    re.compile(r"arn:[^:]*:lambda:[^:]*:[^:]*:function:[^:]+"),
    re.compile(r"arn:[^:]*:dynamodb:[^:]*:[^:]*:table/[^/]+"),
)


_KEY = re.compile(r"arn:[^:]*:kms:[^:]*:([0-9]{12}|\*):key/.*")


@lru_cache(maxsize=64)
def _of_a_key(account: str) -> Policy:
    """Return the policy that KMS gives a new key: its account's roles decide."""
    statement = {
        "Effect": "Allow",
        "Principal": {"AWS": f"arn:aws:iam::{account}:root"},
        "Action": "kms:*",
        "Resource": "*",
    }
    return Policy.from_document({"Version": "2012-10-17", "Statement": [statement]})


class ResourcePolicies:
    """
    Which resource has which policy.

    Args:
        trust: Returns the trust policy of the role of an ARN, or None.
    """

    def __init__(self, trust: Callable[[str], Policy | None]) -> None:
        self._trust = trust
        self._policies: dict[str, Policy] = {}

    def attach(self, arn: str, policy: PolicyLike | None) -> None:
        """
        Have a resource have a policy, in place of the one that it had; None takes it away.

        Raises:
            DefinitionError: IAM does not take it, or not on a resource.
        """
        if policy is None:
            self._policies.pop(arn, None)
        else:
            (self._policies[arn],) = attachable((policy,), "resource-based policy")

    def of(self, resource: str) -> Policy | None:
        """Return the policy of what a request is about; None where it has none."""
        for arn in _wholes(resource):
            if arn in self._policies:
                return self._policies[arn]
        key = _KEY.fullmatch(resource)
        return _of_a_key(key[1]) if key else self._trust(resource)

    def among(self, pattern: str, account: str) -> tuple[Policy | None, ...]:
        """
        Return the policies that a resource may have of which a pattern is known, all of them.

        Args:
            pattern: What its ARN may be.
            account: The account of a key whose pattern names none.
        """
        described = split_tokens(pattern)
        attached = [
            policy
            for arn, policy in self._policies.items()
            # A bucket's policy is that of its objects, too.
            if meets((arn, Wild.ANY), described)
        ]
        key = _KEY.fullmatch(pattern)
        default = _of_a_key(account if key[1] == "*" else key[1]) if key else None
        return default, *attached


def _wholes(resource: str) -> Iterable[str]:
    yield resource
    for pattern in _WHOLES:
        found = pattern.match(resource)
        if found:
            yield found[0]
