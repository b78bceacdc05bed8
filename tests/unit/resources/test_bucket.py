"""The handle: each operation is the S3 call that AWS's own client would make."""

from __future__ import annotations

import io
from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any

import pytest

from faaskit.exceptions import (
    AccessDeniedError,
    DefinitionError,
    NoSuchBucketError,
    NoSuchKeyError,
    ServiceError,
)
from faaskit.resources.bucket import Bucket, Object
from faaskit.runtimes.contract import ServiceCall, ServiceFailure, ServiceReply

_TIME = datetime(2026, 1, 1, 0, 0, 0, 5000, tzinfo=timezone.utc)
_OUTPUT = {
    "ContentLength": 4,
    "ContentType": "text/plain",
    "ETag": '"0123"',
    "LastModified": "2026-01-01T00:00:00.005Z",
    "Metadata": {"a": "b"},
}


class _Owner:
    """Answers with what it was given, and keeps the calls."""

    def __init__(self, *replies: ServiceReply) -> None:
        self.replies = list(replies)
        self.calls: list[ServiceCall] = []
        self.triggers: list[Any] = []

    def perform(self, call: ServiceCall) -> ServiceReply:
        self.calls.append(call)
        return self.replies.pop(0)

    def bucket(self, name: str) -> Bucket:
        return Bucket(name, self)

    def add_bucket_trigger(
        self, bucket: Bucket, events: tuple[str, ...], *, prefix: str, suffix: str, function: Any
    ) -> None:
        self.triggers.append((bucket, events, prefix, suffix, function))


def _bucket(*replies: ServiceReply) -> tuple[Bucket, _Owner]:
    owner = _Owner(*replies)
    return owner.bucket("uploads"), owner


def _call(operation: str, body: bytes | None = None, **parameters: Any) -> ServiceCall:
    return ServiceCall("s3", operation, {"Bucket": "uploads", **parameters}, body)


def test_put() -> None:
    """Only what was given is sent; the ETag comes back without its quotes."""
    bucket, owner = _bucket(ServiceReply({"ETag": '"0123"'}), ServiceReply({"ETag": '"4"'}))
    assert bucket.put("k", b"data") == "0123"
    assert bucket.put("k", b"", "text/plain", {"a": "b"}) == "4"
    assert owner.calls == [
        _call("PutObject", b"data", Key="k"),
        _call("PutObject", b"", Key="k", ContentType="text/plain", Metadata={"a": "b"}),
    ]


@pytest.mark.parametrize(
    "data",
    [bytearray(b"data"), memoryview(b"data"), memoryview(b"d.a.t.a.")[::2], io.BytesIO(b"data")],
)
def test_put_takes_what_holds_bytes(data: Any) -> None:
    """Other buffers and binary files are sent as bytes."""
    bucket, owner = _bucket(ServiceReply({"ETag": '"0123"'}))
    bucket.put("k", data)
    assert owner.calls == [_call("PutObject", b"data", Key="k")]
    assert type(owner.calls[0].body) is bytes


def test_put_does_not_copy_bytes() -> None:
    """A large content that is bytes already goes as it is."""
    data = b"x" * 1000
    bucket, owner = _bucket(ServiceReply({"ETag": '"0123"'}))
    bucket.put("k", data)
    assert owner.calls[0].body is data


@pytest.mark.parametrize(
    ("data", "advice"),
    [("text", "encode"), (io.StringIO("text"), "'rb'"), (None, "bytes"), (["x"], "bytes")],
)
def test_put_refuses_text(data: Any, advice: str) -> None:
    """Text has no bytes until someone has said in which encoding; nothing is sent."""
    bucket, owner = _bucket()
    with pytest.raises(TypeError, match=advice):
        bucket.put("k", data)
    assert owner.calls == []


def test_get_and_head() -> None:
    """An Object with its content, or without."""
    bucket, owner = _bucket(ServiceReply(_OUTPUT, b"data"), ServiceReply(_OUTPUT))
    known = Object("k", 4, "0123", _TIME, "text/plain", {"a": "b"})
    got, head = bucket.get("k"), bucket.head("k")
    assert (got, got.body) == (
        Object("k", 4, "0123", _TIME, "text/plain", {"a": "b"}, b"data"),
        b"data",
    )
    assert (head, head.body) == (known, None)
    assert owner.calls == [_call("GetObject", Key="k"), _call("HeadObject", Key="k")]


def test_get_of_nothing_is_empty() -> None:
    """An empty object has a content; it does not matter whether it travelled as nothing."""
    bucket, _ = _bucket(ServiceReply({**_OUTPUT, "ContentLength": 0}, None))
    assert bucket.get("k").body == b""


