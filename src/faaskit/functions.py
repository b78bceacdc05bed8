"""Function: the handle that users hold, and ``@function``, which makes one."""

from __future__ import annotations

import functools
import json
import os
import sys
import threading
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future
from pathlib import Path
from typing import Any, Generic, Literal, Protocol, TypedDict, overload

from typing_extensions import ParamSpec, Self, TypeVar, Unpack

from faaskit.clock import SystemClock
from faaskit.definition import (
    ASYNC_REQUEST_LIMIT_BYTES,
    HANDLER_LIMIT_CHARACTERS,
    FunctionConfig,
)
from faaskit.exceptions import (
    DefinitionError,
    FaaskitError,
    PayloadError,
)
from faaskit.gate.loose import LooseFunctions
from faaskit.iam import Role, Statement
from faaskit.invoke import Invocation, Invoker, default_invoker
from faaskit.names import DEFAULT_ACCOUNT, DEFAULT_REGION, function_arn, log_group_name
from faaskit.runtimes.contract import Code, ServiceCall, ServiceFailure, ServiceReply
from faaskit.runtimes.failures import error_of
from faaskit.runtimes.link import current_link
from faaskit.runtimes.python import Travelled, import_path, in_folder, pack

__all__ = [
    "FolderSettings",
    "Function",
    "Owner",
    "Settings",
    "define",
    "define_in_folder",
    "function",
]

Handler = Callable[..., Any]

# A handler's parameters and its result. Their defaults make ``Function`` alone a type, too:
# a function of any handler.
_P = ParamSpec("_P", default=...)
_R_co = TypeVar("_R_co", covariant=True, default=Any)

_Architecture = Literal["x86_64", "arm64"]
# No Iterable: a str is one, and would be one path a letter.
_Paths = tuple[str | os.PathLike[str], ...] | list[str] | list[Path]


class FolderSettings(TypedDict, total=False):
    """The parameters of ``function``, but for the name."""

    memory_size: int
    timeout: int
    ephemeral_storage: int
    environment: Mapping[str, str] | None
    role: Role | None
    architecture: _Architecture
    description: str
    reserved_concurrency: int | None
    network: bool
    snapshot: bool
    readable: _Paths
    retry_attempts: int
    max_event_age: int
    on_success: Any
    on_failure: Any
    dead_letter: Any


class Settings(FolderSettings, total=False):
    """The parameters of ``function``, for whatever takes the same ones."""

    name: str | None


class Owner(Protocol):
    """What a Function needs of the App that it belongs to."""

    @property
    def name(self) -> str:
        """The app's name."""

    @property
    def region(self) -> str:
        """Its region."""

    @property
    def account(self) -> str:
        """Its account."""

    @property
    def invoker(self) -> Invoker:
        """What runs its functions."""

    def adopt(self, function: Function) -> None:
        """Take a function in, under its name."""

    def start_services(self, function: Function) -> None:
        """Start what answers a function's service calls; at once where that is done."""

    def serve(self, function: Function, call: ServiceCall, request_id: str) -> ServiceReply:
        """Answer a service call by the function's role; never raises."""

    def send(self, function: Function, event: bytes) -> str:
        """Accept an asynchronous invocation, durably."""


class _Source(Generic[_P, _R_co]):
    """
    A handler's code, taken at the first invoke.

    Functions made by ``with_config`` share it, and so share a template.
    """

    def __init__(self, handler: Callable[_P, _R_co]) -> None:
        self.handler = handler
        self._lock = threading.Lock()
        self._travelled: Travelled | None = None

    def travelled(self, name: str) -> Travelled:
        """Return the code, packed once."""
        with self._lock:
            if self._travelled is None:
                self._travelled = pack(self.handler, name)
            return self._travelled


class _Folder(_Source[..., Any]):
    """Code that lies in a folder and is never imported here: INIT is the sandbox's alone."""

    def __init__(self, travelled: Travelled, name: str) -> None:
        def handler(*_: Any, **__: Any) -> Any:
            msg = (
                f"function {name!r} has its code in {travelled.folder}, which is not imported "
                "here: use .invoke(event)"
            )
            raise FaaskitError(msg)

        # What two definitions of a name are compared by.
        handler.__module__ = travelled.folder
        handler.__name__ = handler.__qualname__ = travelled.handler
        super().__init__(handler)
        self._travelled = travelled


