"""What S3's operations take, and the permissions that they need."""

from __future__ import annotations

from typing import Any

import pytest

from faaskit.gate.service import Refusal
from faaskit.resources.s3.requests import (
    CopyObject,
    ListObjects,
    PutObject,
    continuation_token,
    understand,
)
from faaskit.runtimes.contract import ServiceCall


def _understand(operation: str, **parameters: Any) -> Any:
    return understand(ServiceCall("s3", operation, parameters))


def _code(operation: str, **parameters: Any) -> str:
    with pytest.raises(Refusal) as caught:
        _understand(operation, **parameters)
    return caught.value.failure.code


@pytest.mark.parametrize("source", ["uploads/a%20b/%C3%BC", "/uploads/a b/ü"])
def test_sources_of_copies(source: str) -> None:
    """However it is written, as S3 takes it."""
    request = _understand("CopyObject", Bucket="thumbs", Key="k", CopySource=source)
    assert request == CopyObject("uploads", "a b/ü", "thumbs", "k")


@pytest.mark.parametrize(
    ("source", "code"),
    [
        (None, "InvalidRequest"),
        (3, "InvalidRequest"),
        ("uploads", "InvalidArgument"),
        ("uploads/", "InvalidRequest"),
        ("Uploads/k", "InvalidBucketName"),
        ("uploads/%FF", "InvalidURI"),
        ("uploads/\ud800", "InvalidURI"),
        ("uploads/k?versionId=1", "NotImplemented"),
        ({"Bucket": "uploads", "Key": "k"}, "InvalidRequest"),
        ("thumbs/k", "InvalidRequest"),
    ],
)
def test_copy_sources_that_are_refused(source: object, code: str) -> None:
    """A source that names no object of S3, a version of one, or the copy itself."""
    assert _code("CopyObject", Bucket="thumbs", Key="k", CopySource=source) == code


def test_copy_that_replaces_metadata_is_not_there() -> None:
    """A directive without effect is refused, not ignored."""
    assert (
        _code(
            "CopyObject",
            Bucket="thumbs",
            Key="k",
            CopySource="uploads/k",
            MetadataDirective="REPLACE",
        )
        == "NotImplemented"
    )


@pytest.mark.parametrize(
    ("key", "code"),
    [
        ("", "InvalidRequest"),
        (None, "InvalidRequest"),
        (b"k", "InvalidRequest"),
        ("é" * 513, "KeyTooLongError"),
        ("k" * 1025, "KeyTooLongError"),
        ("a\udcff", "InvalidURI"),
    ],
)
def test_keys_that_are_refused(key: object, code: str) -> None:
    """A key is a text of 1 to 1,024 bytes of UTF-8."""
    assert _code("GetObject", Bucket="uploads", Key=key) == code


@pytest.mark.parametrize("key", ["é" * 512, "../../etc/passwd", "\0", "\n", "*", "/", "\ufffe"])
def test_keys_that_are_taken(key: str) -> None:
    """Any other key is as good as the next."""
    assert _understand("GetObject", Bucket="uploads", Key=key).key == key


@pytest.mark.parametrize(
    "bucket", ["", "no", "Uploads", "uploads/raw", "a" * 10_000, "..", "1.2.3.4"]
)
def test_buckets_that_are_refused(bucket: str) -> None:
    """A name that S3 does not give to a bucket; the message stays short."""
    with pytest.raises(Refusal) as caught:
        _understand("GetObject", Bucket=bucket, Key="k")
    assert caught.value.failure.code == "InvalidBucketName"
    assert len(caught.value.failure.message) < 200


def test_metadata_as_s3_keeps_it() -> None:
    """Names in lower case, values without the blanks around them, S3's content type."""
    request = _understand("PutObject", Bucket="uploads", Key="k", Metadata={"Who-IS": " me "})
    assert request == PutObject("uploads", "k", "binary/octet-stream", {"who-is": "me"})


@pytest.mark.parametrize(
    ("metadata", "code"),
    [
        ({"k": "v" * 2048}, "MetadataTooLarge"),
        ({"a": "v" * 1023, "b": "v" * 1024}, "MetadataTooLarge"),
        ({"": "v"}, "InvalidArgument"),
        ({"a b": "v"}, "InvalidArgument"),
        ({"k": "ü"}, "InvalidArgument"),
        ({"k": "a\r\nb: c"}, "InvalidArgument"),
        ({"k": 1}, "InvalidRequest"),
        ([], "InvalidRequest"),
    ],
)
def test_metadata_that_is_refused(metadata: object, code: str) -> None:
    """Metadata travels in HTTP headers, 2 KB of them."""
    assert _code("PutObject", Bucket="uploads", Key="k", Metadata=metadata) == code


def test_metadata_up_to_the_limit() -> None:
    """2,048 bytes of names and values are taken."""
    metadata = {"a": "v" * 1023, "b": "v" * 1023}
    assert (
        _understand("PutObject", Bucket="uploads", Key="k", Metadata=metadata).metadata == metadata
    )


@pytest.mark.parametrize("limit", [-1, 1 << 31, True, "5", 1.5])
def test_page_sizes_that_are_refused(limit: object) -> None:
    """MaxKeys is a number that S3 can read."""
    assert _code("ListObjectsV2", Bucket="uploads", MaxKeys=limit) == "InvalidArgument"


def test_token_goes_on_where_a_page_ended() -> None:
    """A token is good for the key it was made of, and wins over StartAfter."""
    token = continuation_token("ü/\0".encode())
    request = _understand(
        "ListObjectsV2", Bucket="uploads", ContinuationToken=token, StartAfter="a"
    )
    assert request == ListObjects("uploads", "", "", 1000, "ü/\0".encode())
    assert _understand("ListObjectsV2", Bucket="uploads", StartAfter="a").after == b"a"


@pytest.mark.parametrize("token", ["é", "?", "YQ", "/w==", "_w==", "_oA=", "YQ==\n"])
def test_tokens_that_are_refused(token: str) -> None:
    """A token that no page ended with."""
    assert _code("ListObjectsV2", Bucket="uploads", ContinuationToken=token) == "InvalidArgument"


@pytest.mark.parametrize(
    ("operation", "parameters"),
    [
        ("SelectObjectContent", {}),
        ("__class__", {}),
        ("GetObject", {"PartNumber": 1}),
        ("PutObject", {"ACL": "public-read"}),
        ("ListObjectsV2", {"RequestPayer": "requester"}),
    ],
)
def test_what_has_no_effect_is_refused(operation: str, parameters: dict[str, Any]) -> None:
    """An operation or a parameter that is not there is not passed over in silence."""
    assert _code(operation, Bucket="uploads", Key="k", **parameters) == "NotImplemented"


@pytest.mark.parametrize("upload", [None, 3, "\ud800"])
def test_uploads_that_are_none(upload: object) -> None:
    """What is no text is no upload's id."""
    code = _code("AbortMultipartUpload", Bucket="uploads", Key="k", UploadId=upload)
    assert code == ("InvalidURI" if upload == "\ud800" else "InvalidRequest")
