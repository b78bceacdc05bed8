"""
Random requests with their policies, for the comparison of IAM engines.

A request is the arguments of ``faaskit.iam.simulate``, with documents as AWS writes them. Half
of the Allow statements are wide: otherwise nearly every request would be denied for want of a
statement about it, and the order of evaluation would hardly be tried.
"""

from __future__ import annotations

from random import Random
from typing import Any

__all__ = ["Asked", "draw"]

Asked = dict[str, Any]
Document = dict[str, Any]

OURS, THEIRS = "111122223333", "444455556666"
_REGION = "us-east-1"
_TARGETS: list[tuple[str, str]] = [
    ("s3:GetObject", "arn:aws:s3:::b/k"),
    ("s3:GetObject", "arn:aws:s3:::b/ann/k"),
    ("s3:PutObject", "arn:aws:s3:::b/home/ann/x:y"),
    ("s3:ListBucket", "arn:aws:s3:::b"),
    ("s3:ListAllMyBuckets", "*"),
    ("sqs:SendMessage", f"arn:aws:sqs:{_REGION}:{OURS}:q"),
    ("sqs:SendMessage", f"arn:aws:sqs:{_REGION}:{THEIRS}:q"),
    ("kms:Decrypt", f"arn:aws:kms:{_REGION}:{OURS}:key/1"),
    ("kms:Decrypt", f"arn:aws:kms:{_REGION}:{THEIRS}:key/1"),
    ("kms:CreateAlias", f"arn:aws:kms:{_REGION}:{OURS}:alias/aws/s3"),
    ("kms:CreateAlias", f"arn:aws:kms:{_REGION}:{OURS}:alias/mine"),
    ("lambda:InvokeFunction", f"arn:aws:lambda:{_REGION}:{OURS}:function:f"),
    ("lambda:InvokeFunction", f"arn:aws:lambda:{_REGION}:{OURS}:function:f:one-two"),
    ("dynamodb:Query", f"arn:aws:dynamodb:{_REGION}:{OURS}:table/t/index/i"),
    ("sts:AssumeRole", f"arn:aws:iam::{OURS}:role/R"),
    ("sts:AssumeRole", f"arn:aws:iam::{THEIRS}:role/path/R"),
    ("sts:TagSession", f"arn:aws:iam::{OURS}:role/R"),
    ("iam:PassRole", f"arn:aws:iam::{OURS}:role/R"),
    ("iam:CreatePolicyVersion", "arn:aws:iam::aws:policy/ReadOnlyAccess"),
    ("sts:GetCallerIdentity", "*"),
    ("sts:GetSessionToken", "*"),
    ("s3:GetObject", "arn:aws-cn:s3:::b/k"),
]
_PRINCIPALS = [
    f"arn:aws:iam::{OURS}:user/ann",
    f"arn:aws:iam::{OURS}:user/team/bob",
    f"arn:aws:iam::{OURS}:role/R",
    f"arn:aws:iam::{OURS}:role/path/R",
    f"arn:aws:sts::{OURS}:assumed-role/R/one",
    f"arn:aws:sts::{OURS}:assumed-role/R/two",
    f"arn:aws:sts::{OURS}:federated-user/ann",
    f"arn:aws:iam::{OURS}:root",
    f"arn:aws:iam::{THEIRS}:role/R",
    f"arn:aws:iam::{THEIRS}:user/ann",
]
_SERVICES = ["events.amazonaws.com", "s3.amazonaws.com"]
_CALLERS = [*_PRINCIPALS, *_PRINCIPALS[:6], *_SERVICES]

