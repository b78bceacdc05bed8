"""
Policies, and what they may be attached as. Pure.

The same language has four uses, each with rules of its own: identity-based policies and
boundaries name no principal, resource-based ones must, trust policies have no resource.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Literal, cast

from attrs import field, frozen

from faaskit.iam.documents import (
    DEFAULT_VERSION,
    VERSIONS,
    parse_statements,
    read_document,
)
from faaskit.iam.elements import each
from faaskit.iam.principals import Grant
from faaskit.iam.refusal import refuse
from faaskit.iam.rules import Question, Rule, compile_rule, in_full
from faaskit.iam.statements import Statement

__all__ = [
    "Attached",
    "Clause",
    "Policy",
    "PolicyLike",
    "Use",
    "attach",
    "attach_to",
    "attachable",
    "use_at",
]

Use = Literal[
    "identity-based policy",
    "permissions boundary",
    "session policy",
    "resource-based policy",
    "trust policy",
]


_ROLE = re.compile(r"arn:[^:]*:iam::[^:]*:role/")
# IAM's answer to others: "AssumeRole policy may only specify STS AssumeRole actions".
_TRUSTED = frozenset(
    f"sts:{name}"
    for name in (
        "assumerole",
        "assumerolewithsaml",
        "assumerolewithwebidentity",
        "setcontext",
        "setsourceidentity",
        "tagsession",
    )
)


@frozen
class Clause:
    """A statement with its rule and its number in the policy, from 1."""

    statement: Statement
    rule: Rule
    number: int

    def named(self, number: int) -> str:
        """Return the statement in words, with a number."""
        name = f" ({self.statement.sid!r})" if self.statement.sid else ""
        return f"statement {number}{name}"


def _as_statements(value: object) -> tuple[Statement, ...]:
    every = (value,) if isinstance(value, Statement) else tuple(cast("Iterable[Any]", value))
    for at, one in enumerate(every):
        if not isinstance(one, Statement):
            reason = f"{one!r} is no Statement; make one with allow(), deny() or Statement()"
            refuse(f"Statement[{at}]", reason)
    return every


@frozen
class Policy:
    """
    Statements that are attached together.

    Attributes:
        statements: In order; the order means nothing to a decision.
        version: Of the policy language. A document without one has None, which is
            2008-10-17: no variables.
        id: The name that some services want.

    Raises:
        DefinitionError: It is not one that IAM takes.
    """

    statements: tuple[Statement, ...] = field(converter=_as_statements)
    version: str | None = DEFAULT_VERSION
    id: str | None = None
    # Whether the document has one statement that is in no list: it comes out as it went in.
    _bare: bool = field(default=False, eq=False, repr=False, kw_only=True)
    clauses: tuple[Clause, ...] = field(init=False, eq=False, repr=False)

    def __attrs_post_init__(self) -> None:
        if self.version is not None and self.version not in VERSIONS:
            refuse("Version", f"{self.version!r} is none of {', '.join(VERSIONS)}")
        if not isinstance(self.id, str | None):
            refuse("Id", f"{self.id!r} is no string")
        sids: set[str] = set()
        clauses: list[Clause] = []
        for at, statement in enumerate(self.statements):
            place = self._place(at)
            if statement.sid in sids:
                refuse(f"{place}.Sid", f"{statement.sid!r} is there twice in the policy")
            if statement.sid:
                sids.add(statement.sid)
            expand = self.version == DEFAULT_VERSION
            rule = compile_rule(statement.to_document(), place, expand=expand)
            clauses.append(Clause(statement, rule, at + 1))
        object.__setattr__(self, "clauses", tuple(clauses))

    def _place(self, at: int) -> str:
        return "Statement" if self._bare else f"Statement[{at}]"

    def place(self, clause: Clause) -> str:
        """Return the path of a clause in the document."""
        return self._place(clause.number - 1)

    @classmethod
    def from_document(cls, document: Mapping[str, Any] | str) -> Policy:
        """
        Return the policy of a document.

        Args:
            document: As AWS writes it: a dict, or JSON.

        Raises:
            DefinitionError: It is not one that IAM takes; the message names the place,
                such as ``Statement[2].Condition.StringEquals``, counted from 0.
        """
        known = read_document(document)
        return cls(
            statements=parse_statements(known["Statement"]),
            version=known.get("Version"),
            id=known.get("Id"),
            bare=isinstance(known["Statement"], Mapping),
        )

    def to_document(self) -> dict[str, Any]:
        """Return the policy as AWS writes it: what ``from_document`` was given, or equal to it."""
        statements = [statement.to_document() for statement in self.statements]
        document: dict[str, Any] = {}
        if self.version is not None:
            document["Version"] = self.version
        if self.id is not None:
            document["Id"] = self.id
        # A policy that was evolved from a bare one may have several by now.
        bare = self._bare and len(statements) == 1
        document["Statement"] = statements[0] if bare else statements
        return document


PolicyLike = Policy | Statement | Mapping[str, Any] | str


@frozen
class Attached:
    """
    The policies of one use, ready to be asked.

    Attributes:
        allows: The Allow statements, each with its name in words.
        denies: The Deny statements likewise.
    """

    use: Use
    allows: tuple[tuple[str, Clause], ...]
    denies: tuple[tuple[str, Clause], ...]

    def denying(self, question: Question) -> list[tuple[str, Clause]]:
        """Return the name of each Deny that applies, and itself."""
        return [(name, clause) for name, clause in self.denies if clause.rule.denies(question)]

    def granting(self, question: Question) -> tuple[Grant, tuple[str, Statement] | None]:
        """Return the Allow that goes furthest, and how far; the first of several."""
        furthest, found = Grant.NONE, None
        for name, clause in self.allows:
            grant = clause.rule.allows(question)
            if grant > furthest:
                furthest, found = grant, (name, clause.statement)
                if grant is Grant.DIRECT:
                    break
        return furthest, found

    def nearest(self, question: Question) -> str:
        """Return in words which Allow came nearest, and what was missing."""
        if not self.allows:
            return "there is no Allow statement"
        misses = [(*clause.rule.miss(question), name) for name, clause in self.allows]
        stage, what, name = max(misses, key=lambda miss: miss[0])
        return f"{name} {what}" if stage else "none of the statements is about its service"


def attach(values: object, use: Use) -> Attached:
    """
    Return one or several policies, attached as something.

    Args:
        values: A Policy, a Statement, a document or its JSON, or several of these.
        use: What they are attached as.

    Raises:
        DefinitionError: IAM does not take one, or not there.
    """
    policies = attachable(values, use)
    allows: list[tuple[str, Clause]] = []
    denies: list[tuple[str, Clause]] = []
    # Loose statements, each a policy of its own, are counted through.
    loose = all(len(policy.clauses) == 1 for policy in policies)
    for number, policy in enumerate(policies, start=1):
        for clause in policy.clauses:
            name = clause.named(number if loose else clause.number)
            if use != "identity-based policy":
                name += f" of the {use}"
            elif len(policies) > 1 and not loose:
                name += f" of policy {number}"
            (denies if clause.rule.deny else allows).append((name, clause))
    return Attached(use, tuple(allows), tuple(denies))


def attach_to(resource: str, policy: object) -> Attached | None:
    """
    Return the policy of a resource, attached to it; None where it has none.

    Raises:
        DefinitionError: IAM does not take the policy there.
    """
    return None if policy is None else attach((policy,), use_at(resource))


def use_at(resource: str) -> Use:
    """Return what a policy of a resource is: of a role, its trust policy."""
    return "trust policy" if _ROLE.match(resource) else "resource-based policy"


def attachable(values: object, use: Use) -> tuple[Policy, ...]:
    """
    Return policies that may be attached as something. The arguments are ``attach``'s.

    Raises:
        DefinitionError: IAM does not take one, or not there.
    """
    if isinstance(values, Policy | Statement | Mapping | str):
        values = (values,)
    if not isinstance(values, Iterable):
        refuse("the document", f"{values!r} is no {use}")
    policies = tuple(_as_policy(value) for value in values)
    for policy in policies:
        for clause in policy.clauses:
            reason = _reason_against(clause.statement, use)
            if reason is not None:
                article = "an" if use.startswith("i") else "a"
                refuse(policy.place(clause), f"{reason} in {article} {use}")
    return policies


def _as_policy(value: object) -> Policy:
    if isinstance(value, Policy):
        return value
    if isinstance(value, Statement):
        return Policy((value,))
    return Policy.from_document(cast("Mapping[str, Any] | str", value))


def _reason_against(statement: Statement, use: Use) -> str | None:
    named = statement.principal is not None or statement.not_principal is not None
    resources = statement.resource or statement.not_resource
    if use not in {"resource-based policy", "trust policy"}:
        if named:
            return "it names a principal; that is whoever has the policy, so there is none"
    elif not named:
        return "it names no principal, as there must be"
    if use == "resource-based policy" and resources is None:
        return "it has neither Resource nor NotResource, and needs one"
    if use == "trust policy":
        return _reason_against_trust(statement)
    if use not in {"identity-based policy", "permissions boundary"}:
        for one in each(resources):
            if not in_full(one):
                return f"it has {one!r}, an ARN without all of its six fields, which is not taken"
    return None


def _reason_against_trust(statement: Statement) -> str | None:
    if (statement.resource or statement.not_resource) is not None:
        return "it names a resource; a trust policy is about its own role, so it must not"
    if statement.not_principal is not None:
        return "it has NotPrincipal, which is not taken"
    actions = frozenset(action.lower() for action in each(statement.action))
    if not actions or not _TRUSTED.issuperset(actions):
        return "it has actions other than sts:AssumeRole and its kin, or wildcards"
    if statement.sid and not (statement.sid.isascii() and statement.sid.isalnum()):
        return "it has a Sid of more than letters and digits"
    return None
