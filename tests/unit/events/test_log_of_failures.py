"""What the app's log holds of a function's own text, which may be of any length."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

import pytest
from inline_app import InlineApp

from faaskit.events.details import DETAIL_CHARACTERS, in_log

_TEXT = "x" * 250_000


@pytest.fixture
def app(tmp_path: Path) -> Iterator[InlineApp]:
    """An App whose functions run here."""
    with InlineApp(tmp_path / "state") as made:
        yield made


def _fail(_: Any) -> NoReturn:
    raise ValueError(_TEXT)


def _send(app: InlineApp) -> None:
    app.calls(_fail, retry_attempts=1).send({})


def _put(app: InlineApp) -> None:
    clicks = app.stream("clicks")
    clicks.on_records(starting_position="TRIM_HORIZON", retry_attempts=0)(app.calls(_fail))
    clicks.put(b"1", partition_key="p")


def _enqueue(app: InlineApp) -> None:
    jobs = app.queue("jobs")
    jobs.on_messages()(app.calls(_fail))
    jobs.send("1")


def _name_items(app: InlineApp) -> None:
    def answer(_: Any) -> Any:
        return {"batchItemFailures": [{"itemIdentifier": _TEXT}]}

    jobs = app.queue("jobs")
    jobs.on_messages(report_batch_item_failures=True)(app.calls(answer))
    jobs.send("1")


@pytest.mark.parametrize("cause", [_send, _put, _enqueue, _name_items])
def test_log_holds_a_bounded_part_of_what_a_function_says(
    app: InlineApp, caplog: pytest.LogCaptureFixture, cause: Any
) -> None:
    """However long its error is; how much was left out is told."""
    cause(app)
    for _ in range(4):
        app.pass_time(minutes=5)
    messages = [record.getMessage() for record in caplog.records]
    assert any("characters more" in message for message in messages), messages
    assert max(map(len, messages)) < DETAIL_CHARACTERS + 1000


def test_log_shows_text_on_one_line() -> None:
    """No function writes a line of the log that looks like another's."""
    assert in_log("short") == "short"
    assert in_log("a\nERROR\x1b[2J é") == "a\\nERROR\\x1b[2J é"
    assert in_log("x" * 1_003) == "x" * 1_000 + "… and 3 characters more"
