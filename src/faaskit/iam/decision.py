"""
The decision: what all policies together say about a request. Pure.

The order is AWS's (IAM User Guide, "Determining whether a request is allowed or denied
within an account" and "Cross-account policy evaluation logic"):

0. sts:GetCallerIdentity needs no permission, and no Deny counts.
1. A Deny that applies, in any of the policies: denied. So is what no policy can allow: a
   resource in another partition, a few actions of the root user and of sessions, and
   changes of what is AWS's own.
2. A caller of the account that owns the resource. A resource-based policy that allows the
   user, the role's session or everyone decides; one that allows the role stands in for the
   identity-based policies; one that allows the account leaves it to them. Then the
   permissions boundary and the session policy must allow, too.
3. A caller of another account: its own policies must allow, and the resource-based one.
4. A service: the resource-based policy alone. The account's root user needs no
   identity-based policy, and no user needs one for sts:GetSessionToken. A federated user
   without a session policy may do nothing.

Role trust policies and KMS key policies must allow in any case: an identity-based policy
is not enough for sts:AssumeRole on a role or a KMS action on a key.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Literal

from attrs import evolve, frozen

from faaskit.exceptions import DefinitionError
from faaskit.iam.context import KNOWN, Unknowns, read_context
from faaskit.iam.matching import split_tokens
from faaskit.iam.policies import Attached, Clause, use_at
from faaskit.iam.principals import Caller, Grant, partition_of
from faaskit.iam.refusal import shortened
from faaskit.iam.reserved_names import reason_against_change
from faaskit.iam.rules import Question
from faaskit.iam.statements import Statement
from faaskit.iam.variables import UNKNOWN

__all__ = ["Decision", "Verdict", "decide", "owner_of", "question_of"]

Verdict = Literal["Allow", "ExplicitDeny", "ImplicitDeny"]

_ACTION = re.compile(r"[A-Za-z0-9-]+:[A-Za-z0-9_-]+")
_ARN_COLONS = 5
_OWNED = re.compile(r"arn:[^:]*:[^:]*:[^:]*:([0-9]{12}):")
# What the policy of the resource itself must allow.
_TRUSTED_ACTIONS = {
    "sts:assumerole",
    "sts:assumerolewithsaml",
    "sts:assumerolewithwebidentity",
    "sts:setsourceidentity",
    "sts:tagsession",
}
_ROLE = re.compile(r"arn:[^:]*:iam::[^:]*:role/")
_KEY = re.compile(r"arn:[^:]*:kms:[^:]*:[^:]*:key/")


@frozen
class Decision:
    """
    Whether a request is allowed, and why.

    A decision is true where it allows. Every object without a truth of its own is true, so
    that ``if role.decide(…)`` would be a permission for everybody.

    Attributes:
        allowed: Whether.
        effect: ``Allow``, ``ExplicitDeny`` (a Deny applies) or ``ImplicitDeny`` (nothing
            allows it).
        statements: Those that decided; none of an implicit deny.
        reason: In words: what decided, or what came nearest to allowing it. Statements are
            counted from 1.
        policy_type: Of the policy that denied, in AWS's words; empty where it is allowed, or
            no policy could allow it.
    """

    allowed: bool
    effect: Verdict
    statements: tuple[Statement, ...]
    reason: str
    policy_type: str = ""

    def __bool__(self) -> bool:
        return self.allowed


def owner_of(resource: object) -> str | None:
    """Return the account that an ARN names."""
    found = _OWNED.match(resource) if isinstance(resource, str) else None
    return found[1] if found else None


def question_of(
    action: object,
    resource: object,
    context: Mapping[str, Any] | None,
    caller: Caller | None,
    owner: str | None,
    *,
    unknown: Unknowns = KNOWN,
) -> Question:
    """
    Return a request as the rules see it, with what AWS itself knows of it.

    Raises:
        DefinitionError: The action is none, or has wildcards: whether ``s3:*`` is allowed
            is no question, as no single answer would be true. A context value that has no
            text.
    """
    if not isinstance(action, str) or not _ACTION.fullmatch(action):
        msg = (
            f"{action!r} is no action that can be asked about; pass service:Name in full, such "
            "as 's3:GetObject'"
        )
        raise DefinitionError(msg)
    if not isinstance(resource, str) or not resource:
        msg = f"{resource!r} is no resource; pass its ARN, or '*' for an action that has none"
        raise DefinitionError(msg)
    known = caller.values if caller else {}
    if unknown.resource and _may_be_anyones(resource):
        known = {**known, "aws:resourceaccount": UNKNOWN}
    elif owner is not None:
        known = {**known, "aws:resourceaccount": owner}
    partition = partition_of(resource) or (caller.partition if caller else None)
    values = read_context(context, known, unknown.keys)
    described = split_tokens(resource) if unknown.resource else None
    maybe = split_tokens(unknown.actions) if unknown.actions else None
    return Question(action, action.lower(), resource, values, caller, partition, described, maybe)


def _may_be_anyones(pattern: str) -> bool:
    """Return True if a pattern leaves open the account of what it describes."""
    fields = pattern.split(":", _ARN_COLONS)
    return len(fields) <= _ARN_COLONS or "*" in "".join(fields[:_ARN_COLONS])


def decide(
    question: Question,
    owner: str | None,
    *,
    identity: Attached,
    boundary: Attached | None = None,
    session: Attached | None = None,
    resource: Attached | None = None,
) -> Decision:
    """
    Return the decision on a request.

    Args:
        question: The request.
        owner: The account of the resource; None is the caller's.
        identity: The caller's own policies.
        boundary: Its permissions boundary.
        session: Its session policies.
        resource: The resource's own policy.
    """
    if question.folded_action == "sts:getcalleridentity":
        return Decision(True, "Allow", (), f"{question.action} needs no permission")
    if boundary is not None:
        question = evolve(question, bounded=True)
    every = [one for one in (identity, boundary, session, resource) if one]
    for attached in every:
        denying = attached.denying(question)
        if denying:
            return _denied(question, attached, denying)
    caller = question.caller
    bar = _bar(question)
    if bar:
        return Decision(False, "ImplicitDeny", (), f"no policy can allow {question.action}: {bar}")
    same = owner is None or caller is None or owner == caller.account
    grant, granting = resource.granting(question) if resource else (Grant.NONE, None)
    allowing = [granting] if granting else []
    there = use_at(question.resource)
    if caller and caller.kind == "service":
        return _allowed(question, allowing) if grant else _refused(question, resource, there)
    if same and grant is Grant.DIRECT:
        return _allowed(question, allowing)

    needed: list[tuple[Attached | None, str]] = []
    if not ((same and grant is Grant.ROLE) or _needs_no_identity_policy(question)):
        needed.append((identity, identity.use))
    needed += [(one, one.use) for one in (boundary, session) if one]
    if caller and caller.kind == "federated" and session is None:
        needed.append((None, "session policy"))
    for attached_or_none, use in needed:
        _, clause = attached_or_none.granting(question) if attached_or_none else (None, None)
        if clause is None:
            note = _beside(use, allowing, delegated=bool(grant) and same)
            return _refused(question, attached_or_none, use, note)
        allowing.append(clause)
    note = "" if grant else _needed_there(question, None if same else owner)
    if note:
        return _refused(question, resource, there, note)
    return _allowed(question, allowing)


def _bar(question: Question) -> str:
    """
    Return in words why no policy can allow a request; or nothing.

    Sources: AWS Fault Isolation Boundaries, "Partitions"; STS API Reference, "AssumeRole";
    IAM User Guide, "Compare AWS STS credentials".
    """
    caller, action = question.caller, question.folded_action
    reserved = reason_against_change(action, question.resource)
    if reserved or caller is None:
        return reserved
    if caller.partition and caller.partition != question.partition:
        return f"{caller.text} is in the partition {caller.partition}, not {question.partition}"
    if caller.root and action in _TRUSTED_ACTIONS:
        return "a root user can't assume roles"
    if caller.kind in {"role", "session"} and action in _TOKENS:
        return "a role's session can't call it"
    if caller.kind == "federated" and action.startswith(("iam:", "sts:")):
        return "a federated user can't call it"
    return ""


_TOKENS = {"sts:getfederationtoken", "sts:getsessiontoken"}
_Named = tuple[str, Statement]


def _beside(use: str, allowing: list[_Named], *, delegated: bool) -> str:
    """Return in words what does allow a request that policies of some use do not; or nothing."""
    if use == "identity-based policy":
        told = "the resource-based policy leaves it to the account's own policies"
        return told if delegated else ""
    return f"{allowing[-1][0]} does" if allowing else ""


def _needs_no_identity_policy(question: Question) -> bool:
    caller = question.caller
    if caller is None:
        return False
    # The guide, "Permissions for GetSessionToken", also has no Deny count; here one does.
    asks_for_token = question.folded_action == "sts:getsessiontoken"
    return caller.root or (caller.kind == "user" and asks_for_token)


def _needed_there(question: Question, other_account: str | None) -> str:
    """Return in words why the resource's own policy must allow a request; or nothing."""
    action, resource = question.folded_action, question.resource
    if other_account is not None:
        return f"the resource is of the account {other_account}, so both sides must allow"
    if action in _TRUSTED_ACTIONS and _ROLE.match(resource):
        return "a role is assumed only if its trust policy allows it, too"
    if action.startswith("kms:") and _KEY.match(resource):
        return "a key is used only if its key policy allows it, too"
    return ""


