"""AWS Lambda Powertools in handlers that know nothing of faaskit."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from faaskit import App, Function, Invocation, Role, allow

_HANDLERS = Path(__file__).parents[1] / "handlers"
_TABLES = ("dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:UpdateItem", "dynamodb:DeleteItem")


@pytest.fixture(params=["own", "moto"])
def place(request: pytest.FixtureRequest) -> str:
    """Say where the tables are: the App's own resources, or moto's server."""
    return str(request.param)


@pytest.fixture
def app(place: str, tmp_path: Path) -> Iterator[App]:
    """An App with the tables that the handlers use."""
    with App("shop", state=tmp_path / "state", aws="moto" if place == "moto" else None) as made:
        for name, sort_key in [("payments", None), ("flat", None), ("nested", "sk")]:
            if place == "own":
                made.table(name, partition_key="id", sort_key=sort_key)
                continue
            keys = {"id": "HASH"} | ({sort_key: "RANGE"} if sort_key else {})
            made.client("dynamodb").create_table(
                TableName=name,
                KeySchema=[{"AttributeName": key, "KeyType": kind} for key, kind in keys.items()],
                AttributeDefinitions=[{"AttributeName": key, "AttributeType": "S"} for key in keys],
                BillingMode="PAY_PER_REQUEST",
            )
        yield made


def _function(app: App, handler: str, *statements: Any) -> Function:
    return app.add_function(
        handler.replace("_", "-"),
        code=_HANDLERS,
        handler=f"powertools_shop.{handler}",
        role=Role(f"{handler}-role", policies=list(statements)),
        memory_size=512,
        timeout=30,
        environment={"POWERTOOLS_SERVICE_NAME": "shop"},
    )


def _lines(invocation: Invocation) -> list[dict[str, Any]]:
    return [json.loads(line) for line in invocation.logs.splitlines() if line.startswith("{")]


def test_logger(app: App, place: str) -> None:
    """Structured lines with the facts of the context."""
    invocation = _function(app, "log").invoke({"order": "A1"})
    assert invocation.ok, invocation.logs
    seen, paid = _lines(invocation)
    assert seen["message"] == {"order": "A1"}
    assert (paid["message"], paid["order"], paid["service"]) == ("paid", "A1", "shop")
    assert paid["function_request_id"] == invocation.request_id
    assert paid["function_arn"] == app.functions["log"].arn
    assert paid["function_memory_size"] == "512" or paid["function_memory_size"] == 512
    assert paid["cold_start"] is True


def test_metrics(app: App, place: str) -> None:
    """The embedded metric format, one blob for what was measured and one for the cold start."""
    invocation = _function(app, "measure").invoke({"count": 3})
    assert invocation.ok, invocation.logs
    found = {
        name: line
        for line in _lines(invocation)
        for name in ("Orders", "ColdStart")
        if name in line
    }
    assert found["Orders"]["Orders"] == [3.0]
    assert found["Orders"]["_aws"]["CloudWatchMetrics"][0]["Namespace"] == "Shop"
    assert found["ColdStart"]["function_name"] == "measure"


def test_idempotency(app: App, place: str) -> None:
    """The second call of an order gets the first one's result, from another environment."""
    payments = app.table("payments", partition_key="id") if place == "own" else _arn(app)
    pay = _function(app, "pay", allow(*_TABLES, on=payments))
    first = pay.invoke({"order": "A1"})
    assert first.result() == {"order": "A1", "paid_by": first.request_id}
    assert pay.invoke({"order": "A1", "again": True}).result() == first.result()
    other = pay.invoke({"order": "B2"})
    assert other.result()["paid_by"] == other.request_id


def test_idempotency_of_a_failure(app: App, place: str) -> None:
    """What raised was not done: the order may be paid again."""
    payments = app.table("payments", partition_key="id") if place == "own" else _arn(app)
    pay = _function(app, "pay", allow(*_TABLES, on=payments))
    assert pay.invoke({"order": "A1", "fail": True}).payload["errorType"] == "RefusedError"
    assert pay.invoke({"order": "A1"}).ok


