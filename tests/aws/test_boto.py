"""Unmodified boto3 in functions: its calls are the gate's, and what it returns is AWS's."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from faaskit import App, DefinitionError, Function, Role, allow
from faaskit.cli import main
from faaskit.runtimes.contract import ServiceCall

_HANDLERS = Path(__file__).parents[1] / "handlers"
_EXAMPLE = Path(__file__).parents[2] / "examples" / "plain_aws"


@pytest.fixture
def app(tmp_path: Path) -> Iterator[App]:
    """An App with a bucket."""
    with App("boto", state=tmp_path / "state") as made:
        made.bucket("notes").put("a", b"hello", content_type="text/plain")
        yield made


def _function(app: App, handler: str, *statements: Any) -> Function:
    role = Role(f"{handler}-role", policies=list(statements))
    return app.add_function(
        handler.replace("_", "-"),
        code=_HANDLERS,
        handler=f"boto_deeds.{handler}",
        role=role,
        memory_size=1024,
        timeout=40,
    )


_ALL = allow("s3:*", on=["arn:aws:s3:::notes", "arn:aws:s3:::notes/*"])


def test_a_client_of_init(app: App) -> None:
    """A body that streams, a time that is aware, a status."""
    read = _function(app, "read", allow("s3:GetObject", on="arn:aws:s3:::notes/a"))
    found = read.invoke({"key": "a"}).result()
    assert (found["body"], found["type"], found["status"]) == ("hello", "text/plain", 200)
    assert found["modified"].endswith("+00:00")
    denied = read.invoke({"key": "b"})
    assert denied.payload["errorType"] == "AccessDenied"
    assert (
        "not authorized to perform: s3:GetObject on resource: arn:aws:s3:::notes/b"
        in (denied.payload["errorMessage"])
    )


def test_failures_are_botocores(app: App) -> None:
    """With the class, the code and the status that AWS's answers have."""
    reading = allow(
        "s3:GetObject",
        "s3:ListBucket",
        "s3:GetBucketVersioning",
        on=["arn:aws:s3:::notes", "arn:aws:s3:::notes/*"],
    )
    told = _function(app, "failures", reading).invoke().result()
    assert told["missing"] == ["NoSuchKey", 404]
    assert told["head"] == ["404", 404]
    assert told["denied"][:2] == ["AccessDenied", 403]
    assert (
        "assumed-role/failures-role/failures is not authorized to perform: s3:PutObject"
        in told["denied"][2]
    )
    assert told["unknown"][0] == "NotImplemented"
    assert 'aws="moto"' in told["unknown"][2]
    assert told["invalid"] == "ParamValidationError"


def test_paginators(app: App) -> None:
    """Page after page."""
    for key in "bcde":
        app.bucket("notes").put(key, b"")
    assert _function(app, "page", _ALL).invoke().result() == list("abcde")


@pytest.mark.parametrize("size", [1_000, 20_000_000])
def test_the_transfer_manager(app: App, size: int) -> None:
    """In one piece, and in parts by several threads; a waiter and a resource beside it."""
    found = _function(app, "transfer", _ALL).invoke({"bytes": size})
    assert found.ok, found.logs
    assert found.result()["same"]
    assert ("-3" in found.result()["etag"]) == (size > 8 << 20)
    assert app.bucket("notes").head("large").size == size


def test_many_threads(app: App) -> None:
    """Each gets its own answer."""
    assert _function(app, "threads", _ALL).invoke().result() == 16


def test_a_table_resource(app: App) -> None:
    """Numbers, bytes and sets are what boto3 makes of them."""
    people = app.table("people", partition_key="id")
    may = allow("dynamodb:PutItem", "dynamodb:GetItem", on=people)
    assert _function(app, "table", may).invoke().result() == [
        "00ff",
        "3",
        ["x", "y"],
        ["ConditionalCheckFailedException", 400],
    ]


