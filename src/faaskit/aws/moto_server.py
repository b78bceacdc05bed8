"""
moto's server, in a process of its own. Started by ``moto.py``.

It has no address. Connections come as descriptors over the socket that it was started with, so
that only who holds the other end can make one: no function does, at any level of isolation.
When that end is closed, or its holder is killed, the server ends.
"""

from __future__ import annotations

import logging
import os
import socket
import sys
from typing import Any

__all__ = ["main"]


def main() -> None:
    """Serve until the other end of the socket is closed."""
    from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
    from werkzeug.serving import ThreadedWSGIServer, WSGIRequestHandler

    control = socket.socket(fileno=int(sys.argv[1]))
    logging.getLogger("werkzeug").setLevel(logging.CRITICAL)

    class Handler(WSGIRequestHandler):
        protocol_version = "HTTP/1.1"  # connections are kept

        def address_string(self) -> str:
            return "app"

    class Server(ThreadedWSGIServer):
        daemon_threads = True

        def get_request(self) -> tuple[Any, Any]:
            _, descriptors, _, _ = socket.recv_fds(control, 1, 1)
            if not descriptors:
                os._exit(0)
            return socket.socket(fileno=descriptors[0]), ("127.0.0.1", 0)

    app: Any = DomainDispatcherApplication(create_backend_app)
    server = Server("127.0.0.1", 0, app, Handler, fd=_placeholder())
    server.socket.close()
    server.socket = control
    control.send(b"r")
    server.serve_forever()


def _placeholder() -> int:
    """Return a listening socket of no address, which werkzeug wants one of to begin with."""
    unnamed = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    unnamed.bind("")
    unnamed.listen()
    return unnamed.detach()


if __name__ == "__main__":
    main()
