"""
AWS's contract with a Python handler. Runs in the child; stdlib only.

How a handler is found, what its context object has, how its result and its errors are
written. Field names, their order and the wording are those of AWS's runtime.
"""

from __future__ import annotations

import json
import re
import sys
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import CodeType, TracebackType

    Handler = Callable[[Any, Any], Any]

__all__ = [
    "RESPONSE_LIMIT",
    "Context",
    "LoadError",
    "error_object",
    "find_handler",
    "marshal",
    "memory_was_refused",
    "print_error",
    "unpickle_handler",
]

# AWS's names.
IMPORT_FAILED = "Runtime.ImportModuleError"
SYNTAX_ERROR = "Runtime.UserCodeSyntaxError"
HANDLER_NOT_FOUND = "Runtime.HandlerNotFound"

# AWS's limit: 6 MiB and 100 bytes.
RESPONSE_LIMIT = 6 * 1024 * 1024 + 100

# Longer ones help nobody, and an error has to fit where a result would.
_MESSAGE_LIMIT = 256 * 1024

_OWN_FRAMES = ("_faaskit_child",)


class LoadError(Exception):
    """
    The handler could not be found, for a reason that AWS has a name for.

    Attributes:
        error_type: Such as ``Runtime.ImportModuleError``.
    """

    def __init__(self, error_type: str, message: str, stack_trace: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.error_type = error_type
        self.stack_trace = stack_trace


def find_handler(path: str) -> Handler:
    """
    Import ``module:qualified.name`` and return the plain function behind it.

    Raises:
        LoadError: There is no such module or name in it, or it does not compile.
        BaseException: Whatever the module raised while it was imported.
    """
    import importlib

    module_name, _, qualified = path.partition(":")
    try:
        module = importlib.import_module(module_name)
    except ImportError as error:
        msg = f"Unable to import module '{module_name}': {error}"
        raise LoadError(IMPORT_FAILED, msg) from error
    except SyntaxError as error:
        msg = f"Syntax error in module '{module_name}': {error}"
        trace = (f'  File "{error.filename}" Line {error.lineno}\n    {error.text}',)
        raise LoadError(SYNTAX_ERROR, msg, trace) from error
    found: Any = module
    for name in qualified.split("."):
        try:
            found = getattr(found, name)
        except AttributeError:
            msg = f"Handler '{qualified}' missing on module '{module_name}'"
            raise LoadError(HANDLER_NOT_FOUND, msg) from None
    return _plain(found)


def unpickle_handler(pickled: bytes) -> Handler:
    """Return a handler that travelled by value."""
    import dill

    return _plain(dill.loads(pickled))


def _plain(found: Any) -> Handler:
    # A decorated handler's module holds the faaskit Function; what runs is what it wraps.
    plain = getattr(found, "__faaskit_handler__", found)
    if not callable(plain):
        msg = f"Handler '{plain!r}' is not callable"
        raise LoadError(HANDLER_NOT_FOUND, msg)
    return plain  # type: ignore[no-any-return]  # the user's


class _Identity:
    """Cognito's identity; always there, empty here."""

    cognito_identity_id = None
    cognito_identity_pool_id = None


class Context:
    """
    The context object that AWS's runtime hands to a handler.

    Args:
        facts: Names and ids of this invocation.
        deadline: ``time.monotonic()`` at which the timeout ends.
    """

    def __init__(self, facts: Mapping[str, str], deadline: float) -> None:
        self.aws_request_id = facts["request_id"]
        self.function_name = facts["function_name"]
        self.function_version = facts["function_version"]
        self.invoked_function_arn = facts["invoked_function_arn"]
        self.memory_limit_in_mb = facts["memory_limit_in_mb"]
        self.log_group_name = facts["log_group_name"]
        self.log_stream_name = facts["log_stream_name"]
        self.client_context = None
        self.identity = _Identity()
        self.tenant_id = None
        self._deadline = deadline

    def get_remaining_time_in_millis(self) -> int:
        """Return how many milliseconds are left before the timeout."""
        return max(0, int((self._deadline - time.monotonic()) * 1000))

    def log(self, msg: object) -> None:
        """Write to the log, without a newline, as AWS's does."""
        sys.stdout.write(str(msg))

    def w3c(self) -> dict[str, str]:
        """Return the W3C trace context; there is none here."""
        return {}

    def __repr__(self) -> str:
        return f"LambdaContext(aws_request_id={self.aws_request_id!r})"


def marshal(result: Any) -> bytes:
    """
    Return a result as AWS's runtime writes it: bytes as they are, the rest as JSON.

    Raises:
        Exception: It can't be written as JSON.
    """
    if isinstance(result, bytes):
        return result
    decimals: list[str] = []

    def default(value: Any) -> Any:
        decimal = sys.modules.get("decimal")
        if decimal is None or not isinstance(value, decimal.Decimal):
            msg = f"Object of type {type(value).__name__} is not JSON serializable"
            raise TypeError(msg)
        if not value.is_finite():
            return float(value)
        # The digits must survive, and a float would lose them: leave a mark that JSON
        # escapes, and put the digits in its place.
        decimals.append(str(value))
        return f"\0decimal{len(decimals) - 1}\0"

    text = json.dumps(result, default=default, ensure_ascii=sys.version_info < (3, 12))
    if decimals:
        text = re.sub(r'"\\u0000decimal(\d+)\\u0000"', lambda m: decimals[int(m[1])], text)
    return text.encode()


def error_object(error: BaseException, request_id: str) -> dict[str, Any]:
    """Return the object that AWS gives the caller for an exception."""
    if isinstance(error, LoadError):
        kind, trace = error.error_type, list(error.stack_trace)
    else:
        kind, trace = type(error).__name__, _frames(error.__traceback__)
    return {
        "errorMessage": _message(error),
        "errorType": kind,
        "requestId": request_id,
        "stackTrace": trace,
    }


def _message(error: BaseException) -> str:
    try:
        return str(error)[:_MESSAGE_LIMIT]
    except Exception:  # noqa: BLE001  # its __str__ is the user's code and may do anything
        return "<exception str() failed>"


def _frames(tb: TracebackType | None) -> list[str]:
    # Imported here: a template that never fails never pays for it.
    import traceback

    while tb is not None and tb.tb_frame.f_globals.get("__name__", "").startswith(_OWN_FRAMES):
        tb = tb.tb_next
    return traceback.format_list(traceback.extract_tb(tb))


def print_error(error: dict[str, Any]) -> None:
    """Write an error to the log as AWS's runtime does, as one event."""
    lines = [f"[ERROR] {error['errorType']}: {error['errorMessage']}"]
    if error["stackTrace"]:
        lines.append("Traceback (most recent call last):")
        for frame in error["stackTrace"]:
            # AWS keeps the indent with no-break spaces: log viewers strip plain ones.
            for line in frame.rstrip("\n").split("\n"):
                text = line.lstrip(" ")
                lines.append("\u00a0" * (len(line) - len(text)) + text)
    print("\n".join(lines), flush=True)  # noqa: T201  # the function's own log


def memory_was_refused(error: BaseException) -> bool:
    """
    Tell a MemoryError of the interpreter or a C library from one that the code raised.

    The instruction that the innermost frame stopped at tells: a ``raise`` with a value is
    the user's own; anything else is an allocation that the memory limit refused.
    """
    if not isinstance(error, MemoryError):
        return False
    tb = error.__traceback__
    if tb is None:
        return True
    while tb.tb_next is not None:
        tb = tb.tb_next
    return not _raises(tb.tb_frame.f_code, tb.tb_lasti)


def _raises(code: CodeType, offset: int) -> bool:
    import opcode

    instructions = code.co_code
    if not 0 <= offset < len(instructions) - 1:
        return False
    return instructions[offset] == opcode.opmap["RAISE_VARARGS"] and instructions[offset + 1] > 0
