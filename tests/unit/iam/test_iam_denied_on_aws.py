"""
What AWS denies, rule by rule, and beside each family what it allows; and what it refuses.

Each case is a rule in one line, the policies, the request, and how it ends: by an explicit
deny, by an implicit one, or allowed. The allowed ones differ from a denied one in little: an
engine that denies everything fails on them. Where nothing else is said, somebody of unknown
name asks for s3:GetObject on an object, and statements are about every action and resource.

The rules are those of the IAM User Guide; where one surprises, its chapter stands beside it.
"""

from __future__ import annotations

import re
from collections import Counter
from typing import Any

import pytest

from faaskit.exceptions import DefinitionError
from faaskit.iam import Role, simulate

OURS, THEIRS = "111122223333", "444455556666"
KEY, BUCKET = "arn:aws:s3:::b/k", "arn:aws:s3:::b"
USER = f"arn:aws:iam::{OURS}:user/ann"
ROLE = f"arn:aws:iam::{OURS}:role/R"
SESSION = f"arn:aws:sts::{OURS}:assumed-role/R/one"
FEDERATED = f"arn:aws:sts::{OURS}:federated-user/fay"
ROOT = f"arn:aws:iam::{OURS}:root"
EVENTS = "events.amazonaws.com"
OUR_QUEUE = f"arn:aws:sqs:us-east-1:{OURS}:q"
THEIR_QUEUE = f"arn:aws:sqs:us-east-1:{THEIRS}:q"
FUNCTION = f"arn:aws:lambda:us-east-1:{OURS}:function:f"
RULE = f"arn:aws:events:us-east-1:{OURS}:rule/r"
OTHER_ROLE = f"arn:aws:iam::{OURS}:role/other"
KMS_KEY = f"arn:aws:kms:us-east-1:{OURS}:key/1"

Case = tuple[str, str, dict[str, Any]]
POLICIES = {"identity", "boundary", "session", "resource_policy"}


# --- how a case is written ---


def allows(**elements: Any) -> dict[str, Any]:
    """Return an Allow of every action on every resource, but for the elements that are given."""
    return _statement("Allow", elements)


def denies(**elements: Any) -> dict[str, Any]:
    """Return a Deny likewise."""
    return _statement("Deny", elements)


def _statement(effect: str, elements: dict[str, Any]) -> dict[str, Any]:
    action = {} if "NotAction" in elements else {"Action": "*"}
    resource = {} if "NotResource" in elements else {"Resource": "*"}
    return {"Effect": effect, **action, **resource, **elements}


def to(principal: Any, **elements: Any) -> dict[str, Any]:
    """Return an Allow of a resource-based policy: to a principal of AWS, or as it is written."""
    named = principal if isinstance(principal, dict) or principal == "*" else {"AWS": principal}
    return allows(Principal=named, **elements)


def against(principal: Any, **elements: Any) -> dict[str, Any]:
    """Return a Deny of a resource-based policy likewise."""
    return {**to(principal, **elements), "Effect": "Deny"}


def trusts(principal: Any, **elements: Any) -> dict[str, Any]:
    """Return an Allow of a trust policy: it names no resource, and its actions in full."""
    return {
        "Effect": "Allow",
        "Principal": {"AWS": principal},
        "Action": "sts:AssumeRole",
        **elements,
    }


def when(operator: str, key: str, wanted: Any, **others: Any) -> dict[str, Any]:
    """Return the Condition of one operator on one key, and of others beside it."""
    return {"Condition": {operator: {key: wanted}, **others}}


def explicit(rule: str, **asked: Any) -> Case:
    """A Deny applies."""
    return rule, "ExplicitDeny", asked


def implicit(rule: str, **asked: Any) -> Case:
    """Nothing allows it."""
    return rule, "ImplicitDeny", asked


def allowed(rule: str, **asked: Any) -> Case:
    """The near twin of a denied one."""
    return rule, "Allow", asked


def document(statements: Any, version: str | None = "2012-10-17") -> Any:
    """Return a policy of some statements."""
    return {"Statement": statements} | ({"Version": version} if version else {})


def decided(asked: dict[str, Any]) -> Any:
    """Return the decision on a case. Lists of statements are one policy each."""
    asked = {"action": "s3:GetObject", "resource": KEY, **asked}
    version = asked.pop("version", "2012-10-17")
    policies = {
        name: document(value, version) if name in POLICIES and value is not None else value
        for name, value in asked.items()
    }
    return simulate(**policies)


ALL = allows()

# --- actions ---

ACTIONS = [
    implicit("nothing is allowed where no policy is"),
    implicit(
        "an action that is not named is not allowed", identity=[allows(Action="s3:PutObject")]
    ),
    implicit("a name without a star is the whole name", identity=[allows(Action="s3:Get")]),
    implicit("a star allows what begins like it", identity=[allows(Action="s3:Put*")]),
    implicit(
        "a question mark is one character, not none", identity=[allows(Action="s3:GetObject?")]
    ),
    implicit(
        "the same name in another service is another", identity=[allows(Action="s4:GetObject")]
    ),
    implicit(
        "a version is read by an action of its own",
        identity=[allows(Action="s3:GetObject")],
        action="s3:GetObjectVersion",
    ),
    explicit(
        "actions are compared without case, in a Deny",
        identity=[ALL, denies(Action="S3:GETobject")],
    ),
    explicit("a star in the middle is any text", identity=[ALL, denies(Action="s3:G*ct")]),
    allowed(
        "actions are compared without case, in an Allow", identity=[allows(Action="S3:gETobject")]
    ),
    allowed("one of several actions is enough", identity=[allows(Action=["sqs:*", "s3:Get*"])]),
    allowed("a Deny of another action", identity=[ALL, denies(Action="s3:GetObjectVersion")]),
]

NOT_ACTION = [
    implicit(
        "an Allow by NotAction leaves out what it names",
        identity=[allows(NotAction="s3:GetObject")],
    ),
    implicit(
        "it leaves it out in any case of letters", identity=[allows(NotAction="S3:getobject")]
    ),
    implicit(
        "it leaves out what its wildcards name", identity=[allows(NotAction=["iam:*", "s3:G*"])]
    ),
    implicit(
        "it is about its Resource alone",
        identity=[allows(NotAction="iam:*", Resource="arn:aws:s3:::other/*")],
    ),
    implicit(
        "a Deny by NotAction allows nothing itself", identity=[denies(NotAction="s3:GetObject")]
    ),
    explicit("it denies all that it does not name", identity=[ALL, denies(NotAction="s3:List*")]),
    explicit(
        "it denies other services, too",
        identity=[ALL, denies(NotAction="s3:*")],
        action="sqs:SendMessage",
        resource=OUR_QUEUE,
    ),
    allowed("an Allow by NotAction allows the rest", identity=[allows(NotAction="s3:Put*")]),
    allowed(
        "a Deny by NotAction spares what it names", identity=[ALL, denies(NotAction="S3:get*")]
    ),
]

# --- resources ---

RESOURCES = [
    implicit("resources are compared with case", identity=[allows(Resource="arn:aws:s3:::B/k")]),
    implicit(
        "an ARN without a star is the whole ARN", identity=[allows(Resource="arn:aws:s3:::b/")]
    ),
    implicit("a bucket is not its objects", identity=[allows(Resource=BUCKET)]),
    implicit(
        "objects are not their bucket",
        identity=[allows(Resource=f"{BUCKET}/*")],
        action="s3:ListBucket",
        resource=BUCKET,
    ),
    implicit("a bucket is not one whose name goes on", identity=[allows(Resource=f"{BUCKET}-2/*")]),
    implicit("another partition", identity=[allows(Resource="arn:aws-cn:s3:::b/*")]),
    implicit("another service", identity=[allows(Resource="arn:aws:sqs:::b/*")]),
    implicit(
        "another region",
        identity=[allows(Resource=f"arn:aws:sqs:us-east-2:{OURS}:q")],
        resource=OUR_QUEUE,
    ),
    implicit("another account", identity=[allows(Resource=THEIR_QUEUE)], resource=OUR_QUEUE),
    implicit(
        "an empty field of an ARN is empty, not any",
        identity=[allows(Resource="arn:aws:sqs:::q")],
        resource=OUR_QUEUE,
    ),
    implicit(
        "what has no resource is no ARN",
        identity=[allows(Resource="arn:aws:s3:::*")],
        action="s3:ListAllMyBuckets",
        resource="*",
    ),
    implicit(
        "a function is not its alias",
        identity=[allows(Resource=FUNCTION)],
        resource=f"{FUNCTION}:PROD",
    ),
    implicit(
        "an alias is not its function",
        identity=[allows(Resource=f"{FUNCTION}:*")],
        resource=FUNCTION,
    ),
    # IAM User Guide, "Resource": a wildcard inside a field stays within it.
    implicit(
        "a star inside a field does not reach over a colon",
        identity=[allows(Resource=f"{FUNCTION[:-1]}*-prod")],
        resource=f"{FUNCTION}:x-prod",
    ),
    implicit(
        "a question mark does not stand for a colon",
        identity=[allows(Resource=f"{FUNCTION}?1")],
        resource=f"{FUNCTION}:1",
    ),
    implicit(
        "a question mark is one character, not two",
        identity=[allows(Resource="arn:aws:s3:::b/?")],
        resource=f"{KEY}k",
    ),
    explicit(
        "one of several resources is enough for a Deny",
        identity=[ALL, denies(Resource=["arn:aws:s3:::c/*", KEY])],
    ),
    explicit("a star reaches over slashes", identity=[ALL, denies(Resource="arn:aws:s3:::*k")]),
    allowed(
        "a star for region and account",
        identity=[allows(Resource="arn:aws:sqs:*:*:q")],
        resource=OUR_QUEUE,
    ),
    allowed("the objects of the bucket", identity=[allows(Resource=f"{BUCKET}/*")]),
    allowed(
        "the bucket itself",
        identity=[allows(Resource=BUCKET)],
        action="s3:ListBucket",
        resource=BUCKET,
    ),
    allowed(
        "a star within its field",
        identity=[allows(Resource=f"{FUNCTION[:-1]}*-prod")],
        resource=f"{FUNCTION}-prod",
    ),
    allowed("a Deny of another resource", identity=[ALL, denies(Resource="arn:aws:s3:::B/*")]),
]