def test_delete() -> None:
    """One call, no answer."""
    bucket, owner = _bucket(ServiceReply())
    bucket.delete("k")
    assert owner.calls == [_call("DeleteObject", Key="k")]


def _page(*keys: str, token: str | None = None) -> ServiceReply:
    entry = {"ETag": '"0123"', "Size": 4, "LastModified": _OUTPUT["LastModified"]}
    output: dict[str, Any] = {"Contents": [{"Key": key, **entry} for key in keys]}
    output["IsTruncated"] = token is not None
    if token is not None:
        output["NextContinuationToken"] = token
    return ServiceReply(output)


def test_list_asks_for_a_page_when_it_is_needed() -> None:
    """Pages are asked for one by one, each with the token of the last; an empty one ends it."""
    bucket, owner = _bucket(_page("a", "b", token="t"), _page("c"))
    listing = bucket.list("p")
    assert owner.calls == []
    assert next(listing) == Object("a", 4, "0123", _TIME)
    assert owner.calls == [_call("ListObjectsV2", Prefix="p")]
    assert [entry.key for entry in listing] == ["b", "c"]
    assert owner.calls[1:] == [_call("ListObjectsV2", Prefix="p", ContinuationToken="t")]
    bucket, owner = _bucket(_page())
    assert list(bucket.list()) == []
    assert owner.calls == [_call("ListObjectsV2")]


def test_copy() -> None:
    """The call is made to the copy's bucket, and names the source."""
    result = ServiceReply({"CopyObjectResult": {"ETag": '"0123"'}})
    bucket, owner = _bucket(result, result)
    assert bucket.copy("k", "c") == "0123"
    bucket.copy("k", "c", to=owner.bucket("thumbs"))
    source = "uploads/k"
    assert owner.calls == [
        _call("CopyObject", Key="c", CopySource=source),
        ServiceCall("s3", "CopyObject", {"Bucket": "thumbs", "Key": "c", "CopySource": source}),
    ]


@pytest.mark.parametrize(
    ("code", "details", "kind"),
    [
        ("NoSuchKey", {"Key": "k"}, NoSuchKeyError),
        ("NoSuchBucket", {"BucketName": "uploads"}, NoSuchBucketError),
        ("KeyTooLongError", {}, ServiceError),
    ],
)
def test_failures_are_exceptions(
    code: str, details: Mapping[str, str], kind: type[ServiceError]
) -> None:
    """Each failure has its kind of exception, with AWS's code and words, and what it is about."""
    bucket, _ = _bucket(ServiceReply(failure=ServiceFailure(code, "AWS's words.", details)))
    with pytest.raises(kind, match=r"AWS's words") as caught:
        bucket.get("k")
    assert type(caught.value) is kind
    assert caught.value.code == code
    for value in details.values():
        assert value in caught.value.message


def test_denial_is_an_exception() -> None:
    """A denial carries what was asked, and why not."""
    details = {"action": "s3:GetObject", "resource": "arn:aws:s3:::uploads/k", "reason": "none"}
    bucket, _ = _bucket(ServiceReply(failure=ServiceFailure("AccessDenied", "User: …", details)))
    with pytest.raises(AccessDeniedError, match="User: …") as caught:
        bucket.get("k")
    error = caught.value
    assert (error.action, error.resource, error.reason) == tuple(details.values())


def test_arns() -> None:
    """What a policy names."""
    bucket, _ = _bucket()
    assert bucket.arn == "arn:aws:s3:::uploads"
    assert bucket.objects("raw/*") == "arn:aws:s3:::uploads/raw/*"
    assert bucket.objects() == "arn:aws:s3:::uploads/*"


def test_name_is_checked_at_once() -> None:
    """A name that S3 does not take makes no bucket."""
    with pytest.raises(DefinitionError, match="Uploads"):
        Bucket("Uploads", _Owner())


def test_on_hands_the_function_through() -> None:
    """The decorator tells the app, and returns what it decorates."""
    bucket, owner = _bucket()
    function: Any = object()
    assert (
        bucket.on("s3:ObjectCreated:*", "s3:ObjectRemoved:*", suffix=".png")(function) is function
    )
    events = ("s3:ObjectCreated:*", "s3:ObjectRemoved:*")
    assert owner.triggers == [(bucket, events, "", ".png", function)]


def test_travels_by_name() -> None:
    """What is pickled of a bucket is its owner's reference and its name."""
    bucket, owner = _bucket()
    make, arguments = bucket.__reduce__()
    assert arguments == (owner, "uploads")
    copy = make(*arguments)
    assert (copy.name, copy._owner) == ("uploads", owner)
