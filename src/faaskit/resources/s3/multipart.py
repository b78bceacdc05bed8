"""Objects that come in parts, as boto3's transfer manager sends large ones."""

from __future__ import annotations

import hashlib
import json
import uuid
from typing import TYPE_CHECKING, Any

from attrs import frozen

from faaskit.clock import Clock, epoch_ms, from_epoch_ms, iso8601
from faaskit.gate.service import Refusal
from faaskit.resources.s3.requests import (
    AbortMultipartUpload,
    CompleteMultipartUpload,
    CreateMultipartUpload,
    ListParts,
    UploadPart,
)
from faaskit.resources.state import State

if TYPE_CHECKING:
    import sqlite3

__all__ = ["MIN_PART_BYTES", "Assembled", "Uploads"]

MIN_PART_BYTES = 5 << 20  # of all but the last
_MAX_PART_BYTES = 5 << 30

_OfAnUpload = UploadPart | CompleteMultipartUpload | AbortMultipartUpload | ListParts


@frozen
class Assembled:
    """
    What the parts of an upload make: a content that is on the disk, and named nowhere yet.

    Attributes:
        etag: S3's of an object that came in parts: it is no MD5 of the content.
    """

    blob: str
    size: int
    etag: str
    content_type: str
    metadata: str


class Uploads:
    """
    Uploads that are under way, in the state folder.

    Args:
        state: Where parts are kept, until the upload is completed or aborted.
        clock: For when each came.
    """

    def __init__(self, state: State, clock: Clock) -> None:
        self._state = state
        self._clock = clock

    def create(self, request: CreateMultipartUpload) -> dict[str, Any]:
        """Begin an upload."""
        upload = uuid.uuid4().hex
        with self._state.writing() as connection:
            connection.execute(
                "INSERT INTO uploads (id, bucket, key, content_type, metadata, created_ms)"
                " VALUES (?, ?, ?, ?, ?, ?)",
                (
                    upload,
                    request.bucket,
                    request.key.encode(),
                    request.content_type,
                    json.dumps(dict(request.metadata)),
                    epoch_ms(self._clock.now()),
                ),
            )
        return {"Bucket": request.bucket, "Key": request.key, "UploadId": upload}

    def put_part(self, request: UploadPart, data: bytes) -> dict[str, Any]:
        """Store a part."""
        if len(data) > _MAX_PART_BYTES:
            msg = "Your proposed upload exceeds the maximum allowed size"
            raise Refusal(msg, code="EntityTooLarge")
        with self._state.reading() as connection:
            _found(connection, request)
        blob = self._state.blobs.write(data)
        etag = hashlib.md5(data, usedforsecurity=False).hexdigest()
        with self._state.writing() as connection:
            _found(connection, request)  # it may have been aborted meanwhile
            replaced = connection.execute(
                "SELECT blob FROM parts WHERE upload = ? AND number = ?",
                (request.upload, request.number),
            ).fetchall()
            connection.execute(
                "REPLACE INTO parts (upload, number, blob, size, etag, modified_ms)"
                " VALUES (?, ?, ?, ?, ?, ?)",
                (
                    request.upload,
                    request.number,
                    blob,
                    len(data),
                    etag,
                    epoch_ms(self._clock.now()),
                ),
            )
        self._state.blobs.remove(name for (name,) in replaced)
        return {"ETag": f'"{etag}"'}

    def assemble(self, request: CompleteMultipartUpload) -> Assembled:
        """
        Put the parts together, as one content on the disk. The upload is there still.

        Raises:
            Refusal: A part is not there, is another, or is too small.
        """
        with self._state.reading() as connection:
            content_type, metadata = _found(connection, request)
            rows = connection.execute(
                "SELECT number, etag, size, blob FROM parts WHERE upload = ?", (request.upload,)
            ).fetchall()
        known = {number: (etag, size, blob) for number, etag, size, blob in rows}
        chosen = []
        for number, etag in request.parts:
            if number not in known or known[number][0] != etag:
                msg = (
                    "One or more of the specified parts could not be found. The part may not have "
                    "been uploaded, or the specified entity tag may not match the part's entity "
                    "tag."
                )
                raise Refusal(msg, code="InvalidPart")
            chosen.append(known[number])
        if any(size < MIN_PART_BYTES for _, size, _ in chosen[:-1]):
            msg = "Your proposed upload is smaller than the minimum allowed size"
            raise Refusal(msg, code="EntityTooSmall")
        digests = b"".join(bytes.fromhex(etag) for etag, _, _ in chosen)
        whole = hashlib.md5(digests, usedforsecurity=False).hexdigest()
        try:
            blob = self._state.blobs.join([blob for _, _, blob in chosen])
        except FileNotFoundError as error:
            raise _no_upload() from error  # completed or aborted meanwhile
        return Assembled(
            blob=blob,
            size=sum(size for _, size, _ in chosen),
            etag=f"{whole}-{len(chosen)}",
            content_type=content_type,
            metadata=metadata,
        )

    def abort(self, request: AbortMultipartUpload) -> None:
        """Throw an upload's parts away."""
        with self._state.writing(frees=True) as connection:
            _found(connection, request)
            blobs = self.forget(connection, request.upload)
        self._state.blobs.remove(blobs)

    def forget(self, connection: sqlite3.Connection, upload: str) -> list[str]:
        """Remove an upload within a transaction; return the contents that no row names then."""
        query = "SELECT blob FROM parts WHERE upload = ?"
        blobs = [blob for (blob,) in connection.execute(query, (upload,))]
        connection.execute("DELETE FROM parts WHERE upload = ?", (upload,))
        connection.execute("DELETE FROM uploads WHERE id = ?", (upload,))
        return blobs

    def list_parts(self, request: ListParts) -> dict[str, Any]:
        """Return a page of an upload's parts."""
        with self._state.reading() as connection:
            _found(connection, request)
            rows = connection.execute(
                "SELECT number, etag, size, modified_ms FROM parts"
                " WHERE upload = ? AND number > ? ORDER BY number LIMIT ?",
                (request.upload, request.after, request.limit + 1),
            ).fetchall()
        page = rows[: request.limit]
        return {
            "Bucket": request.bucket,
            "Key": request.key,
            "UploadId": request.upload,
            "PartNumberMarker": request.after,
            "NextPartNumberMarker": page[-1][0] if page else 0,
            "MaxParts": request.limit,
            "IsTruncated": len(rows) > request.limit,
            "StorageClass": "STANDARD",
            "Parts": [
                {
                    "PartNumber": number,
                    "ETag": f'"{etag}"',
                    "Size": size,
                    "LastModified": iso8601(from_epoch_ms(modified_ms)),
                }
                for number, etag, size, modified_ms in page
            ],
        }


def _found(connection: sqlite3.Connection, request: _OfAnUpload) -> tuple[str, str]:
    """Return the content type and the metadata of an upload, which must be of its key."""
    row = connection.execute(
        "SELECT content_type, metadata FROM uploads WHERE id = ? AND bucket = ? AND key = ?",
        (request.upload, request.bucket, request.key.encode()),
    ).fetchone()
    if row is None:
        raise _no_upload()
    return row[0], row[1]


def _no_upload() -> Refusal:
    msg = (
        "The specified upload does not exist. The upload ID may be invalid, or the upload may have "
        "been aborted or completed."
    )
    return Refusal(msg, code="NoSuchUpload")
