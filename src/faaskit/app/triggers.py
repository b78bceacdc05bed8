"""What invokes an app's functions: which functions there are, and their triggers."""

from __future__ import annotations

import json
import os
import re
from abc import abstractmethod
from collections.abc import Callable, Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Any, ParamSpec, TypeVar, overload

from typing_extensions import Unpack

from faaskit.app.resources import Resources
from faaskit.clock import Clock
from faaskit.events.asynchronous import AsynchronousQueue
from faaskit.events.attempts import check_destinations
from faaskit.events.inputs import Input
from faaskit.events.mappings.handle import EventSourceMapping
from faaskit.events.mappings.kinesis import KinesisSource
from faaskit.events.mappings.queues import QueueSource
from faaskit.events.mappings.registry import Registry, Source
from faaskit.events.mappings.remote.copies import RemoteStreamSource
from faaskit.events.mappings.remote.handles import (
    Remote,
    RemoteQueue,
    RemoteStream,
    RemoteTable,
)
from faaskit.events.mappings.remote.queues import RemoteQueueSource
from faaskit.events.mappings.settings import declared
from faaskit.events.mappings.tables import TableSource
from faaskit.events.notifications import BucketTriggers
from faaskit.events.occurrences import Schedule
from faaskit.events.patterns import Pattern
from faaskit.events.rules import Rule, Rules, retry_policy
from faaskit.events.s3 import rule
from faaskit.events.scheduler import Scheduler
from faaskit.events.targets import Target, kind_of, target_arn
from faaskit.exceptions import DefinitionError
from faaskit.functions import FolderSettings, Function, Settings, define, define_in_folder
from faaskit.invoke import Invoker
from faaskit.resources.bucket import Bucket
from faaskit.resources.clock_correction import ClockCorrection
from faaskit.resources.dynamodb.table import Table
from faaskit.resources.eventbridge.bus import Bus
from faaskit.resources.kinesis.stream import Stream
from faaskit.resources.sqs.queue import Queue
from faaskit.resources.state import State
from faaskit.runtimes.contract import ServiceCall, ServiceReply

__all__ = ["Triggers"]

AnySource = KinesisSource | TableSource | QueueSource

_P = ParamSpec("_P")
_R = TypeVar("_R")
_F = TypeVar("_F")
_M = TypeVar("_M", bound=Function)


