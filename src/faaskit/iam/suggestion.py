"""
Least privilege from a run: the smallest policy that covers what was asked. Pure.

Actions that were asked for on the same resources share a statement. Where an action was
asked for on many resources of one kind, such as the keys of a bucket, they are put down as what
they begin with in common, up to a separator, and a ``*``: the next run will name others.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence

from attrs import frozen

from faaskit.exceptions import DefinitionError
from faaskit.iam.decision import Verdict
from faaskit.iam.elements import each
from faaskit.iam.policies import Clause, Policy
from faaskit.iam.rules import Question, Rule, compile_rule
from faaskit.iam.statements import Statement
from faaskit.iam.variables import UNKNOWN

__all__ = ["Asked", "Suggestion", "suggest"]

_MOST_OF_A_KIND = 5
# What a kind of resource begins with: an ARN up to the first separator of its last field.
_KIND = re.compile(r"(?:[^:]*:){5}[^/:]*[/:]")
_SEPARATOR = re.compile(r"[/:._=-]")
_ESCAPED = {"*": "${*}", "?": "${?}", "$": "${$}"}


@frozen
class Asked:
    """
    A permission that a role was asked for, and how it decided.

    Attributes:
        action: Such as ``s3:GetObject``.
        resource: An ARN, literally, or ``*``.
    """

    action: str
    resource: str
    effect: Verdict


@frozen
class Suggestion:
    """
    What a role should allow, going by what was asked of it.

    Attributes:
        policy: Covers all that was asked, but for what a Deny forbids. Conditions are not
            suggested.
        unused: What the role allows and nothing used: parts of its Allow statements.
        wildcards: Of the role's actions with wildcards that were used, what each was used for.
        missing: What was asked for and no statement allows. It is in ``policy``: look at it
            before you grant it.
        forbidden: What was asked for and a Deny forbids. It is not in ``policy``.
    """

    policy: Policy
    unused: tuple[Statement, ...]
    wildcards: tuple[tuple[str, tuple[str, ...]], ...]
    missing: tuple[Asked, ...]
    forbidden: tuple[Asked, ...]


def suggest(asked: Iterable[Asked], policies: Iterable[Policy]) -> Suggestion:
    """
    Return what a role should allow.

    Args:
        asked: What was asked of the role, in any order.
        policies: The role's own.
    """
    every = sorted(set(asked), key=lambda one: (one.action, one.resource, one.effect))
    wanted = [one for one in every if one.effect != "ExplicitDeny"]
    used = _Used(
        tuple(
            Question(one.action, one.action.lower(), one.resource, {"*": UNKNOWN}, None)
            for one in every
            if one.effect == "Allow"
        )
    )
    allows = [clause for policy in policies for clause in policy.clauses if not clause.rule.deny]
    return Suggestion(
        policy=_covering(wanted),
        unused=tuple(part for clause in allows for part in _unused(clause, used)),
        wildcards=_wildcards(allows, used),
        missing=tuple(one for one in every if one.effect == "ImplicitDeny"),
        forbidden=tuple(one for one in every if one.effect == "ExplicitDeny"),
    )


def _covering(wanted: Iterable[Asked]) -> Policy:
    resources: dict[str, set[str]] = defaultdict(set)
    for one in wanted:
        resources[one.action].add(one.resource)
    actions: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for action, asked_of in resources.items():
        actions[_patterns(asked_of)].append(action)
    return Policy(
        tuple(
            _allow(sorted(together), patterns)
            for patterns, together in sorted(actions.items())
            if patterns
        )
    )


def _allow(actions: Sequence[str], resources: Sequence[str]) -> Statement:
    return Statement(effect="Allow", action=_one_or_all(actions), resource=_one_or_all(resources))


def _one_or_all(values: Sequence[str]) -> str | tuple[str, ...]:
    return values[0] if len(values) == 1 else tuple(values)


def _patterns(resources: set[str]) -> tuple[str, ...]:
    """Return few texts for a Resource element that cover all of these."""
    if "*" in resources:
        return ("*",)
    kinds: dict[str, list[str]] = defaultdict(list)
    for resource in resources:
        begins = _KIND.match(resource)
        kinds[begins[0] if begins else resource].append(resource)
    found: list[str] = []
    for kind, of_kind in kinds.items():
        found += _covering_texts(kind, of_kind)
    return tuple(sorted(text for text in found if _is_taken(text)))


def _covering_texts(kind: str, resources: list[str]) -> list[str]:
    """Return texts that cover these; one that stands apart does not widen those of the others."""
    if len(resources) <= _MOST_OF_A_KIND:
        return [_literally(one) for one in resources]
    begins = _beginning(kind, resources)
    groups: dict[str, list[str]] = defaultdict(list)
    for one in resources:
        groups[one[len(begins) :].partition("/")[0]].append(one)
    if len(groups) > _MOST_OF_A_KIND:
        return [_literally(begins) + "*"]
    found: list[str] = []
    for group in groups.values():
        if len(group) <= _MOST_OF_A_KIND:
            found += map(_literally, group)
        else:
            found.append(_literally(_beginning(begins, group)) + "*")
    return found


def _beginning(least: str, resources: list[str]) -> str:
    """Return what all begin with, up to a separator; at least what they are known to."""
    first, last = min(resources), max(resources)
    same = next(
        (at for at, pair in enumerate(zip(first, last, strict=False)) if pair[0] != pair[1]),
        min(len(first), len(last)),
    )
    ends = [found.end() for found in _SEPARATOR.finditer(first, len(least), same)]
    return first[: ends[-1]] if ends else least


def _literally(text: str) -> str:
    return "".join(_ESCAPED.get(character, character) for character in text)


def _is_taken(resource: str) -> bool:
    """Whether IAM takes this in a policy. What a function names need not be an ARN of AWS's."""
    try:
        Statement(effect="Allow", action="s3:GetObject", resource=resource)
    except DefinitionError:
        return False
    return True


