"""
Principals: who makes a request, and whom a resource-based policy names. Pure.

How much an Allow grants depends on how it names the caller (IAM User Guide, "Determining
whether a request is allowed or denied within an account" and "Principal"):

- the user, the role's session or everyone: the request is allowed in the same account,
  whatever the other policies leave out;
- the role: allowed, within its permissions boundary and session policy;
- the account: nothing by itself; it is delegated to the identity-based policies.

An Allow that names an ARN of another partition than the request's grants nothing: AWS takes
no such policy, and the account of that number over there is another one.

A Deny is about the caller, and about the role and account that it belongs to. Where it
can't be told whether it is meant (no principal was given, a canonical user id, a federated
identity, a session of the role that was given, the user behind a federated one), it is.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import IntEnum
from typing import Literal

from attrs import field, frozen

from faaskit.exceptions import DefinitionError
from faaskit.iam.refusal import listed, refuse
from faaskit.iam.variables import Values

__all__ = [
    "Caller",
    "Grant",
    "PrincipalRule",
    "check_principals",
    "compile_principals",
    "parse_caller",
    "partition_of",
]

_ACCOUNT = re.compile(r"[0-9]{12}")
_ARN = re.compile(r"arn:(aws[a-z-]*):(iam|sts)::([0-9]{12}):(.+)", re.DOTALL)
_PARTITION = re.compile(r"arn:([^:]+):")
_NAME = re.compile(r"[A-Za-z0-9_+=,.@-]+")
_PATH = re.compile(r"[A-Za-z0-9_+=,.@/-]+")
_SERVICE = re.compile(r"[a-z0-9-]+(\.[a-z0-9-]+)*\.(amazonaws\.com(\.cn)?|amazon\.com)")
_OPAQUE = ("Federated", "CanonicalUser")
_PRINCIPAL_TYPES = {
    "account": "Account",
    "user": "User",
    "role": "AssumedRole",
    "session": "AssumedRole",
    "federated": "FederatedUser",
}
_TYPES = ("AWS", "Service", *_OPAQUE)

# What two principals are compared by: their kind (account, user, role, session, federated,
# service), then what identifies one of that kind.
Identity = tuple[str, ...]


class Grant(IntEnum):
    """How far an Allow of a resource-based policy goes, by how it names the caller."""

    NONE = 0
    DELEGATED = 1
    ROLE = 2
    DIRECT = 3


@frozen
class Caller:
    """
    Who makes a request.

    Attributes:
        text: As it was given.
        own: What names this caller itself.
        parents: What names the role and the account that it belongs to.
        account: Its account, None for a service.
        partition: That of its ARN, None where there is none.
        root: Whether it is the account's root user.
        role: The ARN of its role, with the path; None where that is not known, as of a session.
        values: The context keys that AWS fills from the principal.
    """

    text: str
    own: Identity
    parents: tuple[Identity, ...] = ()
    account: str | None = None
    partition: str | None = None
    root: bool = False
    role: str | None = None
    values: Values = field(factory=dict, hash=False)

    @property
    def kind(self) -> str:
        """The kind of principal."""
        return self.own[0]

    @property
    def unnamed(self) -> bool:
        """Whether this is an account, so that it could be any of its principals."""
        return self.kind == "account" and not self.root


def parse_caller(text: object) -> Caller:
    """
    Return who makes a request.

    Args:
        text: The ARN of a user, role, role session, federated user or account root; an
            account id, for somebody of that account; or a service principal.

    Raises:
        DefinitionError: It is none of these.
    """
    if isinstance(text, str) and _SERVICE.fullmatch(text):
        values = {"aws:principalisawsservice": "true", "aws:principalservicename": text}
        return Caller(text, ("service", text), values=values)
    known = _identify(text) if isinstance(text, str) else None
    if not isinstance(text, str) or known is None:
        msg = (
            f"principal {text!r} is none that can call: pass the ARN of a user, role, role "
            "session, federated user or root, a 12-digit account id, or a service such as "
            "'events.amazonaws.com'"
        )
        raise DefinitionError(msg)
    own, account = known
    arn = text
    parents: tuple[Identity, ...] = (("account", account),)
    if own[0] == "session":
        _, where, _, role, _ = own
        arn = f"arn:{where}:iam::{account}:role/{role}"
        parents = (("role", where, account, role), *parents)
    elif own[0] == "account":
        parents = ()
    values = {"aws:principalaccount": account, "aws:principalisawsservice": "false"}
    root = text.endswith(":root")
    partition = partition_of(text)
    if own[0] != "account" or root:
        values |= {"aws:principalarn": arn, "aws:principaltype": _PRINCIPAL_TYPES[own[0]]}
    if own[0] == "user":
        values["aws:username"] = text.rpartition("/")[2]
    its_role = text if own[0] == "role" else None
    return Caller(text, own, parents, account, partition, root, its_role, values)


def partition_of(text: str) -> str | None:
    """Return the partition that an ARN is in, such as ``aws`` or ``aws-cn``."""
    found = _PARTITION.match(text)
    return found[1] if found else None


def _identify(text: str) -> tuple[Identity, str] | None:
    """Return what a principal of type AWS is compared by, and its account."""
    if _ACCOUNT.fullmatch(text):
        return ("account", text), text
    found = _ARN.fullmatch(text)
    if found is None:
        return None
    partition, service, account, rest = found.groups()
    if service == "iam" and rest == "root":
        return ("account", account), account
    kind, _, name = rest.partition("/")
    if service == "iam" and kind in {"user", "role"} and _PATH.fullmatch(name):
        # A role's name is unique in its account whatever its path, and a session's ARN
        # has the name alone. A user is compared whole.
        last = name.rpartition("/")[2]
        if not last:
            return None
        own = ("user", text) if kind == "user" else ("role", partition, account, last)
        return own, account
    if service == "sts" and kind == "assumed-role":
        role, _, session = name.partition("/")
        if _NAME.fullmatch(role) and _NAME.fullmatch(session):
            return ("session", partition, account, role, session), account
    if service == "sts" and kind == "federated-user" and _NAME.fullmatch(name):
        return ("federated", text), account
    return None


@frozen
class PrincipalRule:
    """
    A Principal or NotPrincipal element.

    Attributes:
        named: The principals in it, as they are compared.
        texts: The same as they are written: roles with their paths.
        everyone: ``"*"`` stands for all, ``{"AWS": "*"}`` for all but services.
        partitions: Those of the ARNs in it.
        opaque: Whether it names any that can't be recognised here.
        negated: Whether it is NotPrincipal.
        text: In words.
    """

    named: frozenset[Identity]
    texts: frozenset[str]
    everyone: Literal["all", "aws", ""]
    partitions: frozenset[str]
    opaque: bool
    negated: bool
    text: str

    def grants(self, caller: Caller | None, partition: str | None) -> Grant:
        """How far an Allow with this element goes for a caller, in a partition."""
        if partition is not None and not self.partitions.issubset((partition,)):
            return Grant.NONE
        service = caller is not None and caller.kind == "service"
        if self.everyone == "all" or (self.everyone and not service):
            return Grant.DIRECT
        if caller is None:
            return Grant.NONE
        if self._names(caller, caller.own):
            if caller.unnamed:
                return Grant.DELEGATED
            return Grant.ROLE if caller.kind == "role" else Grant.DIRECT
        if any(self._names(caller, one) for one in caller.parents if one[0] == "role"):
            return Grant.ROLE
        return Grant.DELEGATED if self.named.intersection(caller.parents) else Grant.NONE

    def denies(self, caller: Caller | None, *, bounded: bool) -> bool:
        """
        Return whether a Deny with this element is about a caller.

        NotPrincipal spares a caller only where its role and account are named, too: the
        guide says that AWS may check these first ("NotPrincipal with Deny"). It spares no
        caller with a permissions boundary, whatever it names ("Permissions boundaries").

        Args:
            caller: The caller; None where it is unknown.
            bounded: True if the caller has a permissions boundary.
        """
        if not self.negated:
            return self._may_name(caller)
        if caller is None or caller.unnamed or caller.kind == "federated" or bounded:
            return True
        return not all(self._names(caller, one) for one in (caller.own, *caller.parents))

    def doubt(self, caller: Caller | None) -> str:
        """Return in words what can't be told about a Deny with this element; or nothing."""
        if self.everyone or (caller and self.named.intersection((caller.own, *caller.parents))):
            return ""
        if caller is None:
            return "no principal was given"
        if self.opaque:
            return f"{self.text}: whether that is the caller can't be told"
        if self.negated and caller.kind != "federated":
            return ""
        return f"{caller.text} may be, or act for, one that it names"

    def _names(self, caller: Caller, identity: Identity) -> bool:
        """
        Return whether the element names the caller, or what it belongs to, for certain.

        A role's name is unique in its account, so one with another path does not exist there.
        """
        if identity not in self.named:
            return False
        return identity[0] != "role" or caller.role is None or caller.role in self.texts

    def _may_name(self, caller: Caller | None) -> bool:
        """Whether the element names the caller, or may do so."""
        if self.everyone or self.opaque or caller is None:
            return True
        if self.named.intersection((caller.own, *caller.parents)):
            return True
        if caller.kind == "role":
            return any(one[0] == "session" and one[1:4] == caller.own[1:] for one in self.named)
        if caller.kind == "federated":
            # It acts for a user of the account, and the ARN does not say for which.
            kin = [one for one in self.named if one[0] == "user"]
            return any(_account_of(one) == caller.account for one in kin)
        return caller.unnamed and any(_account_of(one) == caller.account for one in self.named)


