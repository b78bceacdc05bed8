"""
The environment: one process, one invocation. Runs in the child; stdlib only.

It is a fork of its template. It sets itself up, runs an event that nobody sees to have
its memory touched, says READY and blocks on a read of its own pipe. Whatever arrives there
is the one event that it serves; then it waits to be killed from outside, which reads what
it used while it is still there.
"""

from __future__ import annotations

import _thread
import contextlib
import json
import os
import resource
import sys
import time
from typing import TYPE_CHECKING, Any

from . import handler as contract
from . import inherited_state, kernel, landlock, wire

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import NoReturn

    Handler = Callable[[Any, Any], Any]

__all__ = [
    "Channel",
    "Setup",
    "current_request_id",
    "exit_as_asked",
    "failed",
    "flush",
    "give_up_rights",
    "mount_fresh",
    "redirect",
    "rehearse",
    "run",
    "service_call",
    "set_channel",
]

_BYTES_FOR_EACH_INODE = 16384  # as ext4 has it
_BODY_LIMIT = 8 * 1024**3  # what the gate sends is trusted; memory_size is what bounds it


class Channel:
    """
    This process's way to the app: a pipe in, a pipe out.

    Service calls may come from several threads; they take turns. A process that the
    function forks has no channel: it would answer in its parent's name.
    """

    def __init__(self, incoming: int, outgoing: int) -> None:
        self.incoming = incoming
        self.outgoing = outgoing
        self._pid = os.getpid()
        self._decoder = wire.Decoder()
        self._assembler = wire.Assembler({wire.REQUEST: _BODY_LIMIT, wire.REPLY: _BODY_LIMIT})
        self._turn = _thread.allocate_lock()
        # The app holds one message under way and refuses a second: a thread in the middle of
        # a large call must not be interrupted by the result.
        self._writing = _thread.allocate_lock()
        self._calls = 0

    def receive(self) -> tuple[int, int, bytes] | None:
        """Return the next message, or None at the end."""
        while True:
            data = os.read(self.incoming, 1 << 16)
            if not data:
                return None
            for frame in self._decoder.feed(data):
                message = self._assembler.add(frame)
                if message is not None:
                    # The app sends one message and then waits for this side's.
                    return message

    def send(self, kind: int, number: int, header: Mapping[str, Any], body: bytes = b"") -> None:
        """Write a message, whole."""
        with self._writing:
            for frame in wire.encode_message(kind, number, header, body):
                self._write(frame)

    def send_plain(self, kind: int, payload: bytes) -> None:
        """Write a message that has no header."""
        with self._writing:
            for frame in wire.encode(kind, 0, payload):
                self._write(frame)

    def _write(self, frame: bytes) -> None:
        view = memoryview(frame)
        while view:
            view = view[os.write(self.outgoing, view) :]

    def call(
        self,
        service: str,
        operation: str,
        parameters: dict[str, Any],
        body: bytes | None,
        *,
        region: str,
        session: str,
    ) -> tuple[dict[str, Any], bytes | None]:
        """Ask the gate for a service call; return the reply's header and body."""
        if os.getpid() != self._pid:
            msg = "service calls can't be made from a process that the function forked"
            raise RuntimeError(msg)
        with self._turn:
            self._calls += 1
            header = {
                "service": service,
                "operation": operation,
                "parameters": parameters,
                "region": region,
                "session": session,
                "has_body": body is not None,
            }
            self.send(wire.CALL, self._calls, header, body or b"")
            message = self.receive()
            if message is None:
                os._exit(1)  # the app is gone, and this process is about to be
            reply, reply_body = wire.split_message(message[2])
            return reply, reply_body if reply.get("has_body") else None

    def close(self) -> None:
        """Close both ends in this process alone; again is fine (a fork of a fork)."""
        for descriptor in (self.incoming, self.outgoing):
            if descriptor >= 0:
                os.close(descriptor)
        self.incoming = self.outgoing = -1


_channel: Channel | None = None
_request_id = ""


def current_request_id() -> str:
    """Return the id of the invocation under way; empty during INIT."""
    return _request_id


def set_channel(channel: Channel | None) -> None:
    """Name the channel that this process's service calls take."""
    global _channel  # noqa: PLW0603  # one process, one channel
    _channel = channel