@frozen
class _Used:
    """What was allowed, to be asked which parts of a role had a share in it."""

    questions: tuple[Question, ...]

    def by(self, action: str, resources: Iterable[str]) -> set[str]:
        """Return the actions that were asked for on these resources and that this one names."""
        document = {"Effect": "Allow", "Action": action, "Resource": list(resources)}
        rule = compile_rule(document, "the statement", expand=True)
        return {one.action for one in self.questions if _may_cover(rule, one)}


def _may_cover(rule: Rule, question: Question) -> bool:
    # Whatever its conditions were, and whatever a variable stood for: what may have been used
    # is not told to be unused.
    resources = rule.resources
    return rule.actions.cover(question.folded_action) and (
        resources is None or resources.may_cover(question)
    )


def _unused(clause: Clause, used: _Used) -> list[Statement]:
    """Return the parts of an Allow that nothing used."""
    actions, resources = each(clause.statement.action), each(clause.statement.resource)
    if not actions or not resources:  # NotAction and NotResource name what they leave out
        busy = any(_may_cover(clause.rule, one) for one in used.questions)
        return [] if busy else [clause.statement]
    idle = [action for action in actions if not used.by(action, resources)]
    busy_actions = [action for action in actions if action not in idle]
    alone = [
        resource
        for resource in resources
        if not any(used.by(action, [resource]) for action in busy_actions)
    ]
    parts = [(idle, resources), (busy_actions, alone)]
    return [_allow(part, of_part) for part, of_part in parts if part and of_part]


def _wildcards(allows: list[Clause], used: _Used) -> tuple[tuple[str, tuple[str, ...]], ...]:
    found: dict[str, set[str]] = defaultdict(set)
    for clause in allows:
        resources = each(clause.statement.resource)
        for action in each(clause.statement.action):
            if resources and ("*" in action or "?" in action):
                found[action] |= used.by(action, resources)
    return tuple((action, tuple(sorted(names))) for action, names in sorted(found.items()) if names)
