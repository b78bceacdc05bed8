"""``faaskit run``: serve an App until Ctrl-C."""

from __future__ import annotations

import argparse
import logging

from faaskit.app import App
from faaskit.cli.finding import find
from faaskit.exceptions import DefinitionError
from faaskit.invoke import Invocation

__all__ = ["run"]


def run(arguments: argparse.Namespace) -> int:
    """Serve it, a line for each delivery."""
    app = find(arguments.app)
    if not isinstance(app, App):
        msg = f"{arguments.app} is no App: {app!r}"
        raise DefinitionError(msg)
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    print(f"{app.name}: serving {len(app.functions)} functions; Ctrl-C ends it", flush=True)
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