def service_call(
    service: str,
    operation: str,
    parameters: dict[str, Any],
    body: bytes | None,
    *,
    region: str = "",
    session: str = "",
) -> tuple[dict[str, Any], bytes | None]:
    """
    Carry a service call to the gate. What ``faaskit.runtimes.link`` finds and uses.

    Returns:
        The reply's header, with ``output`` or ``failure``; and its body.
    """
    if _channel is None:
        msg = "there is no channel to the gate in this process"
        raise RuntimeError(msg)
    return _channel.call(service, operation, parameters, body, region=region, session=session)


class Setup:
    """
    What the launcher asks a new environment to be.

    Attributes:
        number: Its own.
        jailed: Whether its template is.
        folder: Its temporary and working folder, made here, removed by the launcher. In a
            jail it is ``/tmp``.
        data_limit: RLIMIT_DATA, in bytes.
        file_limit: RLIMIT_FSIZE, in bytes.
        disk_limit: Of ``/tmp`` in a jail, in bytes.
        memory_limit: Of ``/dev/shm`` in a jail, in bytes.
        moves: Pairs of a path in the view and where it is looked for, on a fresh file system.
        network: Whether it has the host's.
        environment: Variables that differ from the template's.
    """

    __slots__ = (
        "data_limit",
        "disk_limit",
        "environment",
        "file_limit",
        "folder",
        "jailed",
        "memory_limit",
        "moves",
        "network",
        "number",
    )

    def __init__(self, facts: Mapping[str, Any], jail: Mapping[str, Any] | None) -> None:
        jailed = jail is not None
        self.number: int = facts["number"]
        self.jailed = jailed
        self.moves: list[list[str]] = [] if jail is None else jail["moves"]
        self.network: bool = True if jail is None else jail["network"]
        self.folder: str = "/tmp" if jailed else facts["folder"]
        self.data_limit: int = facts["data_limit"]
        self.file_limit: int = facts["file_limit"]
        self.disk_limit: int = facts["disk_limit"]
        self.memory_limit: int = facts["memory_limit"]
        self.environment: dict[str, str] = facts["environment"]


def run(
    setup: Setup,
    load: Callable[[], Handler],
    pipes: tuple[int, int, int],
    groups: list[int],
    introduce: Callable[[], None],
    *,
    files: tuple[inherited_state.OpenFile, ...],
) -> NoReturn:
    """
    Be an environment, from just after the fork to the end.

    Args:
        setup: What to be.
        load: Returns the handler; with a snapshot it is loaded already.
        pipes: Descriptors of the event, the reply and the log.
        groups: Descriptors of the ``cgroup.procs`` files to join.
        introduce: Ties this process's life to the template's, and tells the launcher of it.
        files: Of INIT, to be opened again here.
    """
    incoming, outgoing, log = pipes
    step = "start"
    try:
        os.setsid()
        introduce()
        step = "join its cgroups"
        for group in groups:
            _join(group)
        step = "redirect the standard streams"
        redirect(log)
        step = "make the temporary folder"
        if setup.jailed:
            kernel.unshare(kernel.CLONE_NEWNS | kernel.CLONE_NEWIPC)
            mount_fresh(setup.disk_limit, setup.memory_limit, setup.moves)
        else:
            os.mkdir(setup.folder, 0o700)
        _enter_folder(setup)
        if files:
            # While it still has the rights with which INIT has opened them.
            step = "open the files of INIT again"
            inherited_state.reopen(files)
        step = "set the limits"
        resource.setrlimit(resource.RLIMIT_DATA, (setup.data_limit, setup.data_limit))
        resource.setrlimit(resource.RLIMIT_FSIZE, (setup.file_limit, setup.file_limit))
        step = "make random numbers its own"
        _reseed()
        if setup.jailed:
            step = "give up its rights"
            give_up_rights(network=setup.network)
        step = "warm up"
        rehearse()
        channel = Channel(incoming, outgoing)
        set_channel(channel)
        os.register_at_fork(after_in_child=channel.close)
        step = "park"
        # One that a fork hook of INIT's has started would run on while nobody is billed for it.
        threads = len(sys._current_frames()) - 1  # noqa: SLF001  # CPython documents it
        reason = b"a hook that starts a thread in each fork" if threads else b""
        channel.send_plain(wire.READY, reason)
        message = channel.receive()
    except BaseException as error:  # noqa: BLE001  # no code of the user's ran: it is ours
        _setup_failed(outgoing, step, error)
    if message is None:
        os._exit(0)  # never used
    _serve(channel, load, message[2])


