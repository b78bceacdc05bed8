"""
Everything that faaskit raises, as one tree. Each is also its stdlib kin.

::

    FaaskitError
    ├─ DefinitionError (ValueError)         what was declared can't be: a limit, a policy, a name
    ├─ InvocationError                      the function failed; billed, if it ran
    │  ├─ FunctionError                     the handler raised
    │  ├─ FunctionTimeoutError (TimeoutError)
    │  ├─ FunctionMemoryError (MemoryError)
    │  ├─ FunctionExitError                 its process exited
    │  ├─ FunctionSignalError               its process was killed by a signal
    │  └─ PayloadError (ValueError)         an event or result that can't be sent
    ├─ ThrottledError                       over a concurrency limit
    ├─ AccessDeniedError (PermissionError)  the role does not allow it
    ├─ ServiceError                         a service call failed: .code, AWS's error code
    │  ├─ NoSuchBucketError (LookupError)
    │  └─ NoSuchKeyError (KeyError)
    ├─ SandboxError                         ours or the host's fault; never billed
    └─ MissingExtraError (ImportError)      an optional dependency is not installed

Every one survives pickling, so that it can cross a process or a queue. Two kinds are
kept apart, always: the *function* failed (``InvocationError``, a value until
``Invocation.result()`` raises it) and the *sandbox* failed (``SandboxError``).

This is the lowest module: it imports nothing of faaskit.
"""

from __future__ import annotations

__all__ = [
    "AccessDeniedError",
    "DefinitionError",
    "FaaskitError",
    "FunctionError",
    "FunctionExitError",
    "FunctionMemoryError",
    "FunctionSignalError",
    "FunctionTimeoutError",
    "InvocationError",
    "MissingExtraError",
    "NoSuchBucketError",
    "NoSuchKeyError",
    "PayloadError",
    "SandboxError",
    "ServiceError",
    "ThrottledError",
]


class FaaskitError(Exception):
    """
    The base of everything that faaskit raises.

    Subclasses take the message first and every other value as an optional keyword:
    ``Exception.__reduce__`` rebuilds from ``args`` and then restores ``__dict__``, and
    a required keyword would make an error that can be raised but not unpickled.
    """

    def __init__(self, message: str = "") -> None:
        super().__init__(message)

    @property
    def message(self) -> str:
        """The message alone, whatever the stdlib parent makes of ``str()``."""
        return str(self.args[0]) if self.args else ""

    def __str__(self) -> str:
        return self.message


class DefinitionError(FaaskitError, ValueError):
    """What was declared can't be: out of AWS's range, malformed, or unable to travel."""


class InvocationError(FaaskitError):
    """
    The function failed. The base of every failure that is the function's own.

    Attributes:
        request_id: Of the invocation, once there is one.
    """

    def __init__(self, message: str = "", *, request_id: str | None = None) -> None:
        super().__init__(message)
        self.request_id = request_id


class FunctionError(InvocationError):
    """
    The handler raised, or its result could not be marshalled.

    Attributes:
        error_type: The exception's bare class name, or AWS's name (``Runtime.…``).
        stack_trace: The handler's frames as AWS formats them, outermost first.
    """

    def __init__(
        self,
        message: str = "",
        *,
        request_id: str | None = None,
        error_type: str = "",
        stack_trace: tuple[str, ...] = (),
    ) -> None:
        super().__init__(message, request_id=request_id)
        self.error_type = error_type
        self.stack_trace = stack_trace


class FunctionTimeoutError(InvocationError, TimeoutError):
    """
    The function ran over its timeout and was killed with all it had started.

    Attributes:
        timeout: The limit, in seconds.
    """

    def __init__(
        self, message: str = "", *, request_id: str | None = None, timeout: float | None = None
    ) -> None:
        super().__init__(message, request_id=request_id)
        self.timeout = timeout


class FunctionMemoryError(InvocationError, MemoryError):
    """
    The function used more than its memory size and was killed.

    Attributes:
        memory_size: The limit, in MB.
    """

    def __init__(
        self, message: str = "", *, request_id: str | None = None, memory_size: int | None = None
    ) -> None:
        super().__init__(message, request_id=request_id)
        self.memory_size = memory_size


class FunctionExitError(InvocationError):
    """
    The function's process ended before it gave a result.

    Attributes:
        exit_code: What the process exited with; 0 is a failure too.
    """

    def __init__(
        self, message: str = "", *, request_id: str | None = None, exit_code: int | None = None
    ) -> None:
        super().__init__(message, request_id=request_id)
        self.exit_code = exit_code


class FunctionSignalError(InvocationError):
    """
    The function's process was killed by a signal that faaskit did not send.

    Attributes:
        signal: Its number.
    """

    def __init__(
        self, message: str = "", *, request_id: str | None = None, signal: int | None = None
    ) -> None:
        super().__init__(message, request_id=request_id)
        self.signal = signal


class PayloadError(InvocationError, ValueError):
    """
    An event that can't be sent, or a result over the limit.

    Attributes:
        size: In bytes, where the size is what is wrong.
        limit: In bytes.
    """

    def __init__(
        self,
        message: str = "",
        *,
        request_id: str | None = None,
        size: int | None = None,
        limit: int | None = None,
    ) -> None:
        super().__init__(message, request_id=request_id)
        self.size = size
        self.limit = limit


class ThrottledError(FaaskitError):
    """
    The call is over a concurrency limit. AWS's TooManyRequestsException.

    Attributes:
        reason: AWS's ``Reason``, such as ``ReservedFunctionConcurrentInvocationLimitExceeded``.
    """

    def __init__(self, message: str = "", *, reason: str = "") -> None:
        super().__init__(message)
        self.reason = reason


class AccessDeniedError(FaaskitError, PermissionError):
    """
    The role does not allow the call.

    Attributes:
        action: The IAM action, such as ``s3:PutObject``.
        resource: The ARN it was asked for.
        reason: Which statement denied it, or what came nearest to allowing it.
    """

    def __init__(
        self, message: str = "", *, action: str = "", resource: str = "", reason: str = ""
    ) -> None:
        super().__init__(message)
        self.action = action
        self.resource = resource
        self.reason = reason


class ServiceError(FaaskitError):
    """
    A service refused a call for a reason other than permission.

    Attributes:
        code: AWS's error code, such as ``NoSuchKey``.
    """

    def __init__(self, message: str = "", *, code: str = "") -> None:
        super().__init__(message)
        self.code = code


class NoSuchBucketError(ServiceError, LookupError):
    """There is no bucket of that name in the app."""


class NoSuchKeyError(ServiceError, KeyError):
    """There is no object of that key in the bucket."""


class SandboxError(FaaskitError):
    """
    faaskit or the host failed, not the function. Never billed.

    Attributes:
        step: What was being done.
        errno: The system's error number, where one was given.
    """

    def __init__(self, message: str = "", *, step: str = "", errno: int | None = None) -> None:
        super().__init__(message)
        self.step = step
        self.errno = errno


class MissingExtraError(FaaskitError, ImportError):
    """
    An optional dependency is not installed.

    Attributes:
        extra: The extra that brings it: ``pip install 'faaskit[extra]'``.
    """

    def __init__(self, message: str = "", *, extra: str = "") -> None:
        super().__init__(message)
        self.extra = extra