NOT_RESOURCE = [
    implicit(
        "an Allow by NotResource leaves out what it names", identity=[allows(NotResource=KEY)]
    ),
    implicit(
        "it leaves out what any of its patterns names",
        identity=[allows(NotResource=["arn:aws:s3:::c", "arn:aws:s3:::?/*"])],
    ),
    implicit(
        "a Deny by NotResource allows nothing itself", identity=[denies(NotResource=f"{BUCKET}/*")]
    ),
    explicit(
        "it denies all that it does not name",
        identity=[ALL, denies(NotResource=f"{BUCKET}/*")],
        resource="arn:aws:s3:::c/k",
    ),
    explicit(
        "it denies the bucket where it names the objects",
        identity=[ALL, denies(NotResource=f"{BUCKET}/*")],
        action="s3:ListBucket",
        resource=BUCKET,
    ),
    explicit("it spares with case", identity=[ALL, denies(NotResource="arn:aws:s3:::B/*")]),
    allowed(
        "a Deny by NotResource spares what it names",
        identity=[ALL, denies(NotResource=f"{BUCKET}/*")],
    ),
    allowed(
        "an Allow by NotResource allows the rest", identity=[allows(NotResource="arn:aws:s3:::c/*")]
    ),
]

# --- an explicit deny ---

EVERYWHERE: dict[str, Any] = {
    "principal": USER,
    "identity": [ALL],
    "boundary": [ALL],
    "session": [ALL],
    "resource_policy": [to("*")],
}
EXPLICIT_DENY = [
    explicit("a Deny beats the Allow in front of it", identity=[ALL, denies()]),
    explicit("a Deny beats the Allow behind it", identity=[denies(), ALL]),
    explicit(
        "a wide Deny beats a narrow Allow", identity=[allows(Resource=KEY), denies(Action="s3:*")]
    ),
    explicit("in a permissions boundary", **EVERYWHERE | {"boundary": [ALL, denies()]}),
    explicit("in a session policy", **EVERYWHERE | {"session": [ALL, denies()]}),
    explicit(
        "in a resource-based policy", **EVERYWHERE | {"resource_policy": [to("*"), against("*")]}
    ),
    explicit(
        "in an identity policy, over a bucket's Allow", **EVERYWHERE | {"identity": [denies()]}
    ),
    explicit(
        "in an identity policy, over an Allow of another account",
        principal=USER,
        identity=[ALL, denies(Action="sqs:*")],
        resource_policy=[to(USER)],
        action="sqs:SendMessage",
        resource=THEIR_QUEUE,
    ),
    explicit("the root user, too", principal=ROOT, resource_policy=[against("*")]),
    explicit(
        "a service, too",
        principal=EVENTS,
        resource_policy=[to({"Service": EVENTS}), against({"Service": EVENTS})],
    ),
    allowed("without a Deny", **EVERYWHERE),
    allowed(
        "with a Deny whose condition is false",
        identity=[ALL, denies(**when("Bool", "aws:SecureTransport", "false"))],
        context={"aws:SecureTransport": "true"},
    ),
]

# --- conditions ---


def under(operator: str, wanted: Any, value: Any) -> dict[str, Any]:
    """Return an Allow under a condition on one key, and a request with a value for it."""
    return {
        "identity": [allows(**when(operator, "k:k", wanted))],
        "context": {} if value is None else {"k:k": value},
    }


def unless(operator: str, wanted: Any, value: Any) -> dict[str, Any]:
    """Return a Deny under a condition beside an Allow of everything, and such a request."""
    statement = denies(**when(operator, "k:k", wanted))
    return under(operator, wanted, value) | {"identity": [ALL, statement]}


TEXTS = [
    implicit("StringEquals compares with case", **under("StringEquals", "Ann", "ann")),
    implicit("StringEquals: a star is a character", **under("StringEquals", "a*", "ann")),
    implicit("StringEquals: blanks count", **under("StringEquals", "ann", "ann ")),
    implicit("StringEquals: an empty text is not a missing key", **under("StringEquals", "", None)),
    implicit("StringNotEquals: not the value", **under("StringNotEquals", "ann", "ann")),
    implicit("StringNotEquals: none of the values", **under("StringNotEquals", ["a", "b"], "b")),
    implicit(
        "StringEqualsIgnoreCase: another text", **under("StringEqualsIgnoreCase", "ann", "anna")
    ),
    implicit(
        "StringNotEqualsIgnoreCase: the same in capitals",
        **under("StringNotEqualsIgnoreCase", "ann", "ANN"),
    ),
    implicit("StringLike compares with case", **under("StringLike", "home/*", "Home/a")),
    implicit("StringLike: a question mark is one character", **under("StringLike", "a?", "a")),
    implicit("StringLike: the whole text", **under("StringLike", "home/", "home/a")),
    implicit("StringNotLike: what the pattern names", **under("StringNotLike", "home/*", "home/a")),
    explicit("StringNotEquals in a Deny: every other text", **unless("StringNotEquals", "a", "A")),
    explicit("StringNotLike in a Deny: every other text", **unless("StringNotLike", "a*", "ba")),
    allowed("StringEquals: one of the values", **under("StringEquals", ["bob", "ann"], "ann")),
    allowed("StringEqualsIgnoreCase: in capitals", **under("StringEqualsIgnoreCase", "ann", "ANN")),
    allowed("StringLike: what the pattern names", **under("StringLike", "h?me/*", "home/a")),
    allowed("StringNotEquals: another case is another text", **under("StringNotEquals", "a", "A")),
    allowed("StringNotLike in a Deny: what it names", **unless("StringNotLike", "a*", "ab")),
]

NUMBERS = [
    implicit("NumericEquals: another number", **under("NumericEquals", "10", "10.5")),
    implicit(
        "NumericNotEquals: the number, however written", **under("NumericNotEquals", "10", "10.0")
    ),
    implicit("NumericLessThan: not the number itself", **under("NumericLessThan", "10", "10")),
    implicit("NumericLessThan: numbers, not texts", **under("NumericLessThan", "9", "10")),
    implicit("NumericLessThanEquals: not more", **under("NumericLessThanEquals", "10", "10.01")),
    implicit(
        "NumericGreaterThan: not the number itself", **under("NumericGreaterThan", "10", "10")
    ),
    implicit("NumericGreaterThanEquals: not less", **under("NumericGreaterThanEquals", "10", "9")),
    implicit("NumericEquals: a text that is no number", **under("NumericEquals", "10", "ten")),
    implicit(
        "NumericNotEquals: a text that is no number", **under("NumericNotEquals", "10", "ten")
    ),
    implicit("NumericLessThan: an empty text is not nought", **under("NumericLessThan", "10", "")),
    implicit(
        "NumericLessThan: a missing key is not nought", **under("NumericLessThan", "10", None)
    ),
    explicit("NumericGreaterThan in a Deny: more", **unless("NumericGreaterThan", "9", "10")),
    # AWS does not say what becomes of a Deny then: here it denies.
    explicit(
        "NumericEquals in a Deny: a text that is no number", **unless("NumericEquals", "10", "ten")
    ),
    allowed(
        "NumericLessThanEquals: the number itself", **under("NumericLessThanEquals", "10", "10")
    ),
    allowed(
        "NumericGreaterThanEquals: the number itself",
        **under("NumericGreaterThanEquals", "10", "10"),
    ),
    allowed("NumericLessThan: less, a negative number", **under("NumericLessThan", "1", "-10")),
    allowed("NumericEquals: the number, however written", **under("NumericEquals", "10", "10.0")),
    allowed("NumericGreaterThan in a Deny: not more", **unless("NumericGreaterThan", "9", "9")),
]

