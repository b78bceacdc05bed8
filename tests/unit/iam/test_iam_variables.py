"""Policy variables: where they are, what they stand for, and when they stand for nothing."""

from __future__ import annotations

from typing import Any

import pytest

from faaskit.exceptions import DefinitionError
from faaskit.iam import Policy, simulate

B = "arn:aws:s3:::b"


def effect(
    statement: dict[str, Any],
    resource: str,
    context: dict[str, Any] | None = None,
    version: str | None = "2012-10-17",
) -> str:
    """Return the effect of one statement; a Deny stands beside an Allow of everything."""
    statements = [{"Effect": "Allow", "Action": "s3:GetObject"} | statement]
    if statement.get("Effect") == "Deny":
        statements.append({"Effect": "Allow", "Action": "*", "Resource": "*"})
    document: dict[str, Any] = {"Statement": statements}
    if version:
        document["Version"] = version
    return simulate("s3:GetObject", resource, context, identity=[document]).effect


@pytest.mark.parametrize(
    ("pattern", "resource", "context", "expected"),
    [
        (f"{B}/${{aws:username}}/*", f"{B}/ann/k", {"aws:username": "ann"}, "Allow"),
        (f"{B}/${{aws:username}}/*", f"{B}/bob/k", {"aws:username": "ann"}, "ImplicitDeny"),
        (f"{B}/${{AWS:UserName}}/*", f"{B}/ann/k", {"aws:username": "ann"}, "Allow"),
        (f"{B}/${{aws:username}}/*", f"{B}/ann/k", {}, "ImplicitDeny"),
        (f"{B}/${{aws:username}}/*", f"{B}/${{aws:username}}/k", {}, "ImplicitDeny"),
        # A value is text: the wildcards in it are the caller's, not the policy's.
        (f"{B}/${{aws:username}}/*", f"{B}/ann/k", {"aws:username": "*"}, "ImplicitDeny"),
        (f"{B}/${{aws:username}}/*", f"{B}/*/k", {"aws:username": "*"}, "Allow"),
        (f"{B}/${{aws:username}}/k", f"{B}/a/k", {"aws:username": "?"}, "ImplicitDeny"),
        # Defaults.
        (f"{B}/${{aws:PrincipalTag/team, 'all'}}/*", f"{B}/all/k", {}, "Allow"),
        (f"{B}/${{aws:PrincipalTag/team, 'all'}}/*", f"{B}/red/k", {}, "ImplicitDeny"),
        (
            f"{B}/${{aws:PrincipalTag/team, 'all'}}/*",
            f"{B}/red/k",
            {"aws:PrincipalTag/team": "red"},
            "Allow",
        ),
        (f"{B}/${{k, ''}}/k", f"{B}//k", {}, "Allow"),
        (f"{B}/${{k, 'a*'}}/k", f"{B}/ab/k", {}, "ImplicitDeny"),
        (f"{B}/${{k:numéro}}/k", f"{B}/1/k", {"k:numéro": 1}, "Allow"),
        # Several values are no value; a default is for a key that is not there.
        (f"{B}/${{k}}/k", f"{B}/a/k", {"k": ["a", "b"]}, "ImplicitDeny"),
        (f"{B}/${{k, 'a'}}/k", f"{B}/a/k", {"k": ["a", "b"]}, "ImplicitDeny"),
        (f"{B}/${{k}}/k", f"{B}/a/k", {"k": ["a"]}, "Allow"),
        # Fixed characters.
        (f"{B}/${{*}}", f"{B}/*", {}, "Allow"),
        (f"{B}/${{*}}", f"{B}/a", {}, "ImplicitDeny"),
        (f"{B}/${{?}}", f"{B}/?", {}, "Allow"),
        (f"{B}/${{?}}", f"{B}/a", {}, "ImplicitDeny"),
        (f"{B}/${{$}}{{a}}", f"{B}/${{a}}", {}, "Allow"),
        (f"{B}/$a", f"{B}/$a", {}, "Allow"),
        (f"{B}/${{k}}${{l}}", f"{B}/xy", {"k": "x", "l": "y"}, "Allow"),
        ("arn:aws:sns:::*-${k}", "arn:aws:sns:::x-b", {"k": "b"}, "Allow"),
        ("arn:aws:sns:::*-${k}", "arn:aws:sns:::a:x-b", {"k": "b"}, "ImplicitDeny"),
    ],
)
def test_variables_in_resources(
    pattern: str, resource: str, context: dict[str, Any], expected: str
) -> None:
    """A variable is the request's value, taken literally, or its default."""
    assert effect({"Resource": pattern}, resource, context) == expected


