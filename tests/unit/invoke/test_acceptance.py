"""Limits that the host can't enforce: a function that declares one is not run, unless accepted."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import plain_deeds
import pytest

from faaskit import App, DefinitionError, Function, Invoker, SandboxError, function
from faaskit.definition import FunctionConfig
from faaskit.invoke.acceptance import accepted, accepted_in, declared, refusal
from faaskit.runtimes.local import LocalBackend
from faaskit.runtimes.promises import LIMITS

pytestmark = pytest.mark.timeout(120)

ACT: Function = function(plain_deeds.act, name="act", timeout=30)
SHUT = ACT.with_config(network=False)
NARROW = ACT.with_config(readable=["/etc/hostname"])


@pytest.fixture(scope="module")
def invoker() -> Iterator[Invoker]:
    """One at the level where neither can be enforced."""
    with Invoker("process") as made:
        yield made


WAYS: dict[str, Callable[[Invoker, Function], object]] = {
    "invoke": lambda invoker, made: invoker.invoke(made, 1),
    "submit": lambda invoker, made: invoker.submit(made, 1).result(),
    "map": lambda invoker, made: list(invoker.map(made, [1])),
    "ainvoke": lambda invoker, made: asyncio.run(invoker.ainvoke(made, 1)),
    "warm": lambda invoker, made: invoker.warm(made),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(("made", "limit"), [(SHUT, "network=False"), (NARROW, "readable=")])
def test_function_with_an_unenforced_limit_is_not_run(
    invoker: Invoker, way: str, made: Function, limit: str
) -> None:
    """By no way to call; nothing is billed; the message has the limit, the reason, ways out."""
    before = len(invoker.bill.records())
    with pytest.raises(SandboxError) as caught:
        WAYS[way](invoker, made)
    assert caught.value.step == "enforce the limits"
    message = str(caught.value)
    assert f"{limit} is not enforced: at isolation 'process' a function s" in message
    assert "Invoker(isolation='auto')" in message
    name = limit.partition("=")[0]
    assert f"Invoker(accept=({name!r},))" in message
    assert f"FAASKIT_ACCEPT={name}" in message
    assert f"--accept {name}" in message
    assert len(invoker.bill.records()) == before


def test_all_unenforced_limits_are_named_at_once(invoker: Invoker) -> None:
    """Nobody has to accept them one by one."""
    with pytest.raises(SandboxError) as caught:
        invoker.invoke(SHUT.with_config(readable=["/etc"]), 1)
    assert "Invoker(accept=('network', 'readable'))" in str(caught.value)
    assert "FAASKIT_ACCEPT=network,readable" in str(caught.value)


def test_function_without_such_a_limit_runs(invoker: Invoker) -> None:
    """Disk, memory and CPU are enforced with gaps there, and gaps are no refusal."""
    made = ACT.with_config(ephemeral_storage=1024, memory_size=256)
    assert invoker.invoke(made, "ran").result() == "ran"


def test_accepted_limit_is_not_refused_and_no_other_is_accepted() -> None:
    """By name, each."""
    with Invoker("process", accept=("network",)) as made:
        assert made.invoke(SHUT, "ran").result() == "ran"
        with pytest.raises(SandboxError, match="readable= is not enforced"):
            made.invoke(NARROW, 1)
    with Invoker("process", accept=["network", "readable"]) as made:
        assert made.invoke(NARROW, "ran").result() == "ran"


def test_environment_variable_accepts_for_every_invoker(
    invoker: Invoker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those of Apps and of ``fn.invoke()`` too, which nobody passes ``accept`` to."""
    monkeypatch.setenv("FAASKIT_ACCEPT", " network, readable ")
    assert invoker.invoke(SHUT, "ran").result() == "ran"
    monkeypatch.setenv("FAASKIT_ACCEPT", "disk")
    with pytest.raises(SandboxError):
        invoker.invoke(SHUT, 1)