NOON = "2026-06-01T12:00:00Z"
DATES = [
    implicit("DateEquals: a second later", **under("DateEquals", NOON, "2026-06-01T12:00:01Z")),
    implicit(
        "DateNotEquals: the instant in another zone",
        **under("DateNotEquals", NOON, "2026-06-01T14:00:00+02:00"),
    ),
    implicit("DateLessThan: not the instant itself", **under("DateLessThan", NOON, NOON)),
    implicit(
        "DateLessThan: by the instant, not by the text",
        **under("DateLessThan", NOON, "2026-06-01T11:30:00-01:00"),
    ),
    implicit("DateLessThanEquals: not later", **under("DateLessThanEquals", NOON, "2026-06-02")),
    implicit("DateGreaterThan: not the instant itself", **under("DateGreaterThan", NOON, NOON)),
    implicit(
        "DateGreaterThanEquals: not earlier", **under("DateGreaterThanEquals", NOON, "2026-06-01")
    ),
    implicit(
        "DateGreaterThan: seconds since 1970 too few",
        **under("DateGreaterThan", NOON, "1780315199"),
    ),
    implicit("DateLessThan: a text that is no date", **under("DateLessThan", NOON, "yesterday")),
    implicit("DateLessThan: a missing key is no date", **under("DateLessThan", NOON, None)),
    explicit(
        "DateGreaterThan in a Deny: it has run out",
        **unless("DateGreaterThan", NOON, "2026-06-01T12:00:01Z"),
    ),
    allowed("DateLessThanEquals: the instant itself", **under("DateLessThanEquals", NOON, NOON)),
    allowed(
        "DateGreaterThanEquals: the instant itself", **under("DateGreaterThanEquals", NOON, NOON)
    ),
    allowed("DateEquals: seconds since 1970", **under("DateEquals", NOON, "1780315200")),
    allowed(
        "DateLessThan: earlier", **under("DateLessThan", "1780315200", "2026-06-01T13:59:59+02:00")
    ),
    allowed("DateGreaterThan in a Deny: not yet", **unless("DateGreaterThan", NOON, NOON)),
]

TRUTHS_AND_BYTES = [
    implicit("Bool: the other one", **under("Bool", "true", "false")),
    implicit("Bool: a missing key is not true", **under("Bool", "true", None)),
    implicit("Bool: a missing key is not false", **under("Bool", "false", None)),
    implicit("Bool: yes is not true", **under("Bool", "true", "yes")),
    implicit("BinaryEquals: other bytes", **under("BinaryEquals", "YWI=", "YWM=")),
    implicit("BinaryEquals: the text is not its bytes", **under("BinaryEquals", "YWI=", "ab==")),
    implicit("BinaryEquals: a missing key", **under("BinaryEquals", "YWI=", None)),
    explicit("Bool in a Deny", **unless("Bool", "false", "false")),
    # IAM User Guide, "Global condition keys": requests by access key have no such key.
    explicit(
        "BoolIfExists in a Deny: without the key, too", **unless("BoolIfExists", "false", None)
    ),
    allowed("Bool in a Deny spares who has no such key", **unless("Bool", "false", None)),
    allowed("Bool: that one", **under("Bool", "true", "true")),
    # Not documented; both peers read them so, and Terraform writes "True".
    allowed("Bool: in capitals", **under("Bool", ["TRUE"], "True")),
    explicit("Bool in a Deny: in capitals", **unless("Bool", "False", "FALSE")),
    allowed("Null: in capitals", **under("Null", "True", None)),
    implicit("Bool: the other one, in capitals", **under("Bool", "True", "False")),
    allowed("BinaryEquals: the same bytes", **under("BinaryEquals", "YWI=", b"ab")),
]

ADDRESSES = [
    implicit("IpAddress: outside the range", **under("IpAddress", "10.0.0.0/8", "11.0.0.1")),
    implicit(
        "IpAddress: an address alone is a range of one",
        **under("IpAddress", "10.0.0.1", "10.0.0.2"),
    ),
    implicit(
        "IpAddress: outside an IPv6 range", **under("IpAddress", "2001:db8::/32", "2001:db9::1")
    ),
    implicit(
        "IpAddress: all of IPv4 is not IPv6", **under("IpAddress", "0.0.0.0/0", "2001:db8::1")
    ),
    implicit("IpAddress: all of IPv6 is not IPv4", **under("IpAddress", "::/0", "10.0.0.1")),
    implicit("IpAddress: a name is no address", **under("IpAddress", "0.0.0.0/0", "localhost")),
    implicit("IpAddress: a missing key", **under("IpAddress", "0.0.0.0/0", None)),
    implicit(
        "NotIpAddress: inside one of the ranges",
        **under("NotIpAddress", ["10.0.0.0/8", "192.0.2.0/24"], "192.0.2.9"),
    ),
    explicit("NotIpAddress in a Deny: outside", **unless("NotIpAddress", "10.0.0.0/8", "11.0.0.1")),
    explicit(
        "NotIpAddress in a Deny: without the key, too", **unless("NotIpAddress", "10.0.0.0/8", None)
    ),
    allowed("IpAddress: inside the range", **under("IpAddress", "10.0.0.0/8", "10.255.0.1")),
    allowed(
        "IpAddress: inside an IPv6 range", **under("IpAddress", "2001:DB8::/32", "2001:db8:0::1")
    ),
    allowed("NotIpAddress in a Deny: inside", **unless("NotIpAddress", "10.0.0.0/8", "10.0.0.1")),
]

TOPIC = f"arn:aws:sns:us-east-1:{OURS}:t"
ARNS = [
    implicit(
        "ArnEquals: another account",
        **under("ArnEquals", TOPIC, f"arn:aws:sns:us-east-1:{THEIRS}:t"),
    ),
    implicit(
        "ArnEquals compares with case",
        **under("ArnEquals", TOPIC, f"arn:aws:sns:us-east-1:{OURS}:T"),
    ),
    # IAM User Guide, "Condition operators": each of the six parts is checked by itself.
    implicit(
        "ArnLike: a star does not reach over a colon",
        **under("ArnLike", f"arn:aws:sns:*:{OURS}:t", f"arn:aws:sns:us-east-1:{THEIRS}:x:{OURS}:t"),
    ),
    implicit("ArnLike: another region", **under("ArnLike", f"arn:aws:sns:eu-*:{OURS}:*", TOPIC)),
    implicit("ArnLike: what is no ARN", **under("ArnLike", "*", "t")),
    implicit("ArnLike: a missing key, whatever the pattern", **under("ArnLike", "*", None)),
    implicit(
        "ArnNotLike: what the pattern names", **under("ArnNotLike", "arn:aws:sns:*:*:*", TOPIC)
    ),
    implicit(
        "ArnNotEquals: its wildcards count, too",
        **under("ArnNotEquals", "arn:aws:sns:*:*:t", TOPIC),
    ),
    explicit(
        "ArnNotLike in a Deny: every other",
        **unless("ArnNotLike", f"arn:aws:sns:*:{THEIRS}:*", TOPIC),
    ),
    explicit("ArnNotEquals in a Deny: without the key, too", **unless("ArnNotEquals", TOPIC, None)),
    allowed(
        "ArnEquals: its wildcards count, too",
        **under("ArnEquals", f"arn:aws:sns:*:{OURS}:t", TOPIC),
    ),
    allowed(
        "ArnLike: colons in the last part", **under("ArnLike", "arn:aws:sns:*:*:t*", f"{TOPIC}:x:y")
    ),
    allowed(
        "ArnNotLike in a Deny: what it names", **unless("ArnNotLike", "arn:aws:sns:*:*:*", TOPIC)
    ),
]

MISSING_KEYS = [
    implicit("a missing key meets no condition", **under("StringEquals", "a", None)),
    implicit("nor a pattern of anything", **under("StringLike", "*", None)),
    implicit(
        "a key of None is a missing one",
        identity=[allows(**when("StringEquals", "aws:username", "ann"))],
        context={"aws:username": None},
        principal=USER,
    ),
    implicit("Null true: the key is there", **under("Null", "true", "a")),
    implicit("Null false: the key is missing", **under("Null", "false", None)),
    implicit(
        "IfExists: the key is there, with another value", **under("StringEqualsIfExists", "a", "b")
    ),
    implicit(
        "IfExists, negated: the key is there, with the value",
        **under("StringNotLikeIfExists", "a*", "ab"),
    ),
    explicit("Null true in a Deny: who leaves it out", **unless("Null", "true", None)),
    # A negated operator is met by a missing key (IAM User Guide, "Condition operators").
    explicit(
        "StringNotEquals in a Deny: who leaves it out", **unless("StringNotEquals", "a", None)
    ),
    explicit(
        "StringNotEqualsIgnoreCase in a Deny: likewise",
        **unless("StringNotEqualsIgnoreCase", "a", None),
    ),
    explicit("StringNotLike in a Deny: likewise", **unless("StringNotLike", "a*", None)),
    explicit("NumericNotEquals in a Deny: likewise", **unless("NumericNotEquals", "1", None)),
    explicit("DateNotEquals in a Deny: likewise", **unless("DateNotEquals", NOON, None)),
    explicit(
        "StringEqualsIfExists in a Deny: likewise", **unless("StringEqualsIfExists", "a", None)
    ),
    explicit(
        "StringNotEqualsIfExists in a Deny: likewise",
        **unless("StringNotEqualsIfExists", "a", None),
    ),
    allowed("StringEquals in a Deny: not who leaves it out", **unless("StringEquals", "a", None)),
    allowed("StringNotEquals: whoever leaves it out", **under("StringNotEquals", "a", None)),
    allowed(
        "StringEqualsIfExists: whoever leaves it out", **under("StringEqualsIfExists", "a", None)
    ),
    allowed("Null true: the key is missing", **under("Null", "true", None)),
    allowed("Null false: the key is there", **under("Null", "false", "a")),
]

