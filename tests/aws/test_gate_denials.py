"""
Calls that AWS denies, made to moto by a function: nothing but the gate stands in their way.

Each case names a resource in another way than its policy does, or leaves its name out.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from faaskit import App, Function, Role, allow, deny

_HANDLERS = Path(__file__).parents[1] / "handlers"
_ACCOUNT = "123456789012"
_AT = f"us-east-1:{_ACCOUNT}"
_ALL = ("AccessDenied", "AccessDeniedException", "AuthorizationError")
_numbers = count()


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    """An App whose calls go to moto."""
    with App("denials", state=tmp_path_factory.mktemp("app") / "state", aws="moto") as made:
        yield made


def _function(app: App, *statements: Any) -> Function:
    number = next(_numbers)
    return app.add_function(
        f"calls-{number}",
        code=_HANDLERS,
        handler="boto_calls.make",
        role=Role(f"calls-{number}", policies=list(statements)),
        memory_size=512,
        timeout=100,
    )


def _call(service: str, method: str, **parameters: Any) -> dict[str, Any]:
    return {"service": service, "method": method, "parameters": parameters}


def _outcomes(app: App, calls: list[dict[str, Any]], *statements: Any) -> list[str]:
    found = _function(app, *statements).invoke(calls)
    assert found.ok, found.logs
    outcomes: list[str] = found.result()
    return outcomes


def _denied(app: App, calls: list[dict[str, Any]], *statements: Any) -> None:
    outcomes = _outcomes(app, calls, *statements)
    assert all(one in _ALL for one in outcomes), outcomes


def _done(app: App, calls: list[dict[str, Any]], *statements: Any) -> None:
    assert set(_outcomes(app, calls, *statements)) == {"done"}


def test_batch_of_secrets_by_filter_needs_permission_for_what_is_found(app: App) -> None:
    """Not for the batch alone."""
    secrets = app.client("secretsmanager")
    secrets.create_secret(Name="batch", SecretString="top secret")
    calls = [
        _call("secretsmanager", "batch_get_secret_value", Filters=[{"Key": "name", "Values": [x]}])
        for x in ("batch", "b")
    ]
    batch = ("secretsmanager:BatchGetSecretValue", "secretsmanager:ListSecrets")
    _denied(app, calls, allow(*batch, on="*"))
    _done(app, calls, allow(*batch, "secretsmanager:GetSecretValue", on="*"))


def test_statements_are_authorized_by_their_table(app: App) -> None:
    """By PartiQL's actions, which no operation is named after."""
    tables = app.client("dynamodb")
    for name in ("hidden", "open"):
        tables.create_table(
            TableName=name,
            KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
            BillingMode="PAY_PER_REQUEST",
        )
    hidden = f"arn:aws:dynamodb:{_AT}:table/hidden"

    def calls(table: str) -> list[dict[str, Any]]:
        insert = f"INSERT INTO {table} VALUE {{'id': 'a'}}"
        select = f'SELECT * FROM "{table}"'
        return [
            _call("dynamodb", "execute_statement", Statement=insert),
            _call("dynamodb", "execute_statement", Statement=select),
            _call("dynamodb", "batch_execute_statement", Statements=[{"Statement": select}]),
            _call(
                "dynamodb",
                "execute_transaction",
                TransactStatements=[{"Statement": f"DELETE FROM {table} WHERE id = 'a'"}],
            ),
        ]

    everything = allow("dynamodb:*", on="*")
    _denied(app, calls("hidden"), everything, deny("dynamodb:*", on=hidden))
    _denied(app, calls("hidden"), allow("dynamodb:*", on=f"arn:aws:dynamodb:{_AT}:table/open"))
    _done(app, calls("open"), everything, deny("dynamodb:*", on=hidden))
    outcomes = _outcomes(
        app,
        [_call("dynamodb", "execute_statement", Statement="SELECT * FROM open, hidden")],
        everything,
    )
    assert outcomes == ["ValidationException"]


def test_operations_without_an_override_are_denied_by_their_resource(app: App) -> None:
    """Whatever parameter names it."""
    app.client("ssm").put_parameter(Name="/hidden/p", Value="v", Type="String")
    hidden = f"arn:aws:ssm:{_AT}:parameter/hidden/*"
    tags = [{"Key": "a", "Value": "b"}]
    calls = [
        _call(
            "ssm",
            "add_tags_to_resource",
            ResourceType="Parameter",
            ResourceId="/hidden/p",
            Tags=tags,
        ),
        _call("ssm", "get_parameter", Name="/hidden/p"),
        _call("ssm", "get_parameter", Name=f"arn:aws:ssm:{_AT}:parameter/hidden/p:1"),
    ]
    _denied(app, calls, allow("ssm:*", on="*"), deny("ssm:*", on=hidden))
    _done(app, calls[:2], allow("ssm:*", on="*"))