def test_assumed_roles(app: App) -> None:
    """A client with a session's keys acts as that session, in any service."""
    who = _function(app, "who", allow("sts:AssumeRole", on="*"))
    trust = {
        "Version": "2012-10-17",
        "Statement": {
            "Effect": "Allow",
            "Principal": {"AWS": who.role.arn},
            "Action": "sts:AssumeRole",
        },
    }
    reader = app.add_role(Role("reader", policies=[_ALL], trust=trust))
    own, assumed, body, aware = who.invoke({"role": reader.arn}).result()
    assert own.endswith("assumed-role/who-role/who")
    assert assumed.endswith("assumed-role/reader/tuesday")
    assert (body, aware) == ("hello", True)


def test_keys_of_ones_own(app: App) -> None:
    """They are nobody's, and neither are none."""
    told = _function(app, "foreign_keys", _ALL).invoke().result()
    assert told == ["InvalidClientTokenId", "InvalidClientTokenId"]


# Ways round the gate


def test_there_are_no_credentials_inside(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not in the environment, and what botocore finds opens nothing."""
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "the developers own")
    found = _function(app, "search").invoke({"secret": "the developers own"}).result()
    assert found == {"environment": [], "session": ["faaskit", "faaskit"], "leaked": False}


def test_a_client_without_the_hook(tmp_path: Path) -> None:
    """Moto's server has no address: the way that is left leads nowhere."""
    with App("unhooked", state=tmp_path / "state", aws="moto") as app:
        s3 = app.client("s3")
        s3.create_bucket(Bucket="other")
        s3.put_object(Bucket="other", Key="a", Body=b"secret")
        for endpoint in ("http://localhost", "http://127.0.0.1:5000"):
            told = _function(app, "unhooked").invoke({"endpoint": endpoint}).result()
            assert told.startswith("failed: "), told


def test_forged_calls(tmp_path: Path) -> None:
    """What is written to the channel by hand is decided as any other call."""
    with App("forged", state=tmp_path / "state", aws="moto") as app:
        app.bucket("notes").put("a", b"hello")
        app.bucket("other").put("a", b"secret")
        may = allow("s3:GetObject", on="arn:aws:s3:::notes/*")
        told = _function(app, "forge", may).invoke(
            {"role": "arn:aws:iam::123456789012:role/forge-role"}
        )
        codes = told.result()
        assert not [code for code in codes if code.startswith("done")], codes
        assert codes[0] == "AccessDenied"
        assert codes[-1] == "InvalidClientTokenId"
        assert app.client("sqs").list_queues().get("QueueUrls", []) == []


# The owner's own, and the places


def test_the_owners_clients(tmp_path: Path) -> None:
    """The App's own resources first, then moto; nothing is asked of a role."""
    with App("owner", state=tmp_path / "state", aws="moto") as app:
        notes = app.bucket("notes")
        app.client("s3").put_object(Bucket="notes", Key="a", Body=b"1")
        assert notes.get("a").body == b"1"
        app.client("s3").create_bucket(Bucket="elsewhere")
        app.client("s3").put_object(Bucket="elsewhere", Key="b", Body=b"2")
        assert app.client("s3").get_object(Bucket="elsewhere", Key="b")["Body"].read() == b"2"
        assert list(notes.list()) != []
        topic = app.client("sns").create_topic(Name="news")["TopicArn"]
        assert topic == f"arn:aws:sns:us-east-1:{app.account}:news"
        url = app.client("sqs", region_name="eu-west-1").create_queue(QueueName="far")["QueueUrl"]
        assert url.endswith("/far")
        assert app.client("sqs").list_queues().get("QueueUrls", []) == []


def test_two_apps_have_two_servers(tmp_path: Path) -> None:
    """And each its own account."""
    with (
        App("one", state=tmp_path / "1", aws="moto", account="111111111111") as one,
        App("two", state=tmp_path / "2", aws="moto", account="222222222222") as two,
    ):
        arn = one.client("sns").create_topic(Name="news")["TopicArn"]
        assert arn.split(":")[4] == "111111111111"
        assert two.client("sns").list_topics()["Topics"] == []


def test_anothers_queue(tmp_path: Path) -> None:
    """An endpoint of one account has no queue of another's, though one has its name."""
    with App("others", state=tmp_path / "state", aws="moto") as app:
        owner = app.client("sqs")
        url = owner.create_queue(QueueName="away")["QueueUrl"]
        owner.send_message(QueueUrl=url, MessageBody="x")
        other = url.replace(app.account, "999999999999")
        assert other != url
        with pytest.raises(ClientError, match="acts in account"):
            owner.send_message(QueueUrl=other, MessageBody="x")


def test_without_a_place(app: App) -> None:
    """The error says how to name one."""
    told = _function(app, "who", allow("*", on="*"))
    with pytest.raises(Exception, match="AccessDenied"):
        told.invoke({"role": "arn:aws:iam::123456789012:role/none"}).result()
    with pytest.raises(Exception, match=r"App\(aws='moto'\)"):
        app.client("ssm").get_parameter(Name="x")


@pytest.mark.parametrize(
    ("service", "operation", "parameters", "code"),
    [
        ("sqs", "SendMessage", {"QueueUrl": "http://[/x", "MessageBody": "b"}, "Queue"),
        ("sqs", "SendMessage", {"QueueUrl": "http://a:port/x/y", "MessageBody": "b"}, "Queue"),
        ("s3", "CreateMultipartUpload", {"Bucket": "b", "Key": "k", "ACL": "a\nb"}, "Validation"),
        ("sns", "Subscribe", {"TopicArn": "%", "Protocol": "http"}, "ServiceUnavailable"),
    ],
)
def test_call_that_an_endpoint_can_not_take_is_refused(
    tmp_path: Path, service: str, operation: str, parameters: dict[str, str], code: str
) -> None:
    """What can't be sent, and what moto itself fails at, is no fault of the gate's."""
    with App("malformed", state=tmp_path / "state", aws="moto") as app:
        failure = app.perform(ServiceCall(service, operation, parameters)).failure
    assert failure is not None
    assert code in failure.code
    assert len(failure.message) < 500


@pytest.mark.parametrize("aws", ["", "localstack", "profile:", "ftp://x", "http://", 7])
def test_places_that_are_none(aws: Any) -> None:
    """At once."""
    with pytest.raises(DefinitionError, match="names no place"):
        App("none", aws=aws)


def test_an_endpoint_that_is_down(tmp_path: Path) -> None:
    """In AWS's shape, and it names the place."""
    with (
        App("down", state=tmp_path / "state", aws="http://127.0.0.1:9") as app,
        pytest.raises(Exception, match=r"http://127.0.0.1:9 can't be reached"),
    ):
        app.client("sns").list_topics()


def test_the_example(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A handler that knows nothing of faaskit: allowed by its role, denied by another."""
    event = tmp_path / "event.json"
    event.write_text('{"sales": 7}')
    common = ["invoke", f"{_EXAMPLE / 'report.py'}:handler", "--aws", "moto", "--event", str(event)]
    more = ["--timeout", "40", "--memory-size", "1024"]
    assert main([*common, *more, "--role", str(_EXAMPLE / "role.json")]) == 0
    assert json.loads(capsys.readouterr().out) == {"stored": {"sales": 7}, "queue": "printed"}
    assert main([*common, *more, "--role", str(_EXAMPLE / "role_of_another_queue.json")]) == 1
    failed = json.loads(capsys.readouterr().out)
    assert failed["errorType"] == "ClientError"
    assert (
        "User: arn:aws:sts::123456789012:assumed-role/handler-role/handler is not authorized to "
        "perform: sqs:CreateQueue on resource: arn:aws:sqs:us-east-1:123456789012:printed because "
        "no identity-based policy allows the sqs:CreateQueue action"
    ) in failed["errorMessage"]