def test_misspelt_variable_is_an_error_when_an_invoker_is_made(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Not in the first call that it would matter to."""
    monkeypatch.setenv("FAASKIT_ACCEPT", "netwrok")
    with pytest.raises(DefinitionError, match="FAASKIT_ACCEPT: unknown limit 'netwrok'"):
        Invoker()


@pytest.mark.parametrize("names", [("netwrok",), ["network", "all"], ("",), (1,), ([],), {"*"}])
def test_unknown_limit_is_an_error(names: Any) -> None:
    """It lists those that there are."""
    with pytest.raises(DefinitionError, match="network, readable, disk, memory, cpu"):
        Invoker(accept=names)


@pytest.mark.parametrize("names", ["network", None, True, 5])
def test_accept_takes_a_collection(names: Any) -> None:
    """A str would be a name for each letter."""
    with pytest.raises(DefinitionError, match=r"pass accept=\('network',\)"):
        Invoker(accept=names)


def test_every_limit_has_one_name() -> None:
    """The five that `accept` takes, and the variable."""
    assert accepted(LIMITS) == accepted_in(",".join(LIMITS)) == frozenset(LIMITS)
    assert accepted(()) == accepted_in("") == frozenset()


class Poor(LocalBackend):
    """A backend that can enforce fewer limits than it should."""

    def __init__(self, **unenforced: str) -> None:
        super().__init__(jailed=False)
        self.unenforced = unenforced


@pytest.mark.parametrize("limit", ["memory", "cpu"])
def test_backend_that_enforces_no_memory_or_cpu_runs_nothing(limit: str) -> None:
    """Every function declares them, by its memory size."""
    with (
        Invoker(backend=Poor(**{limit: "there is no way to measure it"})) as made,
        pytest.raises(SandboxError, match="there is no way to measure it"),
    ):
        made.invoke(ACT, 1)
    with Invoker(backend=Poor(**{limit: "no way"}), accept=(limit,)) as made:
        assert made.invoke(ACT, "ran").result() == "ran"


def test_cpu_that_is_not_to_be_scaled_is_not_declared() -> None:
    """``cpu_scaling=False`` is its user's own choice."""
    with Invoker(backend=Poor(cpu="no way"), cpu_scaling=False) as made:
        assert made.invoke(ACT, "ran").result() == "ran"


def test_disk_is_declared_where_it_is_not_the_default() -> None:
    """The default can't be told from the same number given."""
    given = FunctionConfig("f", ephemeral_storage=1024)
    assert declared(given, ["disk"], cpu_scaling=True) == ("disk",)
    assert declared(FunctionConfig("f"), ["disk"], cpu_scaling=True) == ()
    error = refusal(given, ("disk",), {"disk": "no way"})
    assert "ephemeral_storage=1024 is not enforced: no way. To run it without: " in str(error)


def test_backend_must_tell_what_it_enforces() -> None:
    """One that does not is none: an old one would enforce nothing, in silence."""

    class Silent:
        def acquire(self, *_: object) -> None: ...

    with pytest.raises(DefinitionError, match="unenforced"):
        Invoker(backend=Silent())  # type: ignore[arg-type]


def test_app_does_not_begin_to_deliver_to_a_function_that_can_not_run() -> None:
    """Before any event is taken, rather than in a log, over and over."""
    with App("shop") as app:
        app._invoker = Invoker("process")
        app.function(network=False)(plain_deeds.act)
        with pytest.raises(SandboxError, match="network=False"), app.running():
            pass
        with pytest.raises(SandboxError, match="network=False"):
            app.run()


# A host without user namespaces: that of many containers.

NO_NAMESPACES = """
    import logging
    import sys
    import plain_deeds
    from faaskit import SandboxError, function

    logging.basicConfig(level=logging.WARNING)
    act = function(plain_deeds.act, name="act", timeout=60)
    assert act.invoke("plain").result() == "plain"
    for limited in (act.with_config(network=False), act.with_config(readable=["/etc"])):
        try:
            print(limited.invoke("ran").result())
        except SandboxError as error:
            print("refused:", error)
"""

without_namespaces = pytest.mark.skipif(
    shutil.which("unshare") is None
    or subprocess.run(["unshare", "-Ur", "true"], check=False, capture_output=True).returncode != 0,
    reason="this host lets nobody make a user namespace, to take away others in",
)


def run_without_namespaces(
    *command: str, cwd: Path, **variables: str
) -> subprocess.CompletedProcess[str]:
    """Run a command where the kernel allows no more user namespaces."""
    off = 'echo 0 > /proc/sys/user/max_user_namespaces && exec "$@"'
    return subprocess.run(
        ["unshare", "-Ur", "sh", "-c", off, "sh", *command],
        check=False,
        capture_output=True,
        text=True,
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), **variables},
        timeout=100,
    )