def test_key_is_denied_however_it_is_named(app: App) -> None:
    """By an alias, or by a ciphertext alone."""
    kms = app.client("kms")
    key = kms.create_key()["KeyMetadata"]
    kms.create_alias(AliasName="alias/hidden", TargetKeyId=key["KeyId"])
    cipher = kms.encrypt(KeyId=key["KeyId"], Plaintext=b"top")["CiphertextBlob"]
    text = {"base64": base64.b64encode(cipher).decode()}
    plain = {"base64": base64.b64encode(b"top").decode()}
    calls = [
        _call("kms", "decrypt", CiphertextBlob=text),
        _call("kms", "encrypt", KeyId="alias/hidden", Plaintext=plain),
        _call("kms", "encrypt", KeyId=f"arn:aws:kms:{_AT}:alias/hidden", Plaintext=plain),
        _call("kms", "encrypt", KeyId=key["KeyId"], Plaintext=plain),
        _call("kms", "delete_alias", AliasName="alias/hidden"),
    ]
    _denied(app, calls, allow("kms:*", on="*"), deny("kms:*", on=key["Arn"]))
    _done(app, calls[:4], allow("kms:*", on="*"))


def test_ciphertext_of_another_key_than_is_named_is_refused(app: App) -> None:
    """The key that was decided on is the one that is used."""
    kms = app.client("kms")
    hidden, public = (kms.create_key()["KeyMetadata"] for _ in range(2))
    cipher = kms.encrypt(KeyId=hidden["KeyId"], Plaintext=b"top")["CiphertextBlob"]
    own = kms.encrypt(KeyId=public["KeyId"], Plaintext=b"mine")["CiphertextBlob"]
    mine = allow("kms:*", on=public["Arn"])

    def again(blob: bytes) -> dict[str, Any]:
        text = {"base64": base64.b64encode(blob).decode()}
        keys = {"SourceKeyId": public["KeyId"], "DestinationKeyId": public["KeyId"]}
        return _call("kms", "re_encrypt", CiphertextBlob=text, **keys)

    assert _outcomes(app, [again(cipher)], mine) == ["IncorrectKeyException"]
    _done(app, [again(own)], mine)


def test_secret_is_denied_however_it_is_named(app: App) -> None:
    """By its name, or by an ARN without the end that AWS draws."""
    secrets = app.client("secretsmanager")
    arn = secrets.create_secret(Name="named", SecretString="top secret")["ARN"]
    calls = [
        _call("secretsmanager", "get_secret_value", SecretId=name)
        for name in ("named", arn, arn[:-7])
    ]
    calls.append(_call("secretsmanager", "delete_secret", SecretId="named"))
    everything = allow("secretsmanager:*", on="*")
    _denied(app, calls, everything, deny("secretsmanager:*", on=arn))
    _done(app, calls[:2], everything)


def test_secret_is_denied_as_a_parameter_that_refers_to_it(app: App) -> None:
    """Parameter Store hands it out for who may read both."""
    app.client("secretsmanager").create_secret(Name="referred", SecretString="top secret")
    name = "/aws/reference/secretsmanager/referred"
    calls = [
        _call("ssm", "get_parameter", Name=name, WithDecryption=True),
        _call("ssm", "get_parameters", Names=[name], WithDecryption=True),
    ]
    _denied(app, calls, allow("ssm:*", on="*"))
    _done(app, calls, allow("ssm:*", "secretsmanager:GetSecretValue", on="*"))


def test_stream_named_twice_is_refused_unless_it_is_the_same(app: App) -> None:
    """Before anything is decided."""
    kinesis = app.client("kinesis")
    for name in ("hidden", "public"):
        kinesis.create_stream(StreamName=name, ShardCount=1)
    public = f"arn:aws:kinesis:{_AT}:stream/public"
    mine = allow("kinesis:*", on=public)
    calls = [
        _call("kinesis", "delete_stream", StreamName="hidden", StreamARN=public),
        _call("kinesis", "describe_stream", StreamName="hidden", StreamARN=public),
        _call(
            "kinesis",
            "put_record",
            StreamName="hidden",
            StreamARN=public,
            Data="a",
            PartitionKey="a",
        ),
    ]
    assert set(_outcomes(app, calls, mine)) == {"ValidationException"}
    assert "hidden" in kinesis.list_streams()["StreamNames"]
    _done(app, [_call("kinesis", "describe_stream", StreamName="public", StreamARN=public)], mine)


