"""Handlers that use boto3, each in one way. Clients of INIT and of the handler."""

from __future__ import annotations

import base64
import io
import os
import threading
from pathlib import Path
from typing import Any

import boto3
import botocore.session
from botocore import UNSIGNED
from botocore.config import Config
from botocore.exceptions import ClientError

at_init = boto3.client("s3")


def _code(error: ClientError) -> list[Any]:
    metadata = error.response["ResponseMetadata"]
    return [error.response["Error"]["Code"], metadata["HTTPStatusCode"]]


def read(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Return an object and what is told of it."""
    found = at_init.get_object(Bucket="notes", Key=event["key"])
    return {
        "body": found["Body"].read().decode(),
        "type": found["ContentType"],
        "modified": found["LastModified"].isoformat(),
        "status": found["ResponseMetadata"]["HTTPStatusCode"],
    }


def failures(event: Any, context: Any) -> dict[str, Any]:
    """Return what each failure is raised as."""
    told: dict[str, Any] = {}
    try:
        at_init.get_object(Bucket="notes", Key="none")
    except at_init.exceptions.NoSuchKey as error:
        told["missing"] = _code(error)
    try:
        at_init.head_object(Bucket="notes", Key="none")
    except ClientError as error:
        told["head"] = _code(error)
    try:
        at_init.put_object(Bucket="notes", Key="a", Body=b"")
    except ClientError as error:
        told["denied"] = [*_code(error), error.response["Error"]["Message"]]
    try:
        at_init.get_bucket_versioning(Bucket="notes")
    except ClientError as error:
        told["unknown"] = [*_code(error), error.response["Error"]["Message"]]
    try:
        at_init.get_object(Bucket="notes")
    except Exception as error:  # noqa: BLE001 - its name is what is asked for
        told["invalid"] = type(error).__name__
    return told


def page(event: Any, context: Any) -> list[str]:
    """Return all keys, two a page."""
    pages = at_init.get_paginator("list_objects_v2").paginate(
        Bucket="notes", PaginationConfig={"PageSize": 2}
    )
    return [one["Key"] for found in pages for one in found["Contents"]]


def transfer(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Send a file in parts by several threads, and fetch it in ranges."""
    data = os.urandom(event["bytes"])
    at_init.upload_fileobj(io.BytesIO(data), "notes", "large")
    waiter = at_init.get_waiter("object_exists")
    waiter.wait(Bucket="notes", Key="large")
    fetched = io.BytesIO()
    boto3.resource("s3").Bucket("notes").Object("large").download_fileobj(fetched)
    Path("/tmp/copy").write_bytes(data)
    at_init.upload_file("/tmp/copy", "notes", "file")
    return {
        "same": fetched.getvalue() == data,
        "etag": at_init.head_object(Bucket="notes", Key="large")["ETag"],
    }


def threads(event: Any, context: Any) -> int:
    """Make calls from many threads at once; return how many were right."""
    right: list[bool] = []

    def one(number: int) -> None:
        key = f"t{number}"
        at_init.put_object(Bucket="notes", Key=key, Body=key.encode())
        right.append(at_init.get_object(Bucket="notes", Key=key)["Body"].read() == key.encode())

    every = [threading.Thread(target=one, args=(number,)) for number in range(16)]
    for thread in every:
        thread.start()
    for thread in every:
        thread.join()
    return sum(right)


def table(event: Any, context: Any) -> Any:
    """Use the resource of a table, with types that JSON lacks."""
    people = boto3.resource("dynamodb").Table("people")
    people.put_item(Item={"id": "a", "raw": b"\x00\xff", "n": 3, "tags": {"x", "y"}})
    found = people.get_item(Key={"id": "a"})["Item"]
    try:
        people.put_item(Item={"id": "a"}, ConditionExpression="attribute_not_exists(id)")
    except people.meta.client.exceptions.ConditionalCheckFailedException as error:
        failed = _code(error)
    return [bytes(found["raw"]).hex(), str(found["n"]), sorted(found["tags"]), failed]


def who(event: Any, context: Any) -> Any:
    """Return who the function is, and who it is after it assumed a role."""
    sts = boto3.client("sts")
    role = sts.assume_role(RoleArn=event["role"], RoleSessionName="tuesday")["Credentials"]
    keys = {
        "aws_access_key_id": role["AccessKeyId"],
        "aws_secret_access_key": role["SecretAccessKey"],
        "aws_session_token": role["SessionToken"],
    }
    session = boto3.Session(**keys)
    return [
        sts.get_caller_identity()["Arn"],
        session.client("sts").get_caller_identity()["Arn"],
        boto3.client("s3", **keys).get_object(Bucket="notes", Key="a")["Body"].read().decode(),
        role["Expiration"].tzinfo is not None,
    ]


def foreign_keys(event: Any, context: Any) -> list[Any]:
    """Try keys of one's own, and none at all."""
    told = []
    for client in (
        boto3.client("s3", aws_access_key_id="AKIAIOSFODNN7EXAMPLE", aws_secret_access_key="s"),
        boto3.client("s3", config=Config(signature_version=UNSIGNED)),
    ):
        try:
            client.get_object(Bucket="notes", Key="a")
        except ClientError as error:
            told.append(error.response["Error"]["Code"])
    return told


def search(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Look for credentials wherever code of AWS's looks."""
    credentials = botocore.session.Session().get_credentials()
    assert credentials is not None
    found = credentials.get_frozen_credentials()
    return {
        "environment": [name for name in os.environ if "KEY" in name or "TOKEN" in name],
        "session": [found.access_key, found.secret_key],
        "leaked": event["secret"] in "".join(os.environ.values()),
    }


def unhooked(event: Any, context: Any) -> str:
    """Take the hook away, and send what is left over HTTP."""
    session = boto3.Session()
    client = session.client(
        "s3",
        endpoint_url=event["endpoint"],
        config=Config(connect_timeout=2, read_timeout=2, retries={"max_attempts": 0}),
    )
    client.meta.events._emitter._handlers = type(client.meta.events._emitter._handlers)()
    client.meta.events._emitter._lookup_cache = {}
    try:
        return str(client.get_object(Bucket="other", Key="a")["Body"].read())
    except Exception as error:  # noqa: BLE001 - any failure is what is hoped for
        return f"failed: {type(error).__name__}"


def forge(event: Any, context: Any) -> Any:
    """Write a call to the channel as the hook does, with what the hook would never write."""
    from _faaskit_child import inside  # type: ignore[import-not-found]

    told = []
    for service, operation, parameters in (
        ("s3", "GetObject", {"Bucket": "other", "Key": "a"}),
        ("s3", "GetObject", {"Bucket": "notes", "Key": "a", "Bucket ": "other"}),
        ("sqs", "CreateQueue", {"QueueName": "mine"}),
        ("S3", "GetObject", {"Bucket": "other", "Key": "a"}),
        ("../s3", "GetObject", {"Bucket": "other", "Key": "a"}),
        ("s3", "get_object", {"Bucket": "other", "Key": "a"}),
        ("s3", "GetObject", {"Bucket": ["other"], "Key": "a"}),
        ("s3", "GetObject", {"Bucket": "notes/../other", "Key": "a"}),
        ("sts", "AssumeRole", {"RoleArn": event["role"], "RoleSessionName": "x"}),
    ):
        header, body = inside.service_call(service, operation, parameters, None)
        failure = header.get("failure")
        told.append(failure["code"] if failure else f"done {base64.b64encode(body or b'')!r}")
    header, _ = inside.service_call(
        "s3", "GetObject", {"Bucket": "other", "Key": "a"}, None, session="x"
    )
    return [*told, header["failure"]["code"]]


def list_buckets(event: Any, context: Any) -> list[str]:
    """Return the names of the buckets."""
    return [one["Name"] for one in at_init.list_buckets()["Buckets"]]
