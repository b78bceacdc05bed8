"""``faaskit events``: what an App's events are at, and delivering dead ones again."""

from __future__ import annotations

import argparse
import json

from attrs import asdict

from faaskit.app import App
from faaskit.cli.finding import find_app
from faaskit.clock import iso8601
from faaskit.events.watching import EventStatus
from faaskit.exceptions import DefinitionError

__all__ = ["events"]

_DETAIL_CHARACTERS = 100


def events(arguments: argparse.Namespace) -> int:
    """Print a line for each, or redrive what is named."""
    with find_app(arguments.app) as app:
        if arguments.redrive is not None:
            return _redrive(app, arguments.redrive)
        found = app.events
        if arguments.json:
            print(json.dumps([asdict(one) for one in found], default=str, indent=2))
        elif not found:
            print(f"{app.name}: nothing waits, and nothing was given up")
        for one in () if arguments.json else found:
            print(_told(one))
    return 0


def _told(one: EventStatus) -> str:
    what = f" {one.what}" if one.what else ""
    due = iso8601(one.due)
    tried = f"{one.attempts} failed" if one.attempts else "not tried yet"
    reason = f" {one.reason}" if one.reason else ""
    detail = " ".join(one.detail.split())
    if len(detail) > _DETAIL_CHARACTERS:
        detail = f"{detail[:_DETAIL_CHARACTERS]}…"
    when = "died" if one.state == "dead" else "due"
    return f"{one.state:9} {one.function}{what}  {one.id}  {when} {due}  {tried}{reason}  {detail}"


def _redrive(app: App, wanted: str) -> int:
    dead = [one for one in app.dead() if wanted in {"all", one.request_id}]
    if not dead and wanted != "all":
        msg = f"App({app.name!r}) has no dead event {wanted}; `faaskit events` lists them"
        raise DefinitionError(msg)
    for one in dead:
        print(f"{one.request_id} is queued again, as {app.redrive(one)}")
    print(f"{len(dead)} events are queued; `faaskit run` delivers them")
    return 0
