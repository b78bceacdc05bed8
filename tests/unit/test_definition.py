"""FunctionConfig: AWS's ranges and messages, and a value that nobody can change."""

from __future__ import annotations

import copy
import inspect
import os
import pickle
import sys
from collections import UserDict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import pytest

from faaskit import definition
from faaskit.definition import FunctionConfig
from faaskit.exceptions import DefinitionError

# Parameter, lowest, highest, unit in the message.
_RANGES = [
    ("memory_size", 128, 10_240, "MB"),
    ("timeout", 1, 900, "seconds"),
    ("ephemeral_storage", 512, 10_240, "MB"),
    ("retry_attempts", 0, 2, "whole number"),
    ("max_event_age", 60, 21_600, "seconds"),
]


def config(**settings: Any) -> FunctionConfig:
    """A configuration of a function whose name the messages must have."""
    return FunctionConfig("thumbnail", **settings)


def refusal(**settings: Any) -> str:
    """The message with which these settings are refused."""
    with pytest.raises(DefinitionError) as caught:
        config(**settings)
    return str(caught.value)


def test_defaults() -> None:
    """A name is all that is needed; the rest is AWS's default."""
    assert attrs.asdict(FunctionConfig("f"), filter=lambda a, _: a.name != "environment") == {
        "name": "f",
        "memory_size": 128,
        "timeout": 3,
        "ephemeral_storage": 512,
        "role": None,
        "architecture": "x86_64",
        "description": "",
        "reserved_concurrency": None,
        "network": True,
        "snapshot": True,
        "readable": (),
        "retry_attempts": 2,
        "max_event_age": 21_600,
        "on_success": None,
        "on_failure": None,
        "dead_letter": None,
        "handler": "f",
        "runtime": f"python{sys.version_info[0]}.{sys.version_info[1]}",
        "code": None,
        "layers": (),
        "version": "$LATEST",
    }
    assert dict(FunctionConfig("f").environment) == {}


def test_limits() -> None:
    """AWS's limits, byte for byte."""
    assert (
        definition.SYNC_REQUEST_LIMIT_BYTES,
        definition.RESPONSE_LIMIT_BYTES,
        definition.ASYNC_REQUEST_LIMIT_BYTES,
    ) == (6 * 1024**2, 6 * 1024**2 + 100, 1024**2)
    assert (definition.FILE_DESCRIPTOR_LIMIT, definition.PROCESS_LIMIT) == (1024, 1024)
    assert definition.MB_PER_VCPU == 1769


@pytest.mark.parametrize(("parameter", "low", "high", "_unit"), _RANGES)
def test_both_ends_of_a_range_are_taken(parameter: str, low: int, high: int, _unit: str) -> None:
    """AWS's ranges include both ends."""
    assert getattr(config(**{parameter: low}), parameter) == low
    assert getattr(config(**{parameter: high}), parameter) == high


@pytest.mark.parametrize(("parameter", "low", "high", "unit"), _RANGES)
def test_one_beyond_a_range_is_refused(parameter: str, low: int, high: int, unit: str) -> None:
    """One less or one more is a DefinitionError with function, value, limits and way out."""
    for value in (low - 1, high + 1):
        message = refusal(**{parameter: value})
        assert message.startswith(f"function 'thumbnail': {parameter}={value} is out of range")
        assert f"from {low:,} to {high:,}" in message
        assert unit in message
        assert message.endswith(f"such as {low}")


@pytest.mark.parametrize(
    "value",
    [-1, -(10**30), 10**30, 10**5000, -(10**5000)],
    ids=["-1", "-1e30", "1e30", "1e5000", "-1e5000"],
)
@pytest.mark.parametrize("parameter", [row[0] for row in _RANGES])
def test_absurd_ints_are_refused_with_a_message(parameter: str, value: int) -> None:
    """Not even an int with too many digits to be printed gets another error than ours."""
    message = refusal(**{parameter: value})
    assert "is out of range" in message
    assert len(message) < 300


@pytest.mark.parametrize(
    "value",
    [True, False, 128.0, 0.5, float("nan"), "128", b"128", None, [128], 128j],
    ids=repr,
)
@pytest.mark.parametrize("parameter", [row[0] for row in _RANGES])
def test_no_int_is_refused(parameter: str, value: object) -> None:
    """A bool, a float (even 128.0), None, a str: the message names type, range, way out."""
    message = refusal(**{parameter: value})
    assert message.startswith(f"function 'thumbnail': {parameter}=")
    assert f"is of type {type(value).__name__};" in message
    assert message.endswith("pass an int")