SEVERAL_VALUES = [
    implicit(
        "ForAllValues: one value too many",
        **under("ForAllValues:StringEquals", ["a", "b"], ["a", "c"]),
    ),
    implicit(
        "ForAllValues, negated: one value of them",
        **under("ForAllValues:StringNotEquals", "a", ["a", "b"]),
    ),
    implicit(
        "ForAnyValue: none of them", **under("ForAnyValue:StringLike", ["a*", "b*"], ["c", "d"])
    ),
    implicit(
        "ForAnyValue: a missing key has no value", **under("ForAnyValue:StringLike", "*", None)
    ),
    implicit(
        "ForAnyValue, negated: a missing key has no value",
        **under("ForAnyValue:StringNotEquals", "a", None),
    ),
    # The guide has IfExists make it true, and ForAnyValue make it false: neither allows.
    implicit(
        "ForAnyValue with IfExists: a missing key",
        **under("ForAnyValue:StringEqualsIfExists", "a", None),
    ),
    implicit(
        "ForAnyValue with IfExists, negated: a missing key",
        **under("ForAnyValue:StringNotEqualsIfExists", "a", None),
    ),
    explicit(
        "ForAnyValue with IfExists in a Deny: a missing key",
        **unless("ForAnyValue:StringEqualsIfExists", "a", None),
    ),
    allowed(
        "ForAllValues with IfExists: a missing key",
        **under("ForAllValues:StringEqualsIfExists", "a", None),
    ),
    implicit(
        "ForAnyValue, negated: all of them",
        **under("ForAnyValue:StringNotEquals", ["a", "b"], ["a", "b"]),
    ),
    implicit(
        "ForAnyValue: an empty list has no value", **under("ForAnyValue:StringEquals", "a", [])
    ),
    # Not documented; a policy that needs it is written with a set operator.
    implicit(
        "no set operator: several values are not compared", **under("StringEquals", "a", ["a", "b"])
    ),
    implicit("no set operator, negated: neither", **under("StringNotEquals", "a", ["b", "c"])),
    implicit(
        "ForAllValues with Null false: the key must be there",
        identity=[
            allows(
                **when(
                    "ForAllValues:StringEquals", "aws:TagKeys", "a", Null={"aws:TagKeys": "false"}
                )
            )
        ],
    ),
    explicit(
        "ForAnyValue in a Deny: one of them", **unless("ForAnyValue:StringEquals", "a", ["b", "a"])
    ),
    # IAM User Guide, "Single-valued vs. multivalued context keys": true without the key.
    explicit(
        "ForAllValues in a Deny: without the key, too",
        **unless("ForAllValues:StringEquals", "a", None),
    ),
    allowed(
        "ForAllValues: some of the values", **under("ForAllValues:StringEquals", ["a", "b"], ["b"])
    ),
    allowed("ForAllValues: without the key", **under("ForAllValues:StringEquals", "a", None)),
    allowed("ForAnyValue: one of them", **under("ForAnyValue:StringLike", "a*", ["b", "ab"])),
    allowed(
        "ForAnyValue in a Deny: none of them", **unless("ForAnyValue:StringEquals", "a", ["b", "c"])
    ),
    allowed("a list of one value is that value", **under("StringEquals", "a", ["a"])),
]

TAGS = {"aws:PrincipalTag/team": "red", "aws:ResourceTag/team": "red"}
BOTH_KEYS = {"StringEquals": {"aws:PrincipalTag/team": "red", "aws:ResourceTag/team": "red"}}
TOGETHER = [
    implicit(
        "all keys of an operator",
        identity=[allows(Condition=BOTH_KEYS)],
        context=TAGS | {"aws:ResourceTag/team": "blue"},
    ),
    implicit(
        "all operators",
        identity=[allows(Condition=BOTH_KEYS | {"Bool": {"aws:SecureTransport": "true"}})],
        context=TAGS | {"aws:SecureTransport": "false"},
    ),
    implicit(
        "conditions of two statements are not added",
        identity=[
            allows(Action="s3:Put*", **when("StringEquals", "aws:PrincipalTag/team", "red")),
            allows(**when("StringEquals", "aws:PrincipalTag/team", "blue")),
        ],
        context=TAGS,
    ),
    explicit(
        "keys are compared without case",
        identity=[ALL, denies(**when("StringEquals", "AWS:PRINCIPALTAG/Team", "red"))],
        context=TAGS,
    ),
    explicit(
        "keys of the request, too",
        identity=[ALL, denies(**when("Bool", "aws:SecureTransport", "false"))],
        context={"AWS:securetransport": "false"},
    ),
    allowed("all of them are met", identity=[allows(Condition=BOTH_KEYS)], context=TAGS),
    allowed(
        "a Deny of which one key is not met",
        identity=[ALL, denies(Condition=BOTH_KEYS)],
        context=TAGS | {"aws:ResourceTag/team": "blue"},
    ),
]

# --- policy variables ---

HOME = "arn:aws:s3:::b/${aws:username}/*"
TEAM = "arn:aws:s3:::b/${aws:PrincipalTag/team, 'guests'}/*"
ANN, ANNS = {"aws:username": "ann"}, "arn:aws:s3:::b/ann/k"
BOBS = "arn:aws:s3:::b/bob/k"
PREFIX = when("StringLike", "s3:prefix", ["home/", "home/${aws:username}/"])
VARIABLES = [
    implicit("another user's folder", identity=[allows(Resource=HOME)], resource=BOBS, context=ANN),
    implicit(
        "a variable without a value names nothing", identity=[allows(Resource=HOME)], resource=ANNS
    ),
    implicit(
        "not even an empty text", identity=[allows(Resource=HOME)], resource="arn:aws:s3:::b//k"
    ),
    implicit(
        "nor itself",
        identity=[allows(Resource=HOME)],
        resource="arn:aws:s3:::b/${aws:username}/k",
    ),
    implicit(
        "a star in a value is a character",
        identity=[allows(Resource=HOME)],
        resource=ANNS,
        context={"aws:username": "*"},
    ),
    implicit(
        "values are compared with case",
        identity=[allows(Resource=HOME)],
        resource=ANNS,
        context={"aws:username": "Ann"},
    ),
    implicit("a default is not everything", identity=[allows(Resource=TEAM)], resource=BOBS),
    implicit(
        "a default is for a missing key alone",
        identity=[allows(Resource=TEAM)],
        resource="arn:aws:s3:::b/guests/k",
        context={"aws:PrincipalTag/team": "red"},
    ),
    # IAM User Guide, "Version": in the older language a variable is ordinary text.
    implicit(
        "version 2008-10-17 has no variables",
        identity=[allows(Resource=HOME)],
        resource=ANNS,
        context=ANN,
        version="2008-10-17",
    ),
    implicit(
        "a policy without a version has none",
        identity=[allows(Resource=HOME)],
        resource=ANNS,
        context=ANN,
        version=None,
    ),
    implicit("${*} is a star, not any text", identity=[allows(Resource="arn:aws:s3:::b/${*}")]),
    implicit("${?} is a question mark", identity=[allows(Resource="arn:aws:s3:::b/${?}")]),
    implicit(
        "in a condition: another value",
        identity=[allows(**when("StringEquals", "aws:ResourceTag/owner", "${aws:username}"))],
        context=ANN | {"aws:ResourceTag/owner": "bob"},
    ),
    # The guide, "Variables and tags": the statement is void, though "home/" matches.
    implicit(
        "in a condition: one without a value voids the statement",
        identity=[allows(**PREFIX)],
        context={"s3:prefix": "home/"},
    ),
    implicit(
        "in a negated condition: one without a value does not allow",
        identity=[allows(**when("StringNotEquals", "aws:ResourceTag/owner", "${aws:username}"))],
        context={"aws:ResourceTag/owner": "bob"},
    ),
    # The guide, "Variables and tags", on policy variables with no value.
    implicit(
        "one without a value names nothing, beside others of the list",
        identity=[allows(Resource=["arn:aws:s3:::shared/*", HOME])],
        resource=ANNS,
    ),
    implicit(
        "all but what has no value: what that leaves out is not known",
        identity=[allows(NotResource=["arn:aws:s3:::shared/*", HOME])],
        resource=ANNS,
    ),
    explicit(
        "a Deny of all but what has no value is one of everything",
        identity=[ALL, denies(NotResource=HOME)],
        resource=ANNS,
    ),
    explicit(
        "a Deny of a list: one without a value takes nothing from the others",
        identity=[ALL, denies(Resource=["arn:aws:s3:::b/*", HOME])],
        resource=ANNS,
    ),
    explicit(
        "in a negated condition of a Deny: one without a value is no value's equal",
        identity=[
            ALL,
            denies(**when("StringNotEquals", "s3:ExistingObjectTag/t", "${aws:PrincipalTag/t}")),
        ],
        context={"s3:ExistingObjectTag/t": "red"},
    ),
    allowed(
        "one without a value spoils no other resource of the list",
        identity=[allows(Resource=["arn:aws:s3:::shared/*", HOME])],
        resource="arn:aws:s3:::shared/k",
        principal=ROLE,
    ),
    allowed(
        "a Deny of what has no value denies nothing",
        identity=[ALL, denies(Resource=HOME)],
        resource=ANNS,
    ),
    allowed(
        "in a condition of a Deny: one without a value equals nothing",
        identity=[ALL, denies(**when("StringEquals", "aws:ResourceTag/t", "${aws:username}"))],
        context={"aws:ResourceTag/t": "red"},
    ),
    explicit(
        "a Deny of all folders but one's own",
        identity=[ALL, denies(NotResource=HOME)],
        resource=BOBS,
        context=ANN,
    ),
    explicit(
        "a Deny of one's own folder",
        identity=[ALL, denies(Resource=HOME)],
        resource=ANNS,
        context=ANN,
    ),
    allowed("one's own folder", identity=[allows(Resource=HOME)], resource=ANNS, context=ANN),
    allowed(
        "the name of the user who asks is known",
        identity=[allows(Resource=HOME)],
        resource=ANNS,
        principal=USER,
    ),
    allowed(
        "the folder of the default",
        identity=[allows(Resource=TEAM)],
        resource="arn:aws:s3:::b/guests/k",
    ),
    allowed(
        "in a condition: its value",
        identity=[allows(**PREFIX)],
        context=ANN | {"s3:prefix": "home/ann/"},
    ),
    allowed(
        "a Deny of other folders",
        identity=[ALL, denies(NotResource=HOME)],
        resource=ANNS,
        context=ANN,
    ),
]

