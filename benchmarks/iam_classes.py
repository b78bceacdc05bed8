"""
Classes of disagreement between two IAM engines, each with AWS's page about it.

A class is recognised on a request that was reduced, so that hardly anything is left of it but
the reason. ``right`` names the engine that AWS's documentation agrees with; "unclear" is where
its pages say different things or nothing, and faaskit denies.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from attrs import frozen

from faaskit.iam.matching import compile_text
from faaskit.iam.values import read_address, read_binary, read_instant, read_number

__all__ = ["CLASSES", "Class", "classify"]

Asked = dict[str, Any]


@frozen
class Class:
    """
    A reason to differ.

    Attributes:
        name: In a few words.
        right: ``faaskit``, ``peer`` or ``unclear``.
        page: The page of AWS's documentation that says so.
        holds: True for a reduced request that shows it.
    """

    name: str
    right: str
    page: str
    holds: Callable[[Asked], bool]


def classify(asked: Asked, mine: str, theirs: str) -> str:
    """
    Return the name of a reduced request's class, or ``unexplained``.

    Args:
        asked: The reduced request.
        mine: The effect here.
        theirs: The effect there. A Deny of theirs that is missed here has fewer excuses.
    """
    classes = _BOTH_WAYS if theirs == "ExplicitDeny" else CLASSES[mine.partition(":")[0]]
    for one in classes:
        if one.holds(asked):
            return one.name
    return "unexplained"


# --- what a request has ---


def _statements(asked: Asked) -> Iterator[dict[str, Any]]:
    policies = [asked["boundary"], asked["session"], asked["resource_policy"], *asked["identity"]]
    for policy in policies:
        if policy is not None:
            body = policy["Statement"]
            yield from (body if isinstance(body, list) else [body])


def _conditions(asked: Asked, effect: str) -> Iterator[tuple[str, str, list[str]]]:
    """Return operator, key and the policy's texts of each condition."""
    for statement in _statements(asked):
        if statement["Effect"] == effect:
            for operator, keys in statement.get("Condition", {}).items():
                for key, wanted in keys.items():
                    every = wanted if isinstance(wanted, list) else [wanted]
                    yield operator, key, [str(one) for one in every]


def _value(asked: Asked, key: str) -> Any:
    values = {name.lower(): value for name, value in asked["context"].items()}
    value = values.get(key.lower())
    if isinstance(value, list):
        return None if not value else value[0] if len(value) == 1 else value
    return value


def _has_variable_without_value(asked: Asked, text: str) -> bool:
    pieces = [piece.partition("}")[0] for piece in text.split("${")[1:]]
    names = [piece for piece in pieces if "," not in piece and piece not in {"*", "?", "$"}]
    return any(not isinstance(_value(asked, name), str) for name in names)


_ARN_COLONS = 5
_READERS: dict[str, Callable[[str], object]] = {
    "Numeric": read_number,
    "Date": read_instant,
    "Ip": read_address,
    "NotIp": read_address,
    "Binary": read_binary,
    "Arn": lambda text: (text.startswith("arn:") and text.count(":") > 4) or None,
    "Bool": lambda text: text.lower() in {"true", "false"} or None,
}


def _is_unreadable(asked: Asked, operator: str, key: str) -> bool:
    """Return whether the request has a value that the operator can't read."""
    value = _value(asked, key)
    every = value if isinstance(value, list) else [value]
    base = operator.rpartition(":")[2]
    reader = next((one for name, one in _READERS.items() if base.startswith(name)), None)
    texts = [one for one in every if isinstance(one, str)]
    if base.startswith("Bool") and isinstance(_value(asked, "k:other"), str):
        texts.append(_value(asked, "k:other"))  # what the policy's variable stands for
    return reader is not None and any(reader(text) is None for text in texts)


def _has_several(asked: Asked, operator: str, key: str) -> bool:
    several = isinstance(_value(asked, key), list)
    return several and not operator.startswith(("For", "Null"))


def _kind(asked: Asked) -> str:
    principal = str(asked["principal"])
    if principal.endswith(":root"):
        return "root"
    if principal.count(":") < _ARN_COLONS:
        return "service"
    return principal.split(":")[_ARN_COLONS].split("/", maxsplit=1)[0]


def _partition(text: str) -> str:
    return text.split(":")[1] if ":" in text else "aws"


def _names(asked: Asked, element: str) -> list[str]:
    found: list[str] = []
    for statement in _statements(asked):
        principals = statement.get(element, {})
        every = [principals] if isinstance(principals, str) else principals.values()
        for one in every:
            found += [one] if isinstance(one, str) else one
    return found