def _account_of(identity: Identity) -> str | None:
    if identity[0] in {"user", "federated"}:
        return identity[1].split(":")[4]
    return identity[2] if identity[0] in {"role", "session"} else None


def check_principals(element: object, place: str, *, negated: bool) -> None:
    """
    Refuse what is no Principal or NotPrincipal element.

    Raises:
        DefinitionError: A type or principal that IAM does not know, or a wildcard in a name.
    """
    if element == "*" and not negated:
        return
    if not isinstance(element, Mapping) or not element:
        reason = (
            f"{element!r} names no principal; write {{'AWS': arn-or-account}} or "
            "{'Service': name}" + ("" if negated else ", or '*' for everyone")
        )
        refuse(place, reason)
    for kind, value in element.items():
        here = f"{place}.{kind}"
        if kind not in _TYPES:
            refuse(here, f"{kind!r} is no type of principal: {', '.join(_TYPES)}")
        every = value if isinstance(value, list | tuple) else (value,)
        if not every:
            refuse(here, "the list of principals is empty")
        for text in every:
            reason_or_none = _reason_against(kind, text, negated=negated)
            if reason_or_none is not None:
                refuse(here, reason_or_none)


def _reason_against(kind: str, text: object, *, negated: bool) -> str | None:
    if not isinstance(text, str) or not text:
        return f"{text!r} is no principal: a string"
    if text == "*" and kind == "AWS":
        return "'*' spares everyone: the statement would be about nobody" if negated else None
    if "*" in text or "?" in text:
        return f"{text!r} has a wildcard: a principal is named in full, or is '*' under AWS"
    if kind == "AWS" and _identify(text) is None:
        return (
            f"{text!r} is none that AWS knows: the ARN of a user, role, role session, federated "
            "user or account root, or a 12-digit account id"
        )
    if kind == "Service" and not _SERVICE.fullmatch(text):
        return f"{text!r} is no service principal, such as 'lambda.amazonaws.com'"
    return None


def compile_principals(
    element: str | Mapping[str, str | tuple[str, ...]], *, negated: bool
) -> PrincipalRule:
    """Return the rule of an element that ``check_principals`` let pass."""
    if isinstance(element, str):
        none: frozenset[str] = frozenset()
        return PrincipalRule(
            frozenset(), none, "all", none, opaque=False, negated=negated, text="*"
        )
    named: set[Identity] = set()
    everyone: Literal["aws", ""] = ""
    words: list[str] = []
    for kind, value in element.items():
        for text in (value,) if isinstance(value, str) else value:
            words.append(text)
            known = _identify(text) if kind == "AWS" else None
            if text == "*":
                everyone = "aws"
            elif known is not None:
                named.add(known[0])
            elif kind == "Service":
                named.add(("service", text))
    opaque = any(kind in element for kind in _OPAQUE)
    partitions = frozenset(filter(None, map(partition_of, words)))
    texts = frozenset(words)
    return PrincipalRule(
        frozenset(named), texts, everyone, partitions, opaque, negated, listed(words)
    )
