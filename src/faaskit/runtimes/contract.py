"""
The seam between an invocation and the place that runs it.

A ``Backend`` gives environments; an ``Environment`` takes one event and yields what the
function does until its end. The local sandbox is one backend; others implement the same
two protocols and nothing else of faaskit has to know.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal, Protocol

from attrs import field, frozen

__all__ = [
    "Backend",
    "Chunk",
    "Code",
    "Ending",
    "Environment",
    "Event",
    "Limits",
    "Log",
    "Outcome",
    "Permission",
    "Request",
    "RunCancelledError",
    "ServiceCall",
    "ServiceFailure",
    "ServiceReply",
    "Usage",
]

Ending = Literal["result", "error", "exit", "signal", "timeout", "out_of_memory"]


class RunCancelledError(Exception):
    """The run was ended by ``Environment.cancel``."""


@frozen(cache_hash=True)
class Code:
    """
    What a template loads: everything that decides whether two functions can share one.

    Attributes:
        function_name: For logs and the environment variables.
        handler: ``module:qualified.name``, or a label where the code travels by value.
        pickled: The function by value (dill), or None where ``handler`` is imported.
        sys_path: Where the template may import from.
        environment: The variables that the function sees, AWS's and its own, complete.
        package: The file or folder of the module that is imported, where that is known.
        snapshot: INIT once in the template (True) or in every environment (False).
        network: Whether it sees the host's network.
        readable: Host paths that it may read, beside its code.
        sources: Text of files that exist nowhere, such as notebook cells, for stack traces.
    """

    function_name: str
    handler: str
    sys_path: tuple[str, ...]
    environment: Mapping[str, str] = field(hash=False)
    pickled: bytes | None = field(default=None, repr=False)
    package: str = ""
    snapshot: bool = True
    network: bool = True
    readable: tuple[str, ...] = ()
    sources: Mapping[str, str] = field(factory=dict, hash=False, repr=False)


@frozen(cache_hash=True)
class Limits:
    """
    What an environment is held to. Sizes in MB, times in seconds.

    Attributes:
        vcpus: The share of CPU; 0 where that is not held.
        init_timeout: For INIT, which the timeout does not count.
    """

    memory_size: int
    timeout: float
    ephemeral_storage: int = 512
    vcpus: float = 0
    init_timeout: float = 10


@frozen
class Request:
    """
    One event on its way in.

    Attributes:
        event: JSON, UTF-8.
        context: What the context object is made of: names, ARNs, ids.
        trace_id: Of X-Ray, for ``_X_AMZN_TRACE_ID``.
    """

    request_id: str
    event: bytes = field(repr=False)
    context: Mapping[str, str]
    trace_id: str = ""


@frozen
class Usage:
    """
    What an invocation used, read from the kernel by the outside.

    Attributes:
        duration_ms: From handing the event over to holding the result.
        cpu_time_ms: User and system time of the whole tree.
        max_memory_bytes: The peak of the whole tree.
        cpu_throttled_ms: How long its share of CPU kept it from running.
        init_duration_ms: None where this invocation did not wait for INIT.
    """

    duration_ms: float
    cpu_time_ms: float
    max_memory_bytes: int
    cpu_throttled_ms: float = 0.0
    init_duration_ms: float | None = None


@frozen
class Log:
    """A piece of what the function wrote to stdout and stderr."""

    data: bytes = field(repr=False)


@frozen
class ServiceCall:
    """
    A request of the function to a service, in AWS's terms.

    Attributes:
        service: botocore's name of the service, such as ``s3``.
        operation: AWS's name, such as ``PutObject``.
        parameters: AWS's parameters as JSON values: a blob is base64, a timestamp ISO 8601.
        body: The member that is the body itself, such as PutObject's Body and Invoke's
            Payload; None where the operation has none.
        id: By which its reply finds the way back.
        region: That of the client which asks; empty for the app's.
        session: The session token of the client which asks; empty for the function's own role.
    """

    service: str
    operation: str
    parameters: Mapping[str, Any]
    body: bytes | None = field(default=None, repr=False)
    id: int = 0
    region: str = ""
    session: str = field(default="", repr=False)


@frozen
class ServiceFailure:
    """
    Why a service call was not carried out.

    Attributes:
        code: AWS's error code, such as ``AccessDenied`` or ``NoSuchKey``.
        details: For ``AccessDenied``: ``action``, ``resource`` and ``reason``.
    """

    code: str
    message: str
    details: Mapping[str, str] = field(factory=dict)


@frozen
class Permission:
    """
    One permission that a service call needed, and what was decided.

    Attributes:
        action: The IAM action, such as ``s3:GetObject``.
        resource: The ARN that it was asked for, or ``*``.
        effect: ``Allow``, ``ExplicitDeny`` or ``ImplicitDeny``.
        reason: What decided, in words.
    """

    action: str
    resource: str
    effect: Literal["Allow", "ExplicitDeny", "ImplicitDeny"]
    reason: str = field(default="", repr=False)

    @property
    def allowed(self) -> bool:
        """Whether it was allowed."""
        return self.effect == "Allow"


@frozen
class ServiceReply:
    """
    The answer to a service call: AWS's output, or a failure.

    Attributes:
        permissions: What was decided about the call; for whoever looks at it outside.
        output: AWS's output members, as JSON values as in a call's parameters.
        body: The member that is the body itself, such as GetObject's Body.
    """

    output: Mapping[str, Any] = field(factory=dict)
    body: bytes | None = field(default=None, repr=False)
    failure: ServiceFailure | None = None
    permissions: tuple[Permission, ...] = field(default=(), eq=False, repr=False)


@frozen
class Chunk:
    """A piece of a streamed response."""

    data: bytes = field(repr=False)


@frozen
class Outcome:
    """
    The end of an invocation; always the last thing that an environment yields.

    Attributes:
        ending: ``result`` and ``error`` are the handler's; the others ended its process.
        payload: The result, or the error object, as JSON. Empty for the others.
        exit_code: For ``exit``.
        signal: For ``signal``.
        phase: ``init`` where it failed before the handler was called.
        detail: What the outside knows of the reason, for a message.
    """

    ending: Ending
    usage: Usage
    payload: bytes = field(default=b"", repr=False)
    exit_code: int | None = None
    signal: int | None = None
    phase: Literal["init", "invoke"] = "invoke"
    detail: str = ""


Event = Log | ServiceCall | Chunk | Outcome


class Environment(Protocol):
    """A fresh sandbox, good for one event."""

    @property
    def init_duration_ms(self) -> float | None:
        """How long INIT took, where it ran for this environment."""

    @property
    def log_stream_name(self) -> str:
        """As the function sees it; empty where it has not begun."""

    def prepare(self) -> Iterator[Event]:
        """
        Run INIT if nobody has, and wait until the environment is ready.

        Yields INIT's log and service calls, and an ``Outcome`` only if INIT fails; then
        the environment is of no more use.

        Raises:
            SandboxError: The sandbox failed, not the function.
        """

    def run(self, request: Request) -> Iterator[Event]:
        """
        Hand the event over and yield what happens, an ``Outcome`` last. Prepares first.

        Closing the iterator early kills the function and all it started.

        Raises:
            SandboxError: The sandbox failed, not the function.
            RunCancelledError: ``cancel`` was called.
        """

    def reply(self, call_id: int, reply: ServiceReply) -> None:
        """
        Answer a service call, from any thread; one to a function that is gone is dropped.

        Until a call is answered no other one is yielded.
        """

    def cancel(self) -> None:
        """Kill what runs, from any thread."""

    def release(self) -> None:
        """Give a prepared environment back unused."""


class Backend(Protocol):
    """Where environments come from. Thread-safe."""

    @property
    def unenforced(self) -> Mapping[str, str]:
        """The limits of functions that it can't enforce at all, by name, with the reasons."""

    def held_bytes(self) -> int:
        """Return the memory that the /tmp of running environments hold; not of the disk's."""

    def acquire(self, code: Code, limits: Limits) -> Environment:
        """Return an environment of that code. Nothing is waited for here."""

    def keep_ready(self, code: Code, limits: Limits, count: int) -> None:
        """Have at least ``count`` environments ready from now on."""

    def close(self) -> None:
        """End every process; none is left when this returns."""
