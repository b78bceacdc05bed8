"""``faaskit doctor``: how far this host keeps each promise and enforces each limit."""

from __future__ import annotations

import argparse
import json
import logging
import textwrap
from collections.abc import Iterable
from typing import Any

import attrs

from faaskit.exceptions import FaaskitError
from faaskit.functions import define
from faaskit.invoke import Invoker
from faaskit.runtimes.advice import advice
from faaskit.runtimes.facts import read_facts
from faaskit.runtimes.host import jail_problem, probe, supported
from faaskit.runtimes.promises import Finding, Level, limits, promises
from faaskit.runtimes.room import memory_mb

__all__ = ["doctor"]

_HOST_FAILED = 3
_MB = 1024 * 1024
_LEVELS: tuple[Level, ...] = ("namespace", "process")


def doctor(arguments: argparse.Namespace) -> int:
    """Probe the host, run one function, print what is enforced at each isolation level."""
    report = _report()
    print(json.dumps(report, indent=2) if arguments.json else _text(report))
    return 0 if report["works"] else _HOST_FAILED


def _report() -> dict[str, Any]:
    host = probe()
    log = logging.getLogger("faaskit")
    before = log.level
    log.setLevel(logging.ERROR)  # the report says what it warns of
    try:
        problem = _try_one() if supported() else "faaskit's sandbox needs Linux: on Windows, WSL"
    finally:
        log.setLevel(before)
    refused = jail_problem() if supported() else "it needs Linux"
    level: Level = "process" if refused else "namespace"
    levels = {
        one: {
            "promises": [attrs.asdict(finding) for finding in promises(read_facts(one))],
            "limits": [attrs.asdict(finding) for finding in limits(read_facts(one))],
        }
        for one in _LEVELS
    }
    return {
        "host": attrs.asdict(host),
        "level": level,
        "why_not_namespace": refused,
        "works": problem is None,
        "problem": problem,
        "advice": advice(host, memory_mb(host.memory_mb * _MB), refused),
        **levels[level],
        "levels": levels,
    }


def _text(report: dict[str, Any]) -> str:
    lines = [f"{name.replace('_', ' '):16} {_shown(of_it)}" for name, of_it in _facts(report)]
    lines += ["", f"An invocation    {report['problem'] or 'works'}"]
    level = report["level"]
    for one in sorted(_LEVELS, key=lambda name: name != level):
        lines += ["", _heading(one, report)]
        findings = [Finding(**facts) for facts in report["levels"][one]["promises"]]
        parts = [Finding(**facts) for facts in report["levels"][one]["limits"]]
        for finding in findings:
            lines += _lines(finding)
            if finding.number == 6:  # noqa: PLR2004  # Permission, which these are parts of
                for part in parts:
                    lines += [] if part.number else _lines(part)
    lines += ["", "To know:", *(f"    {sentence}" for sentence in report["advice"])]
    return "\n".join(lines)


def _facts(report: dict[str, Any]) -> Iterable[tuple[str, Any]]:
    host: dict[str, Any] = report["host"]
    return host.items()


def _heading(level: Level, report: dict[str, Any]) -> str:
    if level == report["level"]:
        return f"At level {level!r}, the best that this host gives:"
    if level == "namespace":
        return f"At level 'namespace', which this host can't give: {report['why_not_namespace']}"
    return f"At level {level!r}:"


def _lines(finding: Finding) -> list[str]:
    number = f"{finding.number:3}" if finding.number else "   "
    lines = [f"{number} {finding.name:20} {finding.state:16} {finding.how}"]
    for gap in finding.gaps:
        lines += textwrap.wrap(gap, 100, initial_indent=" " * 8 + "- ", subsequent_indent=" " * 10)
    return lines


def _shown(value: Any) -> Any:
    if value is None:
        return "no limit"
    if not isinstance(value, dict):
        return value
    parts = [f"{name}: {', '.join(of_it) or 'none'}" for name, of_it in value.items()]
    return "; ".join(parts) or "none"


def _try_one() -> str | None:
    def echo(event: Any, _context: Any) -> Any:
        return event

    try:
        with Invoker() as invoker:
            invocation = invoker.invoke(define(echo), "works")
    except FaaskitError as error:
        return str(error)
    return None if invocation.payload == "works" else repr(invocation)
