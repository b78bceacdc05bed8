"""
How a Python function travels: by import path where it can be imported, else by value.

A function of an importable module is named, and its template imports it: the same code
path as on AWS. What lives in ``__main__``, in a notebook or in a closure goes by value,
with the globals that it names; ``__main__`` is never run again.
"""

from __future__ import annotations

import io
import linecache
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any

from faaskit.exceptions import DefinitionError
from faaskit.runtimes.boto import boto_recipe

__all__ = ["Travelled", "import_path", "in_folder", "pack"]

Handler = Callable[..., Any]
_SOURCE_LIMIT = 256 * 1024


class Travelled:
    """
    A function, made ready to travel.

    Attributes:
        handler: ``module:qualified.name``, or a label where it goes by value.
        pickled: The function by value, or None.
        sys_path: Where its template may import from.
        sources: Text of the files that exist nowhere, for stack traces.
        folder: Where its code lies, for LAMBDA_TASK_ROOT.
        package: The file or folder of its module, where it is imported.
        first: Whether the folder is looked in before all others.
    """

    def __init__(
        self,
        handler: str,
        pickled: bytes | None,
        folder: str,
        sources: Mapping[str, str],
        package: str = "",
        *,
        first: bool = False,
    ) -> None:
        self.handler = handler
        self.pickled = pickled
        self.folder = folder
        self.package = package
        self.sources = sources
        self.sys_path = _search_path(folder, first=first)


def import_path(handler: Handler) -> str | None:
    """Return ``module:qualified.name`` if that finds this very function, else None."""
    module_name = getattr(handler, "__module__", None)
    qualified = getattr(handler, "__qualname__", "")
    module = sys.modules.get(module_name or "")
    if module is None or module_name == "__main__" or "<" in qualified:
        return None
    spec = getattr(module, "__spec__", None)
    if spec is None or not spec.has_location:
        return None
    found: Any = module
    for name in qualified.split("."):
        found = getattr(found, name, None)
    plain = getattr(found, "__faaskit_handler__", found)
    return f"{module_name}:{qualified}" if plain is handler else None


def pack(handler: Handler, name: str) -> Travelled:
    """
    Make a function ready to travel.

    Args:
        handler: The plain function.
        name: Of the faaskit function, for messages.

    Raises:
        DefinitionError: It uses something that can't travel; the message says what.
    """
    path = import_path(handler)
    if path is not None:
        package = _package_of(path.partition(":")[0])
        return Travelled(path, None, str(package.parent), {}, str(package))
    pickled = _pickle(handler, name)
    return Travelled(name, pickled, str(Path.cwd()), dict(_sources(handler)))


def in_folder(folder: Path, handler: str, name: str) -> Travelled:
    """
    Return a function whose code lies in a folder; nothing of it is imported here.

    Args:
        folder: With its modules and packages, looked in before what is installed.
        handler: AWS's form: ``module.function``, ``package.module.function`` or
            ``folder/module.function``.
        name: Of the faaskit function, for messages.

    Raises:
        DefinitionError: There is no such folder, or the handler is of another form.
    """
    if not folder.is_dir():
        msg = f"function {name!r}: code={str(folder)!r} is no folder; name the one with the handler"
        raise DefinitionError(msg)
    module, _, function = handler.rpartition(".")
    module = module.replace("/", ".")
    if not all(part.isidentifier() for part in (*module.split("."), function)):
        msg = (
            f"function {name!r}: handler={handler!r} is not of the form module.function, such as "
            "lambda_function.lambda_handler"
        )
        raise DefinitionError(msg)
    place = folder.absolute()
    top = module.partition(".")[0]
    file = place / f"{top}.py"
    package = file if file.is_file() else place / top
    return Travelled(f"{module}:{function}", None, str(place), {}, str(package), first=True)


def _package_of(module_name: str) -> Path:
    """Return the file or folder of a module's topmost package."""
    top = sys.modules[module_name.partition(".")[0]]
    file = getattr(top, "__file__", None)
    if file is None:  # a namespace package
        return Path(next(iter(top.__path__))).absolute()
    place = Path(file).absolute()
    return place.parent if hasattr(top, "__path__") else place


def _search_path(folder: str, *, first: bool = False) -> tuple[str, ...]:
    # '' means the working directory, which in an environment is another one.
    path = [str(Path(entry or ".").absolute()) for entry in sys.path]
    if first:
        return (folder, *(entry for entry in path if entry != folder))
    # An editable install may find its modules by a hook that does not travel.
    return tuple(path if folder in path else [*path, folder])


def _pickle(handler: Handler, name: str) -> bytes:
    try:
        return _dumped(handler)
    except Exception as error:
        culprit = _culprit(handler)
        what = f"its variable {culprit!r}" if culprit else "something that it uses"
        msg = (
            f"function {name!r} can't travel to its sandbox: {what} can't be pickled ({error}); "
            "make it inside the handler, or put the function in a module that can be imported"
        )
        raise DefinitionError(msg) from error


def _dumped(value: object) -> bytes:
    import dill

    class Pickler(dill.Pickler):  # type: ignore[misc]
        def reducer_override(self, item: Any) -> Any:
            return boto_recipe(item)

    file = io.BytesIO()
    # recurse: only the globals that the function names, not the whole of __main__.
    Pickler(file, recurse=True, byref=False).dump(value)
    return file.getvalue()


def _culprit(handler: Handler) -> str | None:
    """Return the name of the first variable that can't be pickled by itself."""
    for name, value in _used(handler):
        try:
            _dumped(value)
        except Exception:  # noqa: BLE001  # anything may go wrong in a reduce
            return name
    return None


def _used(handler: Handler) -> Iterator[tuple[str, Any]]:
    if not isinstance(handler, FunctionType):
        return
    for name, cell in zip(handler.__code__.co_freevars, handler.__closure__ or (), strict=True):
        try:
            yield name, cell.cell_contents
        except ValueError:  # not assigned yet
            continue
    for name in _global_names(handler.__code__):
        if name in handler.__globals__:
            yield name, handler.__globals__[name]


def _global_names(code: CodeType) -> Iterator[str]:
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _global_names(constant)


def _sources(handler: Handler) -> Iterator[tuple[str, str]]:
    code = getattr(handler, "__code__", None)
    if code is not None and not Path(code.co_filename).exists():
        text = "".join(linecache.getlines(code.co_filename))
        if text and len(text) <= _SOURCE_LIMIT:
            yield code.co_filename, text