@pytest.mark.parametrize("integer", [np.int64, np.uint16, np.int32])
def test_numpy_integers_become_ints(integer: Any) -> None:
    """A sweep over np.arange works, and what is kept is a plain int."""
    value = config(memory_size=integer(512)).memory_size
    assert (value, type(value)) == (512, int)


@pytest.mark.parametrize("value", [np.bool_(True), np.float64(128.0)])
def test_numpys_other_scalars_are_refused(value: Any) -> None:
    """NumPy's bool and float are no more ints than Python's."""
    assert "pass an int" in refusal(memory_size=value)


@pytest.mark.parametrize("value", [None, 0, 1, 100_000])
def test_reserved_concurrency_taken(value: int | None) -> None:
    """None is no limit, 0 refuses every call, and there is no highest."""
    assert config(reserved_concurrency=value).reserved_concurrency == value


@pytest.mark.parametrize("value", [-1, True, 1.0, "1"])
def test_reserved_concurrency_refused(value: object) -> None:
    """Negative or no int: refused, and the message says where the range begins."""
    assert "AWS takes a whole number, 0 or more" in refusal(reserved_concurrency=value)


@pytest.mark.parametrize("parameter", ["network", "snapshot"])
@pytest.mark.parametrize("value", [0, 1, "false", None, np.bool_(False)])
def test_switches_are_bools(parameter: str, value: object) -> None:
    """What is merely false or true is refused: network="false" must not open the network."""
    assert f"function 'thumbnail': {parameter}=" in refusal(**{parameter: value})
    assert getattr(config(**{parameter: False}), parameter) is False


@pytest.mark.parametrize("value", ["x86", "ARM64", "", None, ["x86_64"], {}])
def test_architectures_refused(value: object) -> None:
    """Only AWS's two names; the message has both."""
    assert config(architecture="arm64").architecture == "arm64"
    assert "pass 'x86_64' or 'arm64'" in refusal(architecture=value)


@pytest.mark.parametrize("name", [None, "", "a b", "x" * 65, 7])
def test_names_are_checked_first(name: Any) -> None:
    """An illegal name is told as such, whatever else is wrong."""
    with pytest.raises(DefinitionError, match="function name"):
        FunctionConfig(name, memory_size=1)


def test_descriptions() -> None:
    """256 characters fit, 257 don't; characters, not bytes."""
    assert config(description="é" * 256).description == "é" * 256
    assert "257 characters, over AWS's limit of 256" in refusal(description="x" * 257)
    assert "pass a str" in refusal(description=None)


@pytest.mark.parametrize("handler", ["index.handler", "a.b:f.<locals>.g", "x" * 128])
def test_handlers_taken(handler: str) -> None:
    """Up to 128 characters without spaces."""
    assert config(handler=handler).handler == handler


@pytest.mark.parametrize("handler", ["", "a b", "a\n", "a\u00a0b", None, 7])
def test_handlers_refused(handler: object) -> None:
    """Spaces of any kind, nothing, no str."""
    assert "function 'thumbnail': handler=" in refusal(handler=handler)


def test_a_handler_too_long_is_refused() -> None:
    """129 characters are over AWS's limit, and the message gives both figures."""
    message = refusal(handler="x" * 129)
    assert "129" in message
    assert "128" in message


@pytest.mark.parametrize("runtime", ["python3.13", "nodejs22.x", "provided.al2023", "java8.al2"])
def test_runtimes_taken(runtime: str) -> None:
    """AWS's identifiers, of other languages, too: whether one is there is asked elsewhere."""
    assert config(runtime=runtime).runtime == runtime


@pytest.mark.parametrize("runtime", ["", "Python 3.13", "python 3", "3.13", None, 3.13])
def test_runtimes_refused(runtime: object) -> None:
    """What is not even of that form is refused, with an example."""
    assert f"such as {definition.DEFAULT_RUNTIME!r}" in refusal(runtime=runtime)


@pytest.mark.parametrize("version", ["$LATEST", "1", "42"])
def test_versions_taken(version: str) -> None:
    """``$LATEST`` or a number."""
    assert config(version=version).version == version


@pytest.mark.parametrize("version", ["", "latest", "$LATEST.1", "v1", "1\n", "\u0661", 1, None])
def test_versions_refused(version: object) -> None:
    """An alias, an int or digits of another script are no version."""
    assert "is no version" in refusal(version=version)


def test_layers() -> None:
    """Five layers fit, in order; AWS's words for six; only str."""
    five = tuple(f"arn:aws:lambda:us-east-1:123456789012:layer:l:{n}" for n in range(5))
    assert config(layers=list(five)).layers == five
    assert "Cannot reference more than 5 layers" in refusal(layers=[*five, "one-more"])
    for wrong in ("abc", None, (1,), ("",)):
        assert "layers=" in refusal(layers=wrong)


