"""``faaskit logs``: the invocations that ended, with their logs, as they come if wanted."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterable

from attrs import asdict

from faaskit.cli.finding import find_app
from faaskit.clock import iso8601
from faaskit.resources.history import PastInvocation

__all__ = ["logs"]

_LOOK_EVERY_SECONDS = 0.25


def logs(arguments: argparse.Namespace) -> int:
    """Print the last ones; with ``--follow``, those that end from now on, too."""
    with find_app(arguments.app) as app:
        places: dict[str, int] = {}
        found = _of(app.history.since(places), arguments.function)
        for one in found[max(0, len(found) - arguments.limit) :]:
            print(_told(one, as_json=arguments.json), flush=True)
        while arguments.follow:
            time.sleep(_LOOK_EVERY_SECONDS)
            for one in _of(app.history.since(places), arguments.function):
                print(_told(one, as_json=arguments.json), flush=True)
    return 0


def _of(found: Iterable[PastInvocation], function: str | None) -> list[PastInvocation]:
    return [one for one in found if function in {None, one.function_name}]


def _told(one: PastInvocation, *, as_json: bool) -> str:
    if as_json:
        return json.dumps({**asdict(one), "log_group_name": one.log_group_name}, default=str)
    head = f"{iso8601(one.ended)} {one.log_group_name} {one.log_stream_name} {one.status}"
    return f"{head}\n{one.logs.rstrip()}\n"
