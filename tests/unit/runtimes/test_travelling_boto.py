"""Clients and resources of boto3 that functions hold on to, and values told apart by shape."""

from __future__ import annotations

import base64
from datetime import datetime, timedelta, timezone
from typing import Any

import boto3
import botocore.session
import pytest
from hypothesis import given
from hypothesis import strategies as st

from faaskit.runtimes.boto import ShapeError, boto_recipe, payload_name, read, split

_KEYS: Any = {"aws_access_key_id": "AKIASECRET", "aws_secret_access_key": "secret"}
_models = botocore.session.Session()


def _shape(service: str, operation: str, *, output: bool = False) -> Any:
    model = _models.get_service_model(service).operation_model(operation)
    return model.output_shape if output else model.input_shape


def test_a_client_is_made_anew() -> None:
    """By its service and region; none of its keys are in the recipe."""
    recipe = boto_recipe(boto3.client("sqs", region_name="eu-west-1", **_KEYS))
    assert recipe == (boto3.client, ("sqs", "eu-west-1"))


def test_a_resource_is_made_anew() -> None:
    """Of a service, and of a thing in it by its identifiers."""
    dynamodb = boto3.resource("dynamodb", region_name="eu-west-1", **_KEYS)
    assert boto_recipe(dynamodb) == (boto3.resource, ("dynamodb", "eu-west-1"))
    make, (parent,) = boto_recipe(dynamodb.Table("people"))
    made = make(parent)
    assert (made.name, made.meta.client.meta.region_name) == ("people", "eu-west-1")


@pytest.mark.parametrize("item", [None, 7, "client", boto3, object()])
def test_anything_else_travels_as_it_would(item: object) -> None:
    """Nothing of boto3's."""
    assert boto_recipe(item) is NotImplemented


def test_values_by_their_shape() -> None:
    """A blob is base64 text, a time ISO 8601 text in UTC; the payload is apart."""
    put = _shape("s3", "PutObject")
    assert payload_name(put) == "Body"
    expires = datetime(2026, 1, 1, 2, tzinfo=timezone(timedelta(hours=2)))
    given_ = {"Bucket": "b", "Key": "k", "Body": b"data", "Expires": expires}
    parameters, body = split(put, given_)
    assert body == b"data"
    assert parameters == {"Bucket": "b", "Key": "k", "Expires": "2026-01-01T00:00:00.000Z"}
    assert read(put, parameters)["Expires"] == expires
    item = {"raw": {"B": b"\x00\xff"}, "list": {"L": [{"B": b"x"}, {"S": "B"}]}}
    sent, _ = split(_shape("dynamodb", "PutItem"), {"TableName": "t", "Item": item})
    assert sent["Item"]["raw"] == {"B": base64.b64encode(b"\x00\xff").decode()}
    assert read(_shape("dynamodb", "PutItem"), sent)["Item"] == item


@pytest.mark.parametrize(
    ("service", "operation", "value"),
    [
        ("kinesis", "PutRecord", {"Data": "not base64!"}),
        ("kinesis", "PutRecord", {"Data": 7}),
        ("s3", "PutObject", {"Expires": "yesterday"}),
        ("s3", "PutObject", {"Expires": 7}),
        ("dynamodb", "PutItem", {"Item": []}),
        ("dynamodb", "BatchGetItem", {"RequestItems": {"t": {"Keys": {}}}}),
    ],
)
def test_values_that_are_none(service: str, operation: str, value: dict[str, Any]) -> None:
    """They are named, not guessed at."""
    with pytest.raises(ShapeError):
        read(_shape(service, operation), value)


def test_depth_is_bounded() -> None:
    """A nesting that no request of AWS's has."""
    deep: dict[str, Any] = {"S": "x"}
    for _ in range(200):
        deep = {"L": [deep]}
    with pytest.raises(ShapeError, match="nested"):
        read(_shape("dynamodb", "PutItem"), {"Item": {"a": deep}})


@given(data=st.binary(), moment=st.datetimes(datetime(1970, 1, 2), datetime(2200, 1, 1)))  # noqa: DTZ001
def test_values_come_back(data: bytes, moment: datetime) -> None:
    """What was written is read, to the millisecond."""
    aware = moment.replace(tzinfo=timezone.utc, microsecond=moment.microsecond // 1000 * 1000)
    shape = _shape("s3", "PutObject")
    sent, body = split(shape, {"Body": data, "Expires": aware})
    assert body == data
    assert read(shape, sent)["Expires"] == aware
