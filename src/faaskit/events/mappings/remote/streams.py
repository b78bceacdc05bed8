"""
Streams elsewhere, as work: which shards there are, and copies of what is put into them.

Each call is a task of its own, in a thread of its own, so that a slow network holds nothing else
up. What was copied is delivered by ``StreamMappings``, as what the app's own streams have is.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Generic, TypeVar

from attrs import define, evolve, field

from faaskit.clock import epoch_ms, from_epoch_ms
from faaskit.events.mappings.reader import Invocable, Reader
from faaskit.events.mappings.registry import OK, Declared
from faaskit.events.mappings.remote.copies import Copies, KnownShard, RemoteStreamSource
from faaskit.events.mappings.remote.services import Kinesis, Service, TableStreams
from faaskit.events.work import Ended, Errors
from faaskit.exceptions import ServiceError
from faaskit.runtimes.contract import ServiceCall, ServiceReply

__all__ = ["RemoteStreams"]

_log = logging.getLogger(__name__)

_SERVICES: dict[str, type[Service]] = {"stream": Kinesis, "table": TableStreams}
# Between two looks at which shards there are; one that is at its end asks for one at once.
_LIST_EVERY = timedelta(seconds=10)
# After a failure, twice as long each time.
_PAUSE = timedelta(seconds=1)
_LONGEST_PAUSE = timedelta(seconds=60)
_LONG_AGO = from_epoch_ms(0)  # due before any moment that was looked at by now


_F = TypeVar("_F", bound=Invocable)
_I_co = TypeVar("_I_co", bound=Ended, covariant=True)


@define(eq=False)
class _Call:
    """
    Something that is asked again and again: which shards there are, or what is in one.

    Attributes:
        due: When it is asked next.
        running: Whether it is being asked.
        failures: How often it failed since it last did not.
        told: Whether the mapping says so.
    """

    due: datetime = _LONG_AGO
    running: bool = False
    failures: int = 0
    told: bool = False


@define(eq=False)
class _Poll(_Call):
    """
    A shard that is copied.

    Attributes:
        shard: As it was last written down.
        iterator: To go on with; empty: a new one is needed.
        waits: Whether enough was copied, until more of it is delivered.
        seen: At which count of the folder's changes that was looked at.
        trimmed: Whether what follows on what was copied is not kept any more.
    """

    shard: KnownShard = field(kw_only=True)
    iterator: str = ""
    waits: bool = False
    seen: int = -1
    trimmed: bool = False


@define(eq=False)
class _Stream:
    """A stream that a mapping reads."""

    mapping: Declared
    service: Service
    listing: _Call = field(factory=_Call)
    retention_ms: int = 0
    polls: dict[int, _Poll] = field(factory=dict)


class RemoteStreams(Generic[_F, _I_co]):
    """
    The streams elsewhere that mappings read, as work.

    Args:
        reader: What is read with.
        perform: Carries a service call out as the app itself.
        changed: Called when there are other shards than before.
    """

    def __init__(
        self,
        reader: Reader[_F, _I_co],
        perform: Callable[[ServiceCall], ServiceReply],
        changed: Callable[[], object],
    ) -> None:
        self._reader = reader
        self._registry = reader.registry
        self._state = reader.state
        self._clock = reader.clock
        self._copies = Copies(reader.state)
        self._perform = perform
        self._changed = changed
        self.after_fork_in_child()

    def after_fork_in_child(self) -> None:
        """Let go of the parent's polls."""
        self._lock = threading.RLock()
        self._streams: dict[str, _Stream] = {}

    # --- as work ------------------------------------------------------------------------

    def look(self) -> None:
        """Have nothing to take up: which mappings are enabled, those of streams look at."""

    def next_due(self) -> datetime | None:
        """Return when a stream is asked next."""
        with self._lock:
            due = self._next()
            return None if due is None else due[1].due

    def claim(self) -> _Attempt[_F, _I_co] | None:
        """Claim the call that is due first."""
        with self._lock:
            due = self._next()
            if due is None or due[1].due > self._clock.now():
                return None
            due[1].running = True
            return _Attempt(self, *due)

    def abandon(self) -> None:
        """Let others copy: what a read under way finds is not written down."""
        with self._lock:
            if self._streams:
                self._streams = {}
                self._copies.let_go()

    def rest(self) -> None:
        """Let others copy; all is asked at once when delivery begins again."""
        self.abandon()

    def leave(self, call: _Call) -> None:
        """Have a call be over."""
        with self._lock:
            call.running = False

    def _next(self) -> tuple[_Stream, _Call] | None:
        ready = [(one, call) for one in self._wanted() for call in self._calls(one)]
        return min(ready, key=lambda one: one[1].due, default=None)

    def _wanted(self) -> Iterator[_Stream]:
        for mapping, _ in self._reader.readable(*_SERVICES):
            if not isinstance(mapping.source, RemoteStreamSource):
                continue
            stream = self._streams.get(mapping.uuid)
            if stream is None:
                service = _SERVICES[mapping.kind](self._perform, mapping.source.key)
                stream = self._streams[mapping.uuid] = _Stream(mapping, service)
            stream.mapping = mapping  # declared anew, with other settings
            yield stream

    def _calls(self, stream: _Stream) -> Iterator[_Call]:
        """Return what can be asked: a shard when its parents have been copied."""
        if not stream.listing.running:
            yield stream.listing
        for poll in stream.polls.values():
            if poll.running or any(parent in stream.polls for parent in poll.shard.parents):
                continue
            if poll.waits and self._has_enough(stream, poll):
                continue
            yield poll

    def _has_enough(self, stream: _Stream, poll: _Poll) -> bool:
        changes = self._state.changes.count
        if poll.seen != changes:
            poll.seen = changes
            settings = stream.mapping.settings
            batch = settings.batch_size * settings.parallelization_factor
            poll.waits = self._copies.is_far_ahead(stream.mapping.uuid, poll.shard, batch)
        return poll.waits

    # --- calls --------------------------------------------------------------------------

    def carry_out(self, stream: _Stream, call: _Call) -> None:
        """Ask, and write down what was answered."""
        try:
            if isinstance(call, _Poll):
                self._copy(stream, call)
            else:
                self._list(stream)
            call.failures = 0
            if call.told:
                call.told = False
                self._registry.tell(stream.mapping, OK)
        except ServiceError as error:
            self._put_off(stream, call, error)
        finally:
            self.leave(call)

    def _list(self, stream: _Stream) -> None:
        """See which shards there are."""
        mapping = stream.mapping
        with self._lock:
            stream.listing.due = self._clock.now() + _LIST_EVERY
        listing = stream.service.list()
        news = self._copies.take_up(mapping.uuid, mapping.settings, listing)
        for shard in news.gone:
            _log.error(
                "shard %s of %s is gone, and its end was not seen: what was not read of it for "
                "function %r by then is lost",
                shard.id,
                shard.stream,
                mapping.function,
            )
        known = self._copies.shards(mapping.uuid)
        with self._lock:
            stream.retention_ms = listing.retention_ms
            for shard in known:
                poll = stream.polls.get(shard.number)
                if shard.last is not None:
                    stream.polls.pop(shard.number, None)
                elif poll is None:
                    stream.polls[shard.number] = _Poll(shard=shard)
                elif not poll.running:
                    poll.shard = shard
        if news.any:
            self._changed()

    def _copy(self, stream: _Stream, poll: _Poll) -> None:
        """Read on in a shard."""
        mapping, shard = stream.mapping, poll.shard
        pause = timedelta(seconds=1) / stream.service.polls_a_second
        with self._lock:
            poll.due = self._clock.now() + pause
        if not self._copies.own(mapping.uuid, shard.number):
            return
        poll.seen = -1
        poll.waits = True
        if self._has_enough(stream, poll):
            poll.due = self._clock.now()  # as soon as it has not
            return
        if not poll.iterator:
            after = None if poll.trimmed else shard.position
            begin_ms = None if poll.trimmed else shard.begin_ms
            poll.iterator = stream.service.iterator(
                shard.stream, shard.id, after=after, begin_ms=begin_ms
            )
        found = stream.service.read(shard.stream, shard.id, poll.iterator)
        now_ms = epoch_ms(self._clock.now())
        ours = self._copies.add(
            mapping.uuid, shard, found, retention_ms=stream.retention_ms, now_ms=now_ms
        )
        with self._lock:
            if not ours:  # another process went on where this one was
                poll.iterator = ""
                stream.listing.due = _LONG_AGO
                return
            if found.records:
                poll.trimmed = False
                poll.shard = evolve(shard, position=found.records[-1].number)
            poll.iterator = found.next or ""
            if found.next is None:
                stream.polls.pop(shard.number, None)
                stream.listing.due = _LONG_AGO  # for what it was divided into
            elif found.records or found.behind:
                poll.due = self._clock.now()
        if found.next is None:
            self._changed()

    def _put_off(self, stream: _Stream, call: _Call, error: ServiceError) -> None:
        """Ask again, later each time."""
        what = stream.mapping.source.key
        if isinstance(call, _Poll):
            what = f"shard {call.shard.id} of {call.shard.stream}"
            call.iterator = ""
            if error.code == "TrimmedDataAccessException" and not call.trimmed:
                _log.error("records of %s are lost, older than it keeps them: %s", what, error)
                call.trimmed = True
                call.due = self._clock.now()
                return
            if error.code == "ExpiredIteratorException" and not call.failures:
                call.failures += 1  # it was asked too long ago: a new one goes on at once
                call.due = self._clock.now()
                return
            if error.code == "ResourceNotFoundException":
                stream.listing.due = _LONG_AGO
        call.failures += 1
        pause = min(_LONGEST_PAUSE, _PAUSE * 2 ** min(call.failures - 1, 6))
        with self._lock:
            call.due = self._clock.now() + pause
        _log.warning(
            "%s could not be read for %r, and is again in %d s: %s",
            what,
            stream.mapping.function,
            pause.total_seconds(),
            error,
        )
        self._registry.tell(stream.mapping, f"PROBLEM: {error}")
        call.told = True


class _Attempt(Generic[_F, _I_co]):
    """One call."""

    def __init__(self, streams: RemoteStreams[_F, _I_co], stream: _Stream, call: _Call) -> None:
        self._streams = streams
        self._stream = stream
        self._call = call

    @property
    def label(self) -> str:
        """What it is, for the log."""
        mapping = self._stream.mapping
        return f"a read of {mapping.source.key} for function {mapping.function!r}"

    def carry_out(self, later: Errors) -> None:  # noqa: ARG002
        """Do it."""
        self._streams.carry_out(self._stream, self._call)

    def drop(self) -> None:
        """Leave it."""
        self._streams.leave(self._call)