# -- environment variables ---------------------------------------------------------------


@pytest.mark.parametrize(
    "variables",
    [
        {"TABLE": "orders"},
        {"a1": ""},
        {"PATH": "/x", "TZ": "UTC", "LANG": "C", "PYTHONPATH": "/y", "LD_LIBRARY_PATH": "/z"},
        {"AWS_LAMBDA_EXEC_WRAPPER": "/opt/w", "AWS_LAMBDA_LOG_LEVEL": "DEBUG", "AWS_FOO": "1"},
        {"NAME": "é \n ${TABLE} $(id) \U0001f600"},
        UserDict({"TABLE": "orders"}),
    ],
)
def test_variables_taken(variables: Mapping[str, str]) -> None:
    """Legal names with any text, literally; what Lambda sets but does not reserve, too."""
    assert dict(config(environment=variables).environment) == dict(variables)


@pytest.mark.parametrize("name", sorted(definition.RESERVED_VARIABLES))
def test_reserved_variables_are_refused(name: str) -> None:
    """Each name of Lambda's own, in AWS's words."""
    assert (
        "function 'thumbnail': Lambda was unable to configure your environment variables "
        "because the environment variables you have provided contains reserved keys that "
        f"are currently not supported for modification. Reserved keys used in this request: {name};"
    ) in refusal(environment={"TABLE": "orders", name: "x"})


def test_every_reserved_variable_is_named_at_once() -> None:
    """Two mistakes need one message."""
    message = refusal(environment={"AWS_REGION": "x", "OK": "", "AWS_ACCESS_KEY_ID": "y"})
    assert "request: AWS_ACCESS_KEY_ID, AWS_REGION;" in message


def test_the_reserved_variables_are_awss() -> None:
    """The list of AWS's documentation, complete; what may be changed is not in it."""
    aws_prefixed = """
        ACCESS_KEY ACCESS_KEY_ID DEFAULT_REGION EXECUTION_ENV LAMBDA_FUNCTION_MEMORY_SIZE
        LAMBDA_FUNCTION_NAME LAMBDA_FUNCTION_VERSION LAMBDA_INITIALIZATION_TYPE
        LAMBDA_LOG_GROUP_NAME LAMBDA_LOG_STREAM_NAME LAMBDA_MAX_CONCURRENCY
        LAMBDA_METADATA_API LAMBDA_METADATA_TOKEN LAMBDA_RUNTIME_API REGION
        SECRET_ACCESS_KEY SESSION_TOKEN
    """
    others = {"LAMBDA_RUNTIME_DIR", "LAMBDA_TASK_ROOT", "_HANDLER", "_X_AMZN_TRACE_ID"}
    assert (
        others | {f"AWS_{name}" for name in aws_prefixed.split()} == definition.RESERVED_VARIABLES
    )


@pytest.mark.parametrize(
    "name", ["", "A", "1A", "_A", "A-B", "A B", "A=B", "\u00c9A", "AB\n", "A\0", None, 7, b"AB"]
)
def test_variable_names_refused(name: Any) -> None:
    """AWS's pattern: a letter, then at least one letter, digit or underscore."""
    message = refusal(environment={name: "x"})
    assert message.startswith("function 'thumbnail': environment variable name ")
    assert message.endswith("rename it")


@pytest.mark.parametrize("value", [None, 1, 1.5, True, b"x", ["x"]])
def test_variable_values_are_str(value: Any) -> None:
    """A number is not turned into text behind the caller's back."""
    assert f"variable PORT is of type {type(value).__name__}" in refusal(
        environment={"PORT": value}
    )


@pytest.mark.parametrize("value", ["a\0b", "\udc80"])
def test_variable_values_that_no_environment_holds(value: str) -> None:
    """NUL and lone surrogates are refused here, not when a process is started."""
    assert "environment variable TOKEN has a character" in refusal(environment={"TOKEN": value})


