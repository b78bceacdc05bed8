"""
Statements at work: compiled once, then asked about each request. Pure.

The rule of an Allow applies where all of it surely does; the rule of a Deny applies unless
some part of it surely does not. So what can't be told never ends in a permission.

That settles two cases of which AWS's pages say different things:

- a NotResource with a variable that has no value. The guide says that such a text matches
  nothing, and that the statement might be invalid as a whole ("Variables and tags"). Here
  an Allow with it allows nothing, and a Deny with it denies as if the text were not there.
- a wildcard in a resource that would reach over a colon. The guide has it stay within its
  field, unless it is a ``*`` at the field's end ("Resource"); users saw it reach further.
  Here an Allow keeps it within, and a Deny reaches as far as it may.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attrs import frozen

from faaskit.iam.conditions import Condition, compile_block
from faaskit.iam.matching import (
    Pattern,
    Token,
    Wild,
    compile_text,
    compile_tokens,
    covers,
    meets,
    split_tokens,
    within_fields,
)
from faaskit.iam.principals import Caller, Grant, PrincipalRule, compile_principals
from faaskit.iam.refusal import listed, refuse, shortened
from faaskit.iam.variables import (
    Template,
    Values,
    Variable,
    first_unknown,
    parse_template,
    undefined,
)

__all__ = ["Question", "Rule", "compile_rule", "in_full"]

_ARN_COLONS = 5


@frozen
class Question:
    """
    One request, as the rules see it.

    Attributes:
        folded_action: The action in lower case: actions are compared without case.
        values: The request context.
        caller: Who asks; None where that is not known.
        partition: The resource's, or else the caller's; None where neither has one.
        bounded: True if the caller has a permissions boundary.
        described: The resource as a pattern of what it may be, where it isn't known.
        maybe: A pattern of the actions that a Deny may mean, where that isn't known.
    """

    action: str
    folded_action: str
    resource: str
    values: Values
    caller: Caller | None
    partition: str | None = None
    described: tuple[Token, ...] | None = None
    maybe: tuple[Token, ...] | None = None
    bounded: bool = False


@frozen
class _Actions:
    texts: tuple[str, ...]
    negated: bool
    exact: frozenset[str]
    patterns: tuple[Pattern, ...]

    def cover(self, folded_action: str) -> bool:
        named = folded_action in self.exact or any(
            pattern.matches(folded_action) for pattern in self.patterns
        )
        return named is not self.negated

    def may_cover(self, question: Question) -> bool:
        if question.maybe is None:
            return self.cover(question.folded_action)
        texts = [split_tokens(text.lower()) for text in self.texts]
        if self.negated:
            return not any(covers(text, question.maybe) for text in texts)
        return any(meets(text, question.maybe) for text in texts)

    def same_service(self, folded_action: str) -> bool:
        service = folded_action.partition(":")[0]
        return any(text.lower().partition(":")[0] == service for text in self.texts)


def _compile_actions(texts: tuple[str, ...], *, negated: bool) -> _Actions:
    folded = [text.lower() for text in texts]
    wild = [text for text in folded if "*" in text or "?" in text]
    exact = frozenset(folded).difference(wild)
    return _Actions(texts, negated, exact, tuple(compile_text(text) for text in wild))


@frozen
class _Resources:
    """
    A Resource or NotResource element.

    Attributes:
        surely: What the texts without variables name in any case.
        maybe: What they may name.
        templates: Those with variables; they have to be put together for each request.
        written: The tokens of the texts without.
    """

    texts: tuple[str, ...]
    negated: bool
    surely: tuple[Pattern, ...]
    maybe: tuple[Pattern, ...]
    templates: tuple[Template, ...]
    variables: tuple[Variable, ...]
    written: tuple[tuple[Token, ...], ...]

    def surely_cover(self, question: Question) -> bool:
        # What a NotResource leaves out is not known where a variable of it has no value.
        if self.negated and undefined(self.variables, question.values) is not None:
            return False
        return self._named(question, sure=not self.negated) is not self.negated

    def may_cover(self, question: Question) -> bool:
        return self._named(question, sure=self.negated) is not self.negated

    def _named(self, question: Question, *, sure: bool) -> bool:
        values, resource = question.values, question.resource
        if question.described is not None:
            return self._named_in(question.described, values, sure=sure)
        for pattern in self.surely if sure else self.maybe:
            if pattern.matches(resource):
                return True
        # A variable that may have a value could be anything: it may name the resource, not surely.
        unknown = None if sure else Wild.ANY
        for template in self.templates:
            tokens = template.tokens(values, unknown=unknown)
            if tokens is None:  # a variable has no value: the text names nothing
                continue
            if compile_tokens(within_fields(tokens) if sure else tokens).matches(resource):
                return True
        return False

    def _named_in(self, described: tuple[Token, ...], values: Values, *, sure: bool) -> bool:
        """Return True if all (sure) or some of what the resource may be is named."""
        unknown = None if sure else Wild.ANY
        filled = [template.tokens(values, unknown=unknown) for template in self.templates]
        for tokens in (*self.written, *filled):
            if tokens is None:
                continue
            if covers(within_fields(tokens), described) if sure else meets(tokens, described):
                return True
        return False


def _compile_resources(
    texts: tuple[str, ...], place: str, *, negated: bool, expand: bool
) -> _Resources:
    surely: list[Pattern] = []
    maybe: list[Pattern] = []
    templates: list[Template] = []
    written: list[tuple[Token, ...]] = []
    for text in texts:
        template = parse_template(text, place, expand=expand)
        first, *others = template.parts
        if others or not isinstance(first, str):
            start = first if isinstance(first, str) else ""
            if start.count(":") < _ARN_COLONS:
                reason = f"{text!r} has a variable in front of the fifth colon, where AWS has none"
                refuse(place, reason)
        elif not in_full(text):
            template = Template((text + ":*" * (_ARN_COLONS - text.count(":")),))
        if template.variables:
            templates.append(template)
        else:
            tokens = template.tokens({}) or []
            surely.append(compile_tokens(within_fields(tokens)))
            maybe.append(compile_tokens(tokens))
            written.append(tuple(tokens))
    variables = tuple(variable for one in templates for variable in one.variables)
    return _Resources(
        texts,
        negated,
        tuple(surely),
        tuple(maybe),
        tuple(templates),
        variables,
        tuple(written),
    )


def in_full(text: str) -> bool:
    """
    Whether a resource is ``*`` or has all six fields of an ARN.

    In an identity-based policy AWS fills the missing ones with ``*`` (IAM User Guide,
    "Identify AWS resources with ARNs"); elsewhere it takes no such ARN.
    """
    return text == "*" or text.count(":") >= _ARN_COLONS


@frozen
class Rule:
    """
    A statement that can be asked.

    Attributes:
        deny: Whether it denies.
        resources: None where the statement is about what its policy is attached to.
        principals: None where the policy's owner is who asks.
    """

    deny: bool
    actions: _Actions
    resources: _Resources | None
    principals: PrincipalRule | None
    conditions: tuple[Condition, ...]

    def allows(self, question: Question) -> Grant:
        """How far the statement allows a request: not at all, if that isn't sure."""
        values = question.values
        if self.deny or not self.actions.cover(question.folded_action):
            return Grant.NONE
        if self.resources and not self.resources.surely_cover(question):
            return Grant.NONE
        for condition in self.conditions:
            if not condition.holds(values):
                return Grant.NONE
        if self.principals is None:
            return Grant.DIRECT
        return self.principals.grants(question.caller, question.partition)

    def denies(self, question: Question) -> bool:
        """Whether the statement denies a request: yes, unless it surely does not."""
        values = question.values
        if not self.deny or not self.actions.may_cover(question):
            return False
        if self.resources and not self.resources.may_cover(question):
            return False
        for condition in self.conditions:
            if condition.holds(values) is False:
                return False
        return self.principals is None or self.principals.denies(
            question.caller, bounded=question.bounded
        )

    def doubt(self, question: Question) -> str:
        """Return in words what could not be told about a Deny that applies; or nothing."""
        values = question.values
        if not self.actions.cover(question.folded_action):
            return f"which actions {question.action} stands for is not known"
        unknown = self.resources and first_unknown(self.resources.variables, values)
        if unknown:
            return f"{unknown.source} is not known here"
        unsure = question.described is not None and self.resources is not None
        if unsure and self.resources and not self.resources.surely_cover(question):
            return "the resource is not known, and may be one that it names"
        for condition in self.conditions:
            if condition.holds(values) is None:
                return f"{condition}: {condition.explain(values)}"
        return self.principals.doubt(question.caller) if self.principals else ""

    def because(self, question: Question) -> str:
        """Return in words what a Deny that applies depended on; or nothing."""
        if self.principals and self.principals.negated and question.bounded and question.caller:
            spared = "NotPrincipal spares nobody who has a permissions boundary, as"
            return f"{spared} {question.caller.text} does"
        return " and ".join(f"{one}: {one.explain(question.values)}" for one in self.conditions)

    def miss(self, question: Question) -> tuple[int, str]:
        """
        Return how near an Allow came to a request, and in words what was missing.

        The number is larger the further it came: service, action, resource, principal,
        conditions.
        """
        values = question.values
        actions, resources, principals = self.actions, self.resources, self.principals
        if not actions.cover(question.folded_action):
            if actions.negated:
                return 1, f"allows all actions but {listed(actions.texts)}"
            near = actions.same_service(question.folded_action)
            return int(near), f"allows {listed(actions.texts)}, not {question.action}"
        allowed = f"allows the action {question.action}"
        if resources and not resources.surely_cover(question):
            missing = undefined(resources.variables, values)
            element = "NotResource" if resources.negated else "resource"
            fact = "leaves out" if resources.negated else "does not match"
            if resources.negated and missing is not None:
                fact = "may leave out"
            if question.described is not None:
                fact = "may leave out" if resources.negated else "does not cover all of"
            mine = f"its {element} {listed(resources.texts)}"
            reason = f"{allowed} but {mine} {fact} {shortened(question.resource)}"
            if missing is not None:
                reason += f" ({missing.source} has no value in this request)"
            bucket, slash, _ = question.resource.partition("/")
            if slash and bucket in resources.texts and ":s3:::" in bucket:
                reason += f" (objects: {bucket}/*)"
            return 2, reason
        allowed = f"{allowed} on {shortened(question.resource)}"
        if principals and not principals.grants(question.caller, question.partition):
            who = question.caller.text if question.caller else "an unknown principal"
            return 3, f"{allowed} but its principal {principals.text} does not name {who}"
        for condition in self.conditions:
            if not condition.holds(values):
                return 4, f"{allowed} but only if {condition}: {condition.explain(values)}"
        return 5, allowed