# --- limits ---

BOUNDARY = [
    implicit("what the boundary does not allow", identity=[ALL], boundary=[allows(Action="sqs:*")]),
    implicit("on another resource", identity=[ALL], boundary=[allows(Resource="arn:aws:s3:::c/*")]),
    implicit(
        "under a condition that is not met",
        identity=[ALL],
        boundary=[allows(**when("StringEquals", "aws:RequestedRegion", "eu-west-1"))],
        context={"aws:RequestedRegion": "us-east-1"},
    ),
    implicit("left out by its NotAction", identity=[ALL], boundary=[allows(NotAction="s3:*")]),
    implicit("a boundary allows nothing by itself", boundary=[ALL]),
    # IAM User Guide, "Permissions boundaries": a role that is named stays within them.
    implicit(
        "over a bucket policy that names the role",
        principal=SESSION,
        resource_policy=[to(ROLE)],
        boundary=[allows(Action="sqs:*")],
    ),
    implicit(
        "over a bucket policy that names the account",
        principal=USER,
        identity=[ALL],
        resource_policy=[to(OURS)],
        boundary=[allows(Action="sqs:*")],
    ),
    explicit(
        "a Deny in the boundary", identity=[ALL], boundary=[ALL, denies(Resource=f"{BUCKET}/*")]
    ),
    allowed(
        "what both allow", identity=[allows(Action="s3:*")], boundary=[allows(NotAction="iam:*")]
    ),
    # The same chapter: a user that a resource-based policy names is not limited by it.
    allowed(
        "a bucket policy that names the user",
        principal=USER,
        resource_policy=[to(USER)],
        boundary=[allows(Action="sqs:*")],
    ),
]

SESSIONS = [
    implicit(
        "what the session policy does not allow",
        principal=SESSION,
        identity=[ALL],
        session=[allows(Action="s3:Put*")],
    ),
    implicit(
        "what the role does not allow",
        principal=SESSION,
        identity=[allows(Action="s3:Put*")],
        session=[ALL],
    ),
    implicit(
        "what the boundary between them does not allow",
        principal=SESSION,
        identity=[ALL],
        session=[ALL],
        boundary=[allows(Action="s3:Put*")],
    ),
    implicit(
        "over a bucket policy that names the role",
        principal=SESSION,
        resource_policy=[to(ROLE)],
        session=[allows(Action="sqs:*")],
    ),
    implicit("a federated user without a session policy", principal=FEDERATED, identity=[ALL]),
    implicit("a federated user's session policy alone", principal=FEDERATED, session=[ALL]),
    explicit(
        "a Deny in the session policy", principal=SESSION, identity=[ALL], session=[ALL, denies()]
    ),
    allowed(
        "what role and session both allow",
        principal=SESSION,
        identity=[ALL],
        session=[allows(Action="s3:Get*")],
    ),
    allowed("a federated user with both", principal=FEDERATED, identity=[ALL], session=[ALL]),
    # IAM User Guide, "Session policies": permissions of a session that is named are added.
    allowed(
        "a bucket policy that names the session",
        principal=SESSION,
        resource_policy=[to(SESSION)],
        session=[allows(Action="sqs:*")],
    ),
]

# --- resource-based policies ---

BOB = f"arn:aws:iam::{OURS}:user/bob"
WITHIN_AN_ACCOUNT = [
    implicit("another user is named", principal=USER, resource_policy=[to(BOB)]),
    implicit(
        "names are compared with case",
        principal=USER,
        resource_policy=[to(f"arn:aws:iam::{OURS}:user/Ann")],
    ),
    implicit(
        "a role's path is part of its ARN",
        principal=ROLE,
        identity=[allows(Action="sqs:*")],
        resource_policy=[to(f"arn:aws:iam::{OURS}:role/x/R")],
    ),
    explicit(
        "a Deny of all but the role with another path",
        principal=ROLE,
        resource_policy=[
            to("*"),
            denies(NotPrincipal={"AWS": [f"arn:aws:iam::{OURS}:role/x/R", OURS]}),
        ],
    ),
    explicit(
        "a Deny of the role with another path may be meant",
        principal=SESSION,
        identity=[ALL],
        resource_policy=[against(f"arn:aws:iam::{OURS}:role/x/R")],
    ),
    allowed(
        "a session's ARN does not tell the path of its role",
        principal=SESSION,
        resource_policy=[to(f"arn:aws:iam::{OURS}:role/x/R")],
    ),
    implicit(
        "a user's path is part of the name",
        principal=USER,
        resource_policy=[to(f"arn:aws:iam::{OURS}:user/x/ann")],
    ),
    implicit(
        "a role of the same name is no user",
        principal=USER,
        resource_policy=[to(f"arn:aws:iam::{OURS}:role/ann")],
    ),
    implicit(
        "the account is named, which leaves it to the user's policies",
        principal=USER,
        resource_policy=[to(OURS)],
    ),
    implicit("the account's root is the account", principal=USER, resource_policy=[to(ROOT)]),
    implicit(
        "another session is named",
        principal=SESSION,
        resource_policy=[to(f"arn:aws:sts::{OURS}:assumed-role/R/two")],
    ),
    implicit(
        "another role's session",
        principal=SESSION,
        resource_policy=[to(f"arn:aws:sts::{OURS}:assumed-role/S/one")],
    ),
    implicit(
        "the role of that name in another account",
        principal=SESSION,
        resource_policy=[to(f"arn:aws:iam::{THEIRS}:role/R")],
    ),
    implicit(
        "the role of that name in another partition",
        principal=SESSION,
        resource_policy=[to(f"arn:aws-cn:iam::{OURS}:role/R")],
    ),
    implicit(
        "the account of that number in another partition",
        principal=USER,
        identity=[allows(Action="kms:*")],
        resource_policy=[to(f"arn:aws-cn:iam::{OURS}:root")],
        action="kms:Decrypt",
        resource=KMS_KEY,
    ),
    implicit("a service is named", principal=USER, resource_policy=[to({"Service": EVENTS})]),
    implicit(
        "an identity provider is named",
        principal=SESSION,
        resource_policy=[to({"Federated": "accounts.google.com"})],
    ),
    implicit("another action", principal=USER, resource_policy=[to(USER, Action="s3:Put*")]),
    implicit("another resource", principal=USER, resource_policy=[to(USER, Resource=BUCKET)]),
    implicit(
        "a condition that is not met",
        principal=USER,
        resource_policy=[to("*", **when("StringEquals", "aws:PrincipalOrgID", "o-1"))],
    ),
    implicit("who gives no name is only in everyone", resource_policy=[to(USER)]),
    explicit(
        "a Deny of the account is one of its users",
        principal=USER,
        identity=[ALL],
        resource_policy=[against(OURS)],
    ),
    explicit(
        "a Deny of the role is one of its sessions",
        principal=SESSION,
        identity=[ALL],
        resource_policy=[against(ROLE)],
    ),
    explicit(
        "a Deny of all others",
        principal=USER,
        identity=[ALL],
        resource_policy=[
            to("*"),
            {"Effect": "Deny", "NotPrincipal": {"AWS": BOB}, "Action": "*", "Resource": "*"},
        ],
    ),
    # IAM User Guide, "NotPrincipal with Deny": role and account have to be named, too.
    explicit(
        "a Deny of all but the session, without its role",
        principal=SESSION,
        resource_policy=[to("*"), denies(NotPrincipal={"AWS": [SESSION, OURS]})],
    ),
    allowed(
        "a Deny of all but the session, its role and account",
        principal=SESSION,
        resource_policy=[to("*"), denies(NotPrincipal={"AWS": [SESSION, ROLE, OURS]})],
    ),
    # IAM User Guide, "NotPrincipal" and "Permissions boundaries": whatever the element names.
    explicit(
        "a Deny of all others is one of whoever has a boundary",
        principal=ROLE,
        identity=[ALL],
        boundary=[ALL],
        resource_policy=[to(ROLE), denies(NotPrincipal={"AWS": [ROLE, OURS]})],
    ),
    explicit(
        "a Deny of all others is one of the session of a role with a boundary",
        principal=SESSION,
        identity=[ALL],
        boundary=[ALL],
        resource_policy=[to(SESSION), denies(NotPrincipal={"AWS": [SESSION, ROLE, OURS]})],
    ),
    allowed(
        "a Deny of all others spares the role without a boundary",
        principal=ROLE,
        identity=[ALL],
        resource_policy=[to(ROLE), denies(NotPrincipal={"AWS": [ROLE, OURS]})],
    ),
    allowed(
        "a Deny of all others, by a condition, spares a role with a boundary",
        principal=ROLE,
        identity=[ALL],
        boundary=[ALL],
        resource_policy=[against("*", **when("ArnNotEquals", "aws:PrincipalArn", ROLE))],
    ),
    allowed("the user is named", principal=USER, resource_policy=[to([BOB, USER])]),
    allowed("the session's role is named", principal=SESSION, resource_policy=[to(ROLE)]),
    allowed(
        "the account is named, and the user's policies allow",
        principal=USER,
        identity=[ALL],
        resource_policy=[to(OURS)],
    ),
    allowed(
        "a Deny of another user", principal=USER, identity=[ALL], resource_policy=[against(BOB)]
    ),
    allowed("everyone, who gives no name as well", resource_policy=[to("*")]),
]

