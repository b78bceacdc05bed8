"""moto's server as the place of AWS, out of the functions' reach."""

from __future__ import annotations

import contextlib
import http.client
import io
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Collection, Iterator
from typing import Any
from urllib.parse import urlsplit

from faaskit.aws.endpoint import Endpoint
from faaskit.aws.extra import require
from faaskit.exceptions import FaaskitError, MissingExtraError, SandboxError
from faaskit.gate.service import Caller
from faaskit.runtimes.contract import ServiceCall, ServiceReply

__all__ = ["Moto"]

_STARTS_WITHIN_SECONDS = 60
_ADDRESS = "http://localhost"  # moto takes another host for the name of a bucket


class Moto:
    """
    A server of moto's that belongs to one app. Its contents end with it.

    Args:
        region: Of calls that name none.
        account: The account of all that is in it.
    """

    def __init__(self, *, region: str, account: str) -> None:
        self._account = account
        self._endpoint = Endpoint("moto's server", self._client, region=region, account=account)
        self._lock = threading.Lock()
        self._server: _Server | None = None

    def start(self, services: Collection[str]) -> None:
        """
        Start the server and load services in it, before a function's time counts.

        Args:
            services: botocore's names; those that the server does not know are ignored.

        Raises:
            MissingExtraError: boto3 or moto is not installed.
            SandboxError: The server does not start.
        """
        require()
        server = self._running_server()
        for client in self._endpoint.start(services):
            server.load(client.meta.service_model.signing_name)

    def cancel_start(self) -> None:
        """End a server that is starting; one that answers is left alone."""
        with self._lock:
            server = self._server
        if server is not None and not server.ready:
            server.close()

    def perform(self, call: ServiceCall, caller: Caller) -> ServiceReply:
        """
        Carry a call out that was allowed.

        Raises:
            MissingExtraError: boto3 or moto is not installed.
            SandboxError: The server does not start.
        """
        require()
        return self._endpoint.perform(call, caller)

    def close(self) -> None:
        """End the server, started or starting; twice is no error."""
        with self._lock:
            server, self._server = self._server, None
        if server is not None:
            server.close()

    def _running_server(self) -> _Server:
        with self._lock:
            if self._server is None:
                self._server = _Server(self._account)
            server = self._server
        # Not under that lock: whoever closes the app does not wait for the start.
        try:
            server.wait()
        except FaaskitError:
            with self._lock:
                if self._server is server:
                    self._server = None
            raise
        return server

    def _client(self, service: str, region: str) -> Any:
        from botocore.config import Config

        client = (
            require()
            .session.Session()
            .client(
                service,
                region_name=region,
                endpoint_url=_ADDRESS,
                aws_access_key_id="owner",
                aws_secret_access_key="any",  # noqa: S106 - moto looks at none
                config=Config(s3={"addressing_style": "path"}),
            )
        )
        client.meta.events.register_last("before-send", self._send)
        return client

    def _send(self, request: Any, **_: Any) -> Any:
        return self._running_server().send(request)


