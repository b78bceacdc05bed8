"""What becomes of a stream's records, whatever fails: against what can be said of any run."""

from __future__ import annotations

import base64
import json
import tempfile
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from inline_app import InlineApp

_SETTINGS = st.fixed_dictionaries(
    {
        "batch_size": st.integers(1, 6),
        "retry_attempts": st.integers(0, 2),
        "bisect_batch_on_error": st.booleans(),
        "report_batch_item_failures": st.booleans(),
        "max_batching_window": st.sampled_from([0, 3]),
    }
)


class _Run:
    """Records of which some are bad, read by programs that come and go."""

    def __init__(self, texts: list[str], chosen: dict[str, Any], restarts: list[bool]) -> None:
        self._chosen = chosen
        self._restarts = [*restarts, False]
        self.reports = chosen["report_batch_item_failures"]
        self.ended: list[str] = []  # done or given up, in that order
        self.dead: list[list[str]] = []
        self.attempts: dict[str, int] = {}
        with tempfile.TemporaryDirectory() as folder:
            app = self._open(Path(folder), None)
            app.stream("s").put_many((text, "k") for text in texts)
            for number in range(400):
                app.drain()
                self._bury(app)
                if len(self.ended) >= len(texts):
                    break
                app.clock.advance(seconds=1)
                if self._restarts[number % len(self._restarts)]:
                    app.close()
                    app = self._open(Path(folder), app.clock)
            app.close()

    def _open(self, folder: Path, clock: Any) -> InlineApp:
        app = InlineApp(folder, clock)
        app.stream("s").on_records(**self._chosen)(
            app.calls(lambda event: self._handle(app, event))
        )
        return app

    def _handle(self, app: InlineApp, event: Any) -> Any:
        self._bury(app)  # what was given up before this is
        texts = _texts(event)
        for text in texts:
            self.attempts[text] = self.attempts.get(text, 0) + 1
        bad = [text for text in texts if text.startswith("bad")]
        if bad and not self.reports:
            msg = str(bad)
            raise ValueError(msg)
        done = texts[: texts.index(bad[0])] if bad else texts
        self.ended += done
        numbers = {text: one["kinesis"]["sequenceNumber"] for text, one in _pairs(event)}
        return {"batchItemFailures": [{"itemIdentifier": numbers[text]} for text in bad]}

    def _bury(self, app: InlineApp) -> None:
        for one in app.dead()[len(self.dead) :]:
            texts = _texts(json.loads(one.event))
            self.dead.append(texts)
            self.ended += texts


def _pairs(event: Any) -> list[tuple[str, Any]]:
    return list(zip(_texts(event), event["Records"], strict=True))


def _texts(event: Any) -> list[str]:
    return [base64.b64decode(one["kinesis"]["data"]).decode() for one in event["Records"]]


@settings(deadline=None)
@given(
    kinds=st.lists(st.sampled_from(["good", "good", "bad"]), min_size=1, max_size=12),
    chosen=_SETTINGS,
    restarts=st.lists(st.booleans(), max_size=3),
)
def test_every_record_comes_to_one_end(
    kinds: list[str], chosen: dict[str, Any], restarts: list[bool]
) -> None:
    """Done or given up, once, in order; what is bad is never done, and tried no more than so."""
    texts = [f"{kind} {number}" for number, kind in enumerate(kinds)]
    run = _Run(texts, chosen, restarts)
    assert run.ended == texts
    given_up = [text for batch in run.dead for text in batch]
    assert {text for text in texts if text.startswith("bad")} <= set(given_up)
    tries = chosen["retry_attempts"] + 1
    if chosen["bisect_batch_on_error"]:
        # Nothing good is given up with what is bad; on the way there are so many halves.
        assert run.dead == [[text] for text in texts if text.startswith("bad")]
        most = tries + chosen["batch_size"].bit_length() + kinds.count("bad")
    else:
        assert all(any(text.startswith("bad") for text in batch) for batch in run.dead)
        # With reports a record may be behind each bad one of its batch.
        most = tries * (chosen["batch_size"] if run.reports else 1)
    assert max(run.attempts.values()) <= most
