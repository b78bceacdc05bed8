"""The ``s3`` service: carries out S3's operations on the state folder."""

from __future__ import annotations

import errno
import hashlib
import json
from collections.abc import Callable, Collection
from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol, TypeVar
from urllib.parse import quote

from attrs import frozen

from faaskit.clock import Clock, epoch_ms, from_epoch_ms, iso8601
from faaskit.exceptions import SandboxError
from faaskit.gate.service import Caller, Refusal, Requirement
from faaskit.names import DEFAULT_REGION, bucket_arn
from faaskit.resources.s3.listing import list_objects
from faaskit.resources.s3.multipart import Uploads
from faaskit.resources.s3.requests import (
    AbortMultipartUpload,
    CompleteMultipartUpload,
    CopyObject,
    CreateMultipartUpload,
    DeleteObject,
    DeleteObjects,
    GetBucketLocation,
    GetObject,
    HeadBucket,
    HeadObject,
    ListBuckets,
    ListObjects,
    ListParts,
    PutObject,
    UploadPart,
    understand,
)
from faaskit.resources.state import State
from faaskit.runtimes.contract import ServiceCall, ServiceFailure, ServiceReply

if TYPE_CHECKING:
    import sqlite3

__all__ = ["MAX_OBJECT_BYTES", "ChangeListener", "ObjectChange", "S3Service"]

MAX_OBJECT_BYTES = 5 << 30  # of one PutObject or CopyObject

_R = TypeVar("_R")

# A sequencer begins with the time, so that those of a state folder that was thrown away
# and made anew still grow; the low bits count within a millisecond, and past it if need be.
_SEQUENCER_SHIFT = 20
_SEQUENCER_DIGITS = 18
# SQLite's integers end in the year 2248; a clock that is moved past it only counts from here.
_SEQUENCER_LAST_TIME = (1 << 63) - (1 << 40)

# A content is removed when its row has changed. Who read the row before finds it gone and
# reads the row again; being overtaken so often in a row means that something else is wrong.
_OVERTAKEN = 100


@frozen
class ObjectChange:
    """
    What happened to an object, once it is sure to be committed.

    Attributes:
        event: Without the ``s3:``, such as ``ObjectCreated:Put``.
        sequencer: Hexadecimal, of fixed length; greater than that of every earlier change.
        size: In bytes; None where the object was removed.
        etag: MD5, hexadecimal; None where the object was removed.
    """

    event: str
    bucket: str
    key: str
    time: datetime
    sequencer: str
    caller: Caller
    size: int | None = None
    etag: str | None = None


class ChangeListener(Protocol):
    """Who is told of changes, to turn them into events."""

    def object_changed(self, connection: sqlite3.Connection, change: ObjectChange) -> None:
        """
        Store what follows from a change, in the change's own transaction.

        Raising undoes the change.
        """


@frozen
class _Row:
    """An object as it is stored, without its content."""

    blob: str
    size: int
    etag: str
    content_type: str
    metadata: str
    modified_ms: int

    @property
    def output(self) -> dict[str, Any]:
        """Return GetObject's output. An ETag has its quotes on the wire."""
        return {
            "AcceptRanges": "bytes",
            "ContentLength": self.size,
            "ContentType": self.content_type,
            "ETag": f'"{self.etag}"',
            "LastModified": iso8601(from_epoch_ms(self.modified_ms)),
            "Metadata": json.loads(self.metadata),
        }


_OfABucket = (
    PutObject
    | GetObject
    | HeadObject
    | DeleteObject
    | DeleteObjects
    | ListObjects
    | CopyObject
    | HeadBucket
    | GetBucketLocation
    | CreateMultipartUpload
    | UploadPart
    | CompleteMultipartUpload
    | AbortMultipartUpload
    | ListParts
)

_COLUMNS = "blob, size, etag, content_type, metadata, modified_ms"