def _join(group: int) -> None:
    try:
        # 0 is the writer itself, whatever its namespace. The descriptor is root's, and so
        # may write what this process may not; kernels before 5.16 look at the process.
        os.write(group, b"0")
    except PermissionError:
        if os.getuid() == 0:
            raise
    finally:
        os.close(group)


def mount_fresh(disk_limit: int, memory_limit: int, moves: list[list[str]]) -> None:
    """
    Have blank file systems at ``/tmp`` and ``/dev/shm``, and this pid namespace's ``/proc``.

    Args:
        disk_limit: Of ``/tmp``, in bytes; over it a write fails with ENOSPC.
        memory_limit: Of ``/dev/shm``, in bytes.
        moves: Pairs of a path and where in them it is bound.
    """
    plain = kernel.MS_NOSUID | kernel.MS_NODEV
    inodes = disk_limit // _BYTES_FOR_EACH_INODE
    for folder, size in (("/tmp", disk_limit), ("/dev/shm", memory_limit)):
        options = f"size={size},nr_inodes={inodes},mode=1777"
        kernel.mount("tmpfs", folder, "tmpfs", plain, options)
    kernel.mount("proc", "/proc", "proc", plain | kernel.MS_NOEXEC)
    for source, target in moves:
        if os.path.isdir(source):
            os.makedirs(target, exist_ok=True)
        else:
            os.makedirs(os.path.dirname(target), exist_ok=True)
            os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o444))
        kernel.mount(source, target, "", kernel.MS_BIND | kernel.MS_REC)


def give_up_rights(*, network: bool) -> None:
    """
    Restrict this process and its descendants to less than its template may do, for good.

    Args:
        network: Whether it may talk to others than itself.
    """
    # In this order: a process under Landlock can't mount, and one that may still gain
    # privileges can't put itself under it.
    kernel.forbid_new_privileges()
    version = landlock.abi()
    if version:
        landlock.restrict(version, ("/tmp", "/dev/shm"), ("/dev", "/proc"), network=network)
    kernel.drop_capabilities()


def redirect(log: int) -> None:
    """Put the standard streams on the log, and standard input on nothing."""
    null = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
    os.dup2(null, 0)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.close(null)
    os.close(log)


def _enter_folder(setup: Setup) -> None:
    os.chdir(setup.folder)
    os.environ.update(setup.environment)
    os.environ["TMPDIR"] = setup.folder
    tempfile = sys.modules.get("tempfile")
    if tempfile is not None:
        tempfile.tempdir = None  # type: ignore[attr-defined] # it may remember the template's


def _reseed() -> None:
    # ``random`` reseeds itself after a fork, by a hook of its own; numpy does not.
    numpy = sys.modules.get("numpy.random")
    if numpy is not None:
        numpy.seed()


def rehearse(times: int = 1) -> None:
    """
    Answer an event that nobody sees, so that the page faults of the first happen before it.

    A parked environment that has done this answers three times faster. It has to be the very
    code: each page that it misses is copied while a caller waits.
    """
    facts = dict.fromkeys(
        (
            "request_id",
            "function_name",
            "function_version",
            "invoked_function_arn",
            "memory_limit_in_mb",
            "log_group_name",
        ),
        "",
    )
    header = {"context": facts, "timeout": 1.0, "trace_id": "", "init": False}
    for _ in range(times):
        incoming, event = os.pipe2(os.O_CLOEXEC)
        stage = Channel(incoming, os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC))
        for frame in wire.encode_message(wire.REQUEST, 0, header, b'{"key": [1, 2.5, "value"]}'):
            os.write(event, frame)
        os.close(event)
        message = stage.receive()
        if message is not None:
            _answer(stage, lambda: _echo, message[2])
        stage.close()
    del os.environ["_X_AMZN_TRACE_ID"]


def _echo(event: Any, context: contract.Context) -> Any:
    context.get_remaining_time_in_millis()
    return event


def _setup_failed(outgoing: int, step: str, error: BaseException) -> NoReturn:
    header = {"step": step, "errno": getattr(error, "errno", None), "message": repr(error)}
    for frame in wire.encode_message(wire.SETUP_FAILED, 0, header):
        os.write(outgoing, frame)
    os._exit(1)


