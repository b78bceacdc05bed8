"""``faaskit doctor``: what this host can hold, promise by promise."""

from __future__ import annotations

import argparse
import json
import logging
from typing import Any

import attrs

from faaskit.exceptions import FaaskitError
from faaskit.functions import define
from faaskit.invoke import Invoker
from faaskit.runtimes.advice import advice
from faaskit.runtimes.host import jail_problem, probe, supported
from faaskit.runtimes.promises import findings
from faaskit.runtimes.room import memory_mb

__all__ = ["doctor"]

_HOST_FAILED = 3


def doctor(arguments: argparse.Namespace) -> int:
    """Probe the host, run one function, print what holds."""
    host = probe()
    log = logging.getLogger("faaskit")
    before = log.level
    log.setLevel(logging.ERROR)  # what it warns of stands below
    try:
        problem = _try_one() if supported() else "faaskit's sandbox needs Linux: on Windows, WSL"
    finally:
        log.setLevel(before)
    refused = jail_problem() if supported() else "it needs Linux"
    level = "process" if refused else "namespace"
    advised = advice(host, memory_mb(), refused)
    if arguments.json:
        report = {
            "host": attrs.asdict(host),
            "level": level,
            "why_not_namespace": refused,
            "works": problem is None,
            "problem": problem,
            "advice": advised,
            "promises": [attrs.asdict(finding) for finding in findings(host, level)],
        }
        print(json.dumps(report, indent=2))
    else:
        for name, value in attrs.asdict(host).items():
            print(f"{name.replace('_', ' '):16} {_shown(value)}")
        print(f"\nAn invocation    {'works' if problem is None else problem}")
        print(f"\nAt level {level!r}, the best that this host gives:")
        if refused:
            print(f"    not 'namespace': {refused}")
        for finding in findings(host, level):
            print(f"{finding.number:3} {finding.promise:20} {finding.held:12} {finding.reason}")
        print("\nTo know:")
        for sentence in advised:
            print(f"    {sentence}")
    return 0 if problem is None else _HOST_FAILED


def _shown(value: Any) -> Any:
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