class Function(Generic[_P, _R_co]):
    """
    A declared function. Calling it is a plain call: no sandbox, no role, for unit tests.

    Attributes:
        name: Its name.
        arn: Its Amazon Resource Name.
        config: Its settings.
        role: Its execution role: the one given, and what ``@allow`` and ``@deny`` add.
    """

    # Whether it goes by the name of the function that it was made of by ``with_config``.
    _borrows_name = False
    __name__: str
    __qualname__: str
    __wrapped__: Callable[_P, _R_co]

    def __init__(
        self,
        source: _Source[_P, _R_co],
        config: FunctionConfig,
        owner: Owner | None,
        statements: tuple[Statement, ...],
    ) -> None:
        self._source = source
        self.config = config
        self._owner = owner
        self._statements = statements
        self._code: Code | None = None
        self.name = config.name
        self.arn = self._make_arn()
        self.role = self._make_role()
        functools.update_wrapper(self, source.handler)

    @property
    def __faaskit_handler__(self) -> Callable[_P, _R_co]:
        """The plain function: what a template runs when it finds this object."""
        return self._source.handler

    def __faaskit_permit__(self, statement: Statement) -> Self:
        """Take one more statement into the role: ``@allow`` above ``@function``."""
        self._statements = (statement, *self._statements)
        self.role = self._make_role()
        return self

    def _make_role(self) -> Role:
        account = DEFAULT_ACCOUNT if self._owner is None else self._owner.account
        given = self.config.role
        if given is None:
            given = Role(f"{self.name}-role"[:64], account=account)
        elif not isinstance(given, Role):
            msg = (
                f"function {self.name!r}: role={given!r} is not a Role; "
                "pass Role('name', policies=[…])"
            )
            raise DefinitionError(msg)
        return given.with_statements(*self._statements)

    def _make_arn(self) -> str:
        if self._owner is None:
            return function_arn(self.name)
        return function_arn(self.name, region=self._owner.region, account=self._owner.account)

    def __call__(self, *args: _P.args, **kwargs: _P.kwargs) -> _R_co:
        """Call the plain function, here."""
        return self._source.handler(*args, **kwargs)

    def __repr__(self) -> str:
        limits = f"memory_size={self.config.memory_size}, timeout={self.config.timeout}"
        return f"Function({self.name!r}, {limits})"

    def __reduce__(self) -> tuple[Any, ...]:
        # Within another function's code it travels as a reference: a name and an ARN. Its
        # own code, and what that may hold on to, stays here.
        region = DEFAULT_REGION if self._owner is None else self._owner.region
        account = DEFAULT_ACCOUNT if self._owner is None else self._owner.account
        loose = self._owner is None or getattr(self._owner, "loose", False)
        facts = self.config.evolve(role=None), region, account, loose, self._borrows_name
        return _reference, facts

    # Ways to call

    def invoke(self, event: Any = None) -> Invocation:
        """
        Run it in a fresh environment and wait for it; a failure is a value.

        Inside another function this is lambda:InvokeFunction, by that function's role.

        Raises:
            PayloadError: The event can't be sent.
            ThrottledError: Over a concurrency limit.
            AccessDeniedError: Inside a function whose role does not allow it.
            SandboxError: faaskit or the host failed; nothing is billed.
        """
        if current_link() is not None:
            return self._invoke_inside(event)
        return self._invoker().invoke(self, event)

    def submit(self, event: Any = None) -> Future[Invocation]:
        """Run it in the background; cancelling the Future kills it."""
        return self._invoker().submit(self, event)

    def map(
        self, events: Iterable[Any], *, concurrency: int = 8, progress: bool = False
    ) -> Iterator[Invocation]:
        """Run it for each event: taken lazily, given in order; a failed call is a value."""
        return self._invoker().map(self, events, concurrency=concurrency, progress=progress)

    async def ainvoke(self, event: Any = None) -> Invocation:
        """Run it without blocking the event loop; cancelling kills it."""
        if current_link() is not None:
            import asyncio

            return await asyncio.to_thread(self._invoke_inside, event)
        return await self._invoker().ainvoke(self, event)

    def send(self, event: Any = None) -> str:
        """
        Accept an asynchronous invocation and return its request id. Needs an App.

        Raises:
            PayloadError: The event is not JSON, or over 1 MB.
            DefinitionError: The function belongs to no App, so there is nowhere to keep it;
                or it is no function of the App's, but one made of it that has its name.
        """
        if self._owner is None:
            raise _no_queue(self.name)
        self._refuse_borrowed_name()
        data = _encode(event, self.name)
        if len(data) > ASYNC_REQUEST_LIMIT_BYTES:
            msg = (
                f"the event for function {self.name!r} has {len(data)} bytes, and asynchronous "
                f"invocation takes {ASYNC_REQUEST_LIMIT_BYTES}; put the data in a bucket"
            )
            raise PayloadError(msg, size=len(data), limit=ASYNC_REQUEST_LIMIT_BYTES)
        return self._owner.send(self, data)

    def with_config(self, **changes: Unpack[Settings]) -> Function[_P, _R_co]:
        """
        Return a function of the same code with other settings; this one is as it was.

        With a name of its own it is a function like any other, of the same App. Without
        one, it can be called here; but what goes by name (``send``, a trigger, a call from
        inside a function) is for the one that it was made of.

        Raises:
            DefinitionError: A setting that AWS would refuse, or none of ``@function``'s; or
                the App has another function of the new name.
        """
        _refuse_unknown("with_config", changes)
        made = Function(self._source, self.config.evolve(**changes), self._owner, self._statements)
        if made.name == self.name:
            made._borrows_name = True
        else:
            _adopt(made, self._owner)
        return made

    def _refuse_borrowed_name(self) -> None:
        if self._borrows_name:
            msg = (
                f"{self!r} goes by the name of the function that with_config made it of, so that "
                "one would run, with other settings; give it a name: with_config(name='…')"
            )
            raise DefinitionError(msg)

    def _invoker(self) -> Invoker:
        return default_invoker() if self._owner is None else self._owner.invoker

    def _invoke_inside(self, event: Any) -> Invocation:
        self._refuse_borrowed_name()
        link = current_link()
        assert link is not None
        body = _encode(event, self.name)
        reply = link.call("lambda", "Invoke", {"FunctionName": self.arn}, body)
        if reply.failure is not None:
            raise error_of(reply.failure)
        return Invocation.from_wire(reply.output["Invocation"], reply.body or b"")

    # What an Invoker asks

    def code(self) -> Code:
        """Return what its template loads; taken at the first invoke."""
        if self._code is None:
            self._code = self._make_code()
        return self._code

    def _make_code(self) -> Code:
        travelled = self._source.travelled(self.name)
        config = self.config
        region = DEFAULT_REGION if self._owner is None else self._owner.region
        environment = {
            "LANG": "en_US.UTF-8",
            "PATH": "/usr/local/bin:/usr/bin/:/bin:/opt/bin",
            "TZ": ":UTC",
            **config.environment,
            "AWS_DEFAULT_REGION": region,
            "AWS_EXECUTION_ENV": f"AWS_Lambda_{config.runtime}",
            "AWS_LAMBDA_FUNCTION_NAME": config.name,
            "AWS_LAMBDA_FUNCTION_VERSION": config.version,
            "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
            "AWS_LAMBDA_LOG_GROUP_NAME": log_group_name(config.name),
            "AWS_REGION": region,
            "LAMBDA_RUNTIME_DIR": str(Path(sys.base_prefix)),
            "LAMBDA_TASK_ROOT": travelled.folder,
            "_HANDLER": config.handler,
        }
        return Code(
            function_name=config.name,
            handler=travelled.handler,
            sys_path=travelled.sys_path,
            environment=environment,
            pickled=travelled.pickled,
            package=travelled.package,
            snapshot=config.snapshot,
            network=config.network,
            readable=config.readable,
            sources=travelled.sources,
        )

    def start_services(self) -> None:
        """Start what its App's gate needs to answer it; at once where that is done."""
        if self._owner is not None:
            self._owner.start_services(self)

    def serve(self, call: ServiceCall, request_id: str, invoker: Invoker) -> ServiceReply:
        """Answer a service call by the gate of its App, or of the functions without one."""
        if self._owner is None:
            return _loose.serve(self, call, invoker)
        return self._owner.serve(self, call, request_id)


