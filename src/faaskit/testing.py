"""For tests of your own: a clock that you move, and events of AWS's shapes."""

from __future__ import annotations

import hashlib
import threading
from datetime import datetime, timedelta, timezone
from typing import Any

from faaskit.events.s3 import event_types, record
from faaskit.names import DEFAULT_ACCOUNT, DEFAULT_REGION, validate_bucket_name

__all__ = ["FakeClock", "s3_event"]

_SAMPLE_TIME = datetime(2026, 1, 1, tzinfo=timezone.utc)


class FakeClock:
    """
    A clock that stands still until it is moved: ``App(clock=FakeClock(…))``.

    Args:
        start: ``2026-01-01T00:00:00Z``, or an aware datetime.

    Raises:
        ValueError: The time is malformed, or has no time zone.
    """

    def __init__(self, start: str | datetime = _SAMPLE_TIME) -> None:
        moment = start
        if isinstance(moment, str):
            # datetime.fromisoformat knows "Z" from Python 3.11 on.
            moment = datetime.fromisoformat(moment.replace("Z", "+00:00"))
        if moment.tzinfo is None:
            msg = f"FakeClock starts at {start!r}, which has no time zone: add 'Z' for UTC"
            raise ValueError(msg)
        self._lock = threading.Lock()
        self._now = moment.astimezone(timezone.utc)
        self._waiting: list[threading.Condition] = []

    def __repr__(self) -> str:
        return f"FakeClock({self.now().isoformat()!r})"

    def now(self) -> datetime:
        """Return the time, aware, in UTC."""
        with self._lock:
            return self._now

    def advance(self, **duration: float) -> None:
        """
        Move the clock forward, and wake whoever waits on it.

        Args:
            duration: As for ``timedelta``: ``hours=1``, ``seconds=90``.

        Raises:
            ValueError: It would go back.
        """
        step = timedelta(**duration)
        if step < timedelta(0):
            msg = f"FakeClock can't go back, by {-step}: make a new one"
            raise ValueError(msg)
        with self._lock:
            self._now += step
            waiting = list(self._waiting)
        # Not under the lock: a waiter holds its condition and then asks for the lock.
        for condition in waiting:
            with condition:
                condition.notify_all()

    def wait(self, condition: threading.Condition, until: datetime | None) -> None:
        """Wait on a held condition until it is notified or the clock is moved to ``until``."""
        with self._lock:
            # In one step with the look at the time: who moves the clock afterwards finds
            # the condition here, and can't notify it before it is waited on.
            if until is not None and until <= self._now:
                return
            self._waiting.append(condition)
        try:
            condition.wait()
        finally:
            with self._lock:
                self._waiting.remove(condition)


def s3_event(
    bucket: str,
    key: str,
    *,
    event_name: str = "s3:ObjectCreated:Put",
    size: int = 1024,
    etag: str | None = None,
    time: datetime = _SAMPLE_TIME,
    sequencer: str = "000000000000000001",
    region: str = DEFAULT_REGION,
    account: str = DEFAULT_ACCOUNT,
) -> dict[str, Any]:
    """
    Return the event that a function gets for something that happened to an object.

    Args:
        bucket: Its name.
        key: As it is; the event has it URL-encoded, as S3 does.
        event_name: One of S3's, with or without the ``s3:``, but no family (``*``).
        size: In bytes; left out of ``ObjectRemoved`` events.
        etag: None is the MD5 of the key, for something that differs.
        time: Aware.
        sequencer: Hexadecimal.
        region: Where it happened.
        account: Whose bucket it is, and who did it.

    Raises:
        DefinitionError: No such event, or no such name for a bucket.
        ValueError: A family of events.
    """
    name = f"s3:{event_name.removeprefix('s3:')}"
    types = event_types([name])
    if name.endswith("*"):
        msg = f"{name} is a family; an event is one of: {', '.join(sorted(types))}"
        raise ValueError(msg)
    removed = name.startswith("s3:ObjectRemoved:")
    digest = hashlib.md5(key.encode(), usedforsecurity=False).hexdigest()
    entry = record(
        event=name.removeprefix("s3:"),
        bucket=validate_bucket_name(bucket),
        key=key,
        time=time,
        sequencer=sequencer,
        size=None if removed else size,
        etag=None if removed else etag or digest,
        region=region,
        account=account,
        user_id=account,
        configuration_id="test",
        request_id="0123456789ABCDEF",
    )
    return {"Records": [entry]}