def _allowed(question: Question, allowing: list[_Named]) -> Decision:
    what = f"{question.action} on {shortened(question.resource)}"
    if not allowing:
        reason = f"the root user of the account is allowed {what}: no policy denies it"
        return Decision(True, "Allow", (), reason)
    names = " and ".join(name for name, _ in allowing)
    verb = "allows" if len(allowing) == 1 else "allow"
    statements = tuple(statement for _, statement in allowing)
    return Decision(True, "Allow", statements, f"{names} {verb} {what}")


def _denied(question: Question, attached: Attached, denying: list[tuple[str, Clause]]) -> Decision:
    name, first = denying[0]
    reason = f"{name} denies {question.action} on {shortened(question.resource)}"
    doubt = first.rule.doubt(question)
    because = first.rule.because(question)
    if doubt:
        reason += f"; that can't be ruled out, so it counts ({doubt})"
    elif because:
        reason += f" because {because}"
    statements = tuple(clause.statement for _, clause in denying)
    return Decision(False, "ExplicitDeny", statements, reason, attached.use)


def _refused(question: Question, attached: Attached | None, use: str, note: str = "") -> Decision:
    reason = f"no {use} allows {question.action} on {shortened(question.resource)}"
    nearest = attached.nearest(question) if attached else "there is none"
    if nearest:
        reason += f": {nearest}"
    if note:
        reason += f"; {note}"
    return Decision(False, "ImplicitDeny", (), reason, use)
