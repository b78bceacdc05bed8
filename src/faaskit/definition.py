"""
What a function is: its settings, AWS's ranges for them, and AWS's limits. Pure.

``FunctionConfig`` is checked when it is made, so that every other room may take one as
it is. A value that AWS would refuse is a ``DefinitionError`` that names the function.
"""

from __future__ import annotations

import json
import operator
import posixpath
import re
import sys
from collections.abc import Callable, Mapping
from numbers import Integral
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import attrs
from attrs import field, frozen

from faaskit.exceptions import DefinitionError
from faaskit.names import validate_function_name

__all__ = [
    "ARCHITECTURES",
    "ASYNC_REQUEST_LIMIT_BYTES",
    "DEFAULT_RUNTIME",
    "DESCRIPTION_LIMIT_CHARACTERS",
    "ENVIRONMENT_LIMIT_BYTES",
    "EPHEMERAL_STORAGE_RANGE_MB",
    "FILE_DESCRIPTOR_LIMIT",
    "HANDLER_LIMIT_CHARACTERS",
    "INIT_TIMEOUT_S",
    "LATEST",
    "LAYER_LIMIT",
    "MAX_EVENT_AGE_RANGE_S",
    "MB_PER_VCPU",
    "MEMORY_SIZE_RANGE_MB",
    "NOT_YET",
    "PROCESS_LIMIT",
    "RESERVED_VARIABLES",
    "RESPONSE_LIMIT_BYTES",
    "RETRY_ATTEMPTS_RANGE",
    "SNAPSHOT_INIT_TIMEOUT_S",
    "SYNC_REQUEST_LIMIT_BYTES",
    "TIMEOUT_RANGE_S",
    "FunctionConfig",
    "shown",
    "validate_architecture",
    "validate_ephemeral_storage",
    "validate_memory_size",
]

# AWS's ranges, both ends included. MB are AWS's: 1,024 KB.
MEMORY_SIZE_RANGE_MB: Final = (128, 10_240)
EPHEMERAL_STORAGE_RANGE_MB: Final = (512, 10_240)
TIMEOUT_RANGE_S: Final = (1, 900)
RETRY_ATTEMPTS_RANGE: Final = (0, 2)
MAX_EVENT_AGE_RANGE_S: Final = (60, 21_600)
ARCHITECTURES: Final = ("x86_64", "arm64")

# AWS's limits.
ENVIRONMENT_LIMIT_BYTES: Final = 4096
DESCRIPTION_LIMIT_CHARACTERS: Final = 256
HANDLER_LIMIT_CHARACTERS: Final = 128
LAYER_LIMIT: Final = 5
SYNC_REQUEST_LIMIT_BYTES: Final = 6_291_456
RESPONSE_LIMIT_BYTES: Final = 6_291_556  # 100 over 6 MB: AWS documents 6 MB and enforces this
ASYNC_REQUEST_LIMIT_BYTES: Final = 1_048_576
FILE_DESCRIPTOR_LIMIT: Final = 1024
PROCESS_LIMIT: Final = 1024  # processes and threads together
MB_PER_VCPU: Final = 1769
INIT_TIMEOUT_S: Final = 10
SNAPSHOT_INIT_TIMEOUT_S: Final = 130

LATEST: Final = "$LATEST"
DEFAULT_RUNTIME: Final = f"python{sys.version_info.major}.{sys.version_info.minor}"

# Settings that are checked and kept but change nothing yet. Whoever makes one work takes
# it out of here; until then, giving it warns.
NOT_YET: Final = frozenset({"layers"})

# What Lambda sets itself and lets nobody set. PATH, TZ, PYTHONPATH, LD_LIBRARY_PATH and
# the like are set by Lambda too, but a function may replace them: they are not here.
RESERVED_VARIABLES: Final = frozenset(
    {
        "AWS_ACCESS_KEY",
        "AWS_ACCESS_KEY_ID",
        "AWS_DEFAULT_REGION",
        "AWS_EXECUTION_ENV",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE",
        "AWS_LAMBDA_FUNCTION_NAME",
        "AWS_LAMBDA_FUNCTION_VERSION",
        "AWS_LAMBDA_INITIALIZATION_TYPE",
        "AWS_LAMBDA_LOG_GROUP_NAME",
        "AWS_LAMBDA_LOG_STREAM_NAME",
        "AWS_LAMBDA_MAX_CONCURRENCY",
        "AWS_LAMBDA_METADATA_API",
        "AWS_LAMBDA_METADATA_TOKEN",
        "AWS_LAMBDA_RUNTIME_API",
        "AWS_REGION",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_SESSION_TOKEN",
        "LAMBDA_RUNTIME_DIR",
        "LAMBDA_TASK_ROOT",
        "_HANDLER",
        "_X_AMZN_TRACE_ID",
    }
)