class S3Service:
    """
    S3, as far as faaskit has it: see ``s3_requests.py`` for what each operation takes.

    Args:
        state: Where objects are kept.
        buckets: The names that there are; others are NoSuchBucket.
        listener: Told of each change.
        clock: For ``LastModified`` and sequencers.
        region: Where the buckets are.
    """

    name = "s3"

    def __init__(
        self,
        state: State,
        *,
        buckets: Collection[str],
        listener: ChangeListener,
        clock: Clock,
        region: str = DEFAULT_REGION,
    ) -> None:
        self._state = state
        self._buckets = buckets
        self._listener = listener
        self._clock = clock
        self._region = region
        self._uploads = Uploads(state, clock)

    def owns(self, call: ServiceCall) -> bool:
        """Return whether a call names a bucket of the app."""
        name = call.parameters.get("Bucket")
        return isinstance(name, str) and name in self._buckets

    def perform(self, call: ServiceCall, caller: Caller) -> ServiceReply:
        """
        Carry a call out. A write is durable when this returns, and so are its events.

        Raises:
            Refusal: There is no such bucket or key, or S3 does not take such a request.
            SandboxError: The host failed.
        """
        request = understand(call)
        if isinstance(request, ListBuckets):
            return ServiceReply({"Buckets": [{"Name": name} for name in sorted(self._buckets)]})
        self._check_bucket(request.bucket)
        if call.body and not isinstance(request, (PutObject, UploadPart)):
            msg = f"{call.operation} takes no body"
            raise Refusal(msg, code="InvalidRequest")
        return self._carry_out(request, call.body or b"", caller)

    def _carry_out(  # noqa: PLR0911, PLR0912 - an arm for each operation
        self, request: _OfABucket, body: bytes, caller: Caller
    ) -> ServiceReply:
        match request:
            case PutObject():
                return self._put(request, body, caller)
            case HeadObject():
                return ServiceReply(self._read_row(request).output)
            case GetObject():
                return self._get(request)
            case DeleteObject():
                return self._delete(request, caller)
            case DeleteObjects():
                return self._delete_several(request, caller)
            case CopyObject():
                return self._copy(request, caller)
            case ListObjects():
                with self._state.reading() as connection:
                    return ServiceReply(list_objects(connection, request))
            case HeadBucket():
                return ServiceReply({"BucketRegion": self._region})
            case GetBucketLocation():
                # S3 has no name for the first of its regions.
                first = self._region == "us-east-1"
                return ServiceReply({} if first else {"LocationConstraint": self._region})
            case CreateMultipartUpload():
                return ServiceReply(self._uploads.create(request))
            case UploadPart():
                return ServiceReply(self._uploads.put_part(request, body))
            case CompleteMultipartUpload():
                return self._complete(request, caller)
            case AbortMultipartUpload():
                self._uploads.abort(request)
                return ServiceReply()
            case ListParts():
                return ServiceReply(self._uploads.list_parts(request))

    def discloses(self, call: ServiceCall, failure: ServiceFailure) -> Requirement | None:
        """Return s3:ListBucket for a missing key: S3 tells no one else what is not there."""
        if failure.code != "NoSuchKey":
            return None
        request = understand(call)
        if isinstance(request, ListBuckets):
            return None
        bucket = request.source_bucket if isinstance(request, CopyObject) else request.bucket
        return Requirement("s3:ListBucket", bucket_arn(bucket))

    def _check_bucket(self, bucket: str) -> None:
        if bucket not in self._buckets:
            msg = "The specified bucket does not exist"
            raise Refusal(msg, code="NoSuchBucket", details={"BucketName": bucket})

    def _put(self, request: PutObject, data: bytes, caller: Caller) -> ServiceReply:
        if len(data) > MAX_OBJECT_BYTES:
            msg = "Your proposed upload exceeds the maximum allowed size"
            raise Refusal(msg, code="EntityTooLarge")
        row = _Row(
            blob=self._state.blobs.write(data),
            size=len(data),
            etag=hashlib.md5(data, usedforsecurity=False).hexdigest(),
            content_type=request.content_type,
            metadata=json.dumps(dict(request.metadata)),
            modified_ms=epoch_ms(self._clock.now()),
        )
        self._store(request.bucket, request.key, row, "ObjectCreated:Put", caller)
        return ServiceReply({"ETag": f'"{row.etag}"'})

    def _get(self, request: GetObject) -> ServiceReply:
        def read(row: _Row) -> ServiceReply:
            _check_conditions(row, request)
            if request.span is None:
                body = self._state.blobs.read(row.blob)
                if len(body) != row.size:
                    raise _damaged(request.bucket, request.key)
                return ServiceReply(row.output, body)
            first, last = _bounds(request.span, row.size)
            body = self._state.blobs.read(row.blob, first, last - first + 1)
            if len(body) != last - first + 1:
                raise _damaged(request.bucket, request.key)
            part = {"ContentLength": len(body), "ContentRange": f"bytes {first}-{last}/{row.size}"}
            return ServiceReply({**row.output, **part}, body)

        return self._with_content(request.bucket, request.key, read)

    def _read_row(self, request: HeadObject) -> _Row:
        row = self._row(request.bucket, request.key)
        _check_conditions(row, request)
        return row

    def _delete_several(self, request: DeleteObjects, caller: Caller) -> ServiceReply:
        for key in request.keys:
            self._delete(DeleteObject(request.bucket, key), caller)
        # As S3, which tells of a key that was not there as of one that was.
        return ServiceReply(
            {} if request.quiet else {"Deleted": [{"Key": k} for k in request.keys]}
        )

    def _complete(self, request: CompleteMultipartUpload, caller: Caller) -> ServiceReply:
        made = self._uploads.assemble(request)
        row = _Row(
            blob=made.blob,
            size=made.size,
            etag=made.etag,
            content_type=made.content_type,
            metadata=made.metadata,
            modified_ms=epoch_ms(self._clock.now()),
        )
        event = "ObjectCreated:CompleteMultipartUpload"
        self._store(request.bucket, request.key, row, event, caller, upload=request.upload)
        place = f"https://{request.bucket}.s3.amazonaws.com/{quote(request.key)}"
        return ServiceReply(
            {
                "Bucket": request.bucket,
                "Key": request.key,
                "ETag": f'"{row.etag}"',
                "Location": place,
            }
        )

    def _copy(self, request: CopyObject, caller: Caller) -> ServiceReply:
        self._check_bucket(request.source_bucket)

        def duplicate(row: _Row) -> _Row:
            blob = self._state.blobs.duplicate(row.blob)
            # That of parts is no MD5, and says so; what is copied at once has its own.
            etag = self._state.blobs.md5(blob) if "-" in row.etag else row.etag
            return _Row(
                blob=blob,
                size=row.size,
                etag=etag,
                content_type=row.content_type,
                metadata=row.metadata,
                modified_ms=epoch_ms(self._clock.now()),
            )

        row = self._with_content(request.source_bucket, request.source_key, duplicate)
        self._store(request.bucket, request.key, row, "ObjectCreated:Copy", caller)
        modified = iso8601(from_epoch_ms(row.modified_ms))
        return ServiceReply(
            {"CopyObjectResult": {"ETag": f'"{row.etag}"', "LastModified": modified}}
        )

    def _delete(self, request: DeleteObject, caller: Caller) -> ServiceReply:
        where = (request.bucket, request.key.encode())
        with self._state.writing(frees=True) as connection:
            replaced = _blob_of(connection, where)
            if replaced:
                connection.execute("DELETE FROM objects WHERE bucket = ? AND key = ?", where)
                self._tell(connection, "ObjectRemoved:Delete", request.bucket, request.key, caller)
        self._state.blobs.remove(replaced)
        return ServiceReply()

    def _row(self, bucket: str, key: str) -> _Row:
        with self._state.reading() as connection:
            row = connection.execute(
                f"SELECT {_COLUMNS} FROM objects WHERE bucket = ? AND key = ?",  # noqa: S608
                (bucket, key.encode()),
            ).fetchone()
        if row is None:
            msg = "The specified key does not exist."
            raise Refusal(msg, code="NoSuchKey", details={"Key": key})
        return _Row(*row)

    def _with_content(self, bucket: str, key: str, use: Callable[[_Row], _R]) -> _R:
        """Return what ``use`` makes of an object whose content is still there."""
        for _ in range(_OVERTAKEN):
            row = self._row(bucket, key)
            try:
                return use(row)
            except FileNotFoundError:
                continue
        raise _damaged(bucket, key)

    def _store(
        self,
        bucket: str,
        key: str,
        row: _Row,
        event: str,
        caller: Caller,
        *,
        upload: str | None = None,
    ) -> None:
        """
        Commit an object whose content is on the disk already, and what follows from it.

        Where this fails the new content stays, for the next opening to sweep. Removing it
        here could take it from under a committed row: a commit may be done and the call
        still end in an exception, such as Ctrl-C right behind it. A disk that is full is
        the exception: then it is sure that nothing was committed, and room is scarce.
        """
        try:
            self._commit(bucket, key, row, event, caller, upload=upload)
        except SandboxError as error:
            if error.errno == errno.ENOSPC:
                self._state.blobs.remove([row.blob])
            raise

    def _commit(
        self, bucket: str, key: str, row: _Row, event: str, caller: Caller, *, upload: str | None
    ) -> None:
        where = (bucket, key.encode())
        with self._state.writing() as connection:
            # Here no one sweeps: what is there now stays. Where this process's mark was lost
            # (a program that opens and closes that file drops its lock), another process took
            # it for gone, and the content for a leftover.
            if not self._state.blobs.holds(row.blob):
                raise _swept(bucket, key)
            replaced = _blob_of(connection, where)
            connection.execute(
                f"INSERT OR REPLACE INTO objects (bucket, key, {_COLUMNS})"  # noqa: S608
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    *where,
                    row.blob,
                    row.size,
                    row.etag,
                    row.content_type,
                    row.metadata,
                    row.modified_ms,
                ),
            )
            if upload is not None:
                replaced += self._uploads.forget(connection, upload)
            self._tell(connection, event, bucket, key, caller, row=row)
        self._state.blobs.remove(replaced)

    def _tell(
        self,
        connection: sqlite3.Connection,
        event: str,
        bucket: str,
        key: str,
        caller: Caller,
        *,
        row: _Row | None = None,
    ) -> None:
        now = self._clock.now()
        change = ObjectChange(
            event=event,
            bucket=bucket,
            key=key,
            time=now,
            sequencer=_next_sequencer(connection, now),
            caller=caller,
            size=None if row is None else row.size,
            etag=None if row is None else row.etag,
        )
        self._listener.object_changed(connection, change)