@pytest.mark.parametrize("letter", ["x", "é", "\U0001f600"])
def test_the_environment_limit_is_of_the_json_in_utf8(letter: str) -> None:
    """4,096 bytes of compact JSON fit: braces, quotes and the name count; one more does not."""
    room = 4096 - len('{"NAME":""}')
    size = len(letter.encode())
    fits = letter * (room // size) + "x" * (room % size)
    assert config(environment={"NAME": fits}).environment["NAME"] == fits

    message = refusal(environment={"NAME": fits + "x"})
    assert (
        "Lambda was unable to configure your environment variables because the environment "
        "variables you have provided exceeded the 4KB limit. String measured: 4,097 bytes"
    ) in message


def test_the_environment_limit_counts_what_json_escapes() -> None:
    """A newline is two bytes of JSON."""
    assert "exceeded the 4KB limit" in refusal(environment={"NAME": "\n" * 2100})


@pytest.mark.parametrize(
    "environment",
    [
        {"TOKEN": b"hunter2"},
        {"TOKEN": "hunter2\0"},
        {"TOKEN": "hunter2" * 1000},
        {"TOKEN": "hunter2", "AWS_REGION": "x"},
        {"TOKEN": "hunter2", "A": "x"},
        [("TOKEN", "hunter2")],
        "TOKEN=hunter2",
    ],
    ids=["type", "character", "size", "reserved", "name", "list", "str"],
)
def test_no_message_tells_a_value(environment: Any) -> None:
    """Values may be secrets and messages end up in logs: whatever is wrong, none is shown."""
    assert "hunter2" not in refusal(environment=environment)


def test_the_repr_tells_no_value() -> None:
    """The repr, which ends up in notebooks, has the variables' names only."""
    text = repr(config(environment={"TOKEN": "hunter2", "TABLE": "t"}))
    assert "environment=<TOKEN, TABLE>" in text
    assert "hunter2" not in text


@pytest.mark.parametrize("environment", [[("A1", "b")], "A1=b", 7])
def test_an_environment_is_a_mapping(environment: Any) -> None:
    """Pairs and text are refused, with the type that is taken."""
    assert "pass a dict of str to str" in refusal(environment=environment)


def test_the_environment_is_a_copy() -> None:
    """Changing the dict afterwards changes nothing."""
    given = {"TABLE": "orders"}
    made = config(environment=given)
    given["TABLE"] = "other"
    given["AWS_REGION"] = "mars"
    assert dict(made.environment) == {"TABLE": "orders"}


def test_nothing_can_be_set() -> None:
    """Neither an attribute nor a variable of a configuration can be changed in place."""
    made = config(environment={"TABLE": "orders"})
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        made.memory_size = 256  # type: ignore[misc]
    with pytest.raises(TypeError):
        made.environment["TABLE"] = "other"  # type: ignore[index]


# -- paths -------------------------------------------------------------------------------


def test_readable_paths_become_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Relative paths count from the working directory; str and PathLike; doubles once."""
    monkeypatch.chdir(tmp_path)
    made = config(readable=["data", Path("data"), "//usr/./share/../lib/", tmp_path / "x", "/"])
    assert made.readable == (f"{tmp_path}/data", "/usr/lib", f"{tmp_path}/x", "/")
    monkeypatch.chdir("/")
    assert made.readable[0] == f"{tmp_path}/data"


class _BytesPath(os.PathLike[bytes]):
    def __fspath__(self) -> bytes:
        return b"/data"


@pytest.mark.parametrize("path", ["", "a\0b", "/a\0b", b"/data", None, 7, Path, _BytesPath()])
def test_no_paths_are_refused(path: object) -> None:
    """An empty path would be the whole working directory; bytes and NUL are no paths here."""
    assert "pass str or PathLike" in refusal(readable=("/ok", path))
    if path is not None:
        assert "str or PathLike" in refusal(code=path)


@pytest.mark.parametrize("readable", ["data", Path("data"), None, {"data"}, 7])
def test_readable_is_a_tuple(readable: object) -> None:
    """A lone str is not taken for a sequence of one-letter paths."""
    assert "pass a tuple of paths" in refusal(readable=readable)


def test_code_becomes_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The folder of a function's code is found again from any working directory."""
    monkeypatch.chdir(tmp_path)
    assert config(code="functions/resize").code == f"{tmp_path}/functions/resize"
    assert config(code=Path("resize")).code == f"{tmp_path}/resize"


# -- the value as a whole ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "seconds"),
    [
        ({"snapshot": False}, 10),
        ({"snapshot": False, "timeout": 900}, 10),
        ({"snapshot": True}, 130),
        ({"snapshot": True, "timeout": 130}, 130),
        ({"snapshot": True, "timeout": 131}, 131),
        ({"snapshot": True, "timeout": 900}, 900),
    ],
)
def test_init_timeout(settings: dict[str, Any], seconds: int) -> None:
    """INIT has 10 s, and with a snapshot the longer of 130 s and the timeout."""
    assert config(**settings).init_timeout == seconds


