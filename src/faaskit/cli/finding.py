"""Finding what ``module:name`` and ``file.py:name`` name."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any

from faaskit.app import App
from faaskit.exceptions import DefinitionError

__all__ = ["find", "find_app", "handler_file"]


def handler_file(path: str) -> tuple[Path, str] | None:
    """
    Return the file and the function that ``file.py:function`` names; None for another form.

    Raises:
        DefinitionError: There is no such file.
    """
    name, _, function = path.rpartition(":")
    if not name.endswith(".py"):
        return None
    file = Path(name)
    if not file.is_file():
        msg = f"there is no file {name}"
        raise DefinitionError(msg)
    if not function.isidentifier():
        msg = f"{path!r} is not of the form file.py:function, such as app.py:lambda_handler"
        raise DefinitionError(msg)
    return file, function


def find(path: str) -> Any:
    """
    Import a module, from the working directory too, and return what is in it.

    Raises:
        DefinitionError: There is no such module or name, or its import fails.
    """
    module_name, _, name = path.partition(":")
    if not module_name or not name:
        msg = f"{path!r} is not of the form module:name, such as photos:watermark"
        raise DefinitionError(msg)
    folder = str(Path.cwd())
    if folder not in sys.path:
        sys.path.insert(0, folder)
    try:
        found: Any = importlib.import_module(module_name)
    except (Exception, SystemExit) as error:
        msg = f"module {module_name!r} can't be imported: {type(error).__name__}: {error}"
        raise DefinitionError(msg) from error
    for part in name.split("."):
        if not hasattr(found, part):
            msg = f"module {module_name!r} has no {name!r}"
            raise DefinitionError(msg)
        found = getattr(found, part)
    return found


def find_app(path: str) -> App:
    """
    Return the App that ``module:name`` names.

    Raises:
        DefinitionError: There is none.
    """
    found = find(path)
    if not isinstance(found, App):
        msg = f"{path} is no App: {found!r}"
        raise DefinitionError(msg)
    return found