def _check_conditions(row: _Row, request: GetObject) -> None:
    if request.if_match is not None and not request.if_match & {row.etag, "*"}:
        msg = "At least one of the pre-conditions you specified did not hold"
        raise Refusal(msg, code="PreconditionFailed", details={"status": "412"})
    if request.if_none_match & {row.etag, "*"}:
        msg = "Not Modified"
        raise Refusal(msg, code="304", details={"status": "304"})


def _bounds(span: tuple[int | None, int | None], size: int) -> tuple[int, int]:
    """Return the first and last byte of a range of an object, both included."""
    first, last = span
    if first is None:
        assert last is not None
        first, last = max(size - last, 0), size - 1
    last = size - 1 if last is None else min(last, size - 1)
    if first > last:
        msg = "The requested range is not satisfiable"
        raise Refusal(msg, code="InvalidRange", details={"status": "416"})
    return first, last


def _damaged(bucket: str, key: str) -> SandboxError:
    msg = (
        f"the content of {key!r} of bucket {bucket!r} was removed or cut short in the state "
        "folder, by something else than faaskit; put it again, or delete it"
    )
    return SandboxError(msg, step="state")


def _swept(bucket: str, key: str) -> SandboxError:
    msg = (
        f"the content of {key!r} of bucket {bucket!r} was removed from the state folder before it "
        "was stored, by another program or by a process that took this one for gone; nothing was "
        "changed: put it again, and copy a state folder only while no process has it open"
    )
    return SandboxError(msg, step="state")


def _blob_of(connection: sqlite3.Connection, where: tuple[str, bytes]) -> list[str]:
    """Return the content that a change of this object leaves unnamed, if there is one."""
    query = "SELECT blob FROM objects WHERE bucket = ? AND key = ?"
    return [blob for (blob,) in connection.execute(query, where)]


def _next_sequencer(connection: sqlite3.Connection, now: datetime) -> str:
    (last,) = connection.execute("SELECT value FROM sequence").fetchone()
    time = min(epoch_ms(now) << _SEQUENCER_SHIFT, _SEQUENCER_LAST_TIME)
    value = max(last + 1, time)
    connection.execute("UPDATE sequence SET value = ?", (value,))
    return f"{value:0{_SEQUENCER_DIGITS}X}"
