"""A bucket, as users hold it: the same in the app and inside a function."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Any, BinaryIO, Protocol, TypeVar
from urllib.parse import quote

from attrs import field, frozen

from faaskit.exceptions import DefinitionError
from faaskit.functions import Function
from faaskit.gate.ask import Performer, ask
from faaskit.names import bucket_arn, validate_bucket_name
from faaskit.runtimes.link import current_link

__all__ = ["Bucket", "BucketOwner", "Object"]

_F = TypeVar("_F", bound=Function)
Data = bytes | bytearray | memoryview | BinaryIO


@frozen
class Object:
    """
    An object of a bucket.

    Attributes:
        body: The content; None from ``head`` and ``list``.
        etag: MD5 of the content, hexadecimal, as in events: without S3's quotes.
        size: In bytes.
        content_type: Empty from ``list``, which does not tell.
        metadata: By name, in lower case; empty from ``list``, which does not tell.
        last_modified: Aware, in UTC, to the millisecond.
    """

    key: str
    size: int
    etag: str
    last_modified: datetime
    content_type: str = ""
    metadata: Mapping[str, str] = field(factory=dict)
    body: bytes | None = field(default=None, repr=False)


class BucketOwner(Performer, Protocol):
    """What a bucket needs of its app."""

    def bucket(self, name: str) -> Bucket:
        """Return the bucket of that name."""

    def add_bucket_trigger(
        self, bucket: Bucket, events: tuple[str, ...], *, prefix: str, suffix: str, function: Any
    ) -> None:
        """Have a function invoked for a bucket's events."""


