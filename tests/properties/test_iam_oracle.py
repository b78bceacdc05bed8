"""
IAM against its oracle, and the laws that any change of a policy keeps.

FAASKIT_IAM_EXAMPLES sets on how many requests the two are compared (default 1,000). A long
run needs pytest's `--timeout=0 -o faulthandler_timeout=0`, too.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from typing import Any

import iam_oracle
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from faaskit.exceptions import DefinitionError
from faaskit.iam import Policy, Role, simulate
from faaskit.iam.matching import compile_text

_EXAMPLES = int(os.environ.get("FAASKIT_IAM_EXAMPLES", "1000"))
many = settings(
    max_examples=_EXAMPLES,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)

OURS, THEIRS = "111122223333", "444455556666"
ACTIONS = ["s3:GetObject", "s3:PutObject", "sqs:SendMessage", "kms:Decrypt", "sts:AssumeRole"]
ACTIONS += ["sts:GetSessionToken", "sts:GetCallerIdentity"]
RESOURCES = [
    "*",
    "arn:aws:s3:::b",
    "arn:aws:s3:::b/k",
    "arn:aws:s3:::b/ann/k",
    "arn:aws:s3:::b/*/k",
    "arn:aws:s3:::B/k:v",
    f"arn:aws:sqs:us-east-1:{OURS}:q",
    f"arn:aws:sqs:us-east-1:{THEIRS}:q",
    f"arn:aws:kms:us-east-1:{OURS}:key/1",
    "arn:aws:s3:::b/10:20",
    f"arn:aws:lambda:us-east-1:{OURS}:function:f:one-two",
    f"arn:aws:iam::{OURS}:role/R",
    f"arn:aws:iam::{THEIRS}:role/R",
    "arn:aws-cn:s3:::b/k",
]
PRINCIPALS = [
    f"arn:aws:iam::{OURS}:user/ann",
    f"arn:aws:iam::{OURS}:user/team/bob",
    f"arn:aws:iam::{OURS}:role/R",
    f"arn:aws:iam::{OURS}:role/path/R",
    f"arn:aws:iam::{THEIRS}:role/R",
    f"arn:aws:sts::{OURS}:assumed-role/R/one",
    f"arn:aws:sts::{OURS}:assumed-role/R/two",
    f"arn:aws:sts::{OURS}:federated-user/fay",
    f"arn:aws:iam::{OURS}:root",
    f"arn:aws:iam::{THEIRS}:root",
    OURS,
    THEIRS,
    f"arn:aws-cn:iam::{OURS}:role/R",
    f"arn:aws-cn:iam::{OURS}:root",
]
SERVICES = ["events.amazonaws.com", "s3.amazonaws.com"]

action_patterns = st.sampled_from(
    [
        *ACTIONS,
        "*",
        "s3:*",
        "S3:get*",
        "s3:?etObject",
        "s3:G?tO*t",
        "sqs:*Message",
        "kms:*",
        "sts:*",
    ]
)
RESOURCE_PATTERNS = [
    *RESOURCES,
    "*",
    "arn:aws:s3:::*",
    "arn:aws:s3:::b/*",
    "arn:aws:s3:::?/k",
    "arn:aws:s3:::*/k*",
    "arn:aws:sqs",
    "arn:*:lambda",
    "arn:aws:sqs:*:*:q",
    "arn:aws:s3:::b/${aws:username}/*",
    "arn:aws:s3:::b/${aws:PrincipalTag/team, 'ann'}/k",
    "arn:aws:s3:::b/${k:text}/*",
    "arn:aws:s3:::b/${*}/k",
    "arn:aws:s3:::${k:list}/k",
    f"arn:aws:iam::{OURS}:role/*",
    "arn:aws:s3:::b/*20",
    "arn:aws:s3:::b/10?20",
    f"arn:aws:lambda:us-east-1:{OURS}:function:*-two",
    f"arn:aws:lambda:us-east-1:{OURS}:function:f?one*",
    "arn:aws:lambda:*:function:f:*-*",
    "arn:aws:lambda:u*1:function:*",
]
resource_patterns = st.sampled_from(RESOURCE_PATTERNS)
# A session policy and a resource-based one take no ARN with fields left out.
full_patterns = st.sampled_from(
    [one for one in RESOURCE_PATTERNS if one == "*" or one[7:].count(":") >= 3]
)

# What each kind of operator may find in a policy, and in a request; the junk is of others.
VALUES: dict[str, tuple[list[Any], list[Any]]] = {
    "String": (
        ["a", "A", "a*", "?", "*", "", "${aws:username}", "${k:text, 'a'}", "${k:list}", "${*}"],
        ["a", "A", "ab", "*", "", "ann", "STRASSE", ["a", "b"], ["a"], ["", ""], [], None],
    ),
    "Numeric": (
        ["1", "10", "1.50", "-2", 5, "+3", ".5", "1."],
        ["1", "1.5", "9", "10.0", "-2", 5, 1.5, "x", "1e3", "", ["1", "x"], ["1", "10"], None],
    ),
    "Date": (
        [
            "2026-01-31T00:00:00Z",
            "2026-01-31",
            "2026-01",
            "1769817600",
            "2026-01-31T02:00:00+02:00",
        ],
        ["2026-01-31T00:00:00Z", "2026-02-01T00:00Z", "1769817600", 1769817601, "2026", "soon"],
    ),
    "Bool": (
        ["true", "false", True, False, "${k:text}", "${aws:username, 'true'}"],
        ["true", "false", True, "True", "yes", "", ["true", "false"], None],
    ),
    "Binary": (["YWI=", "YQ==", ""], ["YWI=", b"ab", b"a", "!", "", ["YWI=", "!"], None]),
    "Ip": (
        ["10.0.0.0/8", "10.1.2.3", "0.0.0.0/0", "2001:db8::/32", "2001:DB8::1", "10.0.0.9/30"],
        ["10.1.2.3", "11.0.0.1", "10.0.0.8", "::ffff:10.0.0.9", "2001:db8::1", "10.0.0.0/8", "x"],
    ),
    "Arn": (
        [
            "arn:aws:s3:::b",
            "arn:aws:s3:*:*:*",
            "arn:*:s*:??*:*:q*",
            "*",
            "arn:aws:sqs:us-east-1:*:q",
            "${k:arn}",
            "arn:aws:s3:::${aws:username, '*'}",
        ],
        [
            "arn:aws:s3:::b",
            "arn:aws:s3:::b:c",
            "arn:aws:sqs:us-east-1:1:q",
            "arn:aws",
            "arn:aws:s3:::*",
        ],
    ),
}
NAMES = {
    "String": ["Equals", "NotEquals", "EqualsIgnoreCase", "NotEqualsIgnoreCase", "Like", "NotLike"],
    "Numeric": [
        "Equals",
        "NotEquals",
        "LessThan",
        "LessThanEquals",
        "GreaterThan",
        "GreaterThanEquals",
    ],
    "Bool": [""],
    "Binary": ["Equals"],
    "Arn": ["Equals", "NotEquals", "Like", "NotLike"],
}
NAMES["Date"] = NAMES["Numeric"]
KEYS = {
    "String": [
        "k:text",
        "K:Text",
        "k:list",
        "aws:username",
        "aws:PrincipalArn",
        "aws:PrincipalTag/team",
    ],
    "Numeric": ["k:number"],
    "Date": ["k:date"],
    "Bool": ["k:bool"],
    "Binary": ["k:binary"],
    "Ip": ["k:ip"],
    "Arn": ["k:arn", "aws:PrincipalArn"],
}


def one_or_several(values: st.SearchStrategy[Any], most: int = 3) -> st.SearchStrategy[Any]:
    """Return a value or a list of some: both are legal everywhere."""
    return values | st.lists(values, min_size=1, max_size=most)


@st.composite
def conditions(draw: Callable[..., Any]) -> tuple[str, str, Any]:
    """Draw an operator, a key and values."""
    if draw(st.integers(0, 9)) == 0:
        key = draw(st.sampled_from(["k:text", "k:list", "k:number", "aws:username"]))
        return "Null", key, draw(one_or_several(st.sampled_from(["true", "false", True]), 1))
    kind = draw(st.sampled_from(sorted(VALUES)))
    if kind == "Ip":
        name = draw(st.sampled_from(["IpAddress", "NotIpAddress"]))
    else:
        name = kind + draw(st.sampled_from(NAMES[kind]))
    quantifier = draw(st.sampled_from(["", "", "", "ForAllValues:", "ForAnyValue:"]))
    suffix = draw(st.sampled_from(["", "", "IfExists"]))
    key = draw(st.sampled_from(KEYS[kind]))
    return quantifier + name + suffix, key, draw(one_or_several(st.sampled_from(VALUES[kind][0])))


def block_of(drawn: list[tuple[str, str, Any]]) -> dict[str, dict[str, Any]]:
    """Return a Condition element; a key that is there already, in any case, is dropped."""
    block: dict[str, dict[str, Any]] = {}
    for name, key, value in drawn:
        keys = block.setdefault(name, {})
        if key.lower() not in {known.lower() for known in keys}:
            keys[key] = value
    return block


blocks = st.lists(conditions(), max_size=2).map(block_of)
KIND_OF_KEY = {"k:text": "String", "k:list": "String", "aws:PrincipalTag/team": "String"} | {
    f"k:{kind.lower()}": kind for kind in ["Numeric", "Date", "Bool", "Binary", "Ip", "Arn"]
}
KIND_OF_KEY["k:number"] = KIND_OF_KEY.pop("k:numeric")
request_contexts = st.fixed_dictionaries(
    {},
    optional={
        **{key: st.sampled_from(VALUES[kind][1]) for key, kind in KIND_OF_KEY.items()},
        "aws:username": st.sampled_from(["ann", "*", None]),
    },
)


@st.composite
def statements(
    draw: Callable[..., Any], *, resource_based: bool = False, full: bool = False
) -> dict[str, Any]:
    """Draw a statement, of an identity-based or a resource-based policy."""
    patterns = full_patterns if resource_based or full else resource_patterns
    statement = {"Effect": draw(st.sampled_from(["Allow", "Allow", "Allow", "Deny"]))}
    # Half of the statements are wide: otherwise nearly every request would be denied for
    # want of a statement about it, and the order of evaluation would hardly be tried.
    wide = statement["Effect"] == "Allow" and draw(st.booleans())
    if wide and draw(st.booleans()):
        statement["Action"] = "*"
    else:
        name = draw(st.sampled_from(["Action", "Action", "NotAction"]))
        statement[name] = draw(one_or_several(action_patterns))
    if wide:
        statement["Resource"] = "*"
    else:
        name = draw(st.sampled_from(["Resource", "Resource", "NotResource"]))
        statement[name] = draw(one_or_several(patterns))
    if not wide and draw(st.booleans()):
        statement["Condition"] = draw(blocks)
    if resource_based:
        statement |= draw(wide_elements if wide else principal_elements)
        if "NotPrincipal" in statement:
            statement["Effect"] = "Deny"
    return statement


def as_trust(document: dict[str, Any]) -> dict[str, Any]:
    """Return a policy of a resource as the trust policy of a role."""
    statements = document["Statement"]
    every = statements if isinstance(statements, list) else [statements]
    return document | {"Statement": [_trusting(one) for one in every]}


def _trusting(statement: dict[str, Any]) -> dict[str, Any]:
    kept = {
        name: value
        for name, value in statement.items()
        if name not in {"Resource", "NotResource", "NotAction", "NotPrincipal"}
    }
    principal = statement.get("Principal", statement.get("NotPrincipal"))
    action = ["sts:AssumeRole", "sts:TagSession"]
    return kept | {"Principal": principal, "Action": action}


named = st.fixed_dictionaries(
    {"AWS": one_or_several(st.sampled_from(PRINCIPALS))},
    optional={
        "Service": one_or_several(st.sampled_from(SERVICES), 2),
        "Federated": st.just("accounts.google.com"),
    },
)
just_service = st.fixed_dictionaries({"Service": one_or_several(st.sampled_from(SERVICES), 2)})
everyone = st.sampled_from(["*", {"AWS": "*"}, {"AWS": ["*", PRINCIPALS[0]]}])
principal_elements = st.one_of(
    st.one_of(named, named, just_service, everyone).map(lambda one: {"Principal": one}),
    (named | just_service).map(lambda one: {"NotPrincipal": one}),
)
wide_elements = st.sampled_from(
    [
        {"Principal": "*"},
        {"Principal": {"AWS": "*"}},
        {"Principal": {"AWS": [OURS, THEIRS]}},
        {"Principal": {"AWS": [f"arn:aws:iam::{OURS}:role/R", f"arn:aws:iam::{THEIRS}:role/R"]}},
        {"Principal": {"Service": SERVICES}},
    ]
)


def documents(
    *, resource_based: bool = False, full: bool = False
) -> st.SearchStrategy[dict[str, Any]]:
    """Draw a policy."""
    body = statements(resource_based=resource_based, full=full)
    return st.fixed_dictionaries(
        {"Statement": one_or_several(body)},
        optional={"Version": st.sampled_from(["2012-10-17", "2012-10-17", "2008-10-17"])},
    )


resource_documents = documents(resource_based=True)
# A user, a role and its session as often as all others together.
callers = st.one_of(
    st.none(),
    st.sampled_from([*PRINCIPALS, *SERVICES]),
    st.sampled_from([PRINCIPALS[0], PRINCIPALS[2], PRINCIPALS[5]]),
    st.sampled_from([PRINCIPALS[2], PRINCIPALS[5]]),
)


@st.composite
def settings_of(draw: Callable[..., Any]) -> dict[str, Any]:
    """Draw everything that a decision depends on, as the arguments of both sides."""
    asked: dict[str, Any] = {
        "action": draw(st.sampled_from(ACTIONS)),
        "resource": draw(st.sampled_from(RESOURCES)),
        "context": draw(request_contexts),
        "identity": draw(st.lists(documents(), max_size=3)),
        "boundary": draw(st.none() | documents()),
        "session": draw(st.none() | documents(full=True)),
        "resource_policy": draw(st.one_of(st.none(), resource_documents, resource_documents)),
        "principal": draw(callers),
        "resource_account": draw(st.sampled_from([None, None, OURS, THEIRS])),
    }
    if asked["resource_policy"] and ":role/" in asked["resource"]:
        asked["resource_policy"] = as_trust(asked["resource_policy"])
    return asked


def ours(asked: dict[str, Any]) -> tuple[bool, str]:
    """Return what the library decides; it must say why."""
    decision = simulate(**asked)
    assert decision.reason
    assert bool(decision) is decision.allowed is (decision.effect == "Allow")
    return decision.allowed, decision.effect


def has_unknown_variable_text(document: dict[str, Any]) -> bool:
    """Whether an old policy has a text that only a new one can read."""
    return document.get("Version") != "2012-10-17" and "${" in json.dumps(document)


@many
@given(settings_of())
def test_decision_agrees_with_oracle(asked: dict[str, Any]) -> None:
    """Any policies and any request: the library and the oracle decide the same."""
    try:
        decided = ours(asked)
    except DefinitionError:
        # Without variables, "${k:text}" is no boolean and no ARN: refused, and rightly so.
        policies = [asked["boundary"], asked["session"], asked["resource_policy"]]
        every = [one for one in (*asked["identity"], *policies) if one]
        assume(not any(has_unknown_variable_text(one) for one in every))
        raise
    expected = iam_oracle.decide(**asked)
    assert expected == decided


@many
@given(st.sampled_from(["Allow", "Deny"]), blocks, request_contexts, st.booleans())
def test_conditions_agree_with_oracle(
    effect: str, block: dict[str, Any], context: dict[str, Any], with_resource: bool
) -> None:
    """One statement and nothing else: every operator on every kind of value."""
    resource = "arn:aws:s3:::b/${k:text}/k" if with_resource else "*"
    every = {"Effect": "Allow", "Action": "*", "Resource": "*"}
    one = {"Effect": effect, "Action": "*", "Resource": resource, "Condition": block}
    asked = {
        "action": "s3:GetObject",
        "resource": "arn:aws:s3:::b/ab/k",
        "context": context,
        "identity": [{"Version": "2012-10-17", "Statement": [every, one][effect == "Allow" :]}],
    }
    assert iam_oracle.decide(**asked) == ours(asked)  # type: ignore[arg-type]


@st.composite
def callers_and_elements(draw: Callable[..., Any]) -> tuple[str | None, dict[str, Any]]:
    """Draw a caller and a Principal element, which half of the time names the caller or its kin."""
    caller = draw(st.none() | st.sampled_from([*PRINCIPALS, *SERVICES]))
    if caller is None or draw(st.booleans()):
        return caller, draw(principal_elements)
    name = draw(st.sampled_from(["Principal", "NotPrincipal"]))
    kind = "Service" if caller in SERVICES else "AWS"
    if kind == "Service":
        return caller, {name: {kind: caller}}
    kin = st.sampled_from([caller, caller, PRINCIPALS[2], OURS])
    others = st.lists(st.sampled_from(PRINCIPALS), max_size=2)
    return caller, {name: {kind: [draw(kin), *draw(others)]}}


@many
@given(
    callers_and_elements(),
    st.sampled_from(["Allow", "Deny"]),
    st.booleans(),
    st.sampled_from([None, OURS, THEIRS]),
)
def test_principals_agree_with_oracle(
    drawn: tuple[str | None, dict[str, Any]], effect: str, limited: bool, owner: str | None
) -> None:
    """One statement about principals, alone or beside an Allow for everyone: who is meant."""
    principal, element = drawn
    assume(effect == "Deny" or "Principal" in element)
    every = {"Effect": "Allow", "Action": "*", "Resource": "*"}
    both = [every | {"Principal": "*"}, every | {"Effect": effect} | element]
    asked: dict[str, Any] = {
        "action": "s3:GetObject",
        "resource": "arn:aws:s3:::b/k",
        "context": {},
        "identity": [] if owner is None else [{"Statement": every}],
        "boundary": {"Statement": every | {"Action": "sqs:*"}} if limited else None,
        "resource_policy": {"Statement": both[effect == "Allow" :]},
        "principal": principal,
        "resource_account": owner,
    }
    assert iam_oracle.decide(**asked) == ours(asked)


@many
@given(st.text("ab*?", max_size=12), st.text("ab*", max_size=12))
def test_wildcards_agree_with_oracle(pattern: str, text: str) -> None:
    """Any pattern on any text: the fast matcher and the definition say the same."""
    atoms = iam_oracle.expand(pattern, {}, variables=False)
    assert iam_oracle.glob(atoms, text) is compile_text(pattern).matches(text)


deny_all = {"Effect": "Deny", "Action": "*", "Resource": "*"}
POLICY_ARGUMENTS = ["identity", "boundary", "session", "resource_policy"]


def decided(asked: dict[str, Any]) -> str:
    """Return the effect; a request whose policies are refused is left out."""
    try:
        return ours(asked)[1]
    except DefinitionError:
        assume(condition=False)
        raise


@given(settings_of(), st.sampled_from(POLICY_ARGUMENTS))
def test_explicit_deny_always_wins(asked: dict[str, Any], where: str) -> None:
    """A Deny of everything, in whichever policy, ends in an explicit deny."""
    assume(asked["action"] != "sts:GetCallerIdentity")
    denial: Any = {"Version": "2012-10-17", "Statement": [deny_all]}
    if where == "resource_policy":
        denial = {**denial, "Statement": [deny_all | {"Principal": "*"}]}
        if ":role/" in asked["resource"]:
            assume(asked["action"] == "sts:AssumeRole")
            denial = as_trust(denial)
    changed = {**asked, where: [*asked["identity"], denial] if where == "identity" else denial}
    assert decided(changed) == "ExplicitDeny"


@given(settings_of(), statements())
def test_another_deny_never_allows(asked: dict[str, Any], statement: dict[str, Any]) -> None:
    """A Deny that is added turns no denial into a permission, and an allow at most into a deny."""
    more = {"Version": "2012-10-17", "Statement": [statement | {"Effect": "Deny"}]}
    before = decided(asked)
    after = decided({**asked, "identity": [*asked["identity"], more]})
    assert after in {before, "ExplicitDeny"}


@given(settings_of(), statements())
def test_another_allow_never_beats_an_explicit_deny(
    asked: dict[str, Any], statement: dict[str, Any]
) -> None:
    """An Allow that is added takes nothing away, and an explicit deny stays one."""
    more = {"Version": "2012-10-17", "Statement": [statement | {"Effect": "Allow"}]}
    before = decided(asked)
    after = decided({**asked, "identity": [*asked["identity"], more]})
    assert after == before or (before, after) == ("ImplicitDeny", "Allow")


@given(settings_of(), st.sampled_from(["boundary", "session"]))
def test_a_limit_taken_away_never_shrinks(asked: dict[str, Any], limit: str) -> None:
    """What is allowed within a boundary or session policy is allowed without it."""
    # A federated user without any session policy may do nothing: that is no limit less.
    assume("federated" not in str(asked["principal"]))
    if decided(asked) == "Allow":
        assert decided({**asked, limit: None}) == "Allow"


JUNK = [
    ("NumericLessThan", "k", "many"),
    ("NumericNotEquals", "k", "1e3"),
    ("DateGreaterThan", "k", "tomorrow"),
    ("DateNotEquals", "k", "2026"),
    ("Bool", "k", "yes"),
    ("IpAddress", "k", "10.0.0"),
    ("NotIpAddress", "k", "localhost"),
    ("BinaryEquals", "k", "~"),
    ("ArnLike", "k", "b/k"),
    ("ArnNotLike", "k", "b/k"),
    ("StringEquals", "k", ["a", "b"]),
    ("StringNotEquals", "k", ["a", "b"]),
]
FITTING = {
    "Numeric": "1",
    "Date": "2026-01-01",
    "Bool": "true",
    "Ip": "10.0.0.0/8",
    "NotIp": "10.0.0.0/8",
    "Binary": "YQ==",
    "Arn": "arn:aws:s3:::b",
    "String": "c",
}


@pytest.mark.parametrize(("name", "key", "value"), JUNK)
@pytest.mark.parametrize("quantifier", ["", "ForAllValues:", "ForAnyValue:"])
@pytest.mark.parametrize("suffix", ["", "IfExists"])
def test_what_is_not_understood_never_allows(
    name: str, key: str, value: Any, quantifier: str, suffix: str
) -> None:
    """A request value that the operator can't read: an Allow does not, and a Deny does."""
    wanted = next(fit for kind, fit in FITTING.items() if name.startswith(kind))
    if isinstance(value, list) and quantifier:
        value = ["c", "d"]  # a set operator can compare several: nothing is unclear then
        return
    block = {f"{quantifier}{name}{suffix}": {key: wanted}}
    every = {"Effect": "Allow", "Action": "*", "Resource": "*"}
    allowing: list[Any] = [every | {"Condition": block}]
    denying: list[Any] = [every, every | {"Effect": "Deny", "Condition": block}]
    asked: dict[str, Any] = {"action": "s3:GetObject", "resource": "*", "context": {key: value}}
    allow_effect = simulate(**asked, identity=[{"Statement": allowing}]).effect
    deny_effect = simulate(**asked, identity=[{"Statement": denying}]).effect
    assert (allow_effect, deny_effect) == ("ImplicitDeny", "ExplicitDeny")


@given(documents() | documents(resource_based=True))
def test_documents_come_out_as_they_went_in(document: dict[str, Any]) -> None:
    """Parsing and writing is the identity, from a dict and from JSON."""
    try:
        policy = Policy.from_document(document)
    except DefinitionError:
        assume(not has_unknown_variable_text(document))
        raise
    assert policy.to_document() == document
    assert Policy.from_document(json.dumps(policy.to_document())) == policy


@given(settings_of())
def test_a_role_decides_as_the_simulation(asked: dict[str, Any]) -> None:
    """A role's own decision is that of its policies, boundary and ARN."""
    arn = f"arn:aws:iam::{OURS}:role/R"
    expected = decided({**asked, "principal": arn})
    role = Role("R", asked["identity"], asked["boundary"], account=OURS)
    decision = role.decide(
        asked["action"],
        asked["resource"],
        asked["context"],
        session=asked["session"],
        resource_policy=asked["resource_policy"],
        resource_account=asked["resource_account"],
    )
    assert expected == decision.effect
