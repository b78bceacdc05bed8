"""What S3's operations take, checked and understood. Pure."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Mapping
from typing import Any, NoReturn
from urllib.parse import unquote_to_bytes

from attrs import evolve, frozen

from faaskit.exceptions import DefinitionError
from faaskit.gate.service import Refusal, excerpt
from faaskit.names import validate_bucket_name
from faaskit.runtimes.contract import ServiceCall

__all__ = [
    "PAST",
    "AbortMultipartUpload",
    "CompleteMultipartUpload",
    "CopyObject",
    "CreateMultipartUpload",
    "DeleteObject",
    "DeleteObjects",
    "GetBucketLocation",
    "GetObject",
    "HeadBucket",
    "HeadObject",
    "ListBuckets",
    "ListObjects",
    "ListParts",
    "PutObject",
    "S3Request",
    "UploadPart",
    "continuation_token",
    "understand",
]

_BEYOND = 'App(aws="moto") has it, for buckets that the app does not define itself'
# About a transfer over HTTP, which there is none of.
_OF_THE_TRANSFER = frozenset(
    {
        "ChecksumAlgorithm",
        "ChecksumCRC32",
        "ChecksumCRC32C",
        "ChecksumCRC64NVME",
        "ChecksumMode",
        "ChecksumSHA1",
        "ChecksumSHA256",
        "ChecksumType",
        "ContentLength",
        "ContentMD5",
        "MpuObjectSize",
    }
)
DEFAULT_CONTENT_TYPE = "binary/octet-stream"
MAX_KEY_BYTES = 1024
MAX_METADATA_BYTES = 2048
MAX_KEYS = 1000
MAX_PARTS = 10_000
# Behind all keys that begin with the same: no byte of UTF-8 is 0xFF.
PAST = b"\xff"
_RANGE = re.compile(r"bytes=([0-9]{0,18})-([0-9]{0,18})")
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


@frozen
class GetObject:
    """
    Return an object, or a part of it.

    Attributes:
        span: First and last byte, both included; None and a number are the last so many; a
            number and None are all from there. None: the whole.
        if_match: The ETags of which it must have one, without their quotes; None: any.
        if_none_match: The ETags of which it must have none.
    """

    bucket: str
    key: str
    span: tuple[int | None, int | None] | None = None
    if_match: frozenset[str] | None = None
    if_none_match: frozenset[str] = frozenset()


@frozen
class HeadObject(GetObject):
    """Return what is known of an object, without its content."""


@frozen
class DeleteObject:
    """Remove an object, if it is there."""

    bucket: str
    key: str


@frozen
class DeleteObjects:
    """
    Remove several objects.

    Attributes:
        quiet: Whether those that were removed are not listed.
    """

    bucket: str
    keys: tuple[str, ...]
    quiet: bool


@frozen
class ListObjects:
    """
    Return a page of a bucket's objects (ListObjectsV2; ListObjects where ``first_version``).

    Attributes:
        delimiter: Keys that have it behind the prefix are told as what they begin with.
        after: The key, as UTF-8, behind which the page begins; None for the first page.
        marker: What ListObjects was given for it.
    """

    bucket: str
    prefix: str
    delimiter: str
    max_keys: int
    after: bytes | None
    first_version: bool = False
    marker: str = ""


@frozen
class CopyObject:
    """Store a copy of an object, with its content type and metadata."""

    source_bucket: str
    source_key: str
    bucket: str
    key: str


@frozen
class HeadBucket:
    """Say whether there is a bucket, and where."""

    bucket: str


@frozen
class GetBucketLocation:
    """Say in which region a bucket is."""

    bucket: str


@frozen
class ListBuckets:
    """Return the names of all buckets."""


@frozen
class CreateMultipartUpload:
    """Begin an object that comes in parts."""

    bucket: str
    key: str
    content_type: str
    metadata: Mapping[str, str]


@frozen
class UploadPart:
    """Store a part, in place of an earlier one of its number."""

    bucket: str
    key: str
    upload: str
    number: int


@frozen
class CompleteMultipartUpload:
    """
    Make an object of parts.

    Attributes:
        parts: Number and ETag of each, in order.
    """

    bucket: str
    key: str
    upload: str
    parts: tuple[tuple[int, str], ...]


@frozen
class AbortMultipartUpload:
    """Throw the parts of an upload away."""

    bucket: str
    key: str
    upload: str


@frozen
class ListParts:
    """Return the parts that an upload has so far."""

    bucket: str
    key: str
    upload: str
    after: int
    limit: int


S3Request = (
    PutObject
    | GetObject
    | HeadObject
    | DeleteObject
    | DeleteObjects
    | ListObjects
    | CopyObject
    | HeadBucket
    | GetBucketLocation
    | ListBuckets
    | CreateMultipartUpload
    | UploadPart
    | CompleteMultipartUpload
    | AbortMultipartUpload
    | ListParts
)


def understand(call: ServiceCall) -> S3Request:
    """
    Return the request that a call makes.

    Raises:
        Refusal: With S3's code: the operation, a parameter or a value is not one that is
            taken here. Nothing is ignored: a parameter without effect would be a promise.
    """
    known = _OPERATIONS.get(call.operation)
    if known is None:
        msg = (
            f"S3's operation {excerpt(call.operation)} is not one that the app's own buckets have; "
            f"{_BEYOND}"
        )
        raise Refusal(msg, code="NotImplemented")
    make, taken = known
    for name in call.parameters:
        if name not in taken and name not in _OF_THE_TRANSFER:
            msg = (
                f"{call.operation}'s parameter {excerpt(name)} has no effect on the app's own "
                f"buckets, which take {', '.join(sorted(taken))}; {_BEYOND}"
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
    return GetObject(
        _bucket(parameters.get("Bucket")),
        _key(parameters.get("Key")),
        _span(_optional_text(parameters, "Range")),
        _etags(_optional_text(parameters, "IfMatch")),
        _etags(_optional_text(parameters, "IfNoneMatch")) or frozenset(),
    )


def _head(parameters: Mapping[str, Any]) -> HeadObject:
    found = _get(parameters)
    return HeadObject(found.bucket, found.key, found.span, found.if_match, found.if_none_match)


def _span(text: str | None) -> tuple[int | None, int | None] | None:
    """Return what a Range header asks for; what is no single range of bytes asks for all."""
    found = None if text is None else _RANGE.fullmatch(text.strip())
    if found is None or not any(found.groups()):
        return None
    first, last = (int(digits) if digits else None for digits in found.groups())
    return None if first is not None and last is not None and last < first else (first, last)


def _etags(text: str | None) -> frozenset[str] | None:
    if text is None:
        return None
    return frozenset(one.strip().removeprefix("W/").strip('"') for one in text.split(","))


def _delete(parameters: Mapping[str, Any]) -> DeleteObject:
    return DeleteObject(_bucket(parameters.get("Bucket")), _key(parameters.get("Key")))


def _delete_several(parameters: Mapping[str, Any]) -> DeleteObjects:
    wanted = parameters.get("Delete")
    objects = wanted.get("Objects") if isinstance(wanted, Mapping) else None
    if not isinstance(objects, list) or not 1 <= len(objects) <= MAX_KEYS:
        msg = (
            "The XML you provided was not well-formed or did not validate against our published "
            "schema"
        )
        raise Refusal(msg, code="MalformedXML")
    assert isinstance(wanted, Mapping)
    keys = []
    for one in objects:
        if not isinstance(one, Mapping) or set(one) != {"Key"}:
            msg = f"Delete takes the Key of each object, and there are no versions; {_BEYOND}"
            raise Refusal(msg, code="NotImplemented")
        keys.append(_key(one["Key"]))
    return DeleteObjects(
        _bucket(parameters.get("Bucket")), tuple(keys), quiet=wanted.get("Quiet") is True
    )


def _list(parameters: Mapping[str, Any]) -> ListObjects:
    token, start = (
        _optional_text(parameters, name) for name in ("ContinuationToken", "StartAfter")
    )
    return _listing(parameters, _after(token, start))


def _list_first_version(parameters: Mapping[str, Any]) -> ListObjects:
    marker = _optional_text(parameters, "Marker") or ""
    delimiter = _optional_text(parameters, "Delimiter") or ""
    # Where a page ended in what keys begin with, all of these are behind the marker.
    over = marker and delimiter and marker.endswith(delimiter)
    after = marker.encode() + (PAST if over else b"")
    return evolve(_listing(parameters, after or None), first_version=True, marker=marker)


def _listing(parameters: Mapping[str, Any], after: bytes | None) -> ListObjects:
    limit = parameters.get("MaxKeys", MAX_KEYS)
    if not isinstance(limit, int) or isinstance(limit, bool) or not 0 <= limit < 1 << 31:
        msg = f"MaxKeys is {excerpt(limit)}: S3 takes an integer from 0 to 2147483647"
        raise Refusal(msg, code="InvalidArgument")
    return ListObjects(
        bucket=_bucket(parameters.get("Bucket")),
        prefix=_optional_text(parameters, "Prefix") or "",
        delimiter=_optional_text(parameters, "Delimiter") or "",
        max_keys=min(limit, MAX_KEYS),
        after=after,
    )


def _after(token: str | None, start: str | None) -> bytes | None:
    if token is None:
        return None if start is None else start.encode()
    try:
        key = base64.b64decode(token.encode(), altchars=b"-_", validate=True)
        good = bool(key.removesuffix(PAST).decode())
    except (binascii.Error, ValueError):
        good = False
    if not good:
        msg = "The continuation token provided is incorrect"
        raise Refusal(msg, code="InvalidArgument")
    return key


def _create(parameters: Mapping[str, Any]) -> CreateMultipartUpload:
    put = _put(parameters)
    return CreateMultipartUpload(put.bucket, put.key, put.content_type, put.metadata)


def _upload_of(parameters: Mapping[str, Any]) -> tuple[str, str, str]:
    upload = _optional_text(parameters, "UploadId")
    if upload is None:
        _wrong_type("UploadId", upload, "what CreateMultipartUpload returned")
    return _bucket(parameters.get("Bucket")), _key(parameters.get("Key")), upload


def _part_number(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= MAX_PARTS:
        msg = f"Part number must be an integer between 1 and {MAX_PARTS}, inclusive"
        raise Refusal(msg, code="InvalidArgument")
    return value


def _part(parameters: Mapping[str, Any]) -> UploadPart:
    return UploadPart(*_upload_of(parameters), _part_number(parameters.get("PartNumber")))


def _complete(parameters: Mapping[str, Any]) -> CompleteMultipartUpload:
    named = parameters.get("MultipartUpload")
    listed = named.get("Parts") if isinstance(named, Mapping) else None
    if not isinstance(listed, list) or not 1 <= len(listed) <= MAX_PARTS:
        msg = "You must specify at least one part"
        raise Refusal(msg, code="MalformedXML")
    parts = []
    for one in listed:
        etag = one.get("ETag") if isinstance(one, Mapping) else None
        if not isinstance(etag, str):
            _wrong_type("ETag", etag, "what UploadPart returned")
        parts.append((_part_number(one.get("PartNumber")), etag.strip('"')))
    numbers = [number for number, _ in parts]
    if numbers != sorted(set(numbers)):
        msg = (
            "The list of parts was not in ascending order. The parts list must be specified in "
            "order by part number."
        )
        raise Refusal(msg, code="InvalidPartOrder")
    return CompleteMultipartUpload(*_upload_of(parameters), tuple(parts))


def _abort(parameters: Mapping[str, Any]) -> AbortMultipartUpload:
    return AbortMultipartUpload(*_upload_of(parameters))


def _list_parts(parameters: Mapping[str, Any]) -> ListParts:
    after, limit = parameters.get("PartNumberMarker", 0), parameters.get("MaxParts", MAX_KEYS)
    for name, value in (("PartNumberMarker", after), ("MaxParts", limit)):
        if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 1 << 31:
            msg = f"{name} is {excerpt(value)}: S3 takes an integer from 0 to 2147483647"
            raise Refusal(msg, code="InvalidArgument")
    return ListParts(*_upload_of(parameters), after, min(limit, MAX_KEYS))


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
    """Return bucket and key of ``BUCKET/KEY``, URL-encoded."""
    if not isinstance(source, str):
        _wrong_type("CopySource", source, "'BUCKET/KEY', URL-encoded")
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


_Taken = tuple[Callable[[Mapping[str, Any]], S3Request], set[str]]
_UPLOAD = {"Bucket", "Key", "UploadId"}
_LISTING = {"Bucket", "Prefix", "Delimiter", "MaxKeys"}
_READING = {"Bucket", "Key", "Range", "IfMatch", "IfNoneMatch"}
_OPERATIONS: dict[str, _Taken] = {
    "AbortMultipartUpload": (_abort, _UPLOAD),
    "CompleteMultipartUpload": (_complete, {*_UPLOAD, "MultipartUpload"}),
    "CopyObject": (_copy, {"Bucket", "Key", "CopySource", "MetadataDirective"}),
    "CreateMultipartUpload": (_create, {"Bucket", "Key", "ContentType", "Metadata"}),
    "DeleteObject": (_delete, {"Bucket", "Key"}),
    "DeleteObjects": (_delete_several, {"Bucket", "Delete"}),
    "GetBucketLocation": (
        lambda given: GetBucketLocation(_bucket(given.get("Bucket"))),
        {"Bucket"},
    ),
    "GetObject": (_get, _READING),
    "HeadBucket": (lambda given: HeadBucket(_bucket(given.get("Bucket"))), {"Bucket"}),
    "HeadObject": (_head, _READING),
    "ListBuckets": (lambda _: ListBuckets(), set()),
    "ListObjects": (_list_first_version, {*_LISTING, "Marker"}),
    "ListObjectsV2": (_list, {*_LISTING, "ContinuationToken", "StartAfter", "FetchOwner"}),
    "ListParts": (_list_parts, {*_UPLOAD, "MaxParts", "PartNumberMarker"}),
    "PutObject": (_put, {"Bucket", "Key", "ContentType", "Metadata"}),
    "UploadPart": (_part, {*_UPLOAD, "PartNumber"}),
}
