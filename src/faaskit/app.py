"""App: ties functions, resources and triggers together, and delivers their events."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import signal
import threading
import weakref
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Any, ParamSpec, TypeVar, overload

from attrs import evolve
from typing_extensions import Self, Unpack

from faaskit.aws.clients import Clients
from faaskit.aws.places import elsewhere
from faaskit.clock import Clock, SystemClock
from faaskit.events.asynchronous import AsynchronousQueue, DeadEvent, PendingEvent
from faaskit.events.delivery import Deliverer
from faaskit.events.notifications import BucketTriggers
from faaskit.events.s3 import rule
from faaskit.events.scheduler import Schedule, Scheduler
from faaskit.events.schedules import next_fire
from faaskit.exceptions import DefinitionError, FaaskitError
from faaskit.functions import FolderSettings, Function, Settings, define, define_in_folder
from faaskit.gate.ask import ask
from faaskit.gate.gate import Gate, Principal
from faaskit.gate.invoking import LambdaService
from faaskit.gate.resource_policies import ResourcePolicies
from faaskit.gate.service import Caller, Refusal
from faaskit.gate.sessions import Sessions
from faaskit.gate.sts import StsService
from faaskit.iam.policies import Policy, PolicyLike
from faaskit.iam.roles import Role
from faaskit.iam.statements import HasArn
from faaskit.iam.suggestion import Suggestion, suggest
from faaskit.invoke import Invocation, Invoker
from faaskit.names import (
    DEFAULT_ACCOUNT,
    DEFAULT_REGION,
    validate_account,
    validate_function_name,
    validate_region,
)
from faaskit.resources.access import AccessRecord
from faaskit.resources.bucket import Bucket
from faaskit.resources.dynamodb.definition import KeyLike, StreamView, TableSettings, declared
from faaskit.resources.dynamodb.service import DynamoDbService
from faaskit.resources.dynamodb.table import Table
from faaskit.resources.eventbridge.bus import Bus
from faaskit.resources.eventbridge.service import EventsService
from faaskit.resources.kinesis.service import KinesisService
from faaskit.resources.kinesis.settings import StreamSettings
from faaskit.resources.kinesis.stream import Stream
from faaskit.resources.s3.service import S3Service
from faaskit.resources.sqs.queue import Queue
from faaskit.resources.sqs.service import SqsService
from faaskit.resources.sqs.settings import QueueSettings
from faaskit.resources.state import State
from faaskit.runtimes.contract import ServiceCall, ServiceReply
from faaskit.runtimes.link import current_link

__all__ = ["App"]

_log = logging.getLogger(__name__)

_P = ParamSpec("_P")
_R = TypeVar("_R")
_D = TypeVar("_D", Queue, Stream)
_F = TypeVar("_F")

_CONCURRENCY = 16

# Every App of this process that is alive, by a key of its own: two may have one name.
_apps: weakref.WeakValueDictionary[str, App] = weakref.WeakValueDictionary()


class App:
    """
    Functions, resources and triggers that belong together.

    Making one opens nothing and starts nothing. What is put into its resources, and the
    events that follow from it, are kept in the state folder, durably; nothing is delivered
    until ``run``, ``running`` or ``drain``. Inside a function an App is a reference: its
    resources ask the gate, and it can't be run.

    Args:
        name: Like a function's: 1 to 64 of ``[a-zA-Z0-9-_]``. A state folder is one App's.
        state: The state folder; two processes may share it. None: a temporary one, gone
            at close or at the end of the program.
        region: In ARNs, events and conditions.
        account: In ARNs, events and conditions: 12 digits.
        clock: Decides when events are due; None is the host's.
        aws: Where service calls go that are about none of the app's own resources: ``moto``
            (its server, started for the app), an endpoint such as
            ``http://127.0.0.1:5000`` (LocalStack, moto's server), or ``profile:NAME`` (real
            AWS). None: they fail. Extra ``aws``, or ``moto``.

    Raises:
        DefinitionError: A name, region or account that AWS does not take, a state folder
            without a name, or an ``aws`` that is no place.
    """

    def __init__(
        self,
        name: str,
        *,
        state: str | os.PathLike[str] | None = None,
        region: str = DEFAULT_REGION,
        account: str = DEFAULT_ACCOUNT,
        clock: Clock | None = None,
        aws: str | None = None,
    ) -> None:
        self.name = validate_function_name(name)
        self.region = validate_region(region)
        self.account = validate_account(account)
        self._clock = SystemClock() if clock is None else clock
        self._lock = threading.RLock()
        self._functions: dict[str, Function] = {}
        self._definitions: dict[str, int] = {}
        self._buckets: dict[str, Bucket] = {}
        self._tables: dict[str, Table] = {}
        self._queues: dict[str, Queue] = {}
        self._streams: dict[str, Stream] = {}
        self._buses: dict[str, Bus] = {}
        self._invoker: Invoker | None = None
        self._closed = False
        self._state = State(state, app=self.name)
        self._queue = AsynchronousQueue(self._state, self._clock)
        self._triggers = BucketTriggers(self._queue, region=region, account=account)
        self._schedules = Scheduler(
            self._queue, self._state, self._clock, next_fire, region=region, account=account
        )
        self._roles: dict[str, Role] = {}
        self._sessions = Sessions()
        self._policies = ResourcePolicies(self._trust_of)
        self._elsewhere = None if aws is None else elsewhere(aws, region=region, account=account)
        kinesis = KinesisService(
            self._state, streams=self._streams, clock=self._clock, region=region, account=account
        )

        def resolve(kind: str, value: str) -> str | None:
            if kind == "stream":
                return kinesis.stream_of(value)
            return next(
                (
                    table.settings.partition.name
                    for table in list(self._tables.values())
                    if table.arn == value.partition("/index/")[0]
                ),
                None,
            )

        self._gate = Gate(
            LambdaService(self._functions.get, region=region, account=account),
            S3Service(
                self._state,
                buckets=self._buckets,
                listener=self._triggers,
                clock=self._clock,
                region=region,
            ),
            StsService(self._role_of, sessions=self._sessions, clock=self._clock),
            DynamoDbService(
                self._state,
                tables=self._tables,
                clock=self._clock,
                region=region,
                account=account,
            ),
            SqsService(
                self._state,
                queues=self._queues,
                clock=self._clock,
                region=region,
                account=account,
            ),
            kinesis,
            EventsService(
                self._state,
                buses=self._buses,
                clock=self._clock,
                region=region,
                account=account,
            ),
            clock=self._clock,
            region=region,
            account=account,
            policy_of=self._policies.of,
            elsewhere=self._elsewhere,
            resolve=resolve,
        )
        self._clients = Clients(self.perform, region=region)
        self._deliverer: Deliverer[Function, Invocation] = Deliverer(
            self._queue,
            lambda: self._state.changes,
            functions=lambda: dict(self._functions),
            invoke=self._invoke,
            clock=self._clock,
            timed=(self._schedules,),
        )
        self._access = AccessRecord(self._state, self._clock)
        self._key = os.urandom(16).hex()
        _apps[self._key] = self

    def __repr__(self) -> str:
        return f"App({self.name!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        # By name: an App that travels is a reference, and carries no connection.
        return _app_of, (self._key, self.name, self.region, self.account)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # --- what belongs to it -------------------------------------------------------------

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

    def bucket(self, name: str) -> Bucket:
        """
        Return the bucket of that name; it is there from now on, and the same each time.

        Raises:
            DefinitionError: S3 does not take such a name.
        """
        with self._lock:
            bucket = self._buckets.get(name)
            if bucket is None:
                bucket = self._buckets[name] = Bucket(name, self)
            return bucket

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

        Raises:
            DefinitionError: EventBridge does not take one of these; what is decorated is not
                a function of this app; or the name is another schedule's.
        """
        text = None if input is None else json.dumps(input)

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
                )
                self._schedules.add(schedule)
            return function

        return register

    def table(
        self,
        name: str,
        *,
        partition_key: KeyLike | None = None,
        sort_key: KeyLike | None = None,
        stream: StreamView | None = None,
    ) -> Table:
        """
        Return the table of that name; it is there from now on, and the same each time.

        Args:
            name: 3 to 255 of ``[a-zA-Z0-9_.-]``.
            partition_key: The attribute that tells items apart: its name, or a pair of name
                and type, such as ``("id", "N")``. Types are ``S`` (text, the default), ``N``
                (numbers) and ``B`` (bytes). Without it, the table is looked up.
            sort_key: The attribute that orders items of one partition key.
            stream: What is kept of each change, for 24 hours: ``KEYS_ONLY``, ``NEW_IMAGE``,
                ``OLD_IMAGE`` or ``NEW_AND_OLD_IMAGES``. None: nothing.

        Raises:
            DefinitionError: DynamoDB does not take such a name, key or stream; the app has a
                table of that name that is declared otherwise; or none, and no
                ``partition_key`` is given.
        """
        if partition_key is not None:
            return self.table_of(name, declared(name, partition_key, sort_key, stream))
        known = self._tables.get(name)
        if known is None or sort_key is not None or stream is not None:
            msg = (
                f"App({self.name!r}) has no table {name!r} yet: declare it with its "
                "partition_key, such as partition_key='id'"
                if known is None
                else f"table {name!r}: pass partition_key, too, or nothing to look it up"
            )
            raise DefinitionError(msg)
        return known

    def table_of(self, name: str, settings: TableSettings) -> Table:
        """Return the table of that name, with those settings: what ``table`` does."""
        with self._lock:
            table = self._tables.get(name)
            if table is None:
                table = self._tables[name] = Table(name, self, settings)
            elif table.settings != settings:
                msg = (
                    f"App({self.name!r}) has {table!r} with other settings already: "
                    f"{table.settings}, not {settings}; declare it once, or pass no settings to "
                    "look it up"
                )
                raise DefinitionError(msg)
            return table

    def add_role(self, role: Role) -> Role:
        """
        Have a role be one of the app's: functions may assume it, if it and theirs allow that.

        The roles of the app's functions are known by themselves.

        Args:
            role: Takes the place of an earlier one of its ARN.
        """
        with self._lock:
            self._roles[role.arn] = role
        return role

    def client(self, service: str, **settings: Any) -> Any:
        """
        Return a boto3 client of the owner's: for set-up and assertions. Extra ``aws``.

        Its calls go where those of functions go, the app's own resources first, and nothing is
        asked of a role.

        Args:
            service: Such as ``s3``.
            settings: boto3's.

        Raises:
            MissingExtraError: boto3 is not installed.
            FaaskitError: Inside a function, where ``boto3.client`` is at hand.
        """
        self._refuse_inside("client()")
        return self._clients.client(service, **settings)

    def resource(self, service: str, **settings: Any) -> Any:
        """
        Return a boto3 resource of the owner's; as ``client``.

        Args:
            service: Such as ``dynamodb``.
            settings: boto3's.
        """
        self._refuse_inside("resource()")
        return self._clients.resource(service, **settings)

    def set_resource_policy(self, resource: HasArn, policy: PolicyLike | None) -> None:
        """
        Give a resource a policy of its own: who may do what with it, of this account or another.

        Args:
            resource: One of the app's: a bucket (its objects are meant, too), a queue, a
                function.
            policy: A Policy, a document or its JSON, with principals; None takes it away.

        Raises:
            DefinitionError: IAM does not take it, or not on a resource.
        """
        self._policies.attach(resource.arn, policy)

    def queue(
        self,
        name: str,
        *,
        delay_seconds: int | None = None,
        visibility_timeout: int | None = None,
        retention_seconds: int | None = None,
        receive_wait_seconds: int | None = None,
        max_message_bytes: int | None = None,
        content_based_deduplication: bool | None = None,
        dead_letter: Queue | None = None,
        max_receive_count: int | None = None,
    ) -> Queue:
        """
        Return the queue of that name; it is there from now on, and the same each time.

        Args:
            name: 1 to 80 of ``[a-zA-Z0-9-_]``; a FIFO queue's ends in ``.fifo``.
            delay_seconds: How long a new message can't be received: 0 to 900, default 0.
            visibility_timeout: For how long a message that was received is hidden: 0 to 43200
                seconds, default 30.
            retention_seconds: After which a message is thrown away: 60 to 1209600, default
                345600, four days.
            receive_wait_seconds: How long a receive waits that does not say: 0 to 20, default 0.
            max_message_bytes: Body and attributes: 1024 to 1048576, which is the default.
            content_based_deduplication: Of a FIFO queue: a body that was sent in the last five
                minutes is a duplicate.
            dead_letter: A queue of this app, of the same kind, for what was received
                ``max_receive_count`` times and not deleted.
            max_receive_count: 1 to 1000; with ``dead_letter``.

        Raises:
            DefinitionError: SQS does not take such a name or setting; the app has a queue of
                that name with other settings; or ``dead_letter`` is not one of the app's.
        """
        if dead_letter is not None and self._queues.get(dead_letter.name) is not dead_letter:
            msg = f"queue {name!r}: dead_letter {dead_letter!r} is not a queue of {self!r}"
            raise DefinitionError(msg)
        given = {
            "delay_seconds": delay_seconds,
            "visibility_timeout": visibility_timeout,
            "retention_seconds": retention_seconds,
            "receive_wait_seconds": receive_wait_seconds,
            "max_message_bytes": max_message_bytes,
            "content_based_deduplication": content_based_deduplication,
            "dead_letter": None if dead_letter is None else dead_letter.arn,
            "max_receive_count": max_receive_count,
        }
        return self._declared(self._queues, Queue, name, QueueSettings(), given)

    def stream(
        self,
        name: str,
        *,
        shards: int | None = None,
        retention_hours: int | None = None,
        max_record_kib: int | None = None,
    ) -> Stream:
        """
        Return the stream of that name; it is there from now on, and the same each time.

        Args:
            name: 1 to 128 of ``[a-zA-Z0-9_.-]``.
            shards: How many; what has one partition key is in one shard, in order. 1 to 1000,
                default 1.
            retention_hours: After which a record is thrown away: 24 to 8760, default 24.
            max_record_kib: Data and partition key of a record: 1024 to 10240, default 1024.

        Raises:
            DefinitionError: Kinesis does not take such a name or setting; or the app has a
                stream of that name with other settings.
        """
        given = {
            "shards": shards,
            "retention_hours": retention_hours,
            "max_record_kib": max_record_kib,
        }
        return self._declared(self._streams, Stream, name, StreamSettings(), given)

    def bus(self, name: str = "default") -> Bus:
        """
        Return the event bus of that name; it is there from now on, and the same each time.

        Args:
            name: 1 to 256 of ``[/.-_A-Za-z0-9]``, not beginning with ``aws.``.

        Raises:
            DefinitionError: EventBridge does not take such a name.
        """
        with self._lock:
            bus = self._buses.get(name)
            if bus is None:
                bus = self._buses[name] = Bus(name, self)
            return bus

    @property
    def functions(self) -> Mapping[str, Function]:
        """The app's functions, by name."""
        return MappingProxyType(self._functions)

    @property
    def buckets(self) -> Mapping[str, Bucket]:
        """The app's buckets, by name."""
        return MappingProxyType(self._buckets)

    @property
    def tables(self) -> Mapping[str, Table]:
        """The app's tables, by name."""
        return MappingProxyType(self._tables)

    @property
    def queues(self) -> Mapping[str, Queue]:
        """The app's queues, by name."""
        return MappingProxyType(self._queues)

    @property
    def streams(self) -> Mapping[str, Stream]:
        """The app's streams, by name."""
        return MappingProxyType(self._streams)

    @property
    def buses(self) -> Mapping[str, Bus]:
        """The app's event buses, by name."""
        return MappingProxyType(self._buses)

    @property
    def invoker(self) -> Invoker:
        """
        What runs the app's functions; made at first use, closed with the app.

        Raises:
            FaaskitError: Inside a function; or the app is closed.
        """
        self._refuse_inside("invoker")
        with self._lock:
            self._refuse_closed()
            if self._invoker is None:
                self._invoker = Invoker()
            return self._invoker

    # --- delivery -----------------------------------------------------------------------

    def run(
        self,
        *,
        concurrency: int = _CONCURRENCY,
        on_delivery: Callable[[Invocation], object] | None = None,
    ) -> None:
        """
        Deliver events until Ctrl-C or SIGTERM, then finish those under way.

        A second Ctrl-C hands these back, to be delivered again, and goes on up.

        Args:
            concurrency: How many deliveries at once, at the most.
            on_delivery: Called with each Invocation, in the thread that delivered it. Each
                is in the log, too, at level INFO.

        Raises:
            FaaskitError: Inside a function; or the app is running already.
        """
        self._refuse_inside("run()")
        if self._state.temporary:
            _log.warning(
                "App %r keeps its state in a temporary folder, gone when it closes; pass "
                "state='…' to App to keep what is not delivered",
                self.name,
            )
        over = threading.Event()
        with _on_sigterm(over.set), self.running(concurrency, on_delivery):
            try:
                over.wait()
            except KeyboardInterrupt:
                _log.info("finishing the deliveries under way; Ctrl-C again hands them back")

    @contextlib.contextmanager
    def running(
        self,
        concurrency: int = _CONCURRENCY,
        on_delivery: Callable[[Invocation], object] | None = None,
    ) -> Iterator[App]:
        """
        Deliver events in the background inside the ``with`` block.

        At its end, no more are begun, and those under way are waited for.

        Args:
            concurrency: How many at once, at the most.
            on_delivery: Called with each Invocation, in the thread that delivered it.

        Raises:
            FaaskitError: Inside a function; or the app is closed, or running already.
        """
        self._refuse_inside("running()")
        self._refuse_closed()

        def tell(invocation: Invocation) -> None:
            _log.info(
                "delivered %s to %s: %s",
                invocation.request_id,
                invocation.function_name,
                invocation.status,
            )
            if on_delivery is not None:
                on_delivery(invocation)

        self._deliverer.start(concurrency, tell)
        try:
            yield self
        finally:
            self._deliverer.stop()

    def drain(self) -> list[Invocation]:
        """
        Deliver all that is due, one after another, until nothing is.

        By due time, then in the order in which it was accepted. What the deliveries cause
        themselves is delivered, too, if it is due; a trigger that feeds itself never ends.

        Returns:
            The invocations, in order, failed ones too.

        Raises:
            FaaskitError: Inside a function.
        """
        self._refuse_inside("drain()")
        return self._deliverer.drain()

    def pending(self) -> list[PendingEvent]:
        """Return the asynchronous invocations that are not done, in the order they are due."""
        self._refuse_inside("pending()")
        return self._queue.pending()

    def dead(self) -> list[DeadEvent]:
        """Return the asynchronous invocations that were given up, the latest last."""
        self._refuse_inside("dead()")
        return self._queue.dead()

    def suggest_policy(self, function: Function) -> Suggestion:
        """
        Return what a function's role should allow, going by what it asked for.

        Its calls of this program count, and those of earlier ones that had the same state
        folder.

        Args:
            function: One of this app's.

        Returns:
            The smallest policy that covers what was seen, and what the role allows that
            nothing used.

        Raises:
            FaaskitError: Inside a function.
        """
        self._refuse_inside("suggest_policy()")
        return suggest(self._access.asked(function.name), function.role.policies)

    def close(self) -> None:
        """
        Finish what is under way, end every process, close the state; twice is no error.

        Raises:
            FaaskitError: Inside a function; or called by ``on_delivery``.
        """
        self._refuse_inside("close()")
        self._deliverer.stop()
        with self._lock:
            self._closed = True  # before: an invoker made from here on would never be closed
            invoker, self._invoker = self._invoker, None
        if invoker is not None:
            invoker.close()
        if self._elsewhere is not None:
            self._elsewhere.close()
        self._access.write()
        self._state.close()

    # --- what its functions and resources ask of it -------------------------------------

    def adopt(self, function: Function) -> None:
        """
        Take a function in, under its name.

        Raises:
            DefinitionError: The name is another function's, of another module or place.
        """
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

    def add_bucket_trigger(
        self, bucket: Bucket, events: tuple[str, ...], *, prefix: str, suffix: str, function: Any
    ) -> None:
        """Have a function invoked for a bucket's events: what ``bucket.on`` does."""
        wanted = rule(events, prefix=prefix, suffix=suffix)
        with self._lock:
            name, definition = self._own(function, f"bucket {bucket.name!r}", "@bucket.on")
            self._triggers.add(bucket.name, wanted, name, definition)

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

    def serve(self, function: Function, call: ServiceCall, request_id: str) -> ServiceReply:  # noqa: ARG002
        """
        Answer a service call that a running function makes: by its role, and never raising.

        Args:
            function: Whose role decides.
            call: Not trusted.
            request_id: Of the invocation that makes the call.
        """
        try:
            principal = self._principal(function, call)
        except Refusal as refusal:
            return ServiceReply(failure=refusal.failure)
        reply = self._gate.serve(principal, call)
        self._access.note(function.name, reply.permissions)
        return reply

    def _principal(self, function: Function, call: ServiceCall) -> Principal:
        if call.session:
            principal = self._sessions.find(call.session, self._clock.now())
            # The role as it is by now: a session outlives changes of its role's policies.
            role = self._role_of(principal.role.arn) or principal.role
            return evolve(principal, role=role)
        return Principal(function.role, function.name, function.arn)

    def perform(self, call: ServiceCall) -> ServiceReply:
        """Carry out a service call of the app itself, which may do anything."""
        root = f"arn:aws:iam::{self.account}:root"
        return self._gate.perform(call, Caller(self.account, arn=root, account=self.account))

    def _role_of(self, arn: str) -> Role | None:
        """Return the role of an ARN: one that was added, or a function's."""
        with self._lock:
            every = [*self._roles.values(), *(one.role for one in self._functions.values())]
        return next((role for role in every if role.arn == arn), None)

    def _trust_of(self, arn: str) -> Policy | None:
        role = self._role_of(arn)
        return None if role is None else role.trust

    def send(self, function: Function, event: bytes) -> str:
        """
        Accept an asynchronous invocation; it is durable when this returns.

        Args:
            function: One of this app's.
            event: JSON, up to 1 MB.

        Returns:
            The request id, the same for every attempt.

        Raises:
            PayloadError: It is larger.
            DefinitionError: The function is not the app's, but one made of it.
        """
        if current_link() is None:
            if self._functions.get(function.name) is not function:
                msg = (
                    f"{function!r} is not the one that App({self.name!r}) has under its name, so "
                    "an event for it would go to another one; send it to that one, or invoke "
                    "this one"
                )
                raise DefinitionError(msg)
            return self._queue.send(function.name, event)
        parameters = {"FunctionName": function.name, "InvocationType": "Event"}
        output = ask(self, "lambda", "Invoke", parameters, event).output
        return str(output["ResponseMetadata"]["RequestId"])

    def _invoke(self, function: Function, event: Any, request_id: str) -> Invocation:
        return self.invoker.invoke(function, event, request_id=request_id)

    def _declared(
        self,
        known: dict[str, _D],
        make: Callable[[str, App, Any], _D],
        name: str,
        defaults: Any,
        given: Mapping[str, object],
    ) -> _D:
        """
        Return the resource of a name, made with what was given at first.

        Without settings it is looked up; what was given must be what it was made with.
        """
        chosen = {setting: value for setting, value in given.items() if value is not None}
        settings = evolve(defaults, **chosen)
        with self._lock:
            resource = known.get(name)
            if resource is None:
                resource = known[name] = make(name, self, settings)
            elif chosen and resource.settings != settings:
                msg = (
                    f"App({self.name!r}) has {resource!r} with other settings already: "
                    f"{resource.settings}, not {settings}; declare it once, or pass no settings "
                    "to look it up"
                )
                raise DefinitionError(msg)
            return resource

    def _refuse_closed(self) -> None:
        if self._closed:
            msg = f"App({self.name!r}) is closed: make a new App to go on"
            raise FaaskitError(msg)

    def _refuse_inside(self, what: str) -> None:
        if current_link() is not None:
            msg = (
                f"App({self.name!r}).{what} is for the program that owns the app; inside a "
                "function the app is a reference: use its resources, or function.invoke()"
            )
            raise FaaskitError(msg)