_loose: LooseFunctions[Function] = LooseFunctions(SystemClock())


def _adopt(function: Function, owner: Owner | None) -> None:
    """Have a function found by its name: in its App, or among those without one."""
    if owner is None:
        _loose.adopt(function)
    else:
        owner.adopt(function)


def _no_queue(name: str) -> DefinitionError:
    msg = (
        f"function {name!r} belongs to no App, so there is no queue to keep an event in; "
        "declare it with @app.function"
    )
    return DefinitionError(msg)


class _ReferenceOwner:
    """What a function that came as a reference belongs to: where it is, and nothing else."""

    def __init__(self, region: str, account: str, *, loose: bool) -> None:
        self.loose = loose
        self.name = "reference"
        self.region = region
        self.account = account

    @property
    def invoker(self) -> Invoker:
        msg = "a function that came as a reference can't be run here; import its module"
        raise FaaskitError(msg)

    def adopt(self, function: Function) -> None:
        """References belong to nobody here."""

    def start_services(self, function: Function) -> None:
        """There is nothing to start here."""

    def serve(self, function: Function, call: ServiceCall, request_id: str) -> ServiceReply:  # noqa: ARG002
        """There is no gate here."""
        return ServiceReply(failure=ServiceFailure("AccessDeniedException", "a reference"))

    def send(self, function: Function, event: bytes) -> str:
        """Send through the gate."""
        if self.loose:
            raise _no_queue(function.name)
        link = current_link()
        if link is None:
            msg = "a function that came as a reference can't be run here; import its module"
            raise FaaskitError(msg)
        parameters = {"FunctionName": function.arn, "InvocationType": "Event"}
        reply = link.call("lambda", "Invoke", parameters, event)
        if reply.failure is not None:
            raise error_of(reply.failure)
        return str(reply.output["ResponseMetadata"]["RequestId"])


