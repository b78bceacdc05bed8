"""A module that misbehaves in INIT: what the function's variable DEED says, and only there."""

from __future__ import annotations

import os
import socket
import sys
import threading
import time
from typing import Any


def _hang_in_fork() -> None:
    time.sleep(600)


_deed = os.environ.get("DEED", "")
if _deed == "print":
    print("hello from INIT")
elif _deed == "raise":
    msg = "INIT went wrong"
    raise ValueError(msg)
elif _deed == "import":
    import module_that_is_nowhere  # type: ignore[import-not-found]  # noqa: F401
elif _deed == "exit":
    sys.exit(4)
elif _deed == "leave":
    os._exit(5)
elif _deed == "hold":
    _line = socket.create_connection(("127.0.0.1", int(os.environ["PORT"])))
    _line.sendall(b"INIT")
    _line.recv(64)
    _line.close()
elif _deed == "hang":
    time.sleep(600)
elif _deed == "hoard":
    hoard = []
    while True:
        hoard.append([0] * 100_000)
elif _deed == "thread":
    threading.Thread(target=time.sleep, args=(600,), daemon=True).start()
elif _deed == "silence the template":
    _forker = sys.modules["_faaskit_child.template"]._Forker
    _become = _forker._become

    class _Mute:
        def send(self, *_: Any) -> None: ...

        def sendmsg(self, *_: Any) -> None: ...

        def close(self) -> None: ...

    def _silently(forker: Any, *arguments: Any) -> None:
        forker._launcher = _Mute()
        _become(forker, *arguments)

    _forker._become = _silently
    _forker._report = lambda *_: None
elif _deed == "hang in fork":
    os.register_at_fork(after_in_child=_hang_in_fork)
elif _deed in {"hooks", "bad before", "bad after"}:
    import snapshot_restore_py as hooks  # type: ignore[import-untyped]

    seen: list[str] = []

    def _fail(reason: str) -> None:
        raise ValueError(reason)

    for _name in ("first", "second"):
        hooks.register_before_snapshot(seen.append, f"before, {_name}")
        hooks.register_after_restore(lambda name: seen.append(f"after, {name}"), name=_name)
    if _deed == "bad before":
        hooks.register_before_snapshot(_fail, "no snapshot")
    if _deed == "bad after":
        hooks.register_after_restore(_fail, "not restored")
elif _deed == "once" and not os.path.exists(os.environ["FLAG"]):
    # The first INIT fails, the second does not.
    open(os.environ["FLAG"], "w").close()
    msg = "the first INIT fails"
    raise ValueError(msg)

count = 0


def handler(event: Any, context: Any) -> Any:
    """Return the event, and how often this ran in this process; ring where it asks for that."""
    global count  # noqa: PLW0603  # what a fresh environment has at 0
    if isinstance(event, dict) and "port" in event:
        socket.create_connection(("127.0.0.1", event["port"])).close()
    count += 1
    return [event, count] if event != "seen" else seen