_VARIABLE_NAME = re.compile(r"[a-zA-Z][a-zA-Z0-9_]+")
_RUNTIME = re.compile(r"[a-z][a-z0-9.]*")
_VERSION = re.compile(r"\$LATEST|[0-9]+")
_SHOWN_CHARACTERS = 80

_Validator = Callable[[Any, "attrs.Attribute[Any]", Any], None]


def shown(value: object) -> str:
    """
    Return a value as a message can show it: short, and whatever its ``repr`` does.

    An int of more than 4,300 digits has no ``repr`` on most Pythons (it raises
    ValueError), and a message about a value must not fail on that value.
    """
    try:
        text = repr(value)
    except Exception:  # noqa: BLE001 - anybody's repr, and it only costs a message its value
        return f"<{type(value).__name__}>"
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}…"


def validate_memory_size(value: object, owner: str = "") -> int:
    """
    Return a memory size that AWS takes: a whole number of MB from 128 to 10,240.

    Args:
        value: An int, of Python or NumPy; never a bool.
        owner: Whose it is, for the message, such as ``function 'resize'``.

    Raises:
        DefinitionError: It is of another type, or out of range.
    """
    return _whole(value, owner, "memory_size", MEMORY_SIZE_RANGE_MB, "MB")


def validate_ephemeral_storage(value: object, owner: str = "") -> int:
    """
    Return a size of /tmp that AWS takes: a whole number of MB from 512 to 10,240.

    Args:
        value: An int, of Python or NumPy; never a bool.
        owner: Whose it is, for the message, such as ``function 'resize'``.

    Raises:
        DefinitionError: It is of another type, or out of range.
    """
    return _whole(value, owner, "ephemeral_storage", EPHEMERAL_STORAGE_RANGE_MB, "MB")


def validate_architecture(value: object, owner: str = "") -> str:
    """
    Return ``x86_64`` or ``arm64``, AWS's two, or raise DefinitionError.

    Args:
        value: The name.
        owner: Whose it is, for the message, such as ``function 'resize'``.
    """
    if not isinstance(value, str) or value not in ARCHITECTURES:
        msg = (
            f"{_of(owner)}architecture={shown(value)} is not one that AWS has; "
            "pass 'x86_64' or 'arm64'"
        )
        raise DefinitionError(msg)
    return value


def _of(owner: str) -> str:
    return f"{owner}: " if owner else ""


def _index(value: object) -> object:
    """
    Return the int that a value stands for, or the value itself where it stands for none.

    ``Integral`` lets NumPy's integers in, and keeps out 128.0 and NumPy's bool, whose
    ``__index__`` still works in older releases. Python's bool is an int, but no number of
    anything here.
    """
    if isinstance(value, bool) or not isinstance(value, Integral):
        return value
    return operator.index(value)


def _whole(
    value: object, owner: str, parameter: str, limits: tuple[int, int | None], unit: str
) -> int:
    low, high = limits
    if type(value) is int and low <= value and (high is None or value <= high):
        return value
    number = _index(value)
    takes = f"a whole number{f' of {unit}' if unit else ''}"
    takes += f" from {low:,} to {high:,}" if high is not None else f", {low:,} or more"
    if not isinstance(number, int) or isinstance(number, bool):
        msg = (
            f"{_of(owner)}{parameter}={shown(value)} is of type {type(value).__name__}; "
            f"AWS takes {takes}: pass an int"
        )
        raise DefinitionError(msg)
    if number < low or (high is not None and number > high):
        msg = (
            f"{_of(owner)}{parameter}={shown(value)} is out of range; AWS takes {takes}: "
            f"pass one in that range, such as {low}"
        )
        raise DefinitionError(msg)
    return number


def _owner(config: FunctionConfig) -> str:
    return f"function {config.name!r}"


def _refuse(config: FunctionConfig, fact: str) -> DefinitionError:
    return DefinitionError(f"{_owner(config)}: {fact}")


