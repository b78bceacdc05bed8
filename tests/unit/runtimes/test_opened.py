"""What of the host is opened to a function in a jail."""

from __future__ import annotations

import socket
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from faaskit.exceptions import DefinitionError
from faaskit.runtimes.contract import Code
from faaskit.runtimes.opened import Opened, open_for


@pytest.fixture
def home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a home folder of its own."""
    folder = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("HOME", str(folder))
    return folder


def opened(*sys_path: object, root: object = "/usr", package: object = "", **more: Any) -> Opened:
    """Return what a function of that place gets."""
    code = Code(
        function_name="f",
        handler="m:f",
        sys_path=tuple(map(str, sys_path)),
        environment={"LAMBDA_TASK_ROOT": str(root)},
        package=str(package),
        **more,
    )
    return open_for(code, frozenset())


def binds(found: Opened) -> dict[str, str]:
    """Return its pairs."""
    return dict(found.jail["binds"])


@pytest.mark.parametrize(
    "shut", ["/", "/tmp", "/home", "/root", "/etc", "/run", "home", "above home"]
)
def test_a_folder_that_holds_more_than_code_stays_shut(home: Path, shut: str) -> None:
    """It is not bound, nor imported from."""
    folder = {"home": home, "above home": home.parent}.get(shut, Path(shut))
    found = opened("/usr/lib", folder)
    assert str(folder) not in binds(found)
    assert found.sys_path == ("/usr/lib",)


def test_a_module_in_the_home_folder_is_there_alone(home: Path) -> None:
    """Its file or package is at AWS's place; its neighbours are not."""
    (home / "mine.py").write_text("")
    (home / "secret").write_text("")
    found = opened(home, root=home, package=home / "mine.py")
    assert binds(found)[str(home / "mine.py")] == "/var/task/mine.py"
    assert (found.sys_path, found.task_root) == (("/var/task",), "/var/task")
    assert not found.shows(str(home / "secret"))


def test_a_project_is_where_it_is() -> None:
    """So that stack traces name files that exist."""
    folder = Path(sys.base_prefix) / "lib"
    found = opened(folder, root=folder)
    assert binds(found)[str(folder)] == str(folder)
    assert (found.sys_path, found.task_root) == ((str(folder),), str(folder))


def test_what_lies_where_a_blank_folder_will_be_is_moved() -> None:
    """Code in /tmp is at AWS's place, another folder elsewhere; what is readable comes back."""
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        _look_at_places_in(Path(folder))


def _look_at_places_in(tmp_path: Path) -> None:
    (code, library, data) = (tmp_path / name for name in ("code", "library", "data"))
    for folder in (code, library, data):
        folder.mkdir()
    found = opened(code, library, root=code, readable=(str(data),))
    places = binds(found)
    assert places[str(code)] == found.task_root == "/var/task"
    assert places[str(library)].startswith("/mnt/")
    assert found.sys_path == ("/var/task", places[str(library)])
    assert found.jail["moves"] == [(places[str(data)], str(data))]


def test_the_interpreter_is_there() -> None:
    """And what is installed beside it."""
    places = binds(opened())
    assert {sys.prefix, sys.base_prefix} <= places.keys()


def test_shows(tmp_path: Path) -> None:
    """Whether a folder lies in what is opened; by links, too."""
    (tmp_path / "project").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "project")
    found = opened(tmp_path / "link")
    assert found.shows(str(tmp_path / "project" / ".faaskit"))
    assert not found.shows(str(tmp_path / "projects"))


@pytest.fixture
def service() -> Iterator[Path]:
    """Return the path of a socket on which somebody listens; a short one, as they must be."""
    with tempfile.TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX) as server:
        server.bind(f"{folder}/service")
        server.listen()
        yield Path(folder, "service")


def test_a_socket_is_not_readable_without_network(service: Path) -> None:
    """It is refused by name; with the network a function may talk to whom it likes."""
    with pytest.raises(DefinitionError, match=r"readable has '.*/service', which is a socket"):
        opened("/usr/lib", readable=(str(service),), network=False)
    assert str(service) in binds(opened("/usr/lib", readable=(str(service),)))
    folder = str(service.parent)
    assert folder in binds(opened("/usr/lib", readable=(folder,), network=False))