def _serve(channel: Channel, load: Callable[[], Handler], request: bytes) -> NoReturn:
    _answer(channel, load, request)
    # Killed from outside once its usage is read. Nothing is lost if it ends by itself.
    while channel.receive() is not None:
        pass
    os._exit(0)


def _answer(channel: Channel, load: Callable[[], Handler], request: bytes) -> None:
    header, event = wire.split_message(request)
    facts = header["context"]
    facts.setdefault("log_stream_name", os.environ.get("AWS_LAMBDA_LOG_STREAM_NAME", ""))
    request_id = facts["request_id"]
    global _request_id  # noqa: PLW0603  # one process, one invocation
    _request_id = request_id
    os.environ["_X_AMZN_TRACE_ID"] = header["trace_id"]
    pid = os.getpid()
    try:
        phase = "init"
        function = load()
        if header["init"]:
            flush()
            channel.send_plain(wire.INIT_DONE, b"")
        phase = "invoke"
        context = contract.Context(facts, time.monotonic() + header["timeout"])
        kind, payload = _invoke(function, event, context)
    except SystemExit as error:
        exit_as_asked(error)
    except BaseException as error:  # noqa: BLE001  # whatever the user's code raised
        kind, payload = failed(error, request_id if phase == "invoke" else "", phase)
    if os.getpid() != pid:
        # A child that the handler forked came back up the stack. It is not the environment.
        os._exit(0)
    flush()
    channel.send_plain(kind, payload)


def _invoke(function: Handler, event: bytes, context: contract.Context) -> tuple[int, bytes]:
    try:
        argument = json.loads(event)
    except ValueError as error:
        msg = f"Unable to unmarshal input: {error}"
        return _named("Runtime.UnmarshalError", msg, context.aws_request_id)
    result = function(argument, context)
    try:
        payload = contract.marshal(result)
    except Exception as error:  # noqa: BLE001  # a result's own methods may raise anything
        msg = f"Unable to marshal response: {contract.error_object(error, '')['errorMessage']}"
        return _named("Runtime.MarshalError", msg, context.aws_request_id)
    if len(payload) > contract.RESPONSE_LIMIT:
        # Refused here so that it does not have to be carried; the app checks it again.
        body = {
            "errorMessage": "Response payload size exceeded maximum allowed payload size "
            f"({contract.RESPONSE_LIMIT} bytes).",
            "errorType": "Function.ResponseSizeTooLarge",
        }
        return wire.ERROR, _error_message(body, "invoke")
    return wire.RESULT, payload


def _named(error_type: str, message: str, request_id: str) -> tuple[int, bytes]:
    error = contract.LoadError(error_type, message)
    return failed(error, request_id, "invoke")


def failed(error: BaseException, request_id: str, phase: str) -> tuple[int, bytes]:
    """Log an exception of the user's code; return the message that tells the app of it."""
    if contract.memory_was_refused(error):
        # The traceback keeps the frames, and so what filled the memory, alive.
        error.__traceback__ = None
        return wire.ERROR, _OUT_OF_MEMORY[phase]
    body = contract.error_object(error, request_id)
    contract.print_error(body)
    return wire.ERROR, _error_message(body, phase)


def _error_message(body: dict[str, Any], phase: str, *, out_of_memory: bool = False) -> bytes:
    body["phase"] = phase
    body["out_of_memory"] = out_of_memory
    return json.dumps(body).encode()


# Made ahead: there may be no memory left to make them with.
_OUT_OF_MEMORY = {
    phase: _error_message({}, phase, out_of_memory=True) for phase in ("init", "invoke")
}


def exit_as_asked(error: SystemExit) -> NoReturn:
    """Do what the interpreter does with a SystemExit."""
    code = error.code
    if code is None:
        status = 0
    elif isinstance(code, int):
        status = code & 0xFF
    else:
        print(code, file=sys.stderr)  # noqa: T201  # as the interpreter does
        status = 1
    flush()
    os._exit(status)


def flush() -> None:
    """Write out what the standard streams still hold."""
    for stream in (sys.stdout, sys.stderr):
        # Whatever the user's code has put in its place may raise anything.
        with contextlib.suppress(Exception):
            stream.flush()