@without_namespaces
def test_host_without_user_namespaces_refuses_what_it_can_not_enforce(tmp_path: Path) -> None:
    """``fn.invoke()`` says why the better level can't be had, and how to go on all the same."""
    script = tmp_path / "script.py"
    script.write_text(textwrap.dedent(NO_NAMESPACES))
    ended = run_without_namespaces(sys.executable, str(script), cwd=tmp_path)
    assert ended.returncode == 0, ended.stderr
    _, network, readable = ended.stdout.splitlines()  # the first is its module's own
    for line, name in ((network, "network"), (readable, "readable")):
        assert line.startswith("refused: function 'act' can't be run with all its limits")
        assert "this host can't give it (could not make namespaces and the view" in line
        assert "`faaskit doctor`" in line
        assert f"FAASKIT_ACCEPT={name}" in line
    assert ended.stderr.count("this host can't give isolation 'namespace'") == 1
    ended = run_without_namespaces(
        sys.executable, str(script), cwd=tmp_path, FAASKIT_ACCEPT="network"
    )
    assert ended.stdout.splitlines()[1] == "ran"
    assert ended.stdout.splitlines()[2].startswith("refused: ")


NO_PROC = """
    import plain_deeds
    from faaskit import Invoker, SandboxError, function

    act = function(plain_deeds.act, name="act")
    try:
        Invoker().invoke(act, 1)
    except SandboxError as error:
        print("refused:", error)
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can hide /proc from a process")
def test_host_without_proc_refuses_every_function(tmp_path: Path) -> None:
    """Memory can't be measured there, and each function has a memory size."""
    script = tmp_path / "script.py"
    script.write_text(textwrap.dedent(NO_PROC))
    hide = 'mount -t tmpfs none /proc && exec "$@"'
    ended = subprocess.run(
        ["unshare", "-m", "sh", "-c", hide, "sh", sys.executable, str(script)],
        check=False,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        timeout=100,
    )
    assert "refused: function 'act' can't be run" in ended.stdout, ended.stderr
    assert "memory_size=128 is not enforced: the memory of a process can't be read" in ended.stdout
    assert "Isolation 'namespace'" not in ended.stdout  # which would be no help


COMMAND_MODULE = """
from faaskit import function

@function(network=False, timeout=60)
def shut(event, context):
    return "ran"
"""


@without_namespaces
def test_command_refuses_and_accepts(tmp_path: Path) -> None:
    """Exit code 3 is the host's; ``--accept`` takes names with commas, or is given twice."""
    (tmp_path / "shut_in.py").write_text(COMMAND_MODULE)
    command = [sys.executable, "-m", "faaskit", "invoke", "shut_in:shut", "--quiet"]
    refused = run_without_namespaces(*command, cwd=tmp_path)
    assert refused.returncode == 3
    assert "--accept network" in refused.stderr
    assert "Traceback" not in refused.stderr
    ran = run_without_namespaces(*command, "--accept", "network,disk", cwd=tmp_path)
    assert (ran.returncode, ran.stdout) == (0, '"ran"\n'), ran.stderr
    unknown = run_without_namespaces(*command, "--accept", "net", cwd=tmp_path)
    assert unknown.returncode == 2
    assert "--accept: unknown limit 'net'; the limits are network, " in unknown.stderr


@without_namespaces
def test_doctor_lists_what_is_not_enforced(tmp_path: Path) -> None:
    """In words, and for programs."""
    command = [sys.executable, "-m", "faaskit", "doctor"]
    said = run_without_namespaces(*command, "--json", cwd=tmp_path)
    assert said.returncode == 0, said.stderr
    report = json.loads(said.stdout)
    assert report["level"] == "process"
    states = {one["limit"]: one["state"] for one in report["limits"]}
    cpu_groups = any("cpu" in controllers for controllers in report["host"]["cgroups"].values())
    assert states == {
        "network": "not enforced",
        "readable": "not enforced",
        "disk": "held with gaps",
        "memory": "held with gaps",
        "cpu": "held" if cpu_groups else "held with gaps",
    }
    text = run_without_namespaces(*command, cwd=tmp_path).stdout
    assert "At level 'process', the best that this host gives:" in text
    assert "At level 'namespace', which this host can't give: could not make" in text


def test_level_that_was_chosen_is_not_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    """Whoever passes isolation='process' knows."""
    with caplog.at_level(logging.WARNING), Invoker("process") as made:
        assert made.invoke(ACT, 1).ok
    assert not caplog.records