ELSEWHERE: dict[str, Any] = {
    "action": "sqs:SendMessage",
    "resource": THEIR_QUEUE,
    "principal": USER,
}
OVER_ACCOUNTS = [
    implicit("the caller's policies alone", **ELSEWHERE, identity=[ALL]),
    implicit("the queue's policy alone", **ELSEWHERE, resource_policy=[to(USER)]),
    implicit("the queue's policy alone, to everyone", **ELSEWHERE, resource_policy=[to("*")]),
    implicit(
        "the queue names its own account", **ELSEWHERE, identity=[ALL], resource_policy=[to(THEIRS)]
    ),
    implicit(
        "the queue allows another action",
        **ELSEWHERE,
        identity=[ALL],
        resource_policy=[to(USER, Action="sqs:Get*")],
    ),
    implicit(
        "the caller's policies allow another",
        **ELSEWHERE,
        identity=[allows(Action="sqs:Get*")],
        resource_policy=[to(USER)],
    ),
    implicit(
        "outside the caller's boundary",
        **ELSEWHERE,
        identity=[ALL],
        resource_policy=[to(USER)],
        boundary=[allows(Action="s3:*")],
    ),
    implicit(
        "outside the session policy, though the session is named",
        **ELSEWHERE | {"principal": SESSION},
        identity=[ALL],
        resource_policy=[to(SESSION)],
        session=[allows(Action="s3:*")],
    ),
    implicit(
        "a bucket of another account, whose ARN names none",
        principal=USER,
        identity=[ALL],
        resource_account=THEIRS,
    ),
    implicit("the root user, without the queue's policy", **ELSEWHERE | {"principal": ROOT}),
    implicit(
        "aws:ResourceAccount is the owner's",
        principal=USER,
        identity=[allows(**when("StringEquals", "aws:ResourceAccount", "${aws:PrincipalAccount}"))],
        resource_policy=[to(USER)],
        resource_account=THEIRS,
    ),
    explicit(
        "the queue denies what the caller's policies allow",
        **ELSEWHERE,
        identity=[ALL],
        resource_policy=[to(USER), against(OURS)],
    ),
    allowed("both sides", **ELSEWHERE, identity=[ALL], resource_policy=[to(USER)]),
    allowed("both sides, by the account", **ELSEWHERE, identity=[ALL], resource_policy=[to(OURS)]),
    allowed("a bucket of the same account", principal=USER, identity=[ALL], resource_account=OURS),
]

TO_EVENTS = to({"Service": EVENTS}, **when("ArnLike", "aws:SourceArn", RULE))
INVOKE: dict[str, Any] = {
    "action": "lambda:InvokeFunction",
    "resource": FUNCTION,
    "principal": EVENTS,
    "resource_policy": [TO_EVENTS],
}
SERVICES = [
    implicit(
        "identity policies are not for services",
        **INVOKE | {"identity": [ALL], "resource_policy": None},
        context={"aws:SourceArn": RULE},
    ),
    implicit(
        "another service",
        **INVOKE | {"principal": "s3.amazonaws.com"},
        context={"aws:SourceArn": RULE},
    ),
    implicit("without the source that is asked for", **INVOKE),
    implicit(
        "from a source in another account",
        **INVOKE,
        context={"aws:SourceArn": RULE.replace(OURS, THEIRS)},
    ),
    implicit("the account is named, not the service", **INVOKE | {"resource_policy": [to(OURS)]}),
    explicit(
        "a Deny that is about services",
        **INVOKE
        | {
            "resource_policy": [
                TO_EVENTS,
                against("*", **when("Bool", "aws:PrincipalIsAWSService", "true")),
            ]
        },
        context={"aws:SourceArn": RULE},
    ),
    allowed("the service, for the source", **INVOKE, context={"aws:SourceArn": RULE}),
]

ASSUME: dict[str, Any] = {"action": "sts:AssumeRole", "resource": OTHER_ROLE, "principal": USER}
DECRYPT: dict[str, Any] = {"action": "kms:Decrypt", "resource": KMS_KEY, "principal": USER}
TRUST_AND_KEYS = [
    implicit("an identity policy alone assumes no role", **ASSUME, identity=[ALL]),
    implicit(
        "a trust of the account alone assumes no role",
        **ASSUME,
        resource_policy=[trusts(OURS)],
    ),
    implicit(
        "a trust of another action",
        **ASSUME,
        identity=[ALL],
        resource_policy=[trusts(USER, Action="sts:TagSession")],
    ),
    implicit(
        "a trust that asks for an external id",
        **ASSUME,
        identity=[ALL],
        resource_policy=[
            trusts(USER, **when("StringEquals", "sts:ExternalId", "x")),
        ],
        context={"sts:ExternalId": "y"},
    ),
    # AWS Security Blog, 2022: a role does not trust itself any more unless it says so.
    implicit(
        "a role does not trust itself",
        **ASSUME | {"principal": ROLE, "resource": ROLE},
        identity=[ALL],
    ),
    implicit("an identity policy alone opens no key", **DECRYPT, identity=[ALL]),
    implicit("not even for the root user", **DECRYPT | {"principal": ROOT}),
    implicit(
        "a key policy for the account alone opens no key", **DECRYPT, resource_policy=[to(OURS)]
    ),
    allowed("a trust of the user", **ASSUME, resource_policy=[trusts(USER)]),
    allowed(
        "a trust of the account and an identity policy",
        **ASSUME,
        identity=[ALL],
        resource_policy=[trusts(OURS)],
    ),
    allowed(
        "a key policy for the account and an identity policy",
        **DECRYPT,
        identity=[ALL],
        resource_policy=[to(ROOT)],
    ),
]

NO_POLICY_CAN = [
    # AWS Fault Isolation Boundaries, "Partitions": a hard boundary, whatever a policy says.
    implicit(
        "reach over a partition",
        principal=USER,
        identity=[ALL],
        resource_policy=[to("*")],
        resource="arn:aws-cn:s3:::b/k",
    ),
    implicit(
        "reach over a partition, for the root user",
        principal=ROOT,
        resource="arn:aws-us-gov:s3:::b/k",
    ),
    # STS API Reference, "AssumeRole".
    implicit(
        "let a root user assume a role",
        **ASSUME | {"principal": ROOT},
        resource_policy=[trusts(OURS)],
    ),
    implicit(
        "let a root user tag a session of a role",
        **ASSUME | {"principal": ROOT, "action": "sts:TagSession"},
        resource_policy=[trusts(OURS, Action="sts:TagSession")],
    ),
    # IAM User Guide, "Compare AWS STS credentials", for this one and the rest.
    implicit(
        "let a role's session have a token",
        principal=SESSION,
        identity=[ALL],
        action="sts:GetSessionToken",
        resource="*",
    ),
    implicit(
        "let a role's session federate",
        principal=ROLE,
        identity=[ALL],
        action="sts:getFederationToken",
        resource="*",
    ),
    implicit(
        "let a federated user call IAM",
        principal=FEDERATED,
        identity=[ALL],
        session=[ALL],
        action="iam:ListUsers",
        resource="*",
    ),
    implicit(
        "let a federated user assume a role",
        **ASSUME | {"principal": FEDERATED},
        identity=[ALL],
        session=[ALL],
        resource_policy=[trusts(FEDERATED)],
    ),
    # KMS API Reference, "CreateAlias": the prefix alias/aws/ is reserved.
    *(
        implicit(
            f"have {name} touch an alias of AWS's",
            principal=USER,
            identity=[ALL],
            action=f"kms:{name}",
            resource=f"arn:aws:kms:us-east-1:{OURS}:{alias}",
        )
        for name, alias in (
            ("CreateAlias", "alias/aws/s3"),
            ("updatealias", "alias/AWS/s3"),
            ("DeleteAlias", "alias/aws/s3"),
        )
    ),
    # IAM User Guide, "Managed policies and inline policies".
    implicit(
        "change a policy of AWS's",
        principal=USER,
        identity=[ALL],
        action="iam:CreatePolicyVersion",
        resource="arn:aws:iam::aws:policy/ReadOnlyAccess",
        resource_account=OURS,
    ),
    # STS API Reference, "GetCallerIdentity": an explicit Deny does not count, either.
    allowed(
        "an alias of one's own",
        principal=USER,
        identity=[ALL],
        action="kms:CreateAlias",
        resource=f"arn:aws:kms:us-east-1:{OURS}:alias/mine",
    ),
    allowed("who asks who it is, without a policy", action="sts:GetCallerIdentity", resource="*"),
    allowed(
        "who asks who it is, though a Deny says no",
        principal=SESSION,
        identity=[denies()],
        boundary=[denies()],
        session=[denies()],
        action="STS:getcalleridentity",
        resource="*",
    ),
    # IAM User Guide, "Permissions for GetSessionToken": none are required of a user.
    allowed(
        "a user has a token without a policy",
        principal=USER,
        action="sts:GetSessionToken",
        resource="*",
    ),
    implicit("an account without a name has none", principal=OURS, action="sts:GetSessionToken"),
    explicit(
        "a user has a token, unless a Deny says no",
        principal=USER,
        identity=[denies(Action="sts:*")],
        action="sts:GetSessionToken",
        resource="*",
    ),
    explicit(
        "take back a Deny over a partition",
        principal=USER,
        identity=[ALL, denies()],
        resource="arn:aws-cn:s3:::b/k",
    ),
    allowed(
        "within a partition of China",
        principal=USER.replace("aws", "aws-cn"),
        identity=[ALL],
        resource="arn:aws-cn:s3:::b/k",
    ),
    allowed(
        "a user has a token",
        principal=USER,
        identity=[ALL],
        action="sts:GetSessionToken",
        resource="*",
    ),
    allowed(
        "a session assumes a role",
        **ASSUME | {"principal": SESSION},
        resource_policy=[trusts(ROLE)],
    ),
    allowed(
        "a federated user asks who it is",
        principal=FEDERATED,
        identity=[ALL],
        session=[ALL],
        action="sts:GetCallerIdentity",
        resource="*",
    ),
    allowed("the root user lists users", principal=ROOT, action="iam:ListUsers", resource="*"),
]