def test_evolve_changes_a_copy() -> None:
    """The rest stays, environment and handler included; the original is untouched."""
    made = config(environment={"TABLE": "t"}, readable=("/a",), handler="m:f")
    other = made.evolve(memory_size=512, name="other")
    assert (other.name, other.memory_size, other.handler) == ("other", 512, "m:f")
    assert (other.environment, other.readable) == (made.environment, made.readable)
    assert (made.name, made.memory_size) == ("thumbnail", 128)


def test_evolve_checks_again() -> None:
    """A change is held to the same rules, and told by the function's name."""
    with pytest.raises(DefinitionError, match=r"function 'thumbnail': timeout=0 "):
        config().evolve(timeout=0)


def test_evolve_refuses_what_is_no_setting() -> None:
    """A misspelt setting is an error, as it is in the decorator."""
    with pytest.raises(TypeError, match="memroy_size"):
        config().evolve(memroy_size=512)


def test_equal_settings_are_equal() -> None:
    """Same settings, same hash, the order of variables aside; one difference is enough."""
    one = config(environment={"A1": "1", "B1": "2"}, readable=("/a",))
    two = config(environment={"B1": "2", "A1": "1"}, readable=["/a"])
    assert one == two
    assert hash(one) == hash(two)
    assert one != two.evolve(environment={"A1": "1"})
    assert hash(config(role={"not": "hashable"})) == hash(config(role=None))


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_survives_pickle(protocol: int) -> None:
    """Every setting comes back, the environment read-only again."""
    made = config(
        memory_size=512,
        environment={"A1": "1"},
        readable=("/a",),
        code="/c",
        handler="m:f",
        runtime="nodejs22.x",
        layers=("l",),
        version="7",
        role="r",
    )
    back = pickle.loads(pickle.dumps(made, protocol))
    assert back == made
    with pytest.raises(TypeError):
        back.environment["A1"] = "2"


def test_survives_deepcopy() -> None:
    """A deep copy is equal and has an environment of its own."""
    made = config(environment={"A1": "1"})
    back = copy.deepcopy(made)
    assert back == made
    assert back.environment is not made.environment


def test_nothing_is_without_effect_by_default() -> None:
    """A plain function warns of nothing, and neither do settings that work."""
    assert config(memory_size=512, environment={"A1": "1"}, snapshot=False).without_effect() == ()


def test_without_effect_lists_what_was_given() -> None:
    """Each setting that changes nothing yet, when given, in the order of the fields."""
    given = {
        "network": False,
        "readable": ("/a",),
        "on_success": "arn:s",
        "on_failure": "arn:f",
        "dead_letter": "arn:d",
        "layers": ("l",),
    }
    still = [name for name in given if name in definition.NOT_YET]
    assert list(config(**given).without_effect()) == still
    for name in still:
        assert config(**{name: given[name]}).without_effect() == (name,)


def test_not_yet_names_settings() -> None:
    """A misspelt name in the list would never warn."""
    assert {a.name for a in attrs.fields(FunctionConfig)} >= definition.NOT_YET


def test_the_attributes_are_described() -> None:
    """Every setting is in the class's docstring."""
    text = inspect.getdoc(FunctionConfig) or ""
    assert [a.name for a in attrs.fields(FunctionConfig) if f"    {a.name}: " not in text] == []


@pytest.mark.parametrize(
    ("check", "value"),
    [
        (definition.validate_memory_size, 64),
        (definition.validate_ephemeral_storage, 511),
        (definition.validate_architecture, "i386"),
    ],
)
def test_checks_for_other_rooms(check: Any, value: object) -> None:
    """The same rules without a function: with an owner's name in front, or with none."""
    with pytest.raises(DefinitionError, match=r"^estimate: \w+="):
        check(value, "estimate")
    with pytest.raises(DefinitionError, match=r"^(memory_size|ephemeral_storage|architecture)="):
        check(value)


class _Unprintable:
    def __repr__(self) -> str:
        msg = "no"
        raise RuntimeError(msg)


def test_shown_survives_any_value() -> None:
    """A message about a value does not fail on that value, and stays short."""
    assert definition.shown("x") == "'x'"
    assert definition.shown(_Unprintable()) == "<_Unprintable>"
    assert definition.shown("x" * 10_000) == "'" + "x" * 79 + "…"


def test_exports() -> None:
    """``__all__`` is sorted, constants, classes, functions, and has all that is public."""
    own = [
        name
        for name, value in vars(definition).items()
        if not name.startswith("_")
        and (name.isupper() or getattr(value, "__module__", "") == definition.__name__)
    ]
    assert sorted(definition.__all__) == sorted(own)
