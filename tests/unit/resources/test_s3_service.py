"""S3's operations on the state folder, and what is told of each change."""

from __future__ import annotations

import hashlib
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest

from faaskit.clock import iso8601
from faaskit.exceptions import SandboxError
from faaskit.gate.service import Caller, Refusal, Requirement
from faaskit.resources.s3 import service as s3
from faaskit.resources.s3.service import ObjectChange, S3Service
from faaskit.resources.state import State
from faaskit.runtimes.contract import ServiceCall, ServiceFailure, ServiceReply
from faaskit.testing import FakeClock

_ME = Caller("AROAEXAMPLE:thumbnail", "arn:aws:lambda:us-east-1:123456789012:function:thumbnail")


_OPENS = """
import sys
from faaskit.resources.state import State
State(sys.argv[1], app="photos").folder
"""


class _Recorder:
    """Keeps what it is told, and can refuse it."""

    def __init__(self) -> None:
        self.changes: list[ObjectChange] = []
        self.error: Exception | None = None

    def object_changed(self, connection: sqlite3.Connection, change: ObjectChange) -> None:
        assert connection.in_transaction
        if self.error is not None:
            raise self.error
        self.changes.append(change)


class _Bench:
    """A service on a folder, with what it is made of."""

    def __init__(self, folder: Path) -> None:
        self.clock = FakeClock("2026-01-01T00:00:00Z")
        self.listener = _Recorder()
        self.state = State(folder, app="photos")
        self.service = S3Service(
            self.state,
            buckets={"uploads", "thumbs"},
            listener=self.listener,
            clock=self.clock,
        )

    def call(self, operation: str, body: bytes | None = None, **parameters: Any) -> ServiceReply:
        return self.service.perform(ServiceCall("s3", operation, parameters, body), _ME)

    def code(self, operation: str, body: bytes | None = None, **parameters: Any) -> str:
        with pytest.raises(Refusal) as caught:
            self.call(operation, body, **parameters)
        return caught.value.failure.code

    def blobs(self) -> int:
        return len(list((self.state.folder / "blobs").iterdir()))

    def keys(self, **parameters: Any) -> list[str]:
        output = self.call("ListObjectsV2", Bucket="uploads", **parameters).output
        return [entry["Key"] for entry in output["Contents"]]


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[_Bench]:
    """A service on a new folder."""
    bench = _Bench(tmp_path)
    yield bench
    bench.state.close()


def test_object_comes_back_as_it_was_put(bench: _Bench) -> None:
    """Content, type, metadata and AWS's output members, the ETag in its quotes."""
    etag = f'"{hashlib.md5(b"data").hexdigest()}"'
    put = bench.call(
        "PutObject",
        b"data",
        Bucket="uploads",
        Key="k",
        ContentType="text/plain",
        Metadata={"A": "b"},
    )
    assert put == ServiceReply({"ETag": etag})
    output = {
        "AcceptRanges": "bytes",
        "ContentLength": 4,
        "ContentType": "text/plain",
        "ETag": etag,
        "LastModified": "2026-01-01T00:00:00.000Z",
        "Metadata": {"a": "b"},
    }
    assert bench.call("GetObject", Bucket="uploads", Key="k") == ServiceReply(output, b"data")
    assert bench.call("HeadObject", Bucket="uploads", Key="k") == ServiceReply(output)


def test_put_without_a_body_is_an_empty_object(bench: _Bench) -> None:
    """As on S3."""
    bench.call("PutObject", Bucket="uploads", Key="k")
    assert bench.call("GetObject", Bucket="uploads", Key="k").body == b""


def test_put_replaces_and_leaves_nothing(bench: _Bench) -> None:
    """The last one put is there, and its predecessor's content is gone from the disk."""
    for body in (b"one", b"two", b"three"):
        bench.call("PutObject", body, Bucket="uploads", Key="k")
    assert bench.call("GetObject", Bucket="uploads", Key="k").body == b"three"
    assert bench.blobs() == 1