# Per kind of operator: the operators, the policy's values, and the request's, some of others.
_TEXTS = ["a", "ab", "A", "", "*", "ann", "a*", "a:b"]
_KINDS: dict[str, tuple[list[str], list[Any], list[Any]]] = {
    "text": (
        [
            "StringEquals",
            "StringNotEquals",
            "StringEqualsIgnoreCase",
            "StringNotEqualsIgnoreCase",
            "StringLike",
            "StringNotLike",
        ],
        [
            "a",
            "ab",
            "A",
            "",
            "a*",
            "?b",
            "*",
            "${*}",
            "${k:other}",
            "${k:other, 'a'}",
            "x${k:list}",
            "${aws:username}",
            "${k:other}*",
        ],
        [*_TEXTS, ["a", "b"], ["ann"], ["a", ""], []],
    ),
    "number": (
        ["NumericEquals", "NumericNotEquals", "NumericLessThan", "NumericGreaterThanEquals"],
        ["1", "1.5", "10", "-3", 7],
        ["1", "1.50", "10", "-3", "many", "9", ["1", "10"], []],
    ),
    "date": (
        ["DateEquals", "DateNotEquals", "DateLessThan", "DateGreaterThan"],
        ["2026-01-31T00:00:00Z", "2026-01-31", "1769817600"],
        ["2026-01-31T00:00:00Z", "2026-01-30T23:00:00-01:00", "1769817601", "tomorrow", []],
    ),
    "bool": (
        ["Bool"],
        ["true", "false", True, "True", "${k:other}"],
        ["true", "false", "TRUE", "yes", ["true", "false"], []],
    ),
    "bytes": (["BinaryEquals"], ["YWI=", "YWM="], ["YWI=", "YWM=", "~", []]),
    "address": (
        ["IpAddress", "NotIpAddress"],
        ["10.0.0.0/8", "192.0.2.1", "2001:db8::/32", "0.0.0.0/0"],
        ["10.1.2.3", "192.0.2.1", "192.0.2.2", "2001:db8::1", "localhost", []],
    ),
    "arn": (
        ["ArnEquals", "ArnNotEquals", "ArnLike", "ArnNotLike"],
        [
            "arn:aws:sns:us-east-1:1:t",
            "arn:aws:sns:*:*:t*",
            "arn:aws:sns:us-*:1:*",
            "arn:aws:sns:us-east-1:1:${k:other}",
        ],
        ["arn:aws:sns:us-east-1:1:t", "arn:aws:sns:us-east-1:1:T", "arn:aws:sns:eu:1:t:x", "t", []],
    ),
}
_KEYS = {
    "text": ["k:text", "k:list", "K:Text", "aws:PrincipalTag/team"],
    **{kind: [f"k:{kind}"] for kind in ("number", "date", "bool", "bytes", "address", "arn")},
}


def draw(rng: Random) -> Asked:
    """Return a random request with its policies."""
    action, resource = rng.choice(_TARGETS)
    principal = rng.choice(_CALLERS)
    session = None
    if any(kind in principal for kind in (":role/", ":assumed-role/", ":federated-user/")):
        session = _maybe(rng, 0.35, lambda: _document(rng, action, resource, short=False))
    account = resource.split(":")[4] if resource.count(":") > 4 else ""
    policy = None
    if rng.random() < 0.65:
        make = _trust if ":role/" in resource else _resource_policy
        policy = make(rng, action, resource, principal)
    owner = None if account.isdigit() else rng.choice([OURS, OURS, THEIRS])
    if resource == "*":  # about no resource: the caller's own account
        owner = None
    bounded = ":user/" in principal or "role/" in principal
    return {
        "action": action if rng.random() < 0.9 else action.swapcase(),
        "resource": resource,
        "context": _context(rng),
        "identity": [_document(rng, action, resource) for _ in range(rng.choice([0, 1, 1, 1, 2]))],
        "boundary": _maybe(rng, 0.3, lambda: _document(rng, action, resource)) if bounded else None,
        "session": session,
        "resource_policy": policy,
        "principal": principal,
        "resource_account": owner,
    }


def _maybe(rng: Random, chance: float, make: Any) -> Any:
    return make() if rng.random() < chance else None