def test_idempotency_at_the_same_time(app: App, place: str) -> None:
    """Of many calls of one order exactly one pays; the others get its result, or are told."""
    payments = app.table("payments", partition_key="id") if place == "own" else _arn(app)
    pay = _function(app, "pay", allow(*_TABLES, on=payments))
    every = list(pay.map([{"order": "A1"}] * 12, concurrency=4))
    paid = {one.result()["paid_by"] for one in every if one.ok}
    told = {one.payload["errorType"] for one in every if not one.ok}
    assert len(paid) == 1
    assert told <= {"IdempotencyAlreadyInProgressError"}


def test_idempotency_needs_its_permissions(app: App, place: str) -> None:
    """Without dynamodb:PutItem nothing is paid, in AWS's words."""
    payments = app.table("payments", partition_key="id") if place == "own" else _arn(app)
    invocation = _function(app, "pay", allow("dynamodb:GetItem", on=payments)).invoke(
        {"order": "A"}
    )
    assert invocation.payload["errorType"] == "IdempotencyPersistenceLayerError"
    assert "dynamodb:PutItem" in invocation.payload["errorMessage"]


def _arn(app: App, table: str = "payments") -> str:
    return f"arn:aws:dynamodb:{app.region}:{app.account}:table/{table}"


def test_parameters_in_a_table(app: App, place: str) -> None:
    """One value by its key, and all of a partition."""
    dynamodb = app.resource("dynamodb")
    dynamodb.Table("flat").put_item(Item={"id": "currency", "value": "EUR"})
    for name in ("a", "b"):
        dynamodb.Table("nested").put_item(Item={"id": "shop", "sk": name, "value": name.upper()})
    statement = allow(
        "dynamodb:GetItem", "dynamodb:Query", on=[_arn(app, "flat"), _arn(app, "nested")]
    )
    invocation = _function(app, "table_settings", statement).invoke()
    assert invocation.result() == {"one": "EUR", "several": {"a": "A", "b": "B"}}


@pytest.mark.parametrize("place", ["moto"])
def test_parameters(app: App, place: str) -> None:
    """Systems Manager's and Secrets Manager's, which are at the endpoint alone."""
    ssm = app.client("ssm")
    ssm.put_parameter(Name="/shop/currency", Value="EUR", Type="String")
    ssm.put_parameter(Name="/shop/limits", Value='{"most": 7}', Type="String")
    app.client("secretsmanager").create_secret(Name="shop/key", SecretString="k-1")
    parameter = f"arn:aws:ssm:{app.region}:{app.account}:parameter/shop"
    secret = f"arn:aws:secretsmanager:{app.region}:{app.account}:secret:shop/key-??????"
    read = ("ssm:GetParameter", "ssm:GetParameters", "ssm:GetParametersByPath")
    whole = [
        allow(*read, on=[parameter, f"{parameter}/*"]),
        allow("secretsmanager:GetSecretValue", on=secret),
    ]
    invocation = _function(app, "settings", *whole).invoke()
    assert invocation.result() == {
        "one": "EUR",
        "several": {"/shop/currency": "EUR", "/shop/limits": {"most": 7}},
        "path": {"currency": "EUR", "limits": '{"most": 7}'},
        "secret": "k-1",
    }
    denied = _function(app, "settings", whole[1]).invoke()
    assert denied.payload["errorType"] == "GetParameterError"
    assert "ssm:GetParameter" in denied.payload["errorMessage"]


def test_batch(app: App, place: str) -> None:
    """The messages that failed are named, for Lambda to leave them in the queue."""
    records = [
        {
            "messageId": f"m-{order}",
            "receiptHandle": "r",
            "body": json.dumps({"order": order}),
            "attributes": {},
            "messageAttributes": {},
            "eventSource": "aws:sqs",
            "eventSourceARN": f"arn:aws:sqs:{app.region}:{app.account}:orders",
            "awsRegion": app.region,
        }
        for order in ("good", "bad", "fine")
    ]
    invocation = _function(app, "ship").invoke({"Records": records})
    assert invocation.result() == {"batchItemFailures": [{"itemIdentifier": "m-bad"}]}