def test_delete_removes(bench: _Bench) -> None:
    """A deleted object is gone with its content; deleting what is not there is no error."""
    bench.call("PutObject", b"data", Bucket="uploads", Key="k")
    assert bench.call("DeleteObject", Bucket="uploads", Key="k") == ServiceReply()
    assert bench.call("DeleteObject", Bucket="uploads", Key="k") == ServiceReply()
    assert bench.code("GetObject", Bucket="uploads", Key="k") == "NoSuchKey"
    assert bench.blobs() == 0


def test_copy_is_an_object_of_its_own(bench: _Bench) -> None:
    """A copy keeps type and metadata, and stays when its source changes or goes."""
    bench.call(
        "PutObject",
        b"data",
        Bucket="uploads",
        Key="k",
        ContentType="text/plain",
        Metadata={"a": "b"},
    )
    source = bench.call("GetObject", Bucket="uploads", Key="k")
    bench.clock.advance(seconds=5)
    copied = bench.call("CopyObject", Bucket="thumbs", Key="c", CopySource="uploads/k")
    modified = "2026-01-01T00:00:05.000Z"
    etag = source.output["ETag"]
    assert copied.output == {"CopyObjectResult": {"ETag": etag, "LastModified": modified}}
    bench.call("DeleteObject", Bucket="uploads", Key="k")
    copy = bench.call("GetObject", Bucket="thumbs", Key="c")
    assert copy.body == b"data"
    assert copy.output == {**source.output, "LastModified": modified}


def test_a_copy_of_parts_is_one(bench: _Bench) -> None:
    """Its ETag is the MD5 of its content, as that of all that is put or copied at once."""
    where: dict[str, Any] = {"Bucket": "uploads", "Key": "k"}
    upload = bench.call("CreateMultipartUpload", **where).output["UploadId"]
    part = bench.call("UploadPart", b"data", **where, UploadId=upload, PartNumber=1).output
    parts = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
    made = bench.call(
        "CompleteMultipartUpload", **where, UploadId=upload, MultipartUpload=parts
    ).output
    assert made["ETag"].endswith('-1"')
    copied = bench.call("CopyObject", Bucket="thumbs", Key="c", CopySource="uploads/k").output
    assert copied["CopyObjectResult"]["ETag"] == part["ETag"]
    assert bench.call("HeadObject", Bucket="thumbs", Key="c").output["ETag"] == part["ETag"]


def test_what_is_not_there(bench: _Bench) -> None:
    """A missing key and a missing bucket have S3's codes, in every operation that needs them."""
    for operation in ("GetObject", "HeadObject"):
        assert bench.code(operation, Bucket="uploads", Key="k") == "NoSuchKey"
    source = "uploads/k"
    assert bench.code("CopyObject", Bucket="thumbs", Key="c", CopySource=source) == "NoSuchKey"
    for operation in ("GetObject", "HeadObject", "PutObject", "DeleteObject"):
        assert bench.code(operation, Bucket="nowhere", Key="k") == "NoSuchBucket"
    assert bench.code("ListObjectsV2", Bucket="nowhere") == "NoSuchBucket"
    source = "nowhere/k"
    assert bench.code("CopyObject", Bucket="thumbs", Key="c", CopySource=source) == "NoSuchBucket"


def test_objects_of_other_buckets_are_other_objects(bench: _Bench) -> None:
    """The same key in two buckets is two objects."""
    bench.call("PutObject", b"one", Bucket="uploads", Key="k")
    assert bench.code("GetObject", Bucket="thumbs", Key="k") == "NoSuchKey"
    bench.call("PutObject", b"two", Bucket="thumbs", Key="k")
    bench.call("DeleteObject", Bucket="thumbs", Key="k")
    assert bench.call("GetObject", Bucket="uploads", Key="k").body == b"one"


def test_body_where_none_belongs(bench: _Bench) -> None:
    """Only PutObject has a body."""
    assert bench.code("DeleteObject", b"x", Bucket="uploads", Key="k") == "InvalidRequest"


def test_listing_is_in_the_order_of_utf8(bench: _Bench) -> None:
    """Not in that of the letters, nor of UTF-16."""
    keys = ["a", "B", "é", "\U0001f600", "\uffee", "a/b", "a\0", "~"]
    for key in keys:
        bench.call("PutObject", b"", Bucket="uploads", Key=key)
    assert bench.keys() == sorted(keys, key=str.encode)