@pytest.mark.parametrize("version", ["2008-10-17", None])
def test_old_policies_have_no_variables(version: str | None) -> None:
    """In 2008-10-17, which a document without a version is, ${…} is ordinary text."""
    statement = {"Resource": f"{B}/${{aws:username}}/k"}
    context = {"aws:username": "ann"}
    assert effect(statement, f"{B}/ann/k", context, version) == "ImplicitDeny"
    assert effect(statement, f"{B}/${{aws:username}}/k", context, version) == "Allow"
    malformed = {"Resource": f"{B}/${{never closed"}
    assert effect(malformed, f"{B}/${{never closed", context, version) == "Allow"


@pytest.mark.parametrize(
    "statement",
    [
        {"NotResource": f"{B}/${{aws:username}}/*"},
        {"NotResource": ["arn:aws:s3:::c", f"{B}/${{aws:username}}/*"]},
    ],
)
def test_allow_for_all_but_an_undefined_variable_allows_nothing(statement: dict[str, Any]) -> None:
    """It is not known what the NotResource leaves out."""
    assert effect(statement, f"{B}/k") == "ImplicitDeny"
    assert effect(statement, f"{B}/k", {"aws:username": "ann"}) == "Allow"


IAM, HIS = "arn:aws:iam::1", "arn:aws:iam::${l}"
HOME = {"StringLike": {"s3:prefix": ["home/", "home/${aws:username}/"]}}


@pytest.mark.parametrize(
    ("block", "context", "expected"),
    [
        (HOME, {"aws:username": "martha", "s3:prefix": "home/martha/"}, "Allow"),
        (HOME, {"aws:username": "nikki", "s3:prefix": "home/martha/"}, "ImplicitDeny"),
        # The guide: no match, though "home/" itself is in the list.
        (HOME, {"s3:prefix": "home/"}, "ImplicitDeny"),
        ({"StringEquals": {"k": "${l}"}}, {"k": "a", "l": "a"}, "Allow"),
        ({"StringEquals": {"k": "${*}"}}, {"k": "*"}, "Allow"),
        ({"StringEqualsIgnoreCase": {"k": "${l}"}}, {"k": "A", "l": "a"}, "Allow"),
        ({"StringNotEquals": {"k": "${l}"}}, {"k": "a", "l": "b"}, "Allow"),
        ({"StringNotEquals": {"k": "${l}"}}, {"k": "a"}, "ImplicitDeny"),
        ({"StringNotEquals": {"k": "${l}"}}, {}, "ImplicitDeny"),
        ({"StringNotEquals": {"k": "${l, 'b'}"}}, {"k": "a"}, "Allow"),
        ({"StringEqualsIfExists": {"k": "${l}"}}, {}, "Allow"),
        ({"StringEqualsIfExists": {"k": "${l}"}}, {"k": "a"}, "ImplicitDeny"),
        ({"ForAllValues:StringEquals": {"k": "${l}"}}, {}, "ImplicitDeny"),
        ({"ForAllValues:StringEquals": {"k": "${l}"}}, {"l": "a"}, "Allow"),
        ({"ArnLike": {"k": "${l}"}}, {"k": f"{B}/x", "l": f"{B}/x"}, "Allow"),
        ({"ArnLike": {"k": "${l}"}}, {"k": f"{B}/x", "l": f"{B}/*"}, "ImplicitDeny"),
        ({"ArnLike": {"k": "arn:aws:s3:::${l}/*"}}, {"k": f"{B}/x", "l": "b"}, "Allow"),
        # A value must not move the fields that are written around it.
        ({"ArnLike": {"k": f"{HIS}:x"}}, {"k": f"{IAM}:x", "l": "1"}, "Allow"),
        (
            {"ArnLike": {"k": f"{HIS}:x"}},
            {"k": f"{IAM}:a:x", "l": "1:a"},
            "ImplicitDeny",
        ),
        (
            {"ArnNotLike": {"k": f"{HIS}:x"}},
            {"k": f"{IAM}:x", "l": ":a"},
            "ImplicitDeny",
        ),
        ({"ArnLike": {"k": HIS}}, {"k": f"{IAM}:a", "l": "1:a"}, "ImplicitDeny"),
        ({"ArnLike": {"k": f"{IAM}:${{l}}"}}, {"k": f"{IAM}:a:b", "l": "a:b"}, "Allow"),
        ({"ArnLike": {"k": "${l}"}}, {"k": B, "l": "no arn"}, "ImplicitDeny"),
        ({"ArnNotLike": {"k": "${l}"}}, {"k": B, "l": "no arn"}, "ImplicitDeny"),
        ({"Bool": {"k": "${l}"}}, {"k": "true", "l": "true"}, "Allow"),
        ({"Bool": {"k": "${l}"}}, {"k": "true", "l": "maybe"}, "ImplicitDeny"),
    ],
)
def test_variables_in_conditions(
    block: dict[str, Any], context: dict[str, Any], expected: str
) -> None:
    """The text and ARN operators and Bool have them; one without a value invalidates an Allow."""
    assert effect({"Resource": "*", "Condition": block}, "*", context) == expected


