"""
The ``logging`` module as AWS's runtime sets it up. Runs in the child; stdlib only.

On AWS the root logger has a handler before any of the function's code runs. Importing
``logging`` in every template would add threads' and locks' fork hooks to functions that
never log, so the handler is put in place at the moment when the function imports it.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable
    from importlib.machinery import ModuleSpec

__all__ = ["install"]

_FORMAT = "[%(levelname)s]\t%(asctime)s.%(msecs)03dZ\t%(aws_request_id)s\t%(message)s"


def install(request_id: Callable[[], str]) -> None:
    """
    Give the root logger AWS's handler, as soon as ``logging`` is there.

    Args:
        request_id: Returns the id of the invocation under way, empty during INIT.
    """
    if "logging" in sys.modules:
        _set_up(sys.modules["logging"], request_id)
    else:
        sys.meta_path.insert(0, _Finder(request_id))


def _set_up(logging: Any, request_id: Callable[[], str]) -> None:
    import time

    class LambdaLoggerHandler(logging.Handler):  # type: ignore[misc]  # a module passed in
        def emit(self, record: Any) -> None:
            try:
                # sys.stdout as it is now: the function may have replaced it.
                sys.stdout.write(self.format(record) + "\n")
            except Exception:  # noqa: BLE001  # logging must not fail the function
                self.handleError(record)

    def add_request_id(record: Any) -> bool:
        record.aws_request_id = request_id()
        return True

    formatter = logging.Formatter(_FORMAT, "%Y-%m-%dT%H:%M:%S")
    formatter.converter = time.gmtime
    handler = LambdaLoggerHandler()
    handler.setFormatter(formatter)
    handler.addFilter(add_request_id)
    logging.getLogger().addHandler(handler)


class _Finder:
    """Stands first on the meta path until ``logging`` is imported, then takes itself out."""

    def __init__(self, request_id: Callable[[], str]) -> None:
        self._request_id = request_id

    def find_spec(self, name: str, _path: Any = None, _target: Any = None) -> ModuleSpec | None:
        """Find ``logging`` as it would be found, and add to its loading."""
        if name != "logging" or self not in sys.meta_path:
            return None
        sys.meta_path.remove(self)
        from importlib.util import find_spec

        spec = find_spec(name)
        if spec is not None and spec.loader is not None:
            execute = spec.loader.exec_module
            request_id = self._request_id

            def exec_module(module: Any) -> None:
                execute(module)
                _set_up(module, request_id)

            spec.loader.exec_module = exec_module  # type: ignore[method-assign]
        return spec