def test_listing_by_prefix(bench: _Bench) -> None:
    """A prefix is literal: nothing in it is a wildcard, and its last letter may be the last."""
    keys = ["%", "%a", "_", "ab", "a\U0010ffff", "a\U0010ffffb", "b", "raw/1", "raw0"]
    for key in keys:
        bench.call("PutObject", b"", Bucket="uploads", Key=key)
    for prefix in ("%", "_", "a", "a\U0010ffff", "raw/", "none", "*"):
        expected = [key for key in sorted(keys, key=str.encode) if key.startswith(prefix)]
        assert bench.keys(Prefix=prefix) == expected


def test_listing_by_pages(bench: _Bench) -> None:
    """Each page says whether there is more, and its token goes on behind it."""
    for number in range(5):
        bench.call("PutObject", b"x" * number, Bucket="uploads", Key=f"k{number}")
    first = bench.call("ListObjectsV2", Bucket="uploads", MaxKeys=2).output
    assert (first["KeyCount"], first["IsTruncated"]) == (2, True)
    assert first["Contents"][1] == {
        "Key": "k1",
        "Size": 1,
        "ETag": f'"{hashlib.md5(b"x").hexdigest()}"',
        "LastModified": "2026-01-01T00:00:00.000Z",
        "StorageClass": "STANDARD",
    }
    token = first["NextContinuationToken"]
    last = bench.call("ListObjectsV2", Bucket="uploads", MaxKeys=3, ContinuationToken=token).output
    assert [entry["Key"] for entry in last["Contents"]] == ["k2", "k3", "k4"]
    assert last["IsTruncated"] is False
    assert "NextContinuationToken" not in last
    assert bench.keys(StartAfter="k3") == ["k4"]
    none = bench.call("ListObjectsV2", Bucket="uploads", MaxKeys=0).output
    assert (none["KeyCount"], none["IsTruncated"]) == (0, False)


def test_each_change_is_told(bench: _Bench) -> None:
    """Put, copy and delete are told as S3 calls them, with who did it; what did nothing is not."""
    bench.call("PutObject", b"data", Bucket="uploads", Key="k")
    bench.clock.advance(seconds=1)
    bench.call("CopyObject", Bucket="thumbs", Key="c", CopySource="uploads/k")
    bench.call("DeleteObject", Bucket="uploads", Key="k")
    bench.call("DeleteObject", Bucket="uploads", Key="k")
    bench.call("GetObject", Bucket="thumbs", Key="c")
    etag = hashlib.md5(b"data").hexdigest()
    told = [
        (change.event, change.bucket, change.key, change.size, change.etag, iso8601(change.time))
        for change in bench.listener.changes
    ]
    assert told == [
        ("ObjectCreated:Put", "uploads", "k", 4, etag, "2026-01-01T00:00:00.000Z"),
        ("ObjectCreated:Copy", "thumbs", "c", 4, etag, "2026-01-01T00:00:01.000Z"),
        ("ObjectRemoved:Delete", "uploads", "k", None, None, "2026-01-01T00:00:01.000Z"),
    ]
    assert {change.caller for change in bench.listener.changes} == {_ME}


def test_change_and_what_follows_are_one(bench: _Bench) -> None:
    """Where the event can't be stored, neither is the change."""
    bench.call("PutObject", b"old", Bucket="uploads", Key="k")
    bench.listener.error = KeyError("no room for the event")
    with pytest.raises(KeyError):
        bench.call("PutObject", b"new", Bucket="uploads", Key="k")
    with pytest.raises(KeyError):
        bench.call("DeleteObject", Bucket="uploads", Key="k")
    assert bench.call("GetObject", Bucket="uploads", Key="k").body == b"old"