def _one_or_several(rng: Random, make: Any, most: int = 3) -> Any:
    if rng.random() < 0.6:
        return make()
    return [make() for _ in range(rng.randint(1, most))]


def _context(rng: Random) -> dict[str, Any]:
    context: dict[str, Any] = {}
    for kind, (_, _, values) in _KINDS.items():
        if rng.random() < 0.7:
            context[f"k:{kind}"] = rng.choice(values)
    if rng.random() < 0.5:
        context["k:other"] = rng.choice(["a", "ann", "true", "*"])
    if rng.random() < 0.5:
        context["k:list"] = rng.choice([["a", "ab"], ["a"], [], ["b", ""]])
    if rng.random() < 0.5:
        context["aws:PrincipalTag/team"] = rng.choice(["a", "ann", ""])
    return context


def _version(rng: Random) -> dict[str, str]:
    return rng.choice([{"Version": "2012-10-17"}] * 8 + [{"Version": "2008-10-17"}, {}])


def _document(rng: Random, action: str, resource: str, *, short: bool = True) -> Document:
    make = _one_or_several(rng, lambda: _statement(rng, action, resource, short=short))
    return {**_version(rng), "Statement": make}


def _statement(rng: Random, action: str, resource: str, *, short: bool = True) -> Document:
    effect = rng.choice(["Allow", "Allow", "Allow", "Deny"])
    wide = effect == "Allow" and rng.random() < 0.5
    statement: Document = {"Effect": effect}
    if wide:
        statement |= {"Action": rng.choice(["*", action]), "Resource": "*"}
    else:
        name = rng.choice(["Action", "Action", "NotAction"])
        statement[name] = _one_or_several(rng, lambda: _action(rng, action))
        name = rng.choice(["Resource", "Resource", "NotResource"])
        statement[name] = _one_or_several(rng, lambda: _pattern(rng, resource, short=short))
    if rng.random() < (0.2 if wide else 0.5):
        statement["Condition"] = _block(rng)
    return statement


def _action(rng: Random, action: str) -> str:
    service, _, name = action.partition(":")
    return rng.choice(
        [
            action,
            "*",
            f"{service}:*",
            f"{service}:{name[:3]}*",
            f"{service.upper()}:{name.lower()}",
            f"{service}:?{name[1:]}",
            f"{service}:*{name[4:]}",
            "ec2:*",
            f"{service}:Other",
        ]
    )


def _pattern(rng: Random, resource: str, *, short: bool = True) -> str:
    if resource == "*":
        return rng.choice(["*", "arn:aws:sqs:*:*:*", "arn:aws:s3:::*"])
    prefix, _, last = (
        resource.rpartition(":")
        if ":s3:::" not in resource
        else (
            resource[: resource.index(":::") + 2],
            "",
            resource[resource.index(":::") + 3 :],
        )
    )
    choices = [
        resource,
        "*",
        f"{prefix}:*",
        f"{prefix}:{last[:1]}*",
        f"{prefix}:{last[:-1]}?",
        f"{prefix}:{last}*",
        f"{prefix}:{last}/*",
        f"{prefix}:*{last[-1:]}",
        f"{prefix}:other",
        "arn:aws:sqs:us-east-1:111122223333:*",
        resource.replace(OURS, "*").replace(_REGION, "*"),
        resource.replace(OURS, "1111*").replace(_REGION, "us-*"),
    ]
    if ":iam:" in resource:
        return rng.choice([resource, "*", resource[:-1] + "*", f"{prefix}:role/*", f"{prefix}:*"])
    if ":s3:" in resource:
        choices += [
            "arn:aws:s3:::b/${k:other}/k",
            "arn:aws:s3:::b/${k:other, 'ann'}/*",
            "arn:aws:s3:::*/${k:other}/*",
            "arn:aws:s3:::b/${*}",
            "arn:aws:s3:::b/${aws:username}/*",
            "arn:aws:s3:::b/home/${aws:username}/*",
            "arn:aws:s3:::b/${k:list}/*",
            "arn:*:s3:::b/*",
        ]
    elif ":lambda:" in resource:
        name = resource[: resource.index(":function:")]
        choices += [f"{name}:function:*-two", f"{name}:function:f*o", f"{name}:function:f?one*"]
        choices += ["arn:aws:lambda:*:function:f:*-*", "arn:aws:lambda:u*:function:*"]
    elif short:
        choices += [":".join(resource.split(":")[:4])]
    return rng.choice(choices)