class Bucket:
    """
    A bucket of an app: S3's operations, embedded and durable.

    Make one with ``app.bucket(name)``. In the app every operation is carried out as the
    owner; inside a function it goes through the gate under the function's role, and may
    raise AccessDeniedError. Making a Bucket opens nothing.

    Any key is fine that S3 takes: 1 to 1,024 bytes of UTF-8. Keys never become names of
    files.

    Attributes:
        name: Unique in its app.
    """

    def __init__(self, name: str, owner: BucketOwner) -> None:
        self.name = validate_bucket_name(name)
        self._owner = owner

    def __repr__(self) -> str:
        return f"Bucket({self.name!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        # By name: a bucket that travels is looked up again where it arrives.
        return _bucket_of, (self._owner, self.name)

    @property
    def arn(self) -> str:
        """``arn:aws:s3:::NAME``: what s3:ListBucket is allowed on."""
        return bucket_arn(self.name)

    def objects(self, pattern: str = "*") -> str:
        """
        Return the ARN of the objects whose keys match, for a policy's statement.

        Args:
            pattern: ``*`` stands for any characters, ``?`` for one.
        """
        return f"{self.arn}/{pattern}"

    def put(
        self,
        key: str,
        data: Data,
        content_type: str | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> str:
        """
        Store an object, in place of what was there (s3:PutObject).

        When this returns, the object is on the disk, and so are the events that it causes.

        Args:
            key: 1 to 1,024 bytes of UTF-8.
            data: Bytes, or a file opened in binary mode, read to its end; up to 5 GB.
            content_type: None is S3's ``binary/octet-stream``.
            metadata: ASCII, up to 2 KB; S3 turns the names into lower case.

        Returns:
            The ETag: the MD5 of the content, hexadecimal.

        Raises:
            AccessDeniedError: Inside a function whose role does not allow it.
            ServiceError: S3 does not take such a key, type or metadata.
            TypeError: The data is text.
        """
        parameters: dict[str, Any] = {"Key": key}
        if content_type is not None:
            parameters["ContentType"] = content_type
        if metadata is not None:
            parameters["Metadata"] = dict(metadata)
        output, _ = self._ask("PutObject", parameters, _bytes_of(data))
        return _unquoted(output["ETag"])

    def get(self, key: str) -> Object:
        """
        Return an object with its content (s3:GetObject).

        Raises:
            NoSuchKeyError: There is none, and the role allows s3:ListBucket.
            AccessDeniedError: Inside a function whose role does not allow it.
        """
        output, body = self._ask("GetObject", {"Key": key})
        return _object(key, output, body or b"")

    def head(self, key: str) -> Object:
        """
        Return what is known of an object, with None for its content (s3:GetObject).

        Raises:
            NoSuchKeyError: There is none, and the role allows s3:ListBucket.
            AccessDeniedError: Inside a function whose role does not allow it.
        """
        output, _ = self._ask("HeadObject", {"Key": key})
        return _object(key, output, None)

    def delete(self, key: str) -> None:
        """
        Remove an object; it is no error if there is none (s3:DeleteObject).

        Raises:
            AccessDeniedError: Inside a function whose role does not allow it.
        """
        self._ask("DeleteObject", {"Key": key})

    def list(self, prefix: str = "") -> Iterator[Object]:
        """
        Iterate over the objects whose keys begin with a prefix, without contents.

        In the order of the keys' UTF-8, a page of 1,000 at a time (s3:ListBucket on the
        bucket): what changes meanwhile behind the page is seen.

        Raises:
            AccessDeniedError: On the first step, inside a function whose role does not
                allow it.
        """
        parameters: dict[str, Any] = {"Prefix": prefix} if prefix else {}
        while True:
            output, _ = self._ask("ListObjectsV2", parameters)
            for entry in output["Contents"]:
                yield Object(
                    key=entry["Key"],
                    size=entry["Size"],
                    etag=_unquoted(entry["ETag"]),
                    last_modified=_moment(entry["LastModified"]),
                )
            if not output["IsTruncated"]:
                return
            parameters["ContinuationToken"] = output["NextContinuationToken"]

    def copy(self, key: str, to_key: str, *, to: Bucket | None = None) -> str:
        """
        Store a copy of an object, with its content type and metadata.

        Needs s3:GetObject on the source and s3:PutObject on the copy.

        Args:
            key: The object to copy.
            to_key: The copy's key.
            to: The copy's bucket; None is this one.

        Returns:
            The copy's ETag.

        Raises:
            NoSuchKeyError: There is nothing to copy, and the role allows s3:ListBucket.
            AccessDeniedError: Inside a function whose role does not allow it.
            DefinitionError: The other bucket is one of another App.
        """
        target = self if to is None else to
        # Inside a function an App is a reference, and there may be several of one.
        if target._owner is not self._owner and current_link() is None:  # noqa: SLF001
            msg = (
                f"bucket {target.name!r} is one of another App than bucket {self.name!r}, and a "
                "copy is made within an App: get the object there, and put it here"
            )
            raise DefinitionError(msg)
        source = f"{self.name}/{quote(key)}"
        output, _ = target._ask("CopyObject", {"Key": to_key, "CopySource": source})  # noqa: SLF001
        return _unquoted(output["CopyObjectResult"]["ETag"])

    def on(self, *events: str, prefix: str = "", suffix: str = "") -> Callable[[_F], _F]:
        """
        Have a function invoked, asynchronously, for events of this bucket.

        A decorator that goes on top of ``@app.function``, and returns the function.

        Args:
            events: S3's names, such as ``s3:ObjectCreated:*`` or ``s3:ObjectRemoved:Delete``.
            prefix: Of the keys; literal, case-sensitive.
            suffix: Of the keys; literal, case-sensitive.

        Raises:
            DefinitionError: No such event; what is decorated is not a function of this app;
                or another function gets some of these events already.
        """

        def register(function: _F) -> _F:
            self._owner.add_bucket_trigger(
                self, events, prefix=prefix, suffix=suffix, function=function
            )
            return function

        return register

    def _ask(
        self, operation: str, parameters: Mapping[str, Any], body: bytes | None = None
    ) -> tuple[Mapping[str, Any], bytes | None]:
        reply = ask(self._owner, "s3", operation, {"Bucket": self.name, **parameters}, body)
        return reply.output, reply.body


def _bucket_of(owner: BucketOwner, name: str) -> Bucket:
    return owner.bucket(name)


def _bytes_of(data: object) -> bytes:
    """Return the content as bytes, copying only what could change under our hands."""
    if isinstance(data, bytes):
        return data
    if isinstance(data, (bytearray, memoryview)):
        return bytes(data)
    if isinstance(data, str):
        msg = "a bucket holds bytes, not str: pass data.encode()"
        raise TypeError(msg)
    read = getattr(data, "read", None)
    if read is None:
        msg = f"a bucket holds bytes, not {type(data).__name__}: pass bytes or a binary file"
        raise TypeError(msg)
    content = read()
    if not isinstance(content, bytes):
        msg = f"the file gave {type(content).__name__}, not bytes: open it in mode 'rb'"
        raise TypeError(msg)
    return content


def _object(key: str, output: Mapping[str, Any], body: bytes | None) -> Object:
    return Object(
        key=key,
        size=output["ContentLength"],
        etag=_unquoted(output["ETag"]),
        last_modified=_moment(output["LastModified"]),
        content_type=output["ContentType"],
        metadata=output["Metadata"],
        body=body,
    )


def _unquoted(etag: str) -> str:
    return etag.strip('"')


def _moment(text: str) -> datetime:
    # datetime.fromisoformat knows "Z" from Python 3.11 on.
    return datetime.fromisoformat(text.replace("Z", "+00:00"))
