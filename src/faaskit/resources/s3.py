"""The ``s3`` service: carries out S3's operations on the state folder."""

from __future__ import annotations

import errno
import hashlib
import json
from collections.abc import Callable, Container, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from attrs import frozen

from faaskit.clock import Clock, epoch_ms, from_epoch_ms, iso8601
from faaskit.exceptions import SandboxError
from faaskit.gate.service import Caller, Refusal, Requirement
from faaskit.names import bucket_arn
from faaskit.resources.s3_requests import (
    CopyObject,
    DeleteObject,
    GetObject,
    HeadObject,
    ListObjects,
    PutObject,
    continuation_token,
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
            "ContentLength": self.size,
            "ContentType": self.content_type,
            "ETag": f'"{self.etag}"',
            "LastModified": iso8601(from_epoch_ms(self.modified_ms)),
            "Metadata": json.loads(self.metadata),
        }


_COLUMNS = "blob, size, etag, content_type, metadata, modified_ms"


class S3Service:
    """
    S3, as far as faaskit has it: see ``s3_requests.py`` for what each operation takes.

    Args:
        state: Where objects are kept.
        buckets: The names that there are; others are NoSuchBucket.
        listener: Told of each change.
        clock: For ``LastModified`` and sequencers.
    """

    name = "s3"

    def __init__(
        self, state: State, *, buckets: Container[str], listener: ChangeListener, clock: Clock
    ) -> None:
        self._state = state
        self._buckets = buckets
        self._listener = listener
        self._clock = clock

    def owns(self, call: ServiceCall) -> bool:
        """Return whether a call names a bucket of the app."""
        name = call.parameters.get("Bucket")
        return isinstance(name, str) and name in self._buckets

    def requirements(self, call: ServiceCall) -> Sequence[Requirement]:
        """Return the permissions that a call needs, with S3's actions and ARNs."""
        return understand(call).requirements

    def perform(self, call: ServiceCall, caller: Caller) -> ServiceReply:
        """
        Carry a call out. A write is durable when this returns, and so are its events.

        Raises:
            Refusal: There is no such bucket or key, or S3 does not take such a request.
            SandboxError: The host failed.
        """
        request = understand(call)
        self._check_bucket(request.bucket)
        if isinstance(request, PutObject):
            return self._put(request, call.body or b"", caller)
        if call.body:
            msg = f"{call.operation} takes no body"
            raise Refusal(msg, code="InvalidRequest")
        if isinstance(request, HeadObject):
            return ServiceReply(self._row(request.bucket, request.key).output)
        if isinstance(request, GetObject):
            return self._get(request)
        if isinstance(request, DeleteObject):
            return self._delete(request, caller)
        if isinstance(request, CopyObject):
            return self._copy(request, caller)
        return self._list(request)

    def discloses(self, call: ServiceCall, failure: ServiceFailure) -> Requirement | None:
        """Return s3:ListBucket for a missing key: S3 tells no one else what is not there."""
        if failure.code != "NoSuchKey":
            return None
        request = understand(call)
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
            body = self._state.blobs.read(row.blob)
            if len(body) != row.size:
                raise _damaged(request.bucket, request.key)
            return ServiceReply(row.output, body)

        return self._with_content(request.bucket, request.key, read)

    def _copy(self, request: CopyObject, caller: Caller) -> ServiceReply:
        self._check_bucket(request.source_bucket)

        def duplicate(row: _Row) -> _Row:
            return _Row(
                blob=self._state.blobs.duplicate(row.blob),
                size=row.size,
                etag=row.etag,
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
        with self._state.writing() as connection:
            replaced = _blob_of(connection, where)
            if replaced:
                connection.execute("DELETE FROM objects WHERE bucket = ? AND key = ?", where)
                self._tell(connection, "ObjectRemoved:Delete", request.bucket, request.key, caller)
        self._state.blobs.remove(replaced)
        return ServiceReply()

    def _list(self, request: ListObjects) -> ServiceReply:
        prefix = request.prefix.encode()
        # One more than asked for tells whether there is more.
        query = "SELECT key, size, etag, modified_ms FROM objects WHERE bucket = ? AND key >= ?"
        values: list[Any] = [request.bucket, prefix]
        if prefix:
            # What begins with it sorts before it with its last byte raised: no byte of
            # UTF-8 is 0xFF.
            query += " AND key < ?"
            values.append(prefix[:-1] + bytes([prefix[-1] + 1]))
        if request.after is not None:
            query += " AND key > ?"
            values.append(request.after)
        query += " ORDER BY key LIMIT ?"
        values.append(request.max_keys + 1)
        with self._state.reading() as connection:
            rows = connection.execute(query, values).fetchall()
        more = len(rows) > request.max_keys and request.max_keys > 0
        page = rows[: request.max_keys]
        output: dict[str, Any] = {
            "Name": request.bucket,
            "Prefix": request.prefix,
            "MaxKeys": request.max_keys,
            "KeyCount": len(page),
            "IsTruncated": more,
            "Contents": [
                {
                    "Key": key.decode(),
                    "LastModified": iso8601(from_epoch_ms(modified_ms)),
                    "ETag": f'"{etag}"',
                    "Size": size,
                    "StorageClass": "STANDARD",
                }
                for key, size, etag, modified_ms in page
            ],
        }
        if more:
            output["NextContinuationToken"] = continuation_token(page[-1][0])
        return ServiceReply(output)

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

    def _store(self, bucket: str, key: str, row: _Row, event: str, caller: Caller) -> None:
        """
        Commit an object whose content is on the disk already, and what follows from it.

        Where this fails the new content stays, for the next opening to sweep. Removing it
        here could take it from under a committed row: a commit may be done and the call
        still end in an exception, such as Ctrl-C right behind it. A disk that is full is
        the exception: then it is sure that nothing was committed, and room is scarce.
        """
        try:
            self._commit(bucket, key, row, event, caller)
        except SandboxError as error:
            if error.errno == errno.ENOSPC:
                self._state.blobs.remove([row.blob])
            raise

    def _commit(self, bucket: str, key: str, row: _Row, event: str, caller: Caller) -> None:
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