def _reference(
    config: FunctionConfig, region: str, account: str, loose: bool, borrows_name: bool
) -> Function:
    def stays_at_home(*_: Any, **__: Any) -> Any:
        msg = (
            f"function {config.name!r} came here as a reference, without its code: "
            "use .invoke(event)"
        )
        raise FaaskitError(msg)

    owner = _ReferenceOwner(region, account, loose=loose)
    made = Function(_Source(stays_at_home), config, owner, ())
    made._borrows_name = borrows_name  # noqa: SLF001
    return made


def define(
    handler: Any = None, *, owner: Owner | None = None, stacklevel: int = 3, **parameters: Any
) -> Any:
    """
    Make a handler a Function; without a handler, return the decorator that does.

    Args:
        handler: ``handler(event, context)``.
        owner: The App that it belongs to.
        stacklevel: Whose line a warning names; the caller's caller by default.
        parameters: Those of ``function``.

    Raises:
        DefinitionError: A parameter that AWS would refuse.
    """
    if handler is None:
        # Called as a decorator, a partial has no frame of its own.
        return functools.partial(define, owner=owner, stacklevel=2, **parameters)
    if isinstance(handler, Function):
        msg = f"function {handler.name!r} is one already: @function goes on a handler, once"
        raise DefinitionError(msg)
    if not callable(handler):
        msg = f"@function goes on a handler(event, context), not on {handler!r}"
        raise DefinitionError(msg)
    _refuse_unknown("@function", parameters)
    if parameters.get("name") is None:
        parameters["name"] = _name_of(handler)
    path = (import_path(handler) or "").replace(":", ".")
    if path and len(path) <= HANDLER_LIMIT_CHARACTERS:
        parameters["handler"] = path
    config = _config(parameters, stacklevel + 1)
    statements = getattr(handler, "__faaskit_statements__", ())
    made = Function(_Source(handler), config, owner, statements)
    _adopt(made, owner)
    return made


def define_in_folder(
    name: str,
    code: str | os.PathLike[str],
    handler: str,
    *,
    owner: Owner,
    stacklevel: int = 3,
    **parameters: Any,
) -> Function:
    """
    Make a Function of code that lies in a folder, without importing it.

    Args:
        name: Of the function.
        code: The folder.
        handler: AWS's form, such as ``lambda_function.lambda_handler``.
        owner: The App that it belongs to.
        stacklevel: Whose line a warning names; the caller's caller by default.
        parameters: Those of ``function``.

    Raises:
        DefinitionError: There is no such folder, or a parameter that AWS would refuse.
    """
    _refuse_unknown("add_function", parameters)
    config = _config({**parameters, "name": name, "handler": handler}, stacklevel + 1)
    travelled = in_folder(Path(code), config.handler, config.name)
    made = Function(_Folder(travelled, config.name), config, owner, ())
    _adopt(made, owner)
    return made


