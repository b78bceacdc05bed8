"""``faaskit run``: serve an App until Ctrl-C or SIGTERM."""

from __future__ import annotations

import argparse
import logging
import signal

from faaskit.cli.finding import find_app
from faaskit.invoke import Invocation

__all__ = ["run"]


def run(arguments: argparse.Namespace) -> int:
    """Serve it, a line for each delivery."""
    app = find_app(arguments.app)
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    # Ignored where a shell started it in the background, and under some supervisors.
    ignored = signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    end = "SIGTERM" if ignored else "Ctrl-C"
    print(f"{app.name}: serving {len(app.functions)} functions; {end} ends it", flush=True)
    with app:
        app.run(on_delivery=_tell)
    return 0


def _tell(invocation: Invocation) -> None:
    meter = invocation.meter
    print(
        f"{invocation.function_name}  {invocation.status}  {meter.duration_ms:.0f} ms  "
        f"${meter.cost_usd:f}  {invocation.request_id}",
        flush=True,
    )
