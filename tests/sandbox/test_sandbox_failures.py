"""A sandbox that fails is never the function's failure: its own error, unbilled, tried again."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import hostile
import psutil
import pytest
from probes import family, launcher_of, until, wait_gone
from test_containers import LEVELS, group, run_in

from faaskit import Invoker, exceptions, function
from faaskit.functions import Function
from faaskit.sandbox.hierarchies import homes

ACT: Function = function(hostile.act, name="act", memory_size=256, timeout=20)

FAILS = """
    import sys
    import hostile
    from faaskit import Invoker, exceptions, function

    act, invoker = function(hostile.act, memory_size=256), None
    try:
        with Invoker(sys.argv[1]) as invoker:
            invoker.invoke(act)
    except exceptions.SandboxError as error:
        print(error.errno, bool(error.step), len(invoker.bill.records()) if invoker else 0)
"""

PASSES = """
    import subprocess
    import sys
    import hostile
    from faaskit import Invoker, function

    act = function(hostile.act, memory_size=256)
    with Invoker(sys.argv[1]) as invoker:
        assert invoker.invoke(act).ok
        holder = subprocess.Popen([sys.executable, "-c", sys.argv[2]], stdout=subprocess.PIPE)
        assert holder.stdout.readline() == b"full\\n"
        other = act.with_config(environment={"NEW": "1"})
        print(invoker.invoke(other).payload)
        holder.wait()
"""
HOLD_ALL = """
import threading, time
try:
    while True:
        threading.Thread(target=time.sleep, args=(1,), daemon=True).start()
except RuntimeError:
    print("full", flush=True)
time.sleep(1)
"""


@LEVELS
@pytest.mark.parametrize("most", [3, 6, 8])
def test_host_without_processes_is_a_sandbox_error(tmp_path: Path, level: str, most: int) -> None:
    """Whichever of its processes can't be had: EAGAIN, with the step, and nothing is billed."""
    script = tmp_path / "script.py"
    script.write_text(textwrap.dedent(FAILS))
    with group("pids", max=most) as container:
        said = run_in(container, sys.executable, str(script), level)
    # So few may be enough at a level with fewer processes.
    assert said in {"11 True 0\n", ""}
    if most == 3:
        assert said


@LEVELS
def test_call_is_tried_again_until_there_are_processes(tmp_path: Path, level: str) -> None:
    """Others may hold all that there may be, and leave again."""
    script = tmp_path / "script.py"
    script.write_text(textwrap.dedent(PASSES))
    with group("pids", max=60) as container:
        said = run_in(container, sys.executable, str(script), level, HOLD_ALL)
    assert said == "calm\n"


@pytest.fixture(params=["process", "namespace"])
def invoker(request: pytest.FixtureRequest) -> Iterator[Invoker]:
    """An Invoker that leaves nobody."""
    with Invoker(request.param) as made:
        assert made.invoke(ACT).ok
        yield made
        processes = family(made)
    wait_gone(processes)


def test_launcher_survives_the_loss_of_its_cgroups(invoker: Invoker) -> None:
    """Somebody removes them: the calls go on, in others."""
    launcher = launcher_of(invoker)
    folders = [Path(home) for _, _, home in homes()]
    if not folders:
        pytest.skip("this process may make no cgroups")
    for home in folders:
        for own in home.glob(f"faaskit-*-{launcher}-*"):
            for child in own.iterdir():
                if child.is_dir():
                    _remove(child)
    for _ in range(5):
        with contextlib.suppress(exceptions.SandboxError):
            assert invoker.invoke(ACT).payload == "calm"
    assert invoker.invoke(ACT).payload == "calm"
    assert launcher_of(invoker) == launcher


def _remove(folder: Path) -> None:
    for line in (folder / "cgroup.procs").read_text().split():
        if int(line):
            os.kill(int(line), signal.SIGKILL)
    until(lambda: not (folder / "cgroup.procs").read_text().split(), "its processes' end")
    folder.rmdir()


def test_launcher_survives_the_loss_of_its_folder(invoker: Invoker) -> None:
    """A sweep of temporary files took it: a sandbox error at most, and it ends when told to."""
    (folder,) = (
        path for path in Path(os.environ["TMPDIR"]).glob(f"faaskit-*-{launcher_of(invoker)}-*")
    )
    shutil.rmtree(folder, ignore_errors=True)
    for _ in range(12):
        with contextlib.suppress(exceptions.SandboxError):
            assert invoker.invoke(ACT).payload == "calm"
    assert psutil.Process(launcher_of(invoker)).is_running()
