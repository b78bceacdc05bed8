"""Functions invoked by the threads of a web server."""

from __future__ import annotations

import json
import threading
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import plain_deeds
import pytest

from faaskit import Invoker, function

pytestmark = pytest.mark.timeout(120)

_CLIENTS = 8
_REQUESTS = 48

act = function(plain_deeds.act, timeout=30)


class Handler(BaseHTTPRequestHandler):
    """Answers a POST with what the function makes of it. A thread for each request."""

    invoker: Invoker

    def do_POST(self) -> None:
        """Invoke, and tell how it ended."""
        event = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        invocation = self.invoker.invoke(act, event)
        body = json.dumps([invocation.status, invocation.payload, invocation.request_id]).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Keep pytest's output clean."""


@pytest.fixture(params=["process", "namespace"])
def address(request: pytest.FixtureRequest) -> Iterator[str]:
    """Serve until the test is over."""
    with (
        Invoker(isolation=request.param) as invoker,
        ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server,
    ):
        Handler.invoker = invoker
        serving = threading.Thread(target=server.serve_forever)
        serving.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        serving.join()


def _post(address: str, event: Any) -> Any:
    request = urllib.request.Request(address, json.dumps(event).encode(), method="POST")
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)


def test_each_request_gets_its_own_answer(address: str) -> None:
    """Calls that fail among calls that don't; the threads that made them are gone by the end."""
    events: list[Any] = [
        {"do": "exits", "code": 3} if number % 6 == 5 else number for number in range(_REQUESTS)
    ]
    with ThreadPoolExecutor(_CLIENTS) as clients:
        answers = list(clients.map(lambda event: _post(address, event), events))
    for event, (status, payload, _) in zip(events, answers, strict=True):
        if isinstance(event, dict):
            assert status == "exit"
        else:
            assert (status, payload) == ("ok", event)
    assert len({request_id for *_, request_id in answers}) == _REQUESTS
