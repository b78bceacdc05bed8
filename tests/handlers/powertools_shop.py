"""Handlers as people write them for AWS with Lambda Powertools: nothing of faaskit in here."""

from __future__ import annotations

import json
from typing import Any

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities import parameters
from aws_lambda_powertools.utilities.batch import (
    BatchProcessor,
    EventType,
    process_partial_response,
)
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
from aws_lambda_powertools.utilities.idempotency import (
    DynamoDBPersistenceLayer,
    IdempotencyConfig,
    idempotent,
)

logger = Logger(service="shop")
metrics = Metrics(namespace="Shop", service="shop")
batch = BatchProcessor(event_type=EventType.SQS)
payments = DynamoDBPersistenceLayer(table_name="payments")
by_order = IdempotencyConfig(event_key_jmespath="order", expires_after_seconds=3600)


class RefusedError(Exception):
    """An order that can't be."""


@logger.inject_lambda_context(log_event=True)
def log(event: dict[str, Any], context: Any) -> None:
    """Write a structured line."""
    logger.append_keys(order=event["order"])
    logger.info("paid")


@metrics.log_metrics(capture_cold_start_metric=True)
def measure(event: dict[str, Any], context: Any) -> None:
    """Write a metric in the embedded format."""
    metrics.add_metric(name="Orders", unit=MetricUnit.Count, value=event["count"])


@idempotent(persistence_store=payments, config=by_order)
def pay(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Pay once for each order; each run has a number of its own."""
    if event.get("fail"):
        raise RefusedError
    return {"order": event["order"], "paid_by": context.aws_request_id}


def settings(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Read a parameter, several, those under a path, and a secret."""
    names = {"/shop/currency": {}, "/shop/limits": {"transform": "json"}}
    return {
        "one": parameters.get_parameter("/shop/currency"),
        "several": parameters.get_parameters_by_name(parameters=names),
        "path": parameters.get_parameters("/shop"),
        "secret": parameters.get_secret("shop/key"),
    }


def table_settings(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Read parameters that are kept in a table."""
    flat = parameters.DynamoDBProvider(table_name="flat")
    nested = parameters.DynamoDBProvider(table_name="nested", sort_attr="sk")
    return {"one": flat.get("currency"), "several": nested.get_multiple("shop")}


def _ship(record: SQSRecord) -> None:
    if json.loads(record.body)["order"] == "bad":
        raise RefusedError


def ship(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Tell which messages of a batch failed."""
    return dict(
        process_partial_response(
            event=event, record_handler=_ship, processor=batch, context=context
        )
    )