class _Server:
    """The process, and connections to it that are kept."""

    def __init__(self, account: str) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            environment = {
                **{name: value for name, value in os.environ.items() if not _is_aws(name)},
                "MOTO_ACCOUNT_ID": account,
                "PYTHONDONTWRITEBYTECODE": "1",
            }
            self._process = subprocess.Popen(
                [sys.executable, "-m", "faaskit.aws.moto_server", str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                start_new_session=True,  # Ctrl-C is for the app, which may want it still
                env=environment,
            )
        self._control = ours
        self._idle: list[_Connection] = []
        self._loaded: set[str] = set()
        self._starting = threading.Lock()
        self._answers = threading.Event()
        self._closed = False

    @property
    def ready(self) -> bool:
        """True once it answers; until then it is starting."""
        return self._answers.is_set()

    def wait(self) -> None:
        """
        Wait until the server answers; returns at once where it does.

        Raises:
            MissingExtraError: moto is not installed.
            SandboxError: It does not start, or was closed meanwhile.
        """
        with self._starting:
            if not (self.ready or self._hears_ready()):
                self._refuse_to_start()

    def _hears_ready(self) -> bool:
        if self._closed:
            return False
        self._control.settimeout(_STARTS_WITHIN_SECONDS)
        try:
            answers = self._control.recv(1) == b"r"
        except OSError:
            return False
        if answers:
            self._control.settimeout(None)
            assert self._process.stderr is not None
            self._process.stderr.close()
            self._answers.set()
        return answers

    def _refuse_to_start(self) -> None:
        if self._closed:
            msg = "moto's server was ended before it had started: its App was closed"
            raise SandboxError(msg, step="moto")
        self._process.kill()
        said = self._process.communicate()[1].decode("utf-8", "replace").strip()
        self._control.close()
        self._closed = True
        last = said.splitlines()[-1] if said else "no word"
        if "ModuleNotFoundError" in last:
            msg = f"aws='moto' needs moto's server: pip install 'faaskit[moto]' ({last})"
            raise MissingExtraError(msg, extra="moto")
        msg = f"moto's server does not start: {last}"
        raise SandboxError(msg, step="moto")

    def load(self, service: str) -> None:
        """
        Have the server load a service, which takes it as long as a call, the first time.

        Args:
            service: By which requests to it are signed.
        """
        if service in self._loaded:
            return
        self._loaded.add(service)
        scope = f"owner/20260101/us-east-1/{service}/aws4_request"
        headers = {"Host": "localhost", "Authorization": f"AWS4-HMAC-SHA256 Credential={scope}"}
        # What it answers does not matter: the request is for no operation.
        with contextlib.suppress(OSError, http.client.HTTPException):
            self._exchange("HEAD", "/", None, headers)

    def send(self, request: Any) -> Any:
        """Send a request of botocore's; return its response."""
        from botocore.awsrequest import AWSResponse
        from botocore.compat import HTTPHeaders

        parts = urlsplit(request.url)
        target = parts.path + (f"?{parts.query}" if parts.query else "")
        body = request.body
        if hasattr(body, "read"):
            body = body.read()
        answer, content = self._exchange(
            request.method, target, body, _headers(request, parts.netloc)
        )
        return AWSResponse(
            request.url, answer.status, HTTPHeaders.from_pairs(answer.getheaders()), _Raw(content)
        )

    def _exchange(
        self, method: str, target: str, body: Any, headers: dict[str, str]
    ) -> tuple[http.client.HTTPResponse, bytes]:
        try:
            connection = self._idle.pop()
        except IndexError:
            connection = self._connect()
        try:
            connection.request(method, target, body, headers)
            answer = connection.getresponse()
            content = answer.read()
        except BaseException:
            connection.close()
            raise
        if connection.sock is not None:  # it is kept, unless the server has closed it
            self._idle.append(connection)
        return answer, content

    def _connect(self) -> _Connection:
        ours, theirs = socket.socketpair()
        with theirs:
            socket.send_fds(self._control, [b"c"], [theirs.fileno()])
        return _Connection(ours)

    def close(self) -> None:
        """End the process; whoever waits for its start is told."""
        self._closed = True
        self._process.kill()
        with self._starting:  # nobody reads from the socket any more
            self._control.close()
            if self._process.stderr is not None:
                self._process.stderr.close()
        for connection in self._idle:
            connection.close()
        self._process.wait()


class _Connection(http.client.HTTPConnection):
    """HTTP over a socket that is connected already."""

    auto_open = 0  # there is no address to connect to again

    def __init__(self, connected: socket.socket) -> None:
        super().__init__("localhost")
        self.sock = connected


class _Raw(io.BytesIO):
    """A response's content, as botocore reads it."""

    def stream(self, amount: int = 1 << 16, **_: Any) -> Iterator[bytes]:
        while piece := self.read(amount):
            yield piece


def _headers(request: Any, host: str) -> dict[str, str]:
    headers = {
        name: value.decode("latin-1") if isinstance(value, bytes) else str(value)
        for name, value in request.headers.items()
    }
    headers.pop("Expect", None)  # nobody waits for leave to send
    return {**headers, "Host": headers.get("Host", host)}


def _is_aws(name: str) -> bool:
    return name.startswith(("AWS_", "MOTO_"))
