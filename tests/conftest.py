"""What holds for every test: a clean environment before it, nothing left behind at the end."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from hypothesis import HealthCheck, Phase, settings
from probes import Lifeline

from faaskit.invoke import default_invoker

# A deadline would be a timed assertion: the machine is shared.
settings.register_profile("dev", max_examples=25, deadline=None)
settings.register_profile(
    "ci",
    max_examples=200,
    deadline=None,
    derandomize=True,  # the same change passes or fails every time
    print_blob=True,
    # Not made smaller there: a shrinking that takes too long hides what failed.
    phases=[Phase.explicit, Phase.reuse, Phase.generate, Phase.target],
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile("long", settings.get_profile("dev"), max_examples=10_000)
# `pytest --hypothesis-profile=long` overrides this.
settings.load_profile("ci" if os.environ.get("CI") else "dev")

# What a function sees, or faaskit reads, must not come from the developer's own shell.
_FOREIGN = ("AWS_", "FAASKIT_", "LAMBDA_", "_HANDLER", "_X_AMZN_TRACE_ID")


@pytest.fixture(autouse=True)
def _clean_environ() -> Iterator[None]:
    before = dict(os.environ)
    for name in before:
        if name.startswith(_FOREIGN):
            del os.environ[name]
    yield
    # pytest keeps its own variable up to date, and removes it itself.
    before.pop("PYTEST_CURRENT_TEST", None)
    for name in os.environ.keys() - before.keys() - {"PYTEST_CURRENT_TEST"}:
        del os.environ[name]
    os.environ.update(before)


@pytest.fixture
def lifeline() -> Iterator[Lifeline]:
    """Where a test's handlers ring when they run."""
    made = Lifeline()
    yield made
    made.close()


@pytest.fixture(scope="session", autouse=True)
def _nothing_left_behind(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    tmp_path_factory.getbasetemp()  # asked for first: pytest keeps its own where it would be
    # One folder for each worker of pytest-xdist: the others' files are still in use when
    # this one is done. Short, since paths of Unix sockets end at 107 bytes.
    with tempfile.TemporaryDirectory(prefix="t-") as folder, pytest.MonkeyPatch.context() as patch:
        patch.setenv("TMPDIR", folder)
        patch.setattr(tempfile, "tempdir", None)
        yield
        default_invoker().close()  # the one of `fn.invoke()`; else it ends with the process
        files = sorted(path.name for path in Path(folder).glob("faaskit-*"))
        processes = [
            f"{process.pid}: {' '.join(process.cmdline())} ({process.status()})"
            for process in psutil.Process().children(recursive=True)
        ]
        assert not processes, "processes were left behind"
        assert not files, f"files were left in the temporary folder: {files}"
