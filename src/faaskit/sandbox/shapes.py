"""
AWS's parameters as JSON, and back, told apart by botocore's shapes. Imports nothing of it.

A blob is a base64 text and a timestamp an ISO 8601 one; the blob that is an operation's payload
(PutObject's Body) travels beside the parameters. Used on both sides of the channel, and in the
app for its endpoint, so that no value is ever guessed at.

A template imports this before it is shut in, and what it needs itself with its first call: most
functions never make one, and each would carry it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable

__all__ = ["ShapeError", "payload_name", "read", "split", "write"]

# Deeper is no request of AWS's; a recursive shape (DynamoDB's AttributeValue) ends at 32.
_DEPTH = 64


class ShapeError(ValueError):
    """A value that is not of its shape."""


def payload_name(shape: Any) -> str | None:
    """Return the member that is the payload of an input or output shape, if that is a blob."""
    if shape is None:
        return None
    name = shape.serialization.get("payload")
    if name and shape.members[name].type_name in {"blob", "string"}:
        return str(name)
    return None


def split(shape: Any, parameters: dict[str, Any]) -> tuple[dict[str, Any], bytes | None]:
    """
    Return an operation's parameters or output as JSON values, and its payload.

    Args:
        shape: Of the input or output; None where the operation has none.
        parameters: As botocore has them, valid by its shapes.

    Raises:
        ShapeError: A value is not of its shape.
    """
    if shape is None:
        return {}, None
    name = payload_name(shape)
    rest = {key: value for key, value in parameters.items() if key != name}
    body = None
    if name is not None and parameters.get(name) is not None:
        body = _bytes(parameters[name])
    return write(shape, rest), body


def write(shape: Any, value: Any) -> Any:
    """Return a value as JSON has it."""
    return _walk(shape, value, _write_leaf, 0)


def read(shape: Any, value: Any) -> Any:
    """
    Return a value as botocore has it.

    Raises:
        ShapeError: It is not of its shape; a member that the shape lacks is no error.
    """
    return _walk(shape, value, _read_leaf, 0)


def _walk(shape: Any, value: Any, leaf: Callable[[Any, Any], Any], depth: int) -> Any:
    if depth > _DEPTH:
        msg = f"a value is nested over {_DEPTH} levels deep"
        raise ShapeError(msg)
    kind = shape.type_name
    if value is None:
        return None
    if kind == "structure":
        if getattr(shape, "is_document_type", False):
            return value
        _check(value, dict, shape)
        return {
            name: _walk(shape.members[name], item, leaf, depth + 1)
            if name in shape.members
            else item
            for name, item in value.items()
        }
    if kind == "list":
        _check(value, (list, tuple), shape)
        return [_walk(shape.member, item, leaf, depth + 1) for item in value]
    if kind == "map":
        _check(value, dict, shape)
        return {name: _walk(shape.value, item, leaf, depth + 1) for name, item in value.items()}
    return leaf(shape, value)


def _check(value: Any, kind: Any, shape: Any) -> None:
    if not isinstance(value, kind):
        msg = f"{shape.name} is a {shape.type_name}, not a {type(value).__name__}"
        raise ShapeError(msg)


def _write_leaf(shape: Any, value: Any) -> Any:
    kind = shape.type_name
    if kind == "blob":
        import base64

        return base64.b64encode(_bytes(value)).decode("ascii")
    if kind == "timestamp":
        return _iso8601(value)
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return value


def _read_leaf(shape: Any, value: Any) -> Any:
    kind = shape.type_name
    if kind == "blob":
        if isinstance(value, bytes):
            return value
        import base64
        import binascii

        _check(value, str, shape)
        try:
            return base64.b64decode(value, validate=True)
        except binascii.Error as error:
            msg = f"{shape.name} is no base64 text"
            raise ShapeError(msg) from error
    if kind == "timestamp":
        return _moment(shape, value)
    return value


def _bytes(value: Any) -> bytes:
    if isinstance(value, str):
        return value.encode("utf-8")
    if hasattr(value, "read"):
        value = value.read()
        return value.encode("utf-8") if isinstance(value, str) else bytes(value)
    return bytes(value)


def _iso8601(value: Any) -> str:
    import datetime as dt

    if not isinstance(value, dt.datetime):
        if isinstance(value, (int, float)):
            value = dt.datetime.fromtimestamp(value, dt.timezone.utc)
        else:
            from botocore.utils import parse_timestamp  # type: ignore[import-untyped,unused-ignore]

            value = parse_timestamp(value)
    if value.tzinfo is None:
        value = value.astimezone()  # botocore takes a naive one for local time
    value = value.astimezone(dt.timezone.utc)
    return f"{value:%Y-%m-%dT%H:%M:%S}.{value.microsecond // 1000:03d}Z"


def _moment(shape: Any, value: Any) -> dt.datetime:
    import datetime as dt

    if isinstance(value, dt.datetime):
        return value
    _check(value, str, shape)
    try:
        parsed = dt.datetime.fromisoformat(value.replace("Z", "+00:00"))
    except ValueError as error:
        msg = f"{shape.name} is no ISO 8601 time"
        raise ShapeError(msg) from error
    return parsed if parsed.tzinfo else parsed.replace(tzinfo=dt.timezone.utc)
