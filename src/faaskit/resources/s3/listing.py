"""Pages of a bucket's keys, in the order of their UTF-8, rolled up at a delimiter."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from faaskit.clock import from_epoch_ms, iso8601
from faaskit.resources.s3.requests import PAST, ListObjects, continuation_token

if TYPE_CHECKING:
    import sqlite3

__all__ = ["list_objects"]

_Row = tuple[bytes, int, str, int]


def list_objects(connection: sqlite3.Connection, request: ListObjects) -> dict[str, Any]:
    """Return the output of ListObjectsV2, or of ListObjects."""
    contents: list[dict[str, Any]] = []
    prefixes: list[bytes] = []
    last = b""  # what the next page begins behind
    behind, more = request.after, False
    while True:
        room = request.max_keys - len(contents) - len(prefixes)
        # One more than there is room for tells whether there is more.
        rows = _rows(connection, request, behind, limit=room + 1)
        over = None
        for row in rows:
            if len(contents) + len(prefixes) >= request.max_keys:
                more = request.max_keys > 0
                break
            rolled = _rolled_up(request, row[0])
            if rolled is not None:
                prefixes.append(rolled)
                over = last = rolled + PAST
                break  # the others that begin with it are not looked at
            contents.append(_told(row))
            last = row[0]
        if over is None:
            break
        behind = over
    return _output(request, contents, prefixes, last if more else None)


def _rows(
    connection: sqlite3.Connection, request: ListObjects, behind: bytes | None, *, limit: int
) -> list[_Row]:
    prefix = request.prefix.encode()
    query = "SELECT key, size, etag, modified_ms FROM objects WHERE bucket = ? AND key >= ?"
    values: list[Any] = [request.bucket, prefix]
    if prefix:
        # What begins with it sorts before it with its last byte raised: no byte of
        # UTF-8 is 0xFF.
        query += " AND key < ?"
        values.append(prefix[:-1] + bytes([prefix[-1] + 1]))
    if behind is not None:
        query += " AND key > ?"
        values.append(behind)
    query += " ORDER BY key LIMIT ?"
    return connection.execute(query, [*values, limit]).fetchall()


def _rolled_up(request: ListObjects, key: bytes) -> bytes | None:
    """Return what a key begins with up to a delimiter behind the prefix; None without one."""
    delimiter = request.delimiter.encode()
    if not delimiter:
        return None
    at = key.find(delimiter, len(request.prefix.encode()))
    return None if at < 0 else key[: at + len(delimiter)]


def _told(row: _Row) -> dict[str, Any]:
    key, size, etag, modified_ms = row
    return {
        "Key": key.decode(),
        "LastModified": iso8601(from_epoch_ms(modified_ms)),
        "ETag": f'"{etag}"',
        "Size": size,
        "StorageClass": "STANDARD",
    }


def _output(
    request: ListObjects, contents: list[dict[str, Any]], prefixes: list[bytes], last: bytes | None
) -> dict[str, Any]:
    output: dict[str, Any] = {
        "Name": request.bucket,
        "Prefix": request.prefix,
        "MaxKeys": request.max_keys,
        "IsTruncated": last is not None,
        "Contents": contents,
    }
    if request.delimiter:
        output["Delimiter"] = request.delimiter
        output["CommonPrefixes"] = [{"Prefix": one.decode()} for one in prefixes]
    if request.first_version:
        output["Marker"] = request.marker
        if last is not None and request.delimiter:  # else the last key is the next marker
            output["NextMarker"] = last.removesuffix(PAST).decode()
    else:
        output["KeyCount"] = len(contents) + len(prefixes)
        if last is not None:
            output["NextContinuationToken"] = continuation_token(last)
    return output