# --- the classes ---


def _root(asked: Asked) -> bool:
    return _kind(asked) == "root" and not asked["identity"]


def _token_of_user(asked: Asked) -> bool:
    is_token = asked["action"].lower() == "sts:getsessiontoken"
    return is_token and _kind(asked) == "user" and not asked["identity"]


def _granted_to_session(asked: Asked) -> bool:
    if asked["session"] is None or asked["identity"] or asked["boundary"] is not None:
        return False
    return set(_names(asked, "Principal")) <= {"*", asked["principal"]}


def _seconds(asked: Asked) -> bool:
    return any(
        operator.rpartition(":")[2].startswith("Date")
        and any(text.isdigit() for text in [*wanted, str(_value(asked, key))])
        for effect in ("Allow", "Deny")
        for operator, key, wanted in _conditions(asked, effect)
    )


def _range_of_everything(asked: Asked) -> bool:
    return any(
        text.endswith("/0")
        for effect in ("Allow", "Deny")
        for operator, _, wanted in _conditions(asked, effect)
        if operator.rpartition(":")[2].startswith(("Ip", "NotIp"))
        for text in wanted
    )


def _version_of_address(asked: Asked) -> bool:
    """Return whether NotIpAddress compares an IPv4 address with an IPv6 one."""
    return any(
        (":" in str(_value(asked, key))) is not (":" in text)
        for effect in ("Allow", "Deny")
        for operator, key, wanted in _conditions(asked, effect)
        if operator.rpartition(":")[2].startswith("NotIp") and _value(asked, key) is not None
        for text in wanted
    )


def _old_version(asked: Asked) -> bool:
    policies = [asked["boundary"], asked["session"], asked["resource_policy"], *asked["identity"]]
    return any(
        policy is not None and policy.get("Version") != "2012-10-17" and "${" in str(policy)
        for policy in policies
    )


def _any_if_exists(asked: Asked) -> bool:
    return any(
        operator.startswith("ForAnyValue:")
        and operator.endswith("IfExists")
        and _value(asked, key) is None
        for effect in ("Allow", "Deny")
        for operator, key, _ in _conditions(asked, effect)
    )


def _set_of_empty(asked: Asked) -> bool:
    return any(
        operator.startswith("For") and _value(asked, key) in ("", ["", ""])
        for effect in ("Allow", "Deny")
        for operator, key, _ in _conditions(asked, effect)
    )


def _resources(asked: Asked) -> Iterator[str]:
    for statement in _statements(asked):
        for name in ("Resource", "NotResource"):
            every = statement.get(name, [])
            yield from ([every] if isinstance(every, str) else every)


def _field_by_field(text: str, resource: str, colons: int) -> bool:
    patterns, fields = text.split(":", colons), resource.split(":", colons)
    pairs = zip(patterns, fields, strict=False)
    return len(patterns) == len(fields) and all(compile_text(a).matches(b) for a, b in pairs)


def _reaches_over_fields(asked: Asked) -> bool:
    """Return whether a wildcard names the resource only if it reaches over a colon."""
    resource = asked["resource"]
    return any(
        compile_text(text).matches(resource) and not _field_by_field(text, resource, _ARN_COLONS)
        for text in _resources(asked)
        if text != "*"
    )


def _reaches_in_the_last_field(asked: Asked) -> bool:
    """Return whether that is so within what follows on the fifth colon."""
    resource = asked["resource"]
    return any(
        _field_by_field(text, resource, _ARN_COLONS) and not _field_by_field(text, resource, -1)
        for text in _resources(asked)
    )


def _fixed_character(asked: Asked) -> bool:
    return any(
        "Equals" in operator and any(text in {"${*}", "${?}", "${$}"} for text in wanted)
        for effect in ("Allow", "Deny")
        for operator, _, wanted in _conditions(asked, effect)
    )


def _session_named(asked: Asked) -> bool:
    """Return whether a Deny names a session of the role that asks."""
    if _kind(asked) != "role":
        return False
    role = str(asked["principal"]).rpartition("/")[2]
    return any(f":assumed-role/{role}/" in name for name in _names(asked, "Principal"))


def _other_path_named(asked: Asked) -> bool:
    principal = str(asked["principal"])
    name = principal.rpartition("/")[2]
    named = [one for one in _names(asked, "Principal") if one.endswith(f"/{name}")]
    return _kind(asked) == "role" and bool(named) and principal not in named


def _null_of_empty(asked: Asked) -> bool:
    return any(
        operator == "Null" and _value(asked, key) == ""
        for effect in ("Allow", "Deny")
        for operator, key, _ in _conditions(asked, effect)
    )