def _block(rng: Random) -> dict[str, Any]:
    block: dict[str, dict[str, Any]] = {}
    for _ in range(rng.choice([1, 1, 2])):
        name, key, wanted = _condition(rng)
        keys = block.setdefault(name, {})
        if key.lower() not in {known.lower() for known in keys}:
            keys[key] = wanted
    return block


def _condition(rng: Random) -> tuple[str, str, Any]:
    if rng.random() < 0.12:
        key = rng.choice(["k:text", "k:list", "k:other", "aws:username"])
        return "Null", key, rng.choice(["true", "false", True, ["true", "false"]])
    kind = rng.choice([*_KINDS, "text", "text", "text"])
    operators, values, _ = _KINDS[kind]
    name = rng.choice(operators)
    quantifier = rng.choice(["", "", "", "ForAllValues:", "ForAnyValue:"])
    suffix = rng.choice(["", "", "", "IfExists"])
    wanted = _one_or_several(rng, lambda: rng.choice(values))
    return quantifier + name + suffix, rng.choice(_KEYS[kind]), wanted


def _named(rng: Random, principal: str) -> Any:
    """Return principals: the caller, what it belongs to, and others."""
    kin = [principal] if principal not in _SERVICES else []
    if ":" in principal:
        account = principal.split(":")[4]
        kin += [account, f"arn:aws:iam::{account}:root"]
        if ":assumed-role/" in principal:
            kin += [f"arn:aws:iam::{account}:role/{principal.split('/')[1]}"] * 2
    names = [rng.choice(kin or _PRINCIPALS), *rng.choices(_PRINCIPALS, k=rng.randint(0, 2))]
    rng.shuffle(names)
    return {"AWS": names if len(names) > 1 else names[0]}


def _principal(rng: Random, principal: str) -> Document:
    drawn = rng.random()
    if principal in _SERVICES and drawn < 0.6:
        return {"Principal": {"Service": rng.choice([principal, _SERVICES])}}
    if drawn < 0.2:
        return {"Principal": rng.choice(["*", {"AWS": "*"}])}
    if drawn < 0.3:
        return {"Principal": {"Service": rng.choice(_SERVICES)}}
    return {"Principal": _named(rng, principal)}


def _resource_policy(rng: Random, action: str, resource: str, principal: str) -> Document:
    def one() -> Document:
        statement = _statement(rng, action, resource, short=False)
        if statement["Effect"] == "Deny" and rng.random() < 0.4:
            every = _named(rng, principal)
            if rng.random() < 0.3 and principal in _SERVICES:
                every = {"Service": principal}
            return statement | {"NotPrincipal": every}
        return statement | _principal(rng, principal)

    return {**_version(rng), "Statement": _one_or_several(rng, one)}


def _trust(rng: Random, action: str, resource: str, principal: str) -> Document:  # noqa: ARG001
    def one() -> Document:
        statement: Document = {
            "Effect": rng.choice(["Allow", "Allow", "Allow", "Deny"]),
            **_principal(rng, principal),
            "Action": _one_or_several(
                rng, lambda: rng.choice(["sts:AssumeRole", "sts:assumerole", "sts:TagSession"])
            ),
        }
        if rng.random() < 0.3:
            statement["Condition"] = _block(rng)
        return statement

    return {**_version(rng), "Statement": _one_or_several(rng, one)}