def _within(low: int, high: int | None, unit: str = "", *, optional: bool = False) -> _Validator:
    def check(config: FunctionConfig, attribute: attrs.Attribute[Any], value: object) -> None:
        if not (optional and value is None):
            _whole(value, _owner(config), attribute.name, (low, high), unit)

    return check


def _check_name(_config: FunctionConfig, _attribute: attrs.Attribute[Any], value: object) -> None:
    validate_function_name(value)


def _check_bool(config: FunctionConfig, attribute: attrs.Attribute[Any], value: object) -> None:
    # Truth is not enough: network="false" would open the network.
    if not isinstance(value, bool):
        fact = f"{attribute.name}={shown(value)} is no bool; pass True or False"
        raise _refuse(config, fact)


def _check_architecture(
    config: FunctionConfig, _attribute: attrs.Attribute[Any], value: object
) -> None:
    validate_architecture(value, _owner(config))


def _check_description(
    config: FunctionConfig, _attribute: attrs.Attribute[Any], value: object
) -> None:
    if not isinstance(value, str):
        fact = f"description={shown(value)} is of type {type(value).__name__}; pass a str"
        raise _refuse(config, fact)
    if len(value) > DESCRIPTION_LIMIT_CHARACTERS:
        fact = (
            f"description has {len(value):,} characters, over AWS's limit of "
            f"{DESCRIPTION_LIMIT_CHARACTERS}; shorten it"
        )
        raise _refuse(config, fact)


def _check_handler(config: FunctionConfig, _attribute: attrs.Attribute[Any], value: object) -> None:
    if not isinstance(value, str) or not value or any(c.isspace() for c in value):
        fact = f"handler={shown(value)} is no handler; pass a name without spaces"
        raise _refuse(config, fact)
    if len(value) > HANDLER_LIMIT_CHARACTERS:
        fact = (
            f"handler {shown(value)} has {len(value):,} characters, over AWS's limit of "
            f"{HANDLER_LIMIT_CHARACTERS}; shorten the names of the module or the function"
        )
        raise _refuse(config, fact)


def _check_runtime(config: FunctionConfig, _attribute: attrs.Attribute[Any], value: object) -> None:
    if not isinstance(value, str) or not _RUNTIME.fullmatch(value):
        fact = (
            f"runtime={shown(value)} is no runtime identifier; pass one of AWS's, such as "
            f"{DEFAULT_RUNTIME!r}"
        )
        raise _refuse(config, fact)


def _check_version(config: FunctionConfig, _attribute: attrs.Attribute[Any], value: object) -> None:
    if not isinstance(value, str) or not _VERSION.fullmatch(value):
        fact = f"version={shown(value)} is no version; pass '$LATEST' or digits, such as '1'"
        raise _refuse(config, fact)


def _check_environment(
    config: FunctionConfig, _attribute: attrs.Attribute[Any], value: object
) -> None:
    if not isinstance(value, Mapping):
        fact = f"environment is of type {type(value).__name__}; pass a dict of str to str"
        raise _refuse(config, fact)
    _check_variable_names(config, list(value))
    for name, content in value.items():
        if not isinstance(content, str):
            # The value stays out of every message about the environment: it may be a secret.
            fact = (
                f"environment variable {name} is of type {type(content).__name__}; "
                "AWS takes only str: convert it yourself, so that its form is your choice"
            )
            raise _refuse(config, fact)
        if "\0" in content or not _is_utf8(content):
            fact = (
                f"environment variable {name} has a character that no environment can hold "
                "(NUL, or half of a surrogate pair); encode the value, with base64 say"
            )
            raise _refuse(config, fact)
    # AWS measures the JSON, quotes and braces included, not the sum of the strings.
    measured = json.dumps(dict(value), separators=(",", ":"), ensure_ascii=False).encode()
    if len(measured) > ENVIRONMENT_LIMIT_BYTES:
        # AWS's sentence; but where AWS goes on to print all of the variables into the
        # message, and so into logs, only their size is told.
        fact = (
            "Lambda was unable to configure your environment variables because the "
            "environment variables you have provided exceeded the 4KB limit. String "
            f"measured: {len(measured):,} bytes of JSON, limit "
            f"{ENVIRONMENT_LIMIT_BYTES:,}; keep large values in a bucket"
        )
        raise _refuse(config, fact)


