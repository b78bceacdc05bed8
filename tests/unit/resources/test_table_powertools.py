"""Lambda Powertools' idempotency on an app's own table, by the very calls that it makes."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from aws_lambda_powertools.utilities.idempotency import DynamoDBPersistenceLayer
from aws_lambda_powertools.utilities.idempotency.config import IdempotencyConfig
from aws_lambda_powertools.utilities.idempotency.exceptions import (
    IdempotencyItemAlreadyExistsError,
    IdempotencyItemNotFoundError,
)
from boto3.dynamodb.conditions import Attr, Key

from faaskit.app import App
from faaskit.gate.service import Caller, Refusal, Service
from faaskit.runtimes.boto import attach
from faaskit.runtimes.contract import ServiceCall


@pytest.fixture
def app(tmp_path: Path) -> Iterator[App]:
    """Return an app."""
    with App("shop", state=tmp_path) as made:
        yield made


def _session(app: App) -> boto3.Session:
    """Return a session of boto3's, whose calls the app's own service answers."""
    service: Service = app._gate._services["dynamodb"]

    def carry(
        name: str, operation: str, parameters: Any, body: bytes | None, **about: str
    ) -> tuple[dict[str, Any], bytes | None]:
        sent = json.loads(json.dumps(parameters))  # as on the channel
        call = ServiceCall(name, operation, sent, body, region=about["region"])
        try:
            return {"output": dict(service.perform(call, Caller("me")).output)}, None
        except Refusal as refusal:
            failure = refusal.failure
            return {
                "failure": {
                    "code": failure.code,
                    "message": failure.message,
                    "details": failure.details,
                }
            }, None

    session = boto3.Session(
        aws_access_key_id="any", aws_secret_access_key="any", region_name="us-east-1"
    )
    attach(session._session, carry)
    return session


@pytest.mark.parametrize("sorted_by", [None, "sort"])
def test_idempotency(app: App, sorted_by: str | None) -> None:
    """Locked by one, refused to others with what is there, saved, read, removed, expired."""
    app.table("store", partition_key="id", sort_key=sorted_by)
    layer = DynamoDBPersistenceLayer(
        table_name="store", sort_key_attr=sorted_by, boto3_client=_session(app).client("dynamodb")
    )
    config = IdempotencyConfig(payload_validation_jmespath="amount", expires_after_seconds=60)
    layer.configure(config, function_name="pay")
    event = {"order": "o-1", "amount": 1}
    with pytest.raises(IdempotencyItemNotFoundError):
        layer.get_record(event)
    layer.save_inprogress(event, remaining_time_in_millis=10_000)
    with pytest.raises(IdempotencyItemAlreadyExistsError) as caught:
        layer.save_inprogress(event, remaining_time_in_millis=10_000)
    assert caught.value.old_data_record is not None
    assert caught.value.old_data_record.status == "INPROGRESS"
    layer.save_success(event, {"paid": True})
    record = layer.get_record(event)
    assert record is not None
    assert (record.status, record.response_data) == ("COMPLETED", '{"paid": true}')
    with pytest.raises(IdempotencyItemAlreadyExistsError) as caught:
        layer.save_inprogress(event, remaining_time_in_millis=10_000)
    assert caught.value.old_data_record is not None
    assert caught.value.old_data_record.response_data == '{"paid": true}'
    layer.delete_record(event, ValueError())
    with pytest.raises(IdempotencyItemNotFoundError):
        layer.get_record(event)


@pytest.mark.parametrize(
    ("status", "expires", "in_progress", "free"),
    [
        ("COMPLETED", 60, None, False),
        ("COMPLETED", -60, None, True),
        ("INPROGRESS", 60, 60, False),
        ("INPROGRESS", 60, -60, True),
        ("INPROGRESS", 60, None, False),
    ],
)
def test_records_that_are_over(
    app: App, status: str, expires: int, in_progress: int | None, free: bool
) -> None:
    """One whose time is past is taken over; any other is not."""
    table = app.table("store", partition_key="id")
    layer = DynamoDBPersistenceLayer(
        table_name="store", boto3_client=_session(app).client("dynamodb")
    )
    layer.configure(IdempotencyConfig(), function_name="pay")
    event = {"order": "o-1"}
    now = dt.datetime.now(dt.timezone.utc).timestamp()
    item: dict[str, Any] = {
        "id": layer._get_hashed_idempotency_key(event),
        "status": status,
        "expiration": int(now + expires),
    }
    if in_progress is not None:
        item["in_progress_expiration"] = int((now + in_progress) * 1000)
    table.put(item)
    if free:
        layer.save_inprogress(event, remaining_time_in_millis=1000)
    else:
        with pytest.raises(IdempotencyItemAlreadyExistsError):
            layer.save_inprogress(event, remaining_time_in_millis=1000)


def test_boto3s_table_and_builders(app: App) -> None:
    """Resources, conditions of boto3's builders, batch writers, paginators and waiters."""
    app.table("orders", partition_key="id", sort_key=("seen", "N"))
    session = _session(app)
    session.client("dynamodb").get_waiter("table_exists").wait(TableName="orders")
    table = session.resource("dynamodb").Table("orders")
    assert table.table_status == "ACTIVE"
    with table.batch_writer() as batch:
        for seen in range(40):
            batch.put_item(Item={"id": "a", "seen": seen, "v": bytes([seen]), "tags": {"x"}})
        batch.delete_item(Key={"id": "a", "seen": 99})
    found = table.query(
        KeyConditionExpression=Key("id").eq("a") & Key("seen").between(10, 30),
        FilterExpression=Attr("tags").contains("x") & ~Attr("seen2").exists(),
        ProjectionExpression="v",
    )["Items"]
    assert [bytes(item["v"]) for item in found] == [bytes([seen]) for seen in range(10, 31)]
    pages = (
        session.client("dynamodb")
        .get_paginator("scan")
        .paginate(TableName="orders", PaginationConfig={"PageSize": 7})
    )
    assert [page["Count"] for page in pages] == [7, 7, 7, 7, 7, 5]
    client = table.meta.client
    with pytest.raises(client.exceptions.TransactionCanceledException) as caught:
        client.transact_write_items(
            TransactItems=[
                {
                    "Delete": {
                        "TableName": "orders",
                        "Key": {"id": "a", "seen": 1},
                        "ConditionExpression": "attribute_not_exists(id)",
                    }
                }
            ]
        )
    (reason,) = caught.value.response["CancellationReasons"]
    assert reason["Code"] == "ConditionalCheckFailed"
