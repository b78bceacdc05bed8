"""Errors of the sandbox: what they say to do, by the kernel's number."""

from __future__ import annotations

import errno
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from faaskit.exceptions import SandboxError
from faaskit.runtimes.contract import Limits
from faaskit.runtimes.errno_advice import ADVICE, sandbox_error
from faaskit.runtimes.hearing import Hearing, message_limits, setup_failed
from faaskit.sandbox import wire
from faaskit.sandbox.line import Line, Verdict


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.EAGAIN, ("ulimit -u", "pids.max")),
        (errno.ETOOMANYREFS, ("Unix sockets", "ulimit -n")),
        (errno.EMFILE, ("ulimit -n",)),
        (errno.ENFILE, ("fs.file-max",)),
        (errno.ENOMEM, ("cgroup", "max_concurrency")),
        (errno.ENOSPC, ("TMPDIR", "user.max_*_namespaces")),
    ],
)
def test_each_error_that_a_user_can_do_something_about_says_what(
    number: int, words: tuple[str, ...]
) -> None:
    """With its name, and the number as an attribute."""
    error = sandbox_error({"step": "fork", "errno": number}, "an environment", "run")
    assert str(error).startswith("an environment could not fork: ")
    assert errno.errorcode[number] in str(error)
    assert all(word in str(error) for word in words)
    assert (error.step, error.errno) == ("fork", number)


def test_other_errors_have_their_name_alone() -> None:
    """No advice is better than a wrong one."""
    error = sandbox_error({"errno": errno.EIO}, "an environment", "fork")
    assert str(error) == "an environment could not fork: Input/output error (EIO)"


def test_text_of_the_exception_is_shown_where_it_says_more() -> None:
    """Its name and number are in the message already; a call or a file is not."""
    plain = repr(OSError(errno.EAGAIN, "Resource temporarily unavailable"))
    named = repr(OSError(errno.EAGAIN, "clone: Resource temporarily unavailable"))
    facts: dict[str, Any] = {"errno": errno.EAGAIN, "message": plain}
    assert plain not in str(sandbox_error(facts, "an environment", "start"))
    assert named in str(sandbox_error({**facts, "message": named}, "an environment", "start"))


def test_failure_without_a_number_says_its_detail() -> None:
    """Such as a template that somebody killed."""
    facts = {"step": "run", "detail": "its template was killed"}
    assert str(sandbox_error(facts, "the sandbox", "fork")) == (
        "the sandbox could not run: its template was killed"
    )
    assert str(sandbox_error({}, "the sandbox", "fork")) == (
        "the sandbox could not fork: the reason is unknown"
    )


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=2000),
    lambda inner: st.lists(inner, max_size=2),
)


@given(st.dictionaries(st.sampled_from(["step", "errno", "detail", "message"]), JSON))
def test_any_report_is_an_error_of_bounded_length(facts: dict[str, Any]) -> None:
    """It may have been written by hostile code."""
    error = sandbox_error(facts, "an environment", "fork")
    assert len(str(error)) < 2000
    assert error.errno is None or 0 < error.errno < 4096
    assert isinstance(error.step, str)


@pytest.mark.parametrize("number", [0, -1, 4096, 2**80, True, "11", 11.0, None, [11]], ids=repr)
def test_number_that_is_none_is_not_shown(number: Any) -> None:
    """It is what an environment says."""
    error = sandbox_error({"errno": number, "message": "a fault"}, "an environment", "fork")
    assert (str(error), error.errno) == ("an environment could not fork: a fault", None)


def test_failed_set_up_of_an_environment_names_what_to_do() -> None:
    """As it comes over the wire."""
    header = {
        "step": "start",
        "errno": errno.ETOOMANYREFS,
        "message": repr(OSError(errno.ETOOMANYREFS, "Too many references: cannot splice")),
    }
    decoder, assembler = wire.Decoder(), wire.Assembler(message_limits(Limits(128, 3)))
    for sent in wire.encode_message(wire.SETUP_FAILED, 0, header):
        for frame in decoder.feed(sent):
            message = assembler.add(frame)
    assert message is not None
    error = setup_failed(message[2])
    assert error.errno == errno.ETOOMANYREFS
    assert ADVICE[errno.ETOOMANYREFS] in str(error)
    assert str(setup_failed(b"no frame")) == (
        "an environment could not be set up: the reason is unknown"
    )


def test_sandbox_that_fails_while_a_function_runs_names_what_to_do() -> None:
    """It is no failure of the function's, and never billed."""
    line = Line(message_limits(Limits(128, 3)))
    facts = {"ending": "sandbox", "step": "clone", "errno": errno.EAGAIN, "at": 0}
    try:
        with pytest.raises(SandboxError, match=r"pids\.max"):
            list(Hearing(line, "init").hear(Verdict(facts)))
    finally:
        line.close()