def _check_variable_names(config: FunctionConfig, names: list[object]) -> None:
    reserved = [name for name in names if isinstance(name, str) and name in RESERVED_VARIABLES]
    if reserved:
        fact = (
            "Lambda was unable to configure your environment variables because the "
            "environment variables you have provided contains reserved keys that are "
            "currently not supported for modification. Reserved keys used in this request: "
            f"{', '.join(sorted(reserved))}; choose other names"
        )
        raise _refuse(config, fact)
    for name in names:
        if not isinstance(name, str) or not _VARIABLE_NAME.fullmatch(name):
            fact = (
                f"environment variable name {shown(name)} is not one that AWS takes: a "
                "letter, then one or more of a-z, A-Z, 0-9 and '_'; rename it"
            )
            raise _refuse(config, fact)


def _check_readable(
    config: FunctionConfig, _attribute: attrs.Attribute[Any], value: object
) -> None:
    if not isinstance(value, tuple):
        fact = f"readable={shown(value)} is no tuple; pass a tuple of paths: readable=('data',)"
        raise _refuse(config, fact)
    for path in value:
        if not _is_absolute(path):
            fact = f"readable has {shown(path)}, which is no path; pass str or PathLike"
            raise _refuse(config, fact)


def _check_code(config: FunctionConfig, _attribute: attrs.Attribute[Any], value: object) -> None:
    if value is not None and not _is_absolute(value):
        fact = f"code={shown(value)} is no path; pass that of a folder or file, str or PathLike"
        raise _refuse(config, fact)


def _check_layers(config: FunctionConfig, _attribute: attrs.Attribute[Any], value: object) -> None:
    if not isinstance(value, tuple) or not all(isinstance(v, str) and v for v in value):
        fact = f"layers={shown(value)} is no tuple of str; pass the layers' ARNs or paths"
        raise _refuse(config, fact)
    if len(value) > LAYER_LIMIT:
        fact = f"Cannot reference more than {LAYER_LIMIT} layers; {len(value)} are given"
        raise _refuse(config, fact)


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _is_absolute(path: object) -> bool:
    return isinstance(path, str) and path.startswith("/") and "\0" not in path


# Converters run before the function's name can be told, so they never raise: what they
# can't convert they hand on, and the validator of that field says what is wrong with it.


def _frozen_mapping(value: Any) -> Any:
    if value is None:
        value = {}
    return MappingProxyType(dict(value)) if isinstance(value, Mapping) else value


def _absolute(path: Any) -> Any:
    text = path.__fspath__() if hasattr(type(path), "__fspath__") else path
    # An empty path would be the working directory, and "a\0b" is cut to "a" by the normpath
    # of some Pythons: both would open something that nobody named.
    if not isinstance(text, str) or not text or "\0" in text:
        return text
    # By the letters alone: resolve() would read the file system. Two leading slashes are
    # kept by normpath, since POSIX lets a system give them a meaning; Linux and macOS don't.
    return "/" + posixpath.normpath(str(Path(text).absolute())).lstrip("/")


def _absolute_all(paths: Any) -> Any:
    # A str is left for the validator: as a sequence it would be one path a letter.
    if isinstance(paths, (tuple, list)):
        return tuple(dict.fromkeys(_absolute(path) for path in paths))
    return paths


def _as_tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _names_only(environment: Any) -> str:
    # A repr ends up in logs and notebooks; values may be secrets.
    return f"<{', '.join(map(str, environment)) or 'empty'}>"


def _restore(values: dict[str, Any]) -> FunctionConfig:
    return FunctionConfig(**values)


