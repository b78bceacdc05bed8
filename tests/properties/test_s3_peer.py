"""
Sequences of S3's calls by boto3, side by side on moto and on the app's own buckets.

What is left out is what the two are known to differ in: docs/differences.md lists it.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)
from moto import mock_aws

from faaskit.app import App

_BUCKET = "uploads"
_keys = st.sampled_from(["a", "a/", "a/b", "a/b/c", "a b+c", "b", "b/ü", "ö", "c/d/e", "~"])
_bodies = st.binary(max_size=12) | st.just(b"x" * 5000)


def _backwards(first: object, last: object) -> bool:
    return isinstance(first, int) and isinstance(last, int) and first > last


# Neither nothing, nor an empty end, nor one that ends before it begins.
_ranges = st.none() | st.tuples(
    st.integers(0, 14) | st.just(""), st.integers(0, 14) | st.just("")
).filter(lambda ends: ends not in {("", ""), ("", 0)} and not _backwards(*ends)).map(
    lambda ends: f"bytes={ends[0]}-{ends[1]}"
)
_prefixes = st.none() | st.sampled_from(["", "a", "a/", "b/", "nothing"])
_METADATA = ("ContentLength", "ContentType", "ETag", "Metadata", "ContentRange")


@pytest.fixture(scope="module")
def moto() -> Iterator[Any]:
    """Lend a client of moto's."""
    with mock_aws():
        yield boto3.client(
            "s3",
            region_name="us-east-1",
            aws_access_key_id="test",
            aws_secret_access_key="test",
            config=Config(retries={"total_max_attempts": 1}),
        )