def test_log_group_named_twice_is_refused(app: App) -> None:
    """As AWS does, even if both are the same."""
    logs = app.client("logs")
    for name in ("hidden", "public"):
        logs.create_log_group(logGroupName=name)
        logs.create_log_stream(logGroupName=name, logStreamName="s")
    mine = allow("logs:*", on=f"arn:aws:logs:{_AT}:log-group:public:*")
    both = {"logGroupName": "hidden", "logGroupIdentifier": "public"}
    calls = [
        _call("logs", "get_log_events", logStreamName="s", **both),
        _call("logs", "filter_log_events", **both),
        _call("logs", "describe_log_streams", **both),
        _call("logs", "get_log_group_fields", **both),
    ]
    assert set(_outcomes(app, calls, mine)) == {"InvalidParameterException"}
    one = _call("logs", "get_log_events", logStreamName="s", logGroupName="public")
    _done(app, [one], mine)


def test_alarms_named_in_two_ways_are_refused(app: App) -> None:
    """The place lists what either names."""
    mine = allow("cloudwatch:*", on=f"arn:aws:cloudwatch:{_AT}:alarm:public")
    named = {"AlarmNames": ["public"]}
    calls = [
        _call("cloudwatch", "describe_alarms", AlarmNamePrefix="hid", **named),
        _call("cloudwatch", "describe_alarms", ParentsOfAlarmName="hidden", **named),
        _call("cloudwatch", "describe_alarms", ChildrenOfAlarmName="hidden", **named),
    ]
    assert set(_outcomes(app, calls, mine)) == {"InvalidParameterCombination"}
    _done(app, [_call("cloudwatch", "describe_alarms", **named)], mine)


def test_parameters_that_are_condition_keys_count(app: App) -> None:
    """Tags, grants and a location: a Deny that tests for a value applies."""
    app.client("s3").create_bucket(Bucket="keyed-objects")
    to = {"Bucket": "keyed-objects", "Key": "k"}
    everything = allow("s3:*", on="*")

    def denying(key: str, value: str) -> Any:
        return deny("s3:*", on="*", when={"StringEquals": {key: value}})

    public = _call("s3", "put_object", Tagging="class=public", **to)
    _denied(app, [public], everything, denying("s3:RequestObjectTag/class", "public"))
    _done(app, [public], everything, denying("s3:RequestObjectTag/class", "private"))
    grant = _call("s3", "put_object", GrantRead="id=x", **to)
    _denied(app, [grant], everything, denying("s3:x-amz-grant-read", "id=x"))
    far = {"LocationConstraint": "eu-west-1"}
    made = _call("s3", "create_bucket", Bucket="far-away", CreateBucketConfiguration=far)
    _denied(app, [made], everything, denying("s3:LocationConstraint", "eu-west-1"))
    tagged = _call("sqs", "create_queue", QueueName="tagged", tags={"class": "public"})
    queues = allow("sqs:*", on="*")
    denied = deny("sqs:*", on="*", when={"StringEquals": {"aws:RequestTag/class": "public"}})
    _denied(app, [tagged], queues, denied)


def test_key_that_the_gate_can_not_fill_is_not_taken_to_be_absent(app: App) -> None:
    """An object may have a tag: a Deny that tests for it applies, an Allow does not."""
    s3 = app.client("s3")
    s3.create_bucket(Bucket="existing-tags")
    s3.put_object(Bucket="existing-tags", Key="k", Body=b"", Tagging="class=secret")
    read = [_call("s3", "get_object", Bucket="existing-tags", Key="k")]
    secret = {"StringEquals": {"s3:ExistingObjectTag/class": "secret"}}
    _denied(app, read, allow("s3:*", on="*"), deny("s3:GetObject", on="*", when=secret))
    public = {"StringEqualsIfExists": {"s3:ExistingObjectTag/class": "public"}}
    _denied(app, read, allow("s3:GetObject", on="*", when=public))
    _done(app, read, allow("s3:GetObject", on="*"))


def test_roles_and_functions_that_a_call_hands_on_are_asked_for(app: App) -> None:
    """A service must not do with them what the caller may not."""
    app.client("s3").create_bucket(Bucket="replicated")
    app.client("secretsmanager").create_secret(Name="rotated", SecretString="x")
    app.client("events").put_rule(Name="r", EventPattern='{"source": ["a"]}')
    role = f"arn:aws:iam::{_ACCOUNT}:role/admin"
    function = f"arn:aws:lambda:{_AT}:function:f"
    replicated = {"Role": role, "Rules": []}
    rotation: dict[str, Any] = {"RotationLambdaARN": function, "RotationRules": {}}
    target = {"Id": "1", "Arn": function, "RoleArn": role}
    calls = [
        _call(
            "s3", "put_bucket_replication", Bucket="replicated", ReplicationConfiguration=replicated
        ),
        _call("secretsmanager", "rotate_secret", SecretId="rotated", **rotation),
        _call("events", "put_targets", Rule="r", Targets=[target]),
        _call("sqs", "start_message_move_task", SourceArn=f"arn:aws:sqs:{_AT}:a"),
    ]
    every = ("s3:*", "secretsmanager:*", "events:*", "sqs:StartMessageMoveTask")
    _denied(app, calls, allow(*every, on="*"))
