"""moto's server takes long to start; no function's time is spent on that."""

from __future__ import annotations

import json
import os
import threading
import time
from pathlib import Path
from typing import Any

import psutil
import pytest
from probes import until

from faaskit import App, Function, Role, SandboxError, allow
from faaskit.cli import main

pytestmark = pytest.mark.timeout(100)

_HANDLERS = Path(__file__).parents[1] / "handlers"
_EXAMPLE = Path(__file__).parents[2] / "examples" / "plain_aws"
_SLOW_S = 9.0
_TIMEOUT_S = 8  # less than that, and many times what the handler takes

# Imported by every Python that starts with this folder in PYTHONPATH; the sandbox's do not.
_SITE = """
import sys, time
if "faaskit.aws.moto_server" in " ".join(sys.orig_argv):
    {deed}
"""


def _delay(monkeypatch: pytest.MonkeyPatch, folder: Path, deed: str) -> None:
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(_SITE.format(deed=deed))
    monkeypatch.setenv("PYTHONPATH", str(folder))


def _servers() -> list[psutil.Process]:
    return [
        child
        for child in psutil.Process(os.getpid()).children()
        if "faaskit.aws.moto_server" in " ".join(child.cmdline())
    ]


def _lister(app: App, **settings: Any) -> Function:
    role = Role("list-role", policies=[allow("s3:ListAllMyBuckets", on="*")])
    return app.add_function(
        "list", code=_HANDLERS, handler="boto_deeds.list_buckets", role=role, **settings
    )


def test_readme_command_succeeds_while_moto_starts_slowly(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a machine that has nothing in its caches."""
    _delay(monkeypatch, tmp_path / "site", f"time.sleep({_SLOW_S})")
    event = tmp_path / "event.json"
    event.write_text('{"sales": 7}')
    monkeypatch.chdir(_EXAMPLE)
    command = ["invoke", "report.py:handler", "--role", "role.json", "--aws", "moto"]
    began = time.monotonic()
    assert main([*command, "--event", str(event), "--timeout", str(_TIMEOUT_S)]) == 0
    assert time.monotonic() - began > _SLOW_S, "moto's start was not slowed down"
    assert json.loads(capsys.readouterr().out) == {"stored": {"sales": 7}, "queue": "printed"}


def test_start_of_moto_is_neither_init_nor_duration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is in no figure of the invocation that waited for it."""
    _delay(monkeypatch, tmp_path / "site", f"time.sleep({_SLOW_S})")
    with App("slow", aws="moto") as app:
        began = time.monotonic()
        invocation = _lister(app, timeout=40, memory_size=512).invoke()
        took_ms = (time.monotonic() - began) * 1000
        assert invocation.result() == []
        meter = invocation.meter
        told_ms = meter.duration_ms + (meter.init_duration_ms or 0.0)
        assert took_ms - told_ms > _SLOW_S * 1000


def test_closing_app_ends_start_of_moto(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits for a server that is not wanted any more, and it is gone."""
    _delay(monkeypatch, tmp_path / "site", "time.sleep(600)")
    app = App("closed", aws="moto")
    future = _lister(app).submit()
    (server,) = until(_servers, "moto's server")
    closing = threading.Thread(target=app.close)
    closing.start()
    closing.join(30)
    assert not closing.is_alive()
    assert not server.is_running()
    with pytest.raises(SandboxError):
        future.result(timeout=20)


def test_moto_that_does_not_start_is_an_error_of_the_invocation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It says why; nothing is billed; the next call tries again."""
    _delay(monkeypatch, tmp_path / "site", "sys.exit('no moto today')")
    with App("broken", aws="moto") as app:
        lister = _lister(app)
        for _ in range(2):
            with pytest.raises(SandboxError, match="no moto today"):
                lister.invoke()
        assert app.invoker.bill.records() == ()