class _Machine(RuleBasedStateMachine):
    """Both, with the ids of their uploads."""

    moto: Any

    @initialize()
    def begin(self) -> None:
        self.folder = tempfile.TemporaryDirectory(prefix="peer-")
        self.app = App("peer", state=self.folder.name)
        self.app.bucket(_BUCKET)
        self.ours = self.app.client("s3")
        self.moto.create_bucket(Bucket=_BUCKET)
        self.uploads: list[tuple[str, str, str]] = []
        self.parts: dict[str, dict[int, str]] = {}

    def teardown(self) -> None:
        if hasattr(self, "app"):
            self.app.close()
            self.folder.cleanup()
            listed = self.moto.list_multipart_uploads(Bucket=_BUCKET).get("Uploads", ())
            for one in listed:
                where = {"Key": one["Key"], "UploadId": one["UploadId"]}
                self.moto.abort_multipart_upload(Bucket=_BUCKET, **where)
            for one in self.moto.list_objects_v2(Bucket=_BUCKET).get("Contents", ()):
                self.moto.delete_object(Bucket=_BUCKET, Key=one["Key"])
            self.moto.delete_bucket(Bucket=_BUCKET)

    def both(self, method: str, *, theirs: dict[str, Any] | None = None, **given: Any) -> Any:
        """Call both; return both outputs, or the code that they share."""
        answers = []
        places: list[tuple[Any, dict[str, Any]]] = [(self.ours, {}), (self.moto, theirs or {})]
        for client, more in places:
            try:
                answers.append(getattr(client, method)(Bucket=_BUCKET, **{**given, **more}))
            except ClientError as error:
                answers.append(error.response["Error"]["Code"])
        mine, expected = answers
        if isinstance(mine, str) or isinstance(expected, str):
            assert mine == expected, (method, given)
            return None
        return mine, expected

    @rule(
        key=_keys,
        body=_bodies,
        kind=st.none() | st.sampled_from(["text/plain", "a/b; c=d"]),
        metadata=st.dictionaries(st.sampled_from(["a", "b-c"]), st.sampled_from(["1", "two"])),
    )
    def put(self, key: str, body: bytes, kind: str | None, metadata: dict[str, str]) -> None:
        more: dict[str, Any] = {} if kind is None else {"ContentType": kind}
        mine, expected = self.both("put_object", Key=key, Body=body, Metadata=metadata, **more)
        assert mine["ETag"] == expected["ETag"]

    @rule(key=_keys, span=_ranges)
    def get(self, key: str, span: str | None) -> None:
        found = self.both("head_object", Key=key)
        empty = found is None or not found[0]["ContentLength"]
        if empty and span is not None and span.startswith("bytes=-"):
            return  # the end of nothing
        more: dict[str, Any] = {} if span is None else {"Range": span}
        found = self.both("get_object", Key=key, **more)
        if found is not None:
            mine, expected = found
            assert mine["Body"].read() == expected["Body"].read()
            assert [mine.get(name) for name in _METADATA] == [
                expected.get(name) for name in _METADATA
            ]

    @rule(key=_keys, other=_keys, matches=st.booleans())
    def get_if(self, key: str, other: str, matches: bool) -> None:
        try:
            etag = self.moto.head_object(Bucket=_BUCKET, Key=other)["ETag"]
        except ClientError:
            etag = '"none"'
        name = "IfMatch" if matches else "IfNoneMatch"
        self.both("get_object", Key=key, **{name: etag})

    @rule(key=_keys)
    def head(self, key: str) -> None:
        found = self.both("head_object", Key=key)
        if found is not None:
            mine, expected = found
            assert [mine.get(name) for name in _METADATA] == [
                expected.get(name) for name in _METADATA
            ]

    @rule(key=_keys)
    def delete(self, key: str) -> None:
        self.both("delete_object", Key=key)

    @rule(keys=st.lists(_keys, min_size=1, max_size=3, unique=True), quiet=st.booleans())
    def delete_several(self, keys: list[str], quiet: bool) -> None:
        wanted = {"Objects": [{"Key": key} for key in keys], "Quiet": quiet}
        mine, expected = self.both("delete_objects", Delete=wanted)
        if quiet:  # moto tells of them all the same
            assert "Deleted" not in mine
            return
        assert [one["Key"] for one in mine.get("Deleted", ())] == [
            one["Key"] for one in expected.get("Deleted", ())
        ]

    @rule(source=_keys, key=_keys)
    def copy(self, source: str, key: str) -> None:
        if source != key:
            found = self.both("copy_object", Key=key, CopySource={"Bucket": _BUCKET, "Key": source})
            if found is not None:
                mine, expected = (one["CopyObjectResult"]["ETag"] for one in found)
                assert mine == expected

    @rule(
        prefix=_prefixes,
        delimiter=st.none() | st.just("/"),
        limit=st.integers(1, 4),
        start=st.none() | _keys,
    )
    def list_pages(
        self, prefix: str | None, delimiter: str | None, limit: int, start: str | None
    ) -> None:
        if delimiter and start and start.find(delimiter, len(prefix or "")) >= 0:
            start = None  # within what is rolled up
        given = {"Prefix": prefix, "Delimiter": delimiter, "StartAfter": start}
        given = {name: value for name, value in given.items() if value is not None}
        mine, expected = self._all(self.ours, given, limit), self._all(self.moto, given, limit)
        assert mine == expected

    def _all(self, client: Any, given: dict[str, Any], limit: int) -> Any:
        pages = client.get_paginator("list_objects_v2").paginate(
            Bucket=_BUCKET, PaginationConfig={"PageSize": limit}, **given
        )
        keys: list[Any] = []
        prefixes: list[str] = []
        for page in pages:
            keys += [(one["Key"], one["Size"], one["ETag"]) for one in page.get("Contents", ())]
            prefixes += [one["Prefix"] for one in page.get("CommonPrefixes", ())]
        return keys, prefixes

    @rule(key=_keys, kind=st.sampled_from(["text/plain", "a/b"]))
    def create_upload(self, key: str, kind: str) -> None:
        mine, expected = self.both("create_multipart_upload", Key=key, ContentType=kind)
        self.uploads.append((key, mine["UploadId"], expected["UploadId"]))
        self.parts[mine["UploadId"]] = {}

    @precondition(lambda self: self.uploads)
    @rule(data=st.data(), number=st.integers(1, 3), body=_bodies)
    def put_part(self, data: st.DataObject, number: int, body: bytes) -> None:
        key, mine, theirs = data.draw(st.sampled_from(self.uploads))
        found = self.both(
            "upload_part",
            Key=key,
            UploadId=mine,
            PartNumber=number,
            Body=body,
            theirs={"UploadId": theirs},
        )
        if found is not None:
            assert found[0]["ETag"] == found[1]["ETag"]
            self.parts[mine][number] = found[0]["ETag"]

    @precondition(lambda self: any(self.parts.values()))
    @rule(data=st.data())
    def complete(self, data: st.DataObject) -> None:
        known = [one for one in self.uploads if self.parts[one[1]]]
        key, mine, theirs = data.draw(st.sampled_from(known))
        number = data.draw(st.sampled_from(sorted(self.parts[mine])))
        named = {"Parts": [{"PartNumber": number, "ETag": self.parts[mine][number]}]}
        found = self.both(
            "complete_multipart_upload",
            Key=key,
            UploadId=mine,
            MultipartUpload=named,
            theirs={"UploadId": theirs},
        )
        self.uploads.remove((key, mine, theirs))
        self.parts[mine] = {}
        assert found is not None
        assert found[0]["ETag"] == found[1]["ETag"]

    @precondition(lambda self: self.uploads)
    @rule(data=st.data())
    def abort(self, data: st.DataObject) -> None:
        key, mine, theirs = data.draw(st.sampled_from(self.uploads))
        self.both("abort_multipart_upload", Key=key, UploadId=mine, theirs={"UploadId": theirs})
        self.uploads.remove((key, mine, theirs))
        self.parts[mine] = {}


def test_the_same_calls_have_the_same_answers(moto: Any) -> None:
    """Objects, ranges, conditions, pages, copies, parts."""

    class Machine(_Machine):
        pass

    Machine.moto = moto
    run_state_machine_as_test(
        Machine,
        settings=settings(
            max_examples=max(12, settings().max_examples // 4),
            stateful_step_count=20,
            deadline=None,
        ),
    )