FAMILIES = {
    "actions": ACTIONS,
    "NotAction": NOT_ACTION,
    "resources": RESOURCES,
    "NotResource": NOT_RESOURCE,
    "explicit deny": EXPLICIT_DENY,
    "texts": TEXTS,
    "numbers": NUMBERS,
    "dates": DATES,
    "truths and bytes": TRUTHS_AND_BYTES,
    "addresses": ADDRESSES,
    "ARNs": ARNS,
    "missing keys": MISSING_KEYS,
    "several values": SEVERAL_VALUES,
    "conditions together": TOGETHER,
    "variables": VARIABLES,
    "boundary": BOUNDARY,
    "sessions": SESSIONS,
    "within an account": WITHIN_AN_ACCOUNT,
    "over accounts": OVER_ACCOUNTS,
    "services": SERVICES,
    "trust and keys": TRUST_AND_KEYS,
    "no policy can": NO_POLICY_CAN,
}
CASES = [
    pytest.param(expected, asked, id=f"{family}: {rule}")
    for family, cases in FAMILIES.items()
    for rule, expected, asked in cases
]


@pytest.mark.parametrize(("expected", "asked"), CASES)
def test_decided_as_on_aws(expected: str, asked: dict[str, Any]) -> None:
    """What AWS denies is denied, in the same way and with a reason; its near twin is allowed."""
    decision = decided(asked)
    assert decision.effect == expected, decision.reason
    assert bool(decision) is (expected == "Allow")
    assert decision.reason


@pytest.mark.parametrize("family", FAMILIES)
def test_no_family_is_passed_by_denying_all(family: str) -> None:
    """Denied cases have an allowed one beside them, and no rule is written twice."""
    cases = FAMILIES[family]
    allowed_ones = [rule for rule, expected, _ in cases if expected == "Allow"]
    assert 0 < len(allowed_ones) < len(cases)
    assert max(Counter(rule for rule, _, _ in cases).values()) == 1


def test_the_list_is_long() -> None:
    """Whoever shortens it should mean to."""
    outcomes = Counter(expected for cases in FAMILIES.values() for _, expected, _ in cases)
    assert outcomes["ImplicitDeny"] + outcomes["ExplicitDeny"] >= 200
    assert outcomes["Allow"] >= 60


# --- documents that AWS refuses ---

Document = tuple[str, str, Any, str]


def refused(
    rule: str, *statements: Any, place: str, attached: str = "identity", **elements: Any
) -> Document:
    """A document that IAM does not take; the message has the place."""
    whole = {"Version": "2012-10-17", "Statement": list(statements)} | elements
    return rule, attached, whole, place


def taken(rule: str, *statements: Any, attached: str = "identity", **elements: Any) -> Document:
    """The near twin of a refused one."""
    return refused(rule, *statements, place="", attached=attached, **elements)


GRANT = {"Effect": "Allow", "Action": "s3:GetObject", "Resource": KEY}
TRUST = {"Effect": "Allow", "Principal": {"AWS": OURS}, "Action": "sts:AssumeRole"}


def grant(**elements: Any) -> dict[str, Any]:
    """Return a good statement with some elements changed; None takes one out."""
    return {name: value for name, value in (GRANT | elements).items() if value is not None}