def test_old_content_goes_when_the_new_one_is_sure(
    bench: _Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A content is removed behind the commit that leaves it unnamed, never before."""
    removed: list[tuple[int, bool]] = []

    def remove(names: Iterable[str]) -> None:
        with bench.state.reading() as connection:
            removed.append((len(list(names)), connection.in_transaction))

    monkeypatch.setattr(bench.state.blobs, "remove", remove)
    bench.call("PutObject", b"old", Bucket="uploads", Key="k")
    bench.call("PutObject", b"new", Bucket="uploads", Key="k")
    bench.call("DeleteObject", Bucket="uploads", Key="k")
    assert removed == [(0, False), (1, False), (1, False)]


def test_sequencers_grow(bench: _Bench, tmp_path: Path) -> None:
    """From change to change: within a millisecond, after a restart, though the clock goes back."""
    bench.call("PutObject", Bucket="uploads", Key="k")
    bench.call("DeleteObject", Bucket="uploads", Key="k")
    bench.clock.advance(seconds=1)
    bench.call("PutObject", Bucket="uploads", Key="k")
    bench.state.close()
    again = _Bench(tmp_path)
    again.clock = FakeClock("2025-01-01T00:00:00Z")
    again.call("PutObject", Bucket="uploads", Key="k")
    again.state.close()
    changes = [*bench.listener.changes, *again.listener.changes]
    sequencers = [change.sequencer for change in changes]
    assert len(sequencers) == 4
    assert sequencers == sorted(set(sequencers))
    assert {len(sequencer) for sequencer in sequencers} == {18}


def test_sequencers_of_a_new_folder_go_on(tmp_path: Path) -> None:
    """A state folder that was thrown away does not begin again below its predecessor."""
    sequencers: list[str] = []
    for name in ("one", "two"):
        bench = _Bench(tmp_path / name)
        bench.clock.advance(seconds=len(sequencers))
        bench.call("PutObject", Bucket="uploads", Key="k")
        bench.state.close()
        sequencers.append(bench.listener.changes[0].sequencer)
    assert sequencers[0] < sequencers[1]


def test_sequencers_of_a_far_future_grow(bench: _Bench) -> None:
    """A clock that is moved past what SQLite's integers hold breaks no write."""
    bench.clock.advance(seconds=300 * 365 * 86_400)
    for _ in range(3):
        bench.call("PutObject", b"", Bucket="uploads", Key="k")
    found = [change.sequencer for change in bench.listener.changes]
    assert found == sorted(set(found))
    assert {len(sequencer) for sequencer in found} == {18}


def test_missing_key_is_told_to_who_may_list(bench: _Bench) -> None:
    """The gate asks for s3:ListBucket on the bucket of the missing object, for nothing else."""
    missing = ServiceFailure("NoSuchKey", "")
    listing = Requirement("s3:ListBucket", "arn:aws:s3:::uploads")
    get = ServiceCall("s3", "GetObject", {"Bucket": "uploads", "Key": "k"})
    copy = ServiceCall(
        "s3", "CopyObject", {"Bucket": "thumbs", "Key": "c", "CopySource": "uploads/k"}
    )
    assert bench.service.discloses(get, missing) == listing
    assert bench.service.discloses(copy, missing) == listing
    assert bench.service.discloses(get, ServiceFailure("NoSuchBucket", "")) is None


def test_object_over_the_limit(bench: _Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """S3 takes 5 GB in one PutObject; nothing of a larger one is written."""
    assert s3.MAX_OBJECT_BYTES == 5 * 1024**3
    monkeypatch.setattr(s3, "MAX_OBJECT_BYTES", 3)
    bench.call("PutObject", b"abc", Bucket="uploads", Key="k")
    assert bench.code("PutObject", b"abcd", Bucket="uploads", Key="l") == "EntityTooLarge"
    assert bench.blobs() == 1


@pytest.mark.parametrize("operation", ["PutObject", "CopyObject"])
def test_content_that_was_swept_before_its_row_is_not_acknowledged(
    bench: _Bench,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path_factory: pytest.TempPathFactory,
    operation: str,
) -> None:
    """Whoever copies the folder drops this process's lock, and it looks gone to others."""
    bench.call("PutObject", b"old", Bucket="uploads", Key="k")
    commit = bench.service._commit

    def swept_meanwhile(*arguments: Any, **more: Any) -> None:
        shutil.copytree(bench.state.folder, tmp_path_factory.mktemp("backup") / "state")
        folder = str(bench.state.folder)
        subprocess.run([sys.executable, "-c", _OPENS, folder], check=True)
        commit(*arguments, **more)

    monkeypatch.setattr(bench.service, "_commit", swept_meanwhile)
    more: dict[str, Any] = {"CopySource": "uploads/k"} if operation == "CopyObject" else {}
    body = None if more else b"new"
    with pytest.raises(SandboxError, match=r"removed.*nothing was changed: put it again"):
        bench.call(operation, body, Bucket="uploads", Key="new", **more)
    assert bench.keys() == ["k"]
    assert bench.call("GetObject", Bucket="uploads", Key="k").body == b"old"
    assert [change.key for change in bench.listener.changes] == ["k"]


def test_reader_that_is_overtaken_reads_again(
    bench: _Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A content that goes between the look at the row and the reading is no error."""
    bench.call("PutObject", b"old", Bucket="uploads", Key="k")
    row = bench.service._row

    def overtaken(bucket: str, key: str) -> Any:
        found = row(bucket, key)
        monkeypatch.undo()
        bench.call("PutObject", b"new", Bucket="uploads", Key="k")
        return found

    monkeypatch.setattr(bench.service, "_row", overtaken)
    assert bench.call("GetObject", Bucket="uploads", Key="k").body == b"new"


@pytest.mark.parametrize(
    "damage", [lambda path: path.unlink(), lambda path: path.write_bytes(b"d")]
)
def test_content_that_was_damaged_from_outside(
    bench: _Bench, damage: Callable[[Path], object]
) -> None:
    """Taken away or cut short: no NoSuchKey, no endless loop, and never half of a content."""
    bench.call("PutObject", b"data", Bucket="uploads", Key="k")
    for path in (bench.state.folder / "blobs").iterdir():
        damage(path)
    with pytest.raises(SandboxError, match=r"'k' of bucket 'uploads'.*put it again, or delete it"):
        bench.call("GetObject", Bucket="uploads", Key="k")
    bench.call("PutObject", b"data", Bucket="uploads", Key="k")
    assert bench.call("GetObject", Bucket="uploads", Key="k").body == b"data"


@pytest.mark.parametrize("operation", ["PutObject", "CopyObject"])
def test_object_that_finds_no_room_takes_none(bench: _Bench, operation: str) -> None:
    """Its content is on the disk before its row: where the row finds no room, both go."""
    bench.call("PutObject", b"data", Bucket="uploads", Key="k", Metadata={"n": "x" * 2000})
    with bench.state.reading() as connection:
        (pages,) = connection.execute("PRAGMA page_count").fetchone()
        connection.execute(f"PRAGMA max_page_count = {pages}")
    more: dict[str, Any] = {"Metadata": {"n": "x" * 2000}}
    if operation == "CopyObject":
        more = {"CopySource": "uploads/k"}

    def fill() -> None:
        for number in range(100):
            bench.call(operation, Bucket="uploads", Key=str(number), **more)

    with pytest.raises(SandboxError, match="make room"):
        fill()
    assert bench.blobs() == len(bench.keys())
    assert bench.call("GetObject", Bucket="uploads", Key="k").body == b"data"


def test_times_are_kept_to_the_millisecond(bench: _Bench) -> None:
    """Rounded down, as the stored number is."""
    bench.clock = FakeClock(datetime(2026, 1, 1, 0, 0, 0, 999_999, tzinfo=timezone.utc))
    bench.service = S3Service(
        bench.state, buckets={"uploads"}, listener=bench.listener, clock=bench.clock
    )
    bench.call("PutObject", Bucket="uploads", Key="k")
    output = bench.call("HeadObject", Bucket="uploads", Key="k").output
    assert output["LastModified"] == "2026-01-01T00:00:00.999Z"


# What boto3's transfer manager, paginators and resources ask for


def test_ranges(bench: _Bench) -> None:
    """Some of an object's bytes, from either end; a range that begins behind it is refused."""
    bench.call("PutObject", b"0123456789", Bucket="uploads", Key="k")

    def part(text: str) -> tuple[bytes | None, Any]:
        reply = bench.call("GetObject", Bucket="uploads", Key="k", Range=text)
        return reply.body, reply.output.get("ContentRange")

    assert part("bytes=2-4") == (b"234", "bytes 2-4/10")
    assert part("bytes=7-") == (b"789", "bytes 7-9/10")
    assert part("bytes=-3") == (b"789", "bytes 7-9/10")
    assert part("bytes=0-99") == (b"0123456789", "bytes 0-9/10")
    assert part("lines=1-2") == (b"0123456789", None)
    assert part("bytes=4-2") == (b"0123456789", None)
    assert bench.code("GetObject", Bucket="uploads", Key="k", Range="bytes=10-") == "InvalidRange"


def test_conditions_on_an_etag(bench: _Bench) -> None:
    """As S3 answers them."""
    etag = bench.call("PutObject", b"1", Bucket="uploads", Key="k").output["ETag"]
    where: dict[str, Any] = {"Bucket": "uploads", "Key": "k"}
    assert bench.call("GetObject", **where, IfMatch=etag).body == b"1"
    assert bench.call("GetObject", **where, IfNoneMatch='"x"').body == b"1"
    assert bench.code("GetObject", **where, IfMatch='"x"') == "PreconditionFailed"
    assert bench.code("HeadObject", **where, IfNoneMatch=etag) == "304"


def _pages(bench: _Bench, operation: str, **more: Any) -> list[tuple[list[str], list[str]]]:
    """Return the keys and common prefixes of each page of two."""
    pages: list[tuple[list[str], list[str]]] = []
    token: dict[str, Any] = {}
    while True:
        output = bench.call(operation, Bucket="uploads", MaxKeys=2, **more, **token).output
        keys = [one["Key"] for one in output["Contents"]]
        pages.append((keys, [one["Prefix"] for one in output.get("CommonPrefixes", ())]))
        if not output["IsTruncated"]:
            return pages
        if operation == "ListObjects":
            token = {"Marker": output.get("NextMarker") or keys[-1]}
        else:
            token = {"ContinuationToken": output["NextContinuationToken"]}


@pytest.mark.parametrize("operation", ["ListObjectsV2", "ListObjects"])
def test_listing_by_folders(bench: _Bench, operation: str) -> None:
    """What has the delimiter behind the prefix is told once, over pages too."""
    for key in ("a", "b/1", "b/2", "b/c/3", "d", "e/4", "f", "g/5"):
        bench.call("PutObject", b"", Bucket="uploads", Key=key)
    assert _pages(bench, operation, Delimiter="/") == [
        (["a"], ["b/"]),
        (["d"], ["e/"]),
        (["f"], ["g/"]),
    ]
    assert _pages(bench, operation, Delimiter="/", Prefix="b/") == [
        (["b/1", "b/2"], []),
        ([], ["b/c/"]),
    ]
    assert [keys for keys, _ in _pages(bench, operation)][:2] == [["a", "b/1"], ["b/2", "b/c/3"]]


def test_several_deletions(bench: _Bench) -> None:
    """Each is told of, and each is an event; what was not there is told of as well."""
    for key in ("a", "b"):
        bench.call("PutObject", b"", Bucket="uploads", Key=key)
    named = {"Objects": [{"Key": "a"}, {"Key": "none"}]}
    output = bench.call("DeleteObjects", Bucket="uploads", Delete=named).output
    assert output == {"Deleted": [{"Key": "a"}, {"Key": "none"}]}
    assert bench.keys() == ["b"]
    quiet = {"Objects": [{"Key": "b"}], "Quiet": True}
    assert bench.call("DeleteObjects", Bucket="uploads", Delete=quiet).output == {}
    assert [change.key for change in bench.listener.changes[2:]] == ["a", "b"]
    assert bench.code("DeleteObjects", Bucket="uploads", Delete={"Objects": []}) == "MalformedXML"


def test_buckets_are_known(bench: _Bench) -> None:
    """HeadBucket, GetBucketLocation and ListBuckets."""
    assert bench.call("HeadBucket", Bucket="uploads").output == {"BucketRegion": "us-east-1"}
    assert bench.call("GetBucketLocation", Bucket="uploads").output == {}
    assert bench.call("ListBuckets").output == {
        "Buckets": [{"Name": "thumbs"}, {"Name": "uploads"}]
    }
    assert bench.code("HeadBucket", Bucket="none") == "NoSuchBucket"


_PART = b"p" * (5 << 20)


def _upload(bench: _Bench) -> dict[str, Any]:
    created = bench.call("CreateMultipartUpload", Bucket="uploads", Key="k", ContentType="a/b")
    return {"Bucket": "uploads", "Key": "k", "UploadId": created.output["UploadId"]}


def _put_part(bench: _Bench, upload: dict[str, Any], number: int, data: bytes) -> dict[str, Any]:
    etag = bench.call("UploadPart", data, **upload, PartNumber=number).output["ETag"]
    return {"PartNumber": number, "ETag": etag}


def test_an_object_in_parts(bench: _Bench) -> None:
    """One object, one event, S3's ETag; nothing is left of the parts."""
    upload = _upload(bench)
    _put_part(bench, upload, 1, b"replaced")
    parts = [_put_part(bench, upload, 1, _PART), _put_part(bench, upload, 2, b"end")]
    listed = bench.call("ListParts", **upload).output["Parts"]
    assert [(one["PartNumber"], one["Size"]) for one in listed] == [(1, len(_PART)), (2, 3)]
    assert bench.keys() == []
    output = bench.call(
        "CompleteMultipartUpload", **upload, MultipartUpload={"Parts": parts}
    ).output
    digests = b"".join(hashlib.md5(data).digest() for data in (_PART, b"end"))
    assert output["ETag"] == f'"{hashlib.md5(digests).hexdigest()}-2"'
    found = bench.call("GetObject", Bucket="uploads", Key="k")
    assert found.body == _PART + b"end"
    assert found.output["ContentType"] == "a/b"
    assert [one.event for one in bench.listener.changes] == [
        "ObjectCreated:CompleteMultipartUpload"
    ]
    assert bench.blobs() == 1
    assert bench.code("ListParts", **upload) == "NoSuchUpload"


def test_parts_that_make_no_object(bench: _Bench) -> None:
    """A part that is missing, another one's, too small or out of order; nothing is changed."""
    upload = _upload(bench)
    small = _put_part(bench, upload, 1, b"small")
    end = _put_part(bench, upload, 2, b"end")

    def code(*parts: dict[str, Any]) -> str:
        named = {"Parts": list(parts)}
        return bench.code("CompleteMultipartUpload", **upload, MultipartUpload=named)

    assert code(small, end) == "EntityTooSmall"
    assert code(end, small) == "InvalidPartOrder"
    assert code({**small, "ETag": end["ETag"]}) == "InvalidPart"
    assert code({**small, "PartNumber": 3}) == "InvalidPart"
    assert code() == "MalformedXML"
    other = {**upload, "Key": "other"}
    assert bench.code("UploadPart", b"", **other, PartNumber=1) == "NoSuchUpload"
    assert bench.code("UploadPart", b"", **upload, PartNumber=0) == "InvalidArgument"
    assert bench.blobs() == 2
    bench.call("AbortMultipartUpload", **upload)
    assert bench.blobs() == 0
    assert bench.code("AbortMultipartUpload", **upload) == "NoSuchUpload"


def test_parts_outlive_a_restart(bench: _Bench) -> None:
    """They are named by rows, so that no sweep takes them."""
    upload = _upload(bench)
    part = _put_part(bench, upload, 1, b"only")
    folder = bench.state.folder
    bench.state.close()
    subprocess.run([sys.executable, "-c", _OPENS, str(folder)], check=True)
    again = _Bench(folder)
    again.call("CompleteMultipartUpload", **upload, MultipartUpload={"Parts": [part]})
    assert again.call("GetObject", Bucket="uploads", Key="k").body == b"only"
    again.state.close()