class _Reference(App):
    """An App that came by name to a process that is neither its own nor one of its functions'."""

    def perform(self, call: ServiceCall) -> ServiceReply:  # noqa: ARG002
        raise FaaskitError(self._explanation())

    def send(self, function: Function, event: bytes) -> str:
        if current_link() is None:
            raise FaaskitError(self._explanation())
        return super().send(function, event)

    def _refuse_inside(self, what: str) -> None:
        super()._refuse_inside(what)
        raise FaaskitError(self._explanation())

    def _explanation(self) -> str:
        return (
            f"App({self.name!r}) came to this process by pickle, as a name: import the module "
            "that makes it instead, with state='…' to share what it holds"
        )


def _app_of(key: str, name: str, region: str, account: str) -> App:
    """Return the App itself where it is, elsewhere a reference to it."""
    app = _apps.get(key)
    return _Reference(name, region=region, account=account) if app is None else app


def _origin(function: Function) -> str:
    """Return where a function was defined, as ``module.qualified.name``."""
    # A handler need not be a def: what calls itself nothing goes by the function's name.
    return f"{function.__module__}.{getattr(function, '__qualname__', function.name)}"


@contextlib.contextmanager
def _on_sigterm(stop: Callable[[], None]) -> Iterator[None]:
    """Have SIGTERM call something, where this thread may decide on signals."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, lambda *_: stop())
    try:
        yield
    finally:
        # None: it was set by something that is not Python, and can't be set again from here.
        signal.signal(signal.SIGTERM, signal.SIG_DFL if before is None else before)
