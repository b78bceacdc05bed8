"""Functions whose code lies in a folder, as a deployment package does on AWS."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from faaskit import App, DefinitionError, FaaskitError

_CODE = """
import os
import sys

import neighbour
import dill as installed

def handler(event, context):
    return {
        "neighbour": neighbour.NAME,
        "dill": installed.__file__.startswith(os.environ["LAMBDA_TASK_ROOT"]),
        "handler": os.environ["_HANDLER"],
        "event": event,
    }
"""


@pytest.fixture
def code(tmp_path: Path) -> Path:
    """Return a folder with a handler, a module beside it, and one in a package."""
    folder = tmp_path / "code"
    (folder / "inner").mkdir(parents=True)
    (folder / "main_of_test.py").write_text(_CODE)
    (folder / "neighbour.py").write_text("NAME = 'beside'")
    (folder / "inner" / "deep.py").write_text("def handler(event, context): return 'deep'")
    (folder / "broken.py").write_text("import not_there_at_all\ndef handler(event, context): ...")
    return folder


@pytest.fixture
def app(tmp_path: Path) -> Iterator[App]:
    """An App."""
    with App("folders", state=tmp_path / "state") as made:
        yield made


def test_the_folder_comes_first_and_is_not_imported_here(app: App, code: Path) -> None:
    """A module of the folder hides one that is installed; this process loads none of them."""
    (code / "dill.py").write_text("")
    function = app.add_function("main", code=code, handler="main_of_test.handler", memory_size=256)
    assert function.invoke({"n": 1}).result() == {
        "neighbour": "beside",
        "dill": True,
        "handler": "main_of_test.handler",
        "event": {"n": 1},
    }
    assert app.functions["main"].config.memory_size == 256
    assert not {"main_of_test", "neighbour"} & set(sys.modules)


@pytest.mark.parametrize("handler", ["inner.deep.handler", "inner/deep.handler"])
def test_both_ways_to_name_a_module_in_a_package(app: App, code: Path, handler: str) -> None:
    """As on AWS, with or without an ``__init__.py``."""
    assert app.add_function("deep", code=code, handler=handler).invoke().result() == "deep"


def test_what_is_not_there_is_told_as_on_aws(app: App, code: Path) -> None:
    """At the invocation, in Lambda's words."""
    missing = app.add_function("missing", code=code, handler="nothing.handler").invoke()
    assert missing.payload["errorType"] == "Runtime.ImportModuleError"
    broken = app.add_function("broken", code=str(code), handler="broken.handler").invoke()
    assert "not_there_at_all" in broken.payload["errorMessage"]
    nameless = app.add_function("nameless", code=code, handler="neighbour.handler").invoke()
    assert nameless.payload["errorType"] == "Runtime.HandlerNotFound"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"code": "/nowhere"}, "is no folder"),
        ({"handler": "handler"}, "not of the form"),
        ({"handler": "a b.handler"}, "without spaces"),
        ({"handler": "../a.handler"}, "not of the form"),
        ({"memory_size": 1}, "128"),
        ({"colour": "red"}, "no parameter 'colour'"),
    ],
)
def test_bad_parameters(app: App, code: Path, changes: dict[str, Any], said: str) -> None:
    """Each is named at once."""
    given: dict[str, Any] = {"code": code, "handler": "main_of_test.handler", **changes}
    with pytest.raises(DefinitionError, match=said):
        app.add_function("main", **given)
    assert dict(app.functions) == {}


def test_its_name_is_unique(app: App, code: Path) -> None:
    """The same again replaces it; another handler of that name is refused."""
    app.add_function("main", code=code, handler="main_of_test.handler")
    again = app.add_function("main", code=code, handler="main_of_test.handler", timeout=9)
    assert app.functions["main"] is again
    with pytest.raises(DefinitionError, match="pass name"):
        app.add_function("main", code=code, handler="inner.deep.handler")


def test_it_can_not_be_called_here(app: App, code: Path) -> None:
    """A plain call would need the import that is not made."""
    function = app.add_function("main", code=code, handler="main_of_test.handler")
    with pytest.raises(FaaskitError, match=r"use \.invoke"):
        function({}, None)