def compile_rule(document: Mapping[str, Any], place: str, *, expand: bool) -> Rule:
    """
    Return the rule of a statement that was checked.

    Args:
        document: The statement, as AWS writes it.
        place: Its path, for messages.
        expand: Whether the policy's version has variables.

    Raises:
        DefinitionError: A value is not what its operator compares, or a variable is
            malformed.
    """
    not_action, not_resource = "NotAction" in document, "NotResource" in document
    actions = _texts(document["NotAction" if not_action else "Action"])
    resources: _Resources | None = None
    if not_resource or "Resource" in document:
        name = "NotResource" if not_resource else "Resource"
        resources = _compile_resources(
            _texts(document[name]), f"{place}.{name}", negated=not_resource, expand=expand
        )
    principals: PrincipalRule | None = None
    not_principal = "NotPrincipal" in document
    if not_principal or "Principal" in document:
        element = document["NotPrincipal" if not_principal else "Principal"]
        principals = compile_principals(element, negated=not_principal)
    block = document.get("Condition", {})
    return Rule(
        document["Effect"] == "Deny",
        _compile_actions(actions, negated=not_action),
        resources,
        principals,
        compile_block(block, f"{place}.Condition", expand=expand),
    )


def _texts(value: str | list[str]) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else tuple(value)