@frozen
class FunctionConfig:
    """
    A function's settings: every parameter of ``@function``, and what its code is.

    The names, meanings, ranges and defaults are AWS's. Two configurations with the same
    settings are equal.

    Attributes:
        name: 1 to 64 of ``[a-zA-Z0-9-_]``.
        memory_size: In MB, 128 to 10,240. CPU follows it: 1,769 MB are one vCPU.
        timeout: In whole seconds, 1 to 900.
        ephemeral_storage: The size of /tmp, in MB, 512 to 10,240.
        environment: The function's variables, copied and read-only.
        role: The execution role, or None for one of the function's own. Checked elsewhere.
        architecture: ``x86_64`` or ``arm64``; the price differs.
        description: Up to 256 characters.
        reserved_concurrency: How many calls may run at once; 0 refuses all; None: no limit
            of the function's own.
        network: Whether the function sees a network.
        snapshot: INIT once in the template (True) or afresh in every environment (False).
        readable: Absolute paths of the host that the function may read. Given relative,
            they count from the working directory of that moment; ``~`` means nothing.
        retry_attempts: Further tries of an asynchronous invocation, 0 to 2.
        max_event_age: How long an asynchronous event is tried, in seconds, 60 to 21,600.
        on_success: Where the record of a success goes. Checked elsewhere.
        on_failure: Where the record of a failure goes. Checked elsewhere.
        dead_letter: Where an event goes that could not be processed. Checked elsewhere.
        handler: ``module:qualified.name``, AWS's ``module.name``, or a label where the code
            travels by value; by default the function's name.
        runtime: AWS's identifier; by default the interpreter that runs.
        code: Where the code lies, absolute; None where it is a Python function at hand.
        layers: Up to 5.
        version: ``$LATEST``, or a number as str.

    Raises:
        DefinitionError: A value that AWS would refuse.
    """

    name: str = field(validator=_check_name)
    memory_size: int = field(
        default=128, converter=_index, validator=_within(*MEMORY_SIZE_RANGE_MB, "MB")
    )
    timeout: int = field(
        default=3, converter=_index, validator=_within(*TIMEOUT_RANGE_S, "seconds")
    )
    ephemeral_storage: int = field(
        default=512, converter=_index, validator=_within(*EPHEMERAL_STORAGE_RANGE_MB, "MB")
    )
    environment: Mapping[str, str] = field(
        default=None,
        converter=_frozen_mapping,
        validator=_check_environment,
        repr=_names_only,
        hash=False,
    )
    role: Any = field(default=None, hash=False)
    architecture: str = field(default="x86_64", validator=_check_architecture)
    description: str = field(default="", validator=_check_description)
    reserved_concurrency: int | None = field(
        default=None, converter=_index, validator=_within(0, None, optional=True)
    )
    network: bool = field(default=True, validator=_check_bool)
    snapshot: bool = field(default=True, validator=_check_bool)
    readable: tuple[str, ...] = field(
        default=(), converter=_absolute_all, validator=_check_readable
    )
    retry_attempts: int = field(
        default=2, converter=_index, validator=_within(*RETRY_ATTEMPTS_RANGE)
    )
    max_event_age: int = field(
        default=21_600, converter=_index, validator=_within(*MAX_EVENT_AGE_RANGE_S, "seconds")
    )
    on_success: Any = field(default=None, hash=False)
    on_failure: Any = field(default=None, hash=False)
    dead_letter: Any = field(default=None, hash=False)
    handler: str = field(validator=_check_handler)
    runtime: str = field(default=DEFAULT_RUNTIME, validator=_check_runtime)
    code: str | None = field(default=None, converter=_absolute, validator=_check_code)
    layers: tuple[str, ...] = field(default=(), converter=_as_tuple, validator=_check_layers)
    version: str = field(default=LATEST, validator=_check_version)

    @handler.default
    def _label(self) -> str:
        return self.name

    @property
    def init_timeout(self) -> int:
        """How long INIT may take, in seconds: 10, or max(130, timeout) with a snapshot."""
        if self.snapshot:
            return max(SNAPSHOT_INIT_TIMEOUT_S, self.timeout)
        return INIT_TIMEOUT_S

    def evolve(self, **changes: Any) -> FunctionConfig:
        """
        Return a copy with some settings changed, checked like a new one.

        Args:
            **changes: Attributes by name. The handler stays the code's when the name changes.

        Raises:
            DefinitionError: A value that AWS would refuse.
            TypeError: A name that is no setting.
        """
        return attrs.evolve(self, **changes)

    def without_effect(self) -> tuple[str, ...]:
        """Return the settings that were given but change nothing yet, for a warning."""
        return tuple(
            attribute.name
            for attribute in attrs.fields(FunctionConfig)
            if attribute.name in NOT_YET
            and getattr(self, attribute.name) is not attribute.default
            and getattr(self, attribute.name) != attribute.default
        )

    def __reduce__(self) -> tuple[Any, ...]:
        # A read-only mapping neither pickles nor deep-copies; a dict does, and the
        # constructor makes it read-only again.
        values = {a.name: getattr(self, a.name) for a in attrs.fields(FunctionConfig)}
        values["environment"] = dict(self.environment)
        return _restore, (values,)