@pytest.mark.parametrize(
    ("statement", "resource", "expected"),
    [
        # It is nobody's folder.
        ({"Resource": f"{B}/${{aws:username}}/*"}, f"{B}/ann/k", "Allow"),
        ({"Resource": f"{B}/${{aws:username}}/*"}, f"{B}/k", "Allow"),
        ({"Resource": f"{B}/${{aws:username}}/*"}, "arn:aws:s3:::c/ann/k", "Allow"),
        # Everything but a folder that is not known is everything.
        ({"NotResource": f"{B}/${{aws:username}}/*"}, f"{B}/ann/k", "ExplicitDeny"),
        ({"NotResource": [f"{B}/${{aws:username}}/*", f"{B}/k"]}, f"{B}/k", "Allow"),
        ({"Resource": "*", "Condition": {"StringEquals": {"k": "${l}"}}}, "*", "Allow"),
        # The values of the list that have no variable count.
        (
            {"Resource": "*", "Condition": {"StringEquals": {"k": ["${l}", "a"]}}},
            "*",
            "ExplicitDeny",
        ),
        ({"Resource": "*", "Condition": {"StringLike": {"k": "${l}*"}}}, "*", "Allow"),
        ({"Resource": "*", "Condition": {"StringNotLike": {"k": "${l}*"}}}, "*", "ExplicitDeny"),
        ({"Resource": "*", "Condition": {"StringNotEquals": {"k": "${l}"}}}, "*", "ExplicitDeny"),
        ({"Resource": "*", "Condition": {"ArnLike": {"arn": f"{B}:${{l}}"}}}, "*", "Allow"),
        (
            {"Resource": "*", "Condition": {"ArnNotLike": {"arn": f"{B}:${{l}}"}}},
            "*",
            "ExplicitDeny",
        ),
        ({"Resource": "*", "Condition": {"Bool": {"truth": "${l}"}}}, "*", "Allow"),
        # Whatever the variable were, the condition is not met.
        ({"Resource": "*", "Condition": {"StringEquals": {"m": "${l}"}}}, "*", "Allow"),
        (
            {"Resource": "*", "Condition": {"StringNotEquals": {"k": ["a", "${l}"]}}},
            "*",
            "Allow",
        ),
    ],
)
def test_deny_with_undefined_variable_matches_nothing_with_it(
    statement: dict[str, Any], resource: str, expected: str
) -> None:
    """A text with a variable that has no value matches nothing; a negated operator is met by it."""
    context = {"k": "a", "arn": f"{B}:x", "truth": "true"}
    assert effect({"Effect": "Deny", **statement}, resource, context) == expected


def test_the_reason_names_the_variable() -> None:
    """An undefined variable is said, in an Allow that is missed and in a Deny that counts."""
    statement = {"Effect": "Allow", "Action": "s3:*", "Resource": f"{B}/${{aws:username}}/*"}
    document: dict[str, Any] = {"Version": "2012-10-17", "Statement": [statement]}
    missed = simulate("s3:GetObject", f"{B}/ann/k", identity=[document])
    assert "${aws:username} has no value" in missed.reason
    document["Statement"] = [statement | {"Effect": "Deny"}]
    denied = simulate("s3:GetObject", f"{B}/ann/k", identity=[document])
    assert "there is no Allow statement" in denied.reason


@pytest.mark.parametrize(
    ("resource", "reason"),
    [
        ("arn:aws:s3:::b/${aws:username", "never closes"),
        ("arn:aws:s3:::b/${}", "not one that AWS takes"),
        ("arn:aws:s3:::b/${ aws:username }", "not one that AWS takes"),
        ("arn:aws:s3:::b/${aws:username, none}", "not one that AWS takes"),
        ("arn:aws:s3:::b/${aws:username,'a','b'}", "not one that AWS takes"),
        ("arn:aws:s3:::b/${a${b}}", "never closes"),
        ("arn:aws:sqs:${aws:RequestedRegion}:1:q", "fifth colon"),
        ("arn:aws:sqs:us-east-1:${*}:q", "fifth colon"),
    ],
)
def test_malformed_variables_are_refused(resource: str, reason: str) -> None:
    """A variable that is not understood would never match: not what a Deny is for."""
    document = {
        "Version": "2012-10-17",
        "Statement": {"Effect": "Deny", "Action": "*", "Resource": resource},
    }
    with pytest.raises(DefinitionError, match=rf"Statement\.Resource.*{reason}"):
        Policy.from_document(document)