# The names in the comments are those of "IAM policy validation check reference".
DOCUMENTS = [
    # Invalid version, invalid policy element, missing statement.
    refused("a version of its own", GRANT, place="Version", Version="2026-01-01"),
    refused("a version that is a number", GRANT, place="Version", Version=20121017),
    refused("an element beside the statements", GRANT, place="Principal", Principal="*"),
    refused("a statement that is a text", "Allow", place="Statement[0]"),
    refused("statements within a statement", [GRANT], place="Statement[0]"),
    taken("the older version", GRANT, Version="2008-10-17"),
    refused("no statement at all", place="Statement"),
    taken("an id", GRANT, Id="mine"),
    # Invalid effect, missing effect.
    refused("an effect in small letters", grant(Effect="deny"), place="Statement[0].Effect"),
    refused("an effect in capitals", grant(Effect="ALLOW"), place="Statement[0].Effect"),
    refused("no effect", grant(Effect=None), place="Statement[0].Effect"),
    refused("an element in the plural", grant(Actions="s3:*"), place="Statement[0].Actions"),
    refused("an element in small letters", grant(condition={}), place="Statement[0].condition"),
    taken("the effect Deny", grant(Effect="Deny")),
    # Unique Sids required, unsupported Sid.
    refused("a Sid twice", grant(Sid="A"), grant(Sid="A"), place="Statement[1].Sid"),
    refused("a Sid with a hyphen", grant(Sid="a-b"), place="Statement[0].Sid"),
    taken("Sids that differ in case", grant(Sid="A"), grant(Sid="a")),
    # Invalid action, invalid service in action, missing action, unsupported combination.
    refused("an action of two colons", grant(Action="s3:Get:Object"), place="Statement[0].Action"),
    refused("an action of any service", grant(Action="*:GetObject"), place="Statement[0].Action"),
    refused("an action with a blank", grant(Action=" s3:Get*"), place="Statement[0].Action"),
    refused("an action without a name", grant(Action="s3:"), place="Statement[0].Action"),
    refused("an action that is a variable", grant(Action="s3:${k}"), place="Statement[0].Action"),
    refused("no action", grant(Action=None), place="Statement[0]"),
    refused("Action and NotAction", grant(NotAction="s3:*"), place="Statement[0]"),
    taken("an action with a star for its name", grant(Action="s3:*")),
    # Missing ARN field, invalid ARN prefix, invalid partition, missing resource.
    refused("a bucket's name", grant(Resource="b/*"), place="Statement[0].Resource"),
    refused("another prefix", grant(Resource="ARN:aws:s3:::b"), place="Statement[0].Resource"),
    refused("an empty partition", grant(Resource="arn::s3:::b"), place="Statement[0].Resource"),
    refused("no such partition", grant(Resource="arn:gcp:s3:::b"), place="Statement[0].Resource"),
    refused("one in capitals", grant(Resource="arn:AWS:s3:::b"), place="Statement[0].Resource"),
    refused(
        "a partition that was to be filled in",
        grant(NotResource="arn:${ARN_PARTITION}:s3:::b", Resource=None),
        place="Statement[0].NotResource",
    ),
    refused(
        "a variable for the region",
        grant(Resource="arn:aws:sqs:${aws:RequestedRegion}:*:q"),
        place="Statement[0].Resource",
    ),
    refused("no resource", grant(Resource=None), place="Statement[0]"),
    refused("Resource and NotResource", grant(NotResource="*"), place="Statement[0]"),
    # IAM's answers, MalformedPolicyDocument: "must be fully qualified and cannot contain regexes",
    # "failed legacy parsing", "can not contain region information", "IAM resource path must".
    *(
        refused(
            f"{text} for a resource", grant(Resource=["*", text]), place="Statement[0].Resource"
        )
        for text in (
            "arn:aws",
            "arn:*",
            "arn:aws:*",
            "arn:aws:*:*:*:*",
            "arn:aws:s*:::b",
            "arn:aws:s?:::b",
            "arn:aws::x",
            "arn:aws::::x",
            "arn:aws:s3::secret/*",
            "arn:aws:sqs::q",
            "arn:aws:s3:us-east-1::b",
            "arn:aws:s3:us-east-1::b/accesspoint/k",
            "arn:aws:s3:*:*:b",
            "arn:aws:s3",
            "arn:aws:s3:b",
            "arn:aws:s3:::",
            "arn:aws:iam:us-east-1::x",
            f"arn:aws:iam:*:{OURS}:role/R",
            "arn:aws:iam:::x",
            f"arn:aws:iam::{OURS}:u*",
            f"arn:aws:iam::{OURS}:roles/R",
            f"arn:aws:iam::{OURS}:rooted",
            f"arn:aws:iam::{OURS}",
        )
    ),
    refused(
        "a colon too few in a NotResource of a Deny",
        {"Effect": "Deny", "Action": "*", "NotResource": "arn:aws:s3::public/*"},
        place="Statement[0].NotResource",
    ),
    *(
        taken(f"{text} for a resource", grant(Resource=text))
        for text in (
            "arn:aws:fdsasf",
            "arn:aws:sqs:us-east-1",
            "arn:aws:invalid-service:us-east-1::b",
            f"arn:aws:s3:us-east-1:{OURS}:accesspoint/a",
            "arn:aws:s3:*:*:job/*",
            f"arn:aws:s3:us-east-1:{OURS}:storage-lens/x",
            "arn:aws:iam:::user/b",
            "arn:aws:iam::aws:policy/ReadOnlyAccess",
            "arn:aws:iam::*:user/${aws:username}",
            f"arn:aws:iam::{OURS}:*",
            "arn:aws:iam::*:root",  # of sts:AssumeRoot
            "arn:aws:iam::aws:contextProvider/IdentityCenter",
            f"arn:aws:iam::{OURS}:delegation-request/x",
            "arn:aws:iam::aws:role-template/a/b:1",
            f"arn:aws:s3:us-west-2:{OURS}:async-request/mrap/create/x",
        )
    ),
    taken("a star for the partition", grant(Resource="arn:*:s3:::b")),
    taken("a partition with a star", grant(Resource="arn:aws-*:s3:::b")),
    refused("a misspelt one", grant(Resource="arn:aws-gov:s3:::b"), place="Statement[0].Resource"),
    refused("a star for none", grant(Resource="arn:awz*:s3:::b"), place="Statement[0].Resource"),
    taken("the partition of China", grant(Resource="arn:aws-cn:s3:::b")),
    taken("that of an isolated cloud", grant(Resource="arn:aws-iso-b:s3:::b")),
    # Invalid condition operator, null with if exists, duplicate keys with different case.
    refused(
        "an unknown operator",
        grant(**when("StringMatches", "k", "a")),
        place="Statement[0].Condition.StringMatches",
    ),
    refused(
        "an unknown operator in a Deny",
        grant(Effect="Deny", **when("StringContains", "k", "a")),
        place="Statement[0].Condition.StringContains",
    ),
    refused(
        "an unknown qualifier",
        grant(**when("ForEachValue:StringLike", "k", "a")),
        place="Statement[0].Condition.ForEachValue:StringLike",
    ),
    refused(
        "Null with IfExists",
        grant(**when("NullIfExists", "k", "true")),
        place="Statement[0].Condition.NullIfExists",
    ),
    refused(
        "a key twice in one operator",
        grant(Condition={"StringLike": {"aws:Tag": "a", "AWS:tag": "b"}}),
        place="Statement[0].Condition.StringLike",
    ),
    # Data type mismatch, invalid condition data type.
    refused(
        "a number that is none",
        grant(**when("NumericLessThan", "k", "ten")),
        place="Statement[0].Condition.NumericLessThan.k",
    ),
    refused(
        "a date that is none",
        grant(**when("DateLessThan", "k", "2026-02-30")),
        place="Statement[0].Condition.DateLessThan.k",
    ),
    # A long of Java's is the largest; a minus sign begins a year there, not a second.
    *(
        refused(
            f"{text} for a date",
            grant(**when("DateGreaterThan", "k", text)),
            place="Statement[0].Condition.DateGreaterThan.k",
        )
        for text in ("9223372036854775808", "-292275054", "-1", "1.5", "1" * 40)
    ),
    taken("the last second", grant(**when("DateLessThan", "k", "9223372036854775807"))),
    refused(
        "a truth that is none",
        grant(**when("Bool", "k", "yes")),
        place="Statement[0].Condition.Bool.k",
    ),
    refused(
        "a range that is none",
        grant(**when("NotIpAddress", "k", "10.0.0.0/33")),
        place="Statement[0].Condition.NotIpAddress.k",
    ),
    refused(
        "an ARN that is none",
        grant(**when("ArnNotLike", "k", "t")),
        place="Statement[0].Condition.ArnNotLike.k",
    ),
    taken("a key in two operators", grant(**when("StringLike", "k", "a", Null={"k": "false"}))),
    # Invalid variable for operator, missing brace, missing quote, unsupported space, empty.
    refused(
        "a variable for a number",
        grant(**when("NumericLessThan", "k", "${l}")),
        place="Statement[0].Condition.NumericLessThan.k",
    ),
    refused("an open variable", grant(Resource=f"{KEY}/${{k"), place="Statement[0].Resource"),
    refused("an empty one", grant(Resource=f"{KEY}/${{}}"), place="Statement[0].Resource"),
    refused("one with a blank", grant(Resource=f"{KEY}/${{k }}"), place="Statement[0].Resource"),
    refused("a bare default", grant(Resource=f"{KEY}/${{k, a}}"), place="Statement[0].Resource"),
    taken("a default in quotes", grant(Resource=f"{KEY}/${{k, 'a'}}")),
    # Missing principal, unsupported principal, unsupported wildcard in principal.
    refused("an identity policy with one", grant(Principal="*"), place="Statement[0]"),
    refused("a boundary with one", grant(Principal="*"), place="Statement[0]", attached="boundary"),
    refused("a bucket policy without one", GRANT, place="Statement[0]", attached="resource_policy"),
    refused(
        "a principal with a star",
        grant(Principal={"AWS": f"arn:aws:iam::{OURS}:role/*"}),
        place="Statement[0].Principal.AWS",
        attached="resource_policy",
    ),
    refused(
        "all services",
        grant(Principal={"Service": "*"}),
        place="Statement[0].Principal.Service",
        attached="resource_policy",
    ),
    refused(
        "a group",
        grant(Principal={"AWS": f"arn:aws:iam::{OURS}:group/g"}),
        place="Statement[0].Principal.AWS",
        attached="resource_policy",
    ),
    refused(
        "all others than everyone",
        grant(NotPrincipal="*"),
        place="Statement[0].NotPrincipal",
        attached="resource_policy",
    ),
    # IAM User Guide, "NotPrincipal": with Deny alone, and in no trust policy.
    refused(
        "an Allow for all others",
        grant(NotPrincipal={"AWS": OURS}),
        place="Statement[0].NotPrincipal",
        attached="resource_policy",
    ),
    taken(
        "a Deny for all others",
        grant(Effect="Deny", NotPrincipal={"AWS": OURS}),
        attached="resource_policy",
    ),
    # S3 answers MalformedPolicy: "Missing required field Resource".
    refused(
        "a bucket policy without a resource",
        grant(Principal="*", Resource=None),
        place="Statement[0]",
        attached="resource_policy",
    ),
    taken("a bucket policy for everyone", grant(Principal="*"), attached="resource_policy"),
    # Role trust policy syntax error.
    refused(
        "a trust with a resource", TRUST | {"Resource": "*"}, place="Statement[0]", attached="trust"
    ),
    refused("a trust of S3", TRUST | {"Action": "s3:*"}, place="Statement[0]", attached="trust"),
    refused(
        "a trust of all others",
        {"Effect": "Deny", "NotPrincipal": {"AWS": OURS}, "Action": "sts:AssumeRole"},
        place="Statement[0]",
        attached="trust",
    ),
    # "AssumeRole policy may only specify STS AssumeRole actions": wildcards are none.
    *(
        refused(
            f"a trust of {name}", TRUST | {"Action": name}, place="Statement[0]", attached="trust"
        )
        for name in ("sts:*", "*", "sts:AssumeRole*", "sts:Assume")
    ),
    refused(
        "a trust of all other actions",
        {"Effect": "Allow", "Principal": {"AWS": OURS}, "NotAction": "sts:TagSession"},
        place="Statement[0]",
        attached="trust",
    ),
    taken("a trust", TRUST, attached="trust"),
    taken(
        "a trust of several actions",
        TRUST | {"Action": ["sts:AssumeRole", "sts:TagSession", "sts:SetSourceIdentity"]},
        attached="trust",
    ),
]


@pytest.mark.parametrize(
    ("attached", "whole", "place"),
    [pytest.param(*case, id=rule) for rule, *case in DOCUMENTS],
)
def test_taken_as_by_aws(attached: str, whole: Any, place: str) -> None:
    """What AWS refuses is refused when the policy is made, at its place; its near twin is taken."""

    def attach() -> object:
        if attached in {"boundary", "trust"}:
            return Role("R", **{attached: whole})
        policies: dict[str, Any] = {attached: [whole] if attached == "identity" else whole}
        return simulate("s3:GetObject", KEY, **policies)

    if not place:
        attach()
        return
    with pytest.raises(DefinitionError, match=rf"malformed at {re.escape(place)}: "):
        attach()