def _other_partition(asked: Asked) -> bool:
    kind = _kind(asked)
    of_caller = "aws" if kind == "service" else _partition(str(asked["principal"]))
    return _partition(asked["resource"]) != of_caller


def _other_partition_named(asked: Asked) -> bool:
    arns = [name for name in _names(asked, "Principal") if name.startswith("arn:")]
    return any(_partition(name) != _partition(asked["resource"]) for name in arns)


def _no_trust(asked: Asked) -> bool:
    is_trust = asked["action"].lower() in {"sts:assumerole", "sts:tagsession"}
    return is_trust and ":role/" in asked["resource"] and asked["resource_policy"] is None


def _no_session_policy(asked: Asked) -> bool:
    return _kind(asked) == "federated-user" and asked["session"] is None


def _federated_iam(asked: Asked) -> bool:
    service = asked["action"].lower().partition(":")[0]
    return _kind(asked) == "federated-user" and service in {"iam", "sts"}


def _federated_user_named(asked: Asked) -> bool:
    named = [*_names(asked, "Principal"), *_names(asked, "NotPrincipal")]
    return _kind(asked) == "federated-user" and any(":user/" in name for name in named)


def _token_of_role(asked: Asked) -> bool:
    is_token = asked["action"].lower() == "sts:getsessiontoken"
    return is_token and _kind(asked) in {"role", "assumed-role"}


def _root_assumes(asked: Asked) -> bool:
    return _kind(asked) == "root" and asked["action"].lower().startswith("sts:")


def _undefined_in_allow(asked: Asked) -> bool:
    return any(
        _has_variable_without_value(asked, text)
        for _, _, wanted in _conditions(asked, "Allow")
        for text in wanted
    )


def _undefined_in_not_resource(asked: Asked) -> bool:
    for statement in _statements(asked):
        every = statement.get("NotResource", [])
        texts = [every] if isinstance(every, str) else every
        if any(_has_variable_without_value(asked, text) for text in texts):
            return True
    return False


def _undefined_in_deny(asked: Asked) -> bool:
    return any(
        "Not" in operator and _has_variable_without_value(asked, text)
        for operator, _, wanted in _conditions(asked, "Deny")
        for text in wanted
    )


def _any(effect: str, test: Callable[[Asked, str, str], bool]) -> Callable[[Asked], bool]:
    def holds(asked: Asked) -> bool:
        return any(test(asked, operator, key) for operator, key, _ in _conditions(asked, effect))

    return holds


def _not_principal(asked: Asked) -> bool:
    """Return whether a NotPrincipal names a part of the caller's role and account alone."""
    named = set(_names(asked, "NotPrincipal"))
    principal = str(asked["principal"])
    if not named or _kind(asked) in {"root", "service"}:
        return False
    account = principal.split(":")[4]
    accounts = {account, f"arn:aws:iam::{account}:root"}
    whole = principal in named and bool(named & accounts)
    if _kind(asked) == "assumed-role":
        role = principal.split("/")[1]
        whole = whole and any(":role/" in name and name.endswith(f"/{role}") for name in named)
    return not whole or asked["boundary"] is not None


