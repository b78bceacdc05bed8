"""The command, as a shell user sees it: what it prints, where, and its exit code."""

from __future__ import annotations

import io
import json
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from probes import wait_gone

from faaskit.cli import main
from faaskit.cli.finding import find_app

HANDLERS = """
def echo(event, context):
    print("seen")
    return event

def fail(event, context):
    raise ValueError("no")

number = 7
"""


@pytest.fixture
def handlers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Return the name of a module of plain handlers in the working directory."""
    name = f"handlers_{tmp_path.name}"
    (tmp_path / f"{name}.py").write_text(HANDLERS)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    return name


def test_invoke_a_plain_handler(
    handlers: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The result is on stdout, alone; the log is on stderr."""
    (tmp_path / "event.json").write_text('{"a": 1}')
    assert main(["invoke", f"{handlers}:echo", "--event", "event.json"]) == 0
    printed = capsys.readouterr()
    assert json.loads(printed.out) == {"a": 1}
    assert "seen\n" in printed.err
    assert "REPORT RequestId" in printed.err


def test_invoke_with_another_size(handlers: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Memory and time as asked for this once; an impossible one is AWS's error."""
    sizes = ["--memory-size", "300", "--timeout", "7"]
    assert main(["invoke", f"{handlers}:echo", *sizes, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["meter"]["memory_size"] == 300
    assert main(["invoke", f"{handlers}:echo", "--memory-size", "127"]) == 2
    assert "128" in capsys.readouterr().err


def test_invoke_quietly(handlers: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The result alone."""
    assert main(["invoke", f"{handlers}:echo", "--quiet"]) == 0
    assert capsys.readouterr() == ("{}\n", "")


def test_the_event_may_come_from_a_pipe(
    handlers: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """``--event -`` is standard input; ``--json`` is the whole invocation."""
    monkeypatch.setattr(sys, "stdin", io.StringIO("[1]"))
    assert main(["invoke", f"{handlers}:echo", "--event", "-", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert (facts["status"], facts["payload"]) == ("ok", [1])
    assert facts["meter"]["billed_duration_ms"] >= 1


def test_a_function_that_fails(handlers: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Its error object is the result, and the exit code is 1."""
    assert main(["invoke", f"{handlers}:fail"]) == 1
    assert json.loads(capsys.readouterr().out)["errorType"] == "ValueError"


@pytest.mark.parametrize(
    ("target", "event", "words"),
    [
        ("{}:nobody", None, "has no 'nobody'"),
        ("{}:number", None, "is no function"),
        ("no_such_module:f", None, "can't be imported"),
        ("{}", None, "module:name"),
        ("{}:echo", "{", "not JSON"),
        ("{}:echo", None, "can't be read"),
    ],
)
def test_bad_input_is_one_line_and_2(
    handlers: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    target: str,
    event: str | None,
    words: str,
) -> None:
    """What the user can cause is told in one line, without a traceback."""
    options = []
    if event is not None:
        (tmp_path / "event.json").write_text(event)
    if event is not None or words == "can't be read":
        options = ["--event", "event.json"]
    assert main(["invoke", target.format(handlers), *options]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("faaskit: ")
    assert words in printed.err
    assert printed.err.count("\n") == 1


def test_run_wants_an_app(handlers: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Anything else is told."""
    assert main(["run", f"{handlers}:echo"]) == 2
    assert "is no App" in capsys.readouterr().err


SERVED = """
from faaskit import App

app = App("served", state="state")

@app.function(memory_size=256)
def note(event, context):
    return event
"""

# What a shell does that starts a program in the background.
_IGNORING = ("sh", "-c", 'trap "" INT; exec "$@"', "sh")


@pytest.mark.timeout(100)
def test_run_in_background_ignores_ctrl_c_and_ends_on_sigterm(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was ignored stays so; the other signal finishes what is under way, and leaves nobody."""
    name = f"served_{tmp_path.name}"
    (tmp_path / f"{name}.py").write_text(SERVED)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    command = [*_IGNORING, sys.executable, "-m", "faaskit", "run", f"{name}:app"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as program:
        try:
            assert program.stdout is not None
            assert program.stdout.readline() == "served: serving 1 functions; SIGTERM ends it\n"
            with find_app(f"{name}:app") as app:
                for event in ("before", "after"):
                    app.functions["note"].send(event)
                    assert program.stdout.readline().startswith("note  ok  ")
                    program.send_signal(signal.SIGINT)
                below = psutil.Process(program.pid).children(recursive=True)
                assert below
                program.send_signal(signal.SIGTERM)
                out, _ = program.communicate(timeout=30)
                assert (out, program.returncode) == ("", 0)
                assert app.pending() == []
            wait_gone(below)
        finally:
            program.kill()


def test_doctor_tells_what_holds(capsys: pytest.CaptureFixture[str]) -> None:
    """All ten promises, and that an invocation works here."""
    assert main(["doctor", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["works"] is True
    assert [promise["number"] for promise in report["promises"]] == list(range(1, 11))
    assert report["level"] == ("process" if report["why_not_namespace"] else "namespace")
    disk = report["promises"][4]["state"]
    assert disk == ("held" if report["level"] == "namespace" else "held with gaps")
    for level, facts in report["levels"].items():
        limits = {one["limit"]: one["state"] for one in facts["limits"]}
        assert list(limits) == ["network", "readable", "disk", "memory", "cpu"]
        assert (limits["readable"] == "held") == (level == "namespace")


SHOP = """
from faaskit import App, allow

app = App("shop", state="state")
uploads = app.bucket("uploads")

@app.function
@allow("s3:GetObject", "s3:PutObject", on=uploads.objects("*"))
def keep(event, context):
    uploads.put("a", b"1")

@app.function
def idle(event, context):
    pass

if __name__ == "__main__":
    with app:
        keep.invoke()
"""


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Return the name of a module with an App that has run before, in another process."""
    name = f"shop_{tmp_path.name}"
    (tmp_path / f"{name}.py").write_text(SHOP)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    subprocess.run([sys.executable, f"{name}.py"], check=True)
    return name


def test_policy(shop: str, capsys: pytest.CaptureFixture[str]) -> None:
    """What was seen in another process, as a policy; and what nothing used."""
    assert main(["policy", f"{shop}:app", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["keep"]["policy"]["Statement"] == [
        {"Effect": "Allow", "Action": "s3:PutObject", "Resource": "arn:aws:s3:::uploads/a"}
    ]
    assert [one["Action"] for one in found["keep"]["unused"]] == ["s3:GetObject"]
    assert found["idle"]["policy"]["Statement"] == []


def test_policy_in_words(shop: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Ready to paste: what is between the lines that begin with # is JSON."""
    assert main(["policy", f"{shop}:app", "--function", "keep"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "# keep: a policy that covers what was seen"
    ends = next(at for at, line in enumerate(lines[1:], 1) if line.startswith("#"))
    assert json.loads("".join(lines[1:ends]))["Version"] == "2012-10-17"
    del sys.modules[shop]  # its App is closed
    assert main(["policy", f"{shop}:app", "--function", "idle"]) == 0
    assert "nothing was seen yet" in capsys.readouterr().out
    del sys.modules[shop]
    assert main(["policy", f"{shop}:app", "--function", "none"]) == 2
    assert "it has: idle, keep" in capsys.readouterr().err


LAMBDA = """
import sys
print("INIT")

def handler(event, context):
    return {"task_root_first": sys.path[0] != "", "name": context.function_name}
"""


NOTHING = {
    "Version": "2012-10-17",
    "Statement": {"Effect": "Deny", "Action": "*", "Resource": "*"},
}


def test_a_file_that_was_written_for_aws(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It runs under the role of a file; its INIT code does not run in the command's process."""
    (tmp_path / "shop.py").write_text(LAMBDA)
    (tmp_path / "role.json").write_text(json.dumps(NOTHING))
    path = f"{tmp_path / 'shop.py'}:handler"
    assert main(["invoke", path, "--role", str(tmp_path / "role.json")]) == 0
    printed = capsys.readouterr()
    assert json.loads(printed.out)["name"] == "handler"
    assert printed.err.count("INIT\n") == 1
    assert "shop" not in sys.modules


@pytest.mark.parametrize(
    ("path", "role", "said"),
    [
        ("none.py:handler", None, "no file"),
        ("shop.py:", None, "file.py:function"),
        ("shop.py:a.b", None, "file.py:function"),
        ("shop.py:handler", "[", "can't be read"),
        ("shop.py:handler", "{}", "is empty"),
        ("shop.py:handler", '{"polices": []}', "'polices'"),
        ("shop.py:handler", '{"policies": [{"Statement": 7}]}', "the role in"),
        ("shop.py:handler", "7", "the role in"),
        ("shop.py:handler", '{"policies": 7}', "the role in"),
    ],
)
def test_a_file_or_role_that_is_none(
    path: str, role: str | None, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each is named, and nothing runs."""
    (tmp_path / "shop.py").write_text(LAMBDA)
    arguments = ["invoke", f"{tmp_path}/{path}"]
    if role is not None:
        (tmp_path / "role.json").write_text(role)
        arguments += ["--role", str(tmp_path / "role.json")]
    assert main(arguments) == 2
    printed = capsys.readouterr()
    assert said in printed.err
    assert "INIT" not in printed.err
    assert "Traceback" not in printed.err
