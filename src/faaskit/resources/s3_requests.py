"""What S3's operations take, checked and understood, and the permissions they need. Pure."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NoReturn
from urllib.parse import unquote_to_bytes

from attrs import frozen

from faaskit.exceptions import DefinitionError
from faaskit.gate.service import Refusal, Requirement, excerpt
from faaskit.names import bucket_arn, validate_bucket_name
from faaskit.runtimes.contract import ServiceCall

__all__ = [
    "CopyObject",
    "DeleteObject",
    "GetObject",
    "HeadObject",
    "ListObjects",
    "PutObject",
    "S3Request",
    "continuation_token",
    "understand",
]

DEFAULT_CONTENT_TYPE = "binary/octet-stream"
MAX_KEY_BYTES = 1024
MAX_METADATA_BYTES = 2048
MAX_KEYS = 1000
# A header of HTTP is this long at the most, on S3.
_MAX_HEADER_BYTES = 8192
_METADATA_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_HEADER_VALUE = re.compile(r"[\x20-\x7e]*")


@frozen
class PutObject:
    """Store an object, in place of what was there."""

    bucket: str
    key: str
    content_type: str
    metadata: Mapping[str, str]

    @property
    def requirements(self) -> Sequence[Requirement]:
        """The permissions that it needs."""
        return [_on_object("s3:PutObject", self.bucket, self.key)]


@frozen
class GetObject:
    """Return an object."""

    bucket: str
    key: str

    @property
    def requirements(self) -> Sequence[Requirement]:
        """The permissions that it needs."""
        return [_on_object("s3:GetObject", self.bucket, self.key)]


@frozen
class HeadObject(GetObject):
    """Return what is known of an object, without its content. S3 has no action of its own."""


@frozen
class DeleteObject:
    """Remove an object, if it is there."""

    bucket: str
    key: str

    @property
    def requirements(self) -> Sequence[Requirement]:
        """The permissions that it needs."""
        return [_on_object("s3:DeleteObject", self.bucket, self.key)]


@frozen
class ListObjects:
    """
    Return a page of a bucket's objects (ListObjectsV2).

    Attributes:
        after: The key, as UTF-8, behind which the page begins; None for the first page.
        context: The condition keys of the parameters that were given.
    """

    bucket: str
    prefix: str
    max_keys: int
    after: bytes | None
    context: Mapping[str, str]

    @property
    def requirements(self) -> Sequence[Requirement]:
        """The permissions that it needs."""
        return [Requirement("s3:ListBucket", bucket_arn(self.bucket), self.context)]


@frozen
class CopyObject:
    """Store a copy of an object, with its content type and metadata."""

    source_bucket: str
    source_key: str
    bucket: str
    key: str

    @property
    def requirements(self) -> Sequence[Requirement]:
        """The permissions that it needs."""
        return [
            _on_object("s3:GetObject", self.source_bucket, self.source_key),
            _on_object("s3:PutObject", self.bucket, self.key),
        ]


S3Request = PutObject | GetObject | HeadObject | DeleteObject | ListObjects | CopyObject


def understand(call: ServiceCall) -> S3Request:
    """
    Return the request that a call makes.

    Raises:
        Refusal: With S3's code: the operation, a parameter or a value is not one that is
            taken here. Nothing is ignored: a parameter without effect would be a promise.
    """
    known = _OPERATIONS.get(call.operation)
    if known is None:
        msg = f"S3's operation {excerpt(call.operation)} is not one that there is here"
        raise Refusal(msg, code="NotImplemented")
    make, taken = known
    for name in call.parameters:
        if name not in taken:
            msg = (
                f"{call.operation}'s parameter {excerpt(name)} has no effect here; "
                f"it takes {', '.join(sorted(taken))}"
            )
            raise Refusal(msg, code="NotImplemented")
    return make(call.parameters)


def continuation_token(key: bytes) -> str:
    """Return the token that continues a listing behind a key."""
    return base64.urlsafe_b64encode(key).decode()


def _put(parameters: Mapping[str, Any]) -> PutObject:
    return PutObject(
        bucket=_bucket(parameters.get("Bucket")),
        key=_key(parameters.get("Key")),
        content_type=_content_type(parameters.get("ContentType")),
        metadata=_metadata(parameters.get("Metadata")),
    )


def _get(parameters: Mapping[str, Any]) -> GetObject:
    return GetObject(_bucket(parameters.get("Bucket")), _key(parameters.get("Key")))


def _head(parameters: Mapping[str, Any]) -> HeadObject:
    return HeadObject(_bucket(parameters.get("Bucket")), _key(parameters.get("Key")))


def _delete(parameters: Mapping[str, Any]) -> DeleteObject:
    return DeleteObject(_bucket(parameters.get("Bucket")), _key(parameters.get("Key")))


def _list(parameters: Mapping[str, Any]) -> ListObjects:
    bucket = _bucket(parameters.get("Bucket"))
    prefix, token, start = (
        _optional_text(parameters, name) for name in ("Prefix", "ContinuationToken", "StartAfter")
    )
    limit = parameters.get("MaxKeys", MAX_KEYS)
    if not isinstance(limit, int) or isinstance(limit, bool) or not 0 <= limit < 1 << 31:
        msg = f"MaxKeys is {excerpt(limit)}: S3 takes an integer from 0 to 2147483647"
        raise Refusal(msg, code="InvalidArgument")
    context = {}
    if prefix is not None:
        context["s3:prefix"] = prefix
    if "MaxKeys" in parameters:
        context["s3:max-keys"] = str(limit)
    return ListObjects(
        bucket=bucket,
        prefix=prefix or "",
        max_keys=min(limit, MAX_KEYS),
        after=_after(token, start),
        context=context,
    )


def _after(token: str | None, start: str | None) -> bytes | None:
    if token is None:
        return None if start is None else start.encode()
    try:
        key = base64.b64decode(token.encode(), altchars=b"-_", validate=True)
        key.decode()
    except (binascii.Error, ValueError):
        msg = "The continuation token provided is incorrect"
        raise Refusal(msg, code="InvalidArgument") from None
    return key


def _copy(parameters: Mapping[str, Any]) -> CopyObject:
    bucket, key = _bucket(parameters.get("Bucket")), _key(parameters.get("Key"))
    directive = parameters.get("MetadataDirective", "COPY")
    if directive != "COPY":
        msg = f"MetadataDirective {excerpt(directive)} is not one that there is here: COPY"
        raise Refusal(msg, code="NotImplemented")
    source_bucket, source_key = _copy_source(parameters.get("CopySource"))
    if (source_bucket, source_key) == (bucket, key):
        msg = (
            "This copy request is illegal because it is trying to copy an object to itself "
            "without changing the object's metadata, storage class, website redirect location "
            "or encryption attributes."
        )
        raise Refusal(msg, code="InvalidRequest")
    return CopyObject(source_bucket, source_key, bucket, key)


def _copy_source(source: object) -> tuple[str, str]:
    """Return bucket and key of ``{"Bucket", "Key"}``, or of ``BUCKET/KEY``, URL-encoded."""
    if isinstance(source, Mapping):
        if set(source) != {"Bucket", "Key"}:
            msg = "CopySource takes Bucket and Key; there are no versions here"
            raise Refusal(msg, code="NotImplemented")
        return _bucket(source["Bucket"]), _key(source["Key"])
    if not isinstance(source, str):
        _wrong_type("CopySource", source, "'BUCKET/KEY', or {'Bucket': …, 'Key': …}")
    bucket, slash, quoted = source.removeprefix("/").partition("/")
    if not slash:
        msg = "Invalid copy source object key"
        raise Refusal(msg, code="InvalidArgument")
    if "?versionId=" in quoted:
        msg = "CopySource names a version; there are no versions here"
        raise Refusal(msg, code="NotImplemented")
    try:
        key = unquote_to_bytes(quoted.encode()).decode()
    except UnicodeError:
        _not_utf8("CopySource", source)
    return _bucket(bucket), _key(key)


def _bucket(name: object) -> str:
    if not isinstance(name, str):
        _wrong_type("Bucket", name, "a bucket's name")
    try:
        return validate_bucket_name(name)
    except DefinitionError as error:
        msg = f"The specified bucket is not valid: {excerpt(name)}"
        raise Refusal(msg, code="InvalidBucketName") from error


def _key(key: object) -> str:
    if not isinstance(key, str):
        _wrong_type("Key", key, "an object's key")
    if not key:
        msg = "an object's key is empty: S3 takes 1 to 1024 bytes of UTF-8"
        raise Refusal(msg, code="InvalidRequest")
    if len(_utf8("Key", key)) > MAX_KEY_BYTES:
        msg = "Your key is too long"
        raise Refusal(msg, code="KeyTooLongError")
    return key


def _content_type(value: object) -> str:
    if value is None:
        return DEFAULT_CONTENT_TYPE
    if not isinstance(value, str):
        _wrong_type("ContentType", value, "a media type such as 'image/png'")
    return _header("ContentType", value) or DEFAULT_CONTENT_TYPE


def _metadata(value: object) -> Mapping[str, str]:
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        _wrong_type("Metadata", value, "strings by name")
    metadata: dict[str, str] = {}
    size = 0
    for name, text in value.items():
        if not isinstance(name, str) or not isinstance(text, str):
            _wrong_type("Metadata", {name: text}, "strings by name")
        if not _METADATA_NAME.fullmatch(name):
            msg = f"metadata's name {excerpt(name)} can't be part of an HTTP header's name"
            raise Refusal(msg, code="InvalidArgument")
        size += len(name) + len(text)
        if size > MAX_METADATA_BYTES:
            msg = "Your metadata headers exceed the maximum allowed metadata size"
            raise Refusal(msg, code="MetadataTooLarge")
        # The names are those of HTTP headers, for which case does not count: S3 gives
        # them back in lower case. HTTP also strips blanks around a value.
        metadata[name.lower()] = _header(f"Metadata[{name!r}]", text)
    return metadata


def _header(name: str, value: str) -> str:
    if not _HEADER_VALUE.fullmatch(value) or len(value) > _MAX_HEADER_BYTES:
        msg = (
            f"{name} is {excerpt(value)}: it travels in an HTTP header, which takes up to "
            f"{_MAX_HEADER_BYTES} printable characters of ASCII; encode what is not"
        )
        raise Refusal(msg, code="InvalidArgument")
    return value.strip(" ")


def _optional_text(parameters: Mapping[str, Any], name: str) -> str | None:
    value = parameters.get(name)
    if value is None:
        return None
    if not isinstance(value, str):
        _wrong_type(name, value, "a string")
    _utf8(name, value)
    return value


def _utf8(name: str, value: str) -> bytes:
    try:
        return value.encode()
    except UnicodeEncodeError:
        _not_utf8(name, value)


def _not_utf8(name: str, value: str) -> NoReturn:
    msg = (
        f"{name} {excerpt(value)} can't be written in UTF-8: it holds half of a surrogate "
        "pair, or bytes that were decoded as something else"
    )
    raise Refusal(msg, code="InvalidURI")


def _wrong_type(name: str, value: object, wanted: str) -> NoReturn:
    what = "missing" if value is None else f"{excerpt(value)} ({type(value).__name__})"
    msg = f"{name} is {what}: pass {wanted}"
    raise Refusal(msg, code="InvalidRequest")


def _on_object(action: str, bucket: str, key: str) -> Requirement:
    return Requirement(action, f"{bucket_arn(bucket)}/{key}")


_OPERATIONS: dict[str, tuple[Callable[[Mapping[str, Any]], S3Request], set[str]]] = {
    "PutObject": (_put, {"Bucket", "Key", "ContentType", "Metadata"}),
    "GetObject": (_get, {"Bucket", "Key"}),
    "HeadObject": (_head, {"Bucket", "Key"}),
    "DeleteObject": (_delete, {"Bucket", "Key"}),
    "ListObjectsV2": (_list, {"Bucket", "Prefix", "MaxKeys", "ContinuationToken", "StartAfter"}),
    "CopyObject": (_copy, {"Bucket", "Key", "CopySource", "MetadataDirective"}),
}