_GUIDE = "IAM User Guide, "
_BOTH_WAYS = [
    Class(
        "a date in seconds since 1970 beside one in ISO 8601",
        "faaskit",
        _GUIDE + '"Condition operators", date',
        _seconds,
    ),
    Class(
        "a range of addresses of prefix length 0",
        "faaskit",
        _GUIDE + '"Condition operators", IP address',
        _range_of_everything,
    ),
    Class(
        "NotIpAddress of an address of the other version",
        "faaskit",
        _GUIDE + '"Condition operators", IP address',
        _version_of_address,
    ),
    Class(
        "a * at the end of a field reaches over colons",
        "faaskit",
        _GUIDE + '"Resource"',
        _reaches_over_fields,
    ),
    Class(
        "${*} in an operator without wildcards is an asterisk",
        "faaskit",
        _GUIDE + '"Variables and tags", predefined policy variables',
        _fixed_character,
    ),
    Class(
        "a set operator on nothing but empty text",
        "faaskit",
        _GUIDE + '"Set operators for multivalued context keys"',
        _set_of_empty,
    ),
    Class(
        "a policy older than 2012-10-17 has no variables",
        "faaskit",
        _GUIDE + '"Version"',
        _old_version,
    ),
]
_UNKNOWN = [
    Class(
        "a wildcard that may reach over a colon of the resource's own",
        "unclear",
        _GUIDE + '"Resource"',
        _reaches_in_the_last_field,
    ),
    Class(
        "ForAnyValue with IfExists on a missing key",
        "unclear",
        _GUIDE + '"Condition operators", IfExists',
        _any_if_exists,
    ),
    Class(
        "Null on a key whose value is empty",
        "unclear",
        _GUIDE + '"Condition operators", Null',
        _null_of_empty,
    ),
]
CLASSES: dict[str, list[Class]] = {
    "Allow": [
        Class(
            "the root user needs no identity-based policy",
            "faaskit",
            _GUIDE + '"AWS account root user"',
            _root,
        ),
        Class(
            "a user needs no permission for GetSessionToken",
            "faaskit",
            _GUIDE + '"Permissions for GetSessionToken"',
            _token_of_user,
        ),
        Class(
            "a session policy does not limit what the resource grants to the session or everyone",
            "faaskit",
            _GUIDE + '"Policy evaluation for requests within a single account"',
            _granted_to_session,
        ),
        *_BOTH_WAYS,
    ],
    "ImplicitDeny": [
        Class(
            "no policy reaches over a partition",
            "faaskit",
            'AWS Fault Isolation Boundaries, "Partitions"',
            lambda asked: _other_partition(asked) or _other_partition_named(asked),
        ),
        Class(
            "a root user assumes no role",
            "faaskit",
            'STS API Reference, "AssumeRole"',
            _root_assumes,
        ),
        Class(
            "a federated user calls neither IAM nor STS",
            "faaskit",
            _GUIDE + '"Compare AWS STS credentials"',
            _federated_iam,
        ),
        Class(
            "a federated user without a session policy may do nothing",
            "faaskit",
            'STS API Reference, "GetFederationToken"',
            _no_session_policy,
        ),
        Class(
            "a federated user's name is not that of the user who asked for it",
            "unclear",
            'STS API Reference, "GetFederationToken"',
            _federated_user_named,
        ),
        Class(
            "a role's session calls no GetSessionToken",
            "faaskit",
            _GUIDE + '"Compare AWS STS credentials"',
            _token_of_role,
        ),
        Class(
            "no role is assumed without a trust policy",
            "faaskit",
            _GUIDE + '"Policies and permissions", role trust policies',
            _no_trust,
        ),
        Class(
            "an Allow's condition has a variable without a value",
            "unclear",
            _GUIDE + '"Variables and tags"',
            _undefined_in_allow,
        ),
        Class(
            "an Allow's NotResource has a variable without a value",
            "unclear",
            _GUIDE + '"Variables and tags"',
            _undefined_in_not_resource,
        ),
        Class(
            "a value of the request can't be read by the operator of an Allow",
            "unclear",
            _GUIDE + '"Condition operators"',
            _any("Allow", _is_unreadable),
        ),
        Class(
            "several values under an operator for one, in an Allow",
            "unclear",
            _GUIDE + '"Single-valued vs. multivalued context keys"',
            _any("Allow", _has_several),
        ),
        *_BOTH_WAYS,
        *_UNKNOWN,
    ],
    "ExplicitDeny": [
        Class(
            "a role may be the session that a Deny names",
            "unclear",
            _GUIDE + '"Principal", role session principals',
            _session_named,
        ),
        Class(
            "a Deny names a role of that name with another path",
            "unclear",
            _GUIDE + '"IAM identifiers", friendly names and paths',
            _other_path_named,
        ),
        Class(
            "a NotPrincipal without all of the caller, its role and its account",
            "unclear",
            _GUIDE + '"NotPrincipal"',
            _not_principal,
        ),
        Class(
            "a NotPrincipal that may name the user behind a federated one",
            "unclear",
            _GUIDE + '"NotPrincipal"',
            _federated_user_named,
        ),
        Class(
            "a value of the request can't be read by the operator of a Deny",
            "unclear",
            _GUIDE + '"Condition operators"',
            _any("Deny", _is_unreadable),
        ),
        Class(
            "several values under an operator for one, in a Deny",
            "unclear",
            _GUIDE + '"Single-valued vs. multivalued context keys"',
            _any("Deny", _has_several),
        ),
        Class(
            "a Deny with a negated operator has a variable without a value",
            "faaskit",
            _GUIDE + '"Variables and tags"',
            _undefined_in_deny,
        ),
        Class(
            "a Deny's NotResource has a variable without a value",
            "faaskit",
            _GUIDE + '"Variables and tags"',
            _undefined_in_not_resource,
        ),
        *_BOTH_WAYS,
        *_UNKNOWN,
    ],
    "refused": [
        Class(
            "Bool with a variable in a policy that has none",
            "unclear",
            _GUIDE + '"Version"',
            _old_version,
        ),
    ],
}
