"""The way in: arguments, and how errors become exit codes."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from importlib.metadata import version

from faaskit.exceptions import FaaskitError, SandboxError

__all__ = ["main"]

_BAD_INPUT = 2
_HOST_FAILED = 3
_INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code."""
    parsed = _parser().parse_args(arguments)
    try:
        _accept(getattr(parsed, "accept", ()))
        code = _command(parsed.command)(parsed)
        sys.stdout.flush()
    except KeyboardInterrupt:
        return _INTERRUPTED
    except BrokenPipeError:
        # Whoever read has gone, as `| head` does. What Python flushes at exit goes nowhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except SandboxError as error:
        print(f"faaskit: {error}", file=sys.stderr)
        return _HOST_FAILED
    except FaaskitError as error:
        print(f"faaskit: {error}", file=sys.stderr)
        return _BAD_INPUT
    return code


def _accept(names: Sequence[str]) -> None:
    """Accept limits for every Invoker of this process, those of the user's modules included."""
    if names:
        from faaskit.invoke.acceptance import ACCEPT_VARIABLE, accepted_in

        wanted = ",".join(names)
        accepted_in(wanted, "--accept")
        os.environ[ACCEPT_VARIABLE] = f"{wanted},{os.environ.get(ACCEPT_VARIABLE, '')}"


def _command(name: str) -> Callable[[argparse.Namespace], int]:
    if name == "demo":
        from faaskit.cli.demo import demo

        return demo
    if name == "invoke":
        from faaskit.cli.invoking import invoke

        return invoke
    if name == "run":
        from faaskit.cli.running import run

        return run
    if name == "policy":
        from faaskit.cli.policy import policy

        return policy
    if name == "events":
        from faaskit.cli.events import events

        return events
    if name == "logs":
        from faaskit.cli.logs import logs

        return logs
    from faaskit.cli.doctor import doctor

    return doctor


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("faaskit", description="AWS Lambda's model, on this host.")
    parser.add_argument("--version", action="version", version=f"faaskit {version('faaskit')}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    demo = commands.add_parser("demo", help="watermark pictures in sandboxed functions")
    demo.add_argument("images", nargs="*", metavar="IMAGE", help="default: one drawn for this")
    demo.add_argument("--out", default="faaskit-demo", metavar="FOLDER", help="for the results")
    demo.add_argument("--json", action="store_true", help="all that it says, for programs")
    invoke = commands.add_parser("invoke", help="run one function once")
    invoke.add_argument("function", metavar="FILE.py:HANDLER | MODULE:FUNCTION")
    invoke.add_argument(
        "--role", metavar="FILE", help="JSON: a policy, a list of them, or policies and boundary"
    )
    invoke.add_argument(
        "--aws", metavar="PLACE", help="of a FILE's calls: moto, an endpoint, or profile:NAME"
    )
    invoke.add_argument("--event", metavar="FILE", help="JSON; '-' is standard input")
    invoke.add_argument("--json", action="store_true", help="the whole invocation as JSON")
    invoke.add_argument("--memory-size", type=int, metavar="MB", help="another than declared")
    invoke.add_argument("--timeout", type=int, metavar="S", help="another than declared")
    invoke.add_argument("--quiet", action="store_true", help="no log on standard error")
    _add_accept(invoke)
    run = commands.add_parser("run", help="serve an App until Ctrl-C")
    run.add_argument("app", metavar="MODULE:APP")
    _add_accept(run)
    policy = commands.add_parser("policy", help="the least that functions' roles must allow")
    policy.add_argument("app", metavar="MODULE:APP")
    policy.add_argument("--function", metavar="NAME", help="this one alone")
    policy.add_argument("--json", action="store_true")
    events = commands.add_parser("events", help="what is queued, tried again, or was given up")
    events.add_argument("app", metavar="MODULE:APP")
    events.add_argument("--redrive", metavar="ID", help="deliver a dead one again; 'all' is all")
    events.add_argument("--json", action="store_true")
    logs = commands.add_parser("logs", help="invocations that ended, with their logs")
    logs.add_argument("app", metavar="MODULE:APP")
    logs.add_argument("function", nargs="?", metavar="FUNCTION", help="this one's alone")
    logs.add_argument("--follow", action="store_true", help="go on as more end; Ctrl-C ends it")
    logs.add_argument("--limit", type=int, default=20, metavar="N", help="the last so many: 20")
    logs.add_argument("--json", action="store_true", help="a line of JSON each")
    doctor = commands.add_parser("doctor", help="what this host can hold")
    doctor.add_argument("--json", action="store_true")
    return parser


def _add_accept(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--accept",
        action="append",
        default=[],
        metavar="LIMIT[,LIMIT]",
        help="run functions without this limit where the host can't enforce it: network, "
        "readable, disk, memory, cpu",
    )