def _config(parameters: Mapping[str, Any], stacklevel: int) -> FunctionConfig:
    config = FunctionConfig(**parameters)
    for setting in config.without_effect():
        warnings.warn(
            f"function {config.name!r}: {setting} has no effect in this version of faaskit",
            UserWarning,
            stacklevel=stacklevel,
        )
    return config


def _refuse_unknown(where: str, parameters: Mapping[str, Any]) -> None:
    known = sorted((*FolderSettings.__annotations__, "name"))
    unknown = sorted(set(parameters).difference(known))
    if unknown:
        msg = f"{where} has no parameter {unknown[0]!r}; it has {', '.join(known)}"
        raise DefinitionError(msg)


def _name_of(handler: Handler) -> str:
    name = getattr(handler, "__name__", type(handler).__name__)
    return "lambda" if name == "<lambda>" else name


@overload
def function(
    handler: Callable[_P, _R_co], /, **settings: Unpack[Settings]
) -> Function[_P, _R_co]: ...


@overload
def function(
    handler: None = None, /, **settings: Unpack[Settings]
) -> Callable[[Callable[_P, _R_co]], Function[_P, _R_co]]: ...


# What Settings has, once more: help() and notebooks show this signature, with its defaults.
# A type checker sees to it that all of Settings is taken.
def function(
    handler: Handler | None = None,
    /,
    *,
    name: str | None = None,
    memory_size: int = 128,
    timeout: int = 3,
    ephemeral_storage: int = 512,
    environment: Mapping[str, str] | None = None,
    role: Role | None = None,
    architecture: _Architecture = "x86_64",
    description: str = "",
    reserved_concurrency: int | None = None,
    network: bool = True,
    snapshot: bool = True,
    readable: _Paths = (),
    retry_attempts: int = 2,
    max_event_age: int = 21600,
    on_success: Any = None,
    on_failure: Any = None,
    dead_letter: Any = None,
) -> Any:
    """
    Declare a function: ``@function`` or ``@function(memory_size=512, timeout=10)``.

    Args:
        handler: What is decorated: ``handler(event, context)``.
        name: 1 to 64 of ``[a-zA-Z0-9-_]``; by default the handler's own.
        memory_size: In MB, 128 to 10,240. CPU follows it: 1,769 MB are one vCPU.
        timeout: In whole seconds, 1 to 900.
        ephemeral_storage: The size of /tmp in MB, 512 to 10,240.
        environment: The function's variables, up to 4 KB.
        role: Its execution role; by default one of its own, with what ``@allow`` gives.
        architecture: ``x86_64`` or ``arm64``; the price differs.
        description: Up to 256 characters.
        reserved_concurrency: How many calls may run at once.
        network: Whether it sees a network.
        snapshot: INIT once, and each call from that state; else INIT for each call.
        readable: Paths of this host that it may read.
        retry_attempts: Further tries of an asynchronous invocation, 0 to 2.
        max_event_age: How long an asynchronous event is tried, in seconds.
        on_success: Where the record of a success goes.
        on_failure: Where the record of a failure goes.
        dead_letter: Where an event goes that could not be processed.

    Returns:
        The Function; without a handler, the decorator.

    Raises:
        DefinitionError: A value that AWS would refuse.
    """
    return define(
        handler,
        name=name,
        memory_size=memory_size,
        timeout=timeout,
        ephemeral_storage=ephemeral_storage,
        environment=environment,
        role=role,
        architecture=architecture,
        description=description,
        reserved_concurrency=reserved_concurrency,
        network=network,
        snapshot=snapshot,
        readable=readable,
        retry_attempts=retry_attempts,
        max_event_age=max_event_age,
        on_success=on_success,
        on_failure=on_failure,
        dead_letter=dead_letter,
    )


def _encode(event: Any, name: str) -> bytes:
    try:
        return json.dumps(event, allow_nan=False, ensure_ascii=False).encode()
    except (TypeError, ValueError, RecursionError) as error:
        msg = f"the event for function {name!r} is not JSON: {error}; Lambda takes JSON values"
        raise PayloadError(msg) from error
