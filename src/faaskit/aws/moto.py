"""moto's server as the place of AWS: started at the first call, out of the functions' reach."""

from __future__ import annotations

import contextlib
import http.client
import io
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

from faaskit.aws.endpoint import Endpoint
from faaskit.aws.extra import require
from faaskit.exceptions import MissingExtraError, SandboxError
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
        """End the server; twice is no error."""
        with self._lock:
            server, self._server = self._server, None
        if server is not None:
            server.close()

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
        with self._lock:
            if self._server is None:
                self._server = _Server(self._account)
            server = self._server
        return server.send(request)


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
        ours.settimeout(_STARTS_WITHIN_SECONDS)
        try:
            ready = ours.recv(1)
        except TimeoutError:
            ready = b""
        if ready != b"r":
            self._refuse_to_start()
        ours.settimeout(None)
        assert self._process.stderr is not None
        self._process.stderr.close()

    def _refuse_to_start(self) -> None:
        self._process.kill()
        said = self._process.communicate()[1].decode("utf-8", "replace").strip()
        self._control.close()
        last = said.splitlines()[-1] if said else "no word"
        if "ModuleNotFoundError" in last:
            msg = f"aws='moto' needs moto's server: pip install 'faaskit[moto]' ({last})"
            raise MissingExtraError(msg, extra="moto")
        msg = f"moto's server does not start: {last}"
        raise SandboxError(msg, step="moto")

    def send(self, request: Any) -> Any:
        """Send a request of botocore's; return its response."""
        from botocore.awsrequest import AWSResponse
        from botocore.compat import HTTPHeaders

        parts = urlsplit(request.url)
        target = parts.path + (f"?{parts.query}" if parts.query else "")
        body = request.body
        if hasattr(body, "read"):
            body = body.read()
        connection = self._idle.pop() if self._idle else self._connect()
        try:
            connection.request(request.method, target, body, _headers(request, parts.netloc))
            answer = connection.getresponse()
            content = answer.read()
        except BaseException:
            connection.close()
            raise
        if connection.sock is not None:  # it is kept, unless the server has closed it
            self._idle.append(connection)
        return AWSResponse(
            request.url, answer.status, HTTPHeaders.from_pairs(answer.getheaders()), _Raw(content)
        )

    def _connect(self) -> _Connection:
        ours, theirs = socket.socketpair()
        with theirs:
            socket.send_fds(self._control, [b"c"], [theirs.fileno()])
        return _Connection(ours)

    def close(self) -> None:
        self._control.close()
        for connection in self._idle:
            connection.close()
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()
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
