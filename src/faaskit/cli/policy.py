"""``faaskit policy``: what functions asked for, as the policies that they need."""

from __future__ import annotations

import argparse
import json
from typing import Any

from faaskit.app import App
from faaskit.cli.finding import find_app
from faaskit.exceptions import DefinitionError
from faaskit.functions import Function
from faaskit.iam.suggestion import Asked, Suggestion

__all__ = ["policy"]


def policy(arguments: argparse.Namespace) -> int:
    """Print, for each function, the policy that covers what was seen, and what nothing used."""
    app = find_app(arguments.app)
    with app:
        functions = _chosen(app, arguments.function)
        found = {function.name: app.suggest_policy(function) for function in functions}
    if arguments.json:
        print(json.dumps({name: _facts(one) for name, one in found.items()}, indent=2))
    else:
        print("\n\n".join(_told(name, one) for name, one in found.items()))
    return 0


def _chosen(app: App, name: str | None) -> list[Function]:
    if name is None:
        return [app.functions[each] for each in sorted(app.functions)]
    if name not in app.functions:
        known = ", ".join(sorted(app.functions)) or "none"
        msg = f"App({app.name!r}) has no function {name!r}; it has: {known}"
        raise DefinitionError(msg)
    return [app.functions[name]]


def _told(name: str, found: Suggestion) -> str:
    if found.policy.statements or found.forbidden:
        document = json.dumps(found.policy.to_document(), indent=2)
        lines = [f"# {name}: a policy that covers what was seen", document]
    else:
        lines = [f"# {name}: nothing was seen yet; run its App with a state folder, then ask again"]
    lines += _listed(
        "no statement allows, yet it was asked for, so it is in the policy", found.missing
    )
    lines += _listed("a Deny forbids, and it was asked for", found.forbidden)
    if found.unused:
        lines.append(f"# {name}: the role allows, and nothing used")
        lines += [json.dumps(one.to_document(), indent=2) for one in found.unused]
    lines += [
        f"# {pattern} was used for {', '.join(actions)} alone"
        for pattern, actions in found.wildcards
    ]
    return "\n".join(lines)


def _listed(what: str, asked: tuple[Asked, ...]) -> list[str]:
    if not asked:
        return []
    return [f"# {what}:", *(f"#   {one.action} on {one.resource}" for one in asked)]


def _facts(found: Suggestion) -> dict[str, Any]:
    return {
        "policy": found.policy.to_document(),
        "unused": [one.to_document() for one in found.unused],
        "wildcards": {pattern: list(actions) for pattern, actions in found.wildcards},
        "missing": [{"action": one.action, "resource": one.resource} for one in found.missing],
        "forbidden": [{"action": one.action, "resource": one.resource} for one in found.forbidden],
    }