class Triggers(Resources):
    """
    The chapter of App on its functions and what invokes them.

    Args:
        name: The app's.
        region: Of the app.
        account: Of the app.
        state: The folder where events are kept; None: a temporary one.
        clock: Decides when they are due.
    """

    def __init__(
        self,
        name: str,
        *,
        region: str,
        account: str,
        state: str | os.PathLike[str] | None,
        clock: Clock,
    ) -> None:
        super().__init__(name, region, account)
        self._functions: dict[str, Function] = {}
        self._definitions: dict[str, int] = {}
        self._state = State(state, app=self.name)
        self._clock = clock
        self._correction = ClockCorrection(self._state, clock)
        self._queue = AsynchronousQueue(self._state, clock)
        self._triggers = BucketTriggers(self._queue, region=region, account=account)
        self._rules = Rules(self._queue, clock=clock, region=region, account=account)
        self._mappings = Registry(self._state, clock)
        self._schedules = Scheduler(self._queue, self._state, clock, region=region, account=account)

    @property
    @abstractmethod
    def invoker(self) -> Invoker:
        """What runs the app's functions."""

    @abstractmethod
    def start_services(self, function: Function) -> None:
        """Start what a function's calls may need, before its time counts."""

    @abstractmethod
    def serve(self, function: Function, call: ServiceCall, request_id: str) -> ServiceReply:
        """Answer a service call that a running function makes: by its role, and never raising."""

    @abstractmethod
    def send(self, function: Function, event: bytes) -> str:
        """Accept an asynchronous invocation; it is durable when this returns."""

    @overload
    def function(
        self, handler: Callable[_P, _R], /, **settings: Unpack[Settings]
    ) -> Function[_P, _R]: ...

    @overload
    def function(
        self, handler: None = None, /, **settings: Unpack[Settings]
    ) -> Callable[[Callable[_P, _R]], Function[_P, _R]]: ...

    def function(
        self, handler: Callable[..., Any] | None = None, /, **settings: Unpack[Settings]
    ) -> Any:
        """
        Make a handler a function of this app: ``@app.function`` or ``@app.function(…)``.

        Args:
            handler: What is decorated.
            settings: The parameters of ``faaskit.function``.

        Returns:
            The Function; without a handler, the decorator.

        Raises:
            DefinitionError: A parameter out of AWS's range; or the app has a function of
                that name, defined elsewhere.
        """
        return define(handler, owner=self, **settings)

    def add_function(
        self,
        name: str,
        *,
        code: str | os.PathLike[str],
        handler: str,
        **settings: Unpack[FolderSettings],
    ) -> Function:
        """
        Make a function of code that was written for AWS: a folder and a handler in it.

        Nothing of it is imported in this process: its INIT code runs in the sandbox alone,
        under the function's role.

        Args:
            name: Of the function.
            code: The folder; its modules come before those that are installed.
            handler: AWS's form: ``lambda_function.lambda_handler``, ``folder/module.function``.
            settings: The other parameters of ``faaskit.function``.

        Raises:
            DefinitionError: There is no such folder; a parameter out of AWS's range; or the
                app has a function of that name, defined elsewhere.
        """
        return define_in_folder(name, code, handler, owner=self, **settings)

    @property
    def functions(self) -> Mapping[str, Function]:
        """The app's functions, by name."""
        return MappingProxyType(self._functions)

    def adopt(self, function: Function) -> None:
        """
        Take a function in, under its name.

        Raises:
            DefinitionError: The name is another function's, of another module or place.
        """
        check_destinations(function)
        with self._lock:
            known = self._functions.get(function.name)
            if known is not None and _origin(known) != _origin(function):
                msg = (
                    f"App({self.name!r}) has a function {function.name!r} already, that of "
                    f"{_origin(known)}; this one is {_origin(function)}: pass name='…' to one"
                )
                raise DefinitionError(msg)
            if known is not function:
                self._definitions[function.name] = self._definitions.get(function.name, 0) + 1
            self._functions[function.name] = function

    def schedule(
        self,
        expression: str,
        *,
        name: str | None = None,
        timezone: str = "UTC",
        start: datetime | None = None,
        end: datetime | None = None,
        flexible_window: int | None = None,
        input: Any = None,  # noqa: A002 - AWS's word
        max_event_age: int = 86_400,
        dead_letter: Any = None,
    ) -> Callable[[_F], _F]:
        """
        Have a function invoked, asynchronously, by the clock.

        A decorator that goes on top of ``@app.function``, and returns the function.

        Args:
            expression: ``rate(5 minutes)``, ``cron(0 8 ? * MON-FRI *)`` or
                ``at(2026-01-01T08:00:00)``, as EventBridge takes them.
            name: Of the schedule, 1 to 64 of ``[0-9A-Za-z_.-]``; by default the function's.
                When it fired last is kept under its name.
            timezone: IANA's name; what ``cron`` and ``at`` are read in.
            start: It does not fire before; aware.
            end: It does not fire after; aware.
            flexible_window: Minutes within which an event is delivered, 1 to 1440.
            input: The event, anything that JSON has; by default EventBridge's "Scheduled
                Event". ``<aws.scheduler.scheduled-time>`` and its kin are replaced in it.
            max_event_age: What was missed while no process was up is delivered late, unless
                it is older than that, 60 to 86400 seconds.
            dead_letter: A queue, or its ARN, that gets the events of what was missed and is
                older, the latest 500 of them.

        Raises:
            DefinitionError: EventBridge does not take one of these; what is decorated is not
                a function of this app; or the name is another schedule's.
        """
        text = None if input is None else json.dumps(input)
        letter = ""
        if dead_letter is not None:
            letter = target_arn(dead_letter, f"dead_letter of schedule {expression!r}", ("queue",))

        def register(function: _F) -> _F:
            with self._lock:
                owner, definition = self._own(function, f"{expression!r}", "@app.schedule")
                chosen = name or self._schedules.free_name(owner, definition)
                schedule = Schedule(
                    name=chosen,
                    function=owner,
                    definition=definition,
                    expression=expression,
                    timezone=timezone,
                    start=start,
                    end=end,
                    flexible_window=flexible_window,
                    input=text,
                    max_event_age=max_event_age,
                    dead_letter=letter,
                )
                self._schedules.add(schedule)
            return function

        return register

    def add_bucket_trigger(
        self, bucket: Bucket, events: tuple[str, ...], *, prefix: str, suffix: str, function: Any
    ) -> None:
        """Have a function invoked for a bucket's events: what ``bucket.on`` does."""
        wanted = rule(events, prefix=prefix, suffix=suffix)
        with self._lock:
            name, definition = self._own(function, f"bucket {bucket.name!r}", "@bucket.on")
            self._triggers.add(bucket.name, wanted, name, definition)

    def mapped(self, resource: Stream | Table | Queue, **settings: Any) -> Callable[[_M], _M]:
        """Return a decorator that makes an event source mapping: ``stream.on_records``' work."""
        source, decorator = self._source_of(resource)
        chosen = declared(source.kind, resource.name, now=self._clock.now(), **settings)

        def register(function: _M) -> _M:
            with self._lock:
                who = f"{source.kind} {resource.name!r}"
                name, definition = self._own(function, who, decorator)
                if isinstance(resource, Queue):
                    _check_timeout(resource, function)
                self._mappings.add(source, name, chosen, definition)
            return function

        return register

    def ruled(self, bus: Bus, pattern: Any, **settings: Any) -> Callable[[_M], _M]:
        """Return a decorator that makes a rule whose target is a function: ``bus.on``'s work."""
        parsed = Pattern.parse(pattern)
        name = settings["name"]
        what = f"rule {name!r} of bus {bus.name!r}" if name else f"rule of bus {bus.name!r}"
        given = _input_of(what, settings)

        def register(function: _M) -> _M:
            with self._lock:
                owner, definition = self._own(function, f"bus {bus.name!r}", "@bus.on")
                chosen = name or self._rules.free_name(bus.name, owner, owner, definition)
                rule = Rule(chosen, bus.name, parsed, given, owner, definition)
                self._rules.add(rule)
            return function

        return register

    def route(self, bus: Bus, pattern: Any, **settings: Any) -> None:
        """Make a rule whose target is no function: ``bus.rule``'s work."""
        what = f"rule of bus {bus.name!r}"
        kinds = ("queue", "fifo", "stream", "topic", "bus")
        arn = target_arn(settings["target"], f"target of the {what}", kinds)
        group = settings["message_group_id"]
        if arn.endswith(".fifo") != bool(group):
            msg = f"{what}: message_group_id goes with a FIFO queue, and is needed there"
            raise DefinitionError(msg)
        given = _input_of(what, settings)
        if kind_of(arn) == "bus" and given != Input():
            msg = f"{what}: another bus gets the event as it is: no input, path or transformer"
            raise DefinitionError(msg)
        retries, age = retry_policy(what, settings["retry_attempts"], settings["max_event_age"])
        letter = settings["dead_letter"]
        if letter is not None:
            letter = target_arn(letter, f"dead_letter of the {what}", ("queue",))
        target = Target(arn, group_id=group, retries=retries, max_age=age, dead_letter=letter or "")
        with self._lock:
            last = re.split("[:/]", arn)[-1]
            name = settings["name"] or self._rules.free_name(bus.name, last, "", 0)
            self._rules.add(Rule(name, bus.name, Pattern.parse(pattern), given, target=target))

    def remote_queue(self, arn: str) -> RemoteQueue:
        """
        Return a queue that is not the app's own, for its messages to invoke functions.

        It is polled where the app's ``aws`` says. What S3 and EventBridge send to a queue of
        an account of yours comes in this way.

        Args:
            arn: ``arn:aws:sqs:REGION:ACCOUNT:NAME``.

        Raises:
            DefinitionError: It is no queue's ARN, or the app has no ``aws``.
        """
        self._refuse_nowhere(arn)
        return RemoteQueue(arn, self)

    def remote_stream(self, arn: str) -> RemoteStream:
        """
        Return a Kinesis stream that is not the app's own, for its records to invoke functions.

        It is read where the app's ``aws`` says.

        Args:
            arn: ``arn:aws:kinesis:REGION:ACCOUNT:stream/NAME``.

        Raises:
            DefinitionError: It is no stream's ARN, or the app has no ``aws``.
        """
        self._refuse_nowhere(arn)
        return RemoteStream(arn, self)

    def remote_table(self, arn: str) -> RemoteTable:
        """
        Return a DynamoDB table that is not the app's own, for its changes to invoke functions.

        Its stream is read where the app's ``aws`` says.

        Args:
            arn: ``arn:aws:dynamodb:REGION:ACCOUNT:table/NAME``: the latest stream of the table;
                or the ARN of one of its streams.

        Raises:
            DefinitionError: It is no table's ARN, or the app has no ``aws``.
        """
        self._refuse_nowhere(arn)
        return RemoteTable(arn, self)

    def _refuse_nowhere(self, arn: str) -> None:
        if not self.has_elsewhere:
            msg = (
                f"App({self.name!r}) has no place where {arn} could be: pass aws='profile:NAME', "
                "an endpoint, or 'moto'"
            )
            raise DefinitionError(msg)

    @property
    @abstractmethod
    def has_elsewhere(self) -> bool:
        """Whether service calls go anywhere that are about none of the app's own resources."""

    def mapped_remote(self, resource: Remote, **settings: Any) -> Callable[[_F], _F]:
        """Return a decorator that makes an event source mapping of a resource elsewhere."""
        kind = resource.kind
        chosen = declared(kind, resource.name, now=self._clock.now(), **settings)

        def register(function: _F) -> _F:
            with self._lock:
                who = f"{kind} {resource.arn!r}"
                name, definition = self._own(function, who, resource.decorator)
                source: Source
                if isinstance(resource, RemoteQueue):
                    source = RemoteQueueSource(resource.arn)
                else:
                    source = RemoteStreamSource(kind, resource.arn, name)
                self._mappings.add(source, name, chosen, definition)
            return function

        return register

    def _source_of(self, resource: Stream | Table | Queue) -> tuple[AnySource, str]:
        """Return what a mapping reads, and the decorator that it was named by."""
        place = {"name": resource.name, "arn": resource.arn, "region": self.region}
        if isinstance(resource, Stream):
            return KinesisSource(resource, **place), "@stream.on_records"
        if isinstance(resource, Queue):
            return QueueSource(resource, **place), "@queue.on_messages"
        if resource.settings.stream is None:
            msg = (
                f"table {resource.name!r} has no stream, so nothing tells of its changes: declare "
                "it with stream='NEW_AND_OLD_IMAGES'"
            )
            raise DefinitionError(msg)
        return TableSource(resource, **place), "@table.on_change"

    @property
    def mappings(self) -> tuple[EventSourceMapping, ...]:
        """The app's event source mappings, in the order in which they were declared."""
        return tuple(EventSourceMapping(one, self._mappings) for one in self._mappings.all)

    def _own(self, function: Any, who: str, decorator: str) -> tuple[str, int]:
        """Return the name of a function of this app, and the number of its definition."""
        name = getattr(function, "name", None)
        if not isinstance(name, str) or self._functions.get(name) is not function:
            what = getattr(function, "__qualname__", None) or repr(function)
            msg = (
                f"{what} is not a function of App({self.name!r}), so {who} can't invoke it: "
                f"put @app.function beneath {decorator}"
            )
            raise DefinitionError(msg)
        return name, self._definitions[name]


def _input_of(what: str, settings: Mapping[str, Any]) -> Input:
    return Input.declared(
        what,
        constant=settings["input"],
        path=settings["input_path"],
        transformer=settings["input_transformer"],
    )


def _check_timeout(queue: Queue, function: Function) -> None:
    visible, timeout = queue.settings.visibility_timeout, function.config.timeout
    if visible < timeout:
        msg = (
            f"Queue visibility timeout: {visible} seconds is less than Function timeout: {timeout} "
            f"seconds: queue {queue.name!r} would show a message again while function "
            f"{function.name!r} is at it"
        )
        raise DefinitionError(msg)


def _origin(function: Function) -> str:
    """Return where a function was defined, as ``module.qualified.name``."""
    # A handler need not be a def: what calls itself nothing goes by the function's name.
    return f"{function.__module__}.{getattr(function, '__qualname__', function.name)}"
