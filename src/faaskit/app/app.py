"""App: ties functions, resources and triggers together, and delivers their events."""

from __future__ import annotations

import contextlib
import logging
import os
import threading
import weakref
from collections.abc import Callable, Iterator
from typing import Any

from attrs import evolve
from typing_extensions import Self

from faaskit.app.reading import Permitted
from faaskit.app.signals import on_sigterm
from faaskit.app.triggers import Triggers
from faaskit.aws.clients import Clients
from faaskit.aws.places import elsewhere, services_of
from faaskit.clock import Clock, SystemClock
from faaskit.events.asynchronous import DeadEvent, PendingEvent
from faaskit.events.attempts import Attempts
from faaskit.events.delivery import Deliverer
from faaskit.events.mappings.polling import QueueMappings
from faaskit.events.mappings.reader import Reader
from faaskit.events.mappings.remote.queues import RemoteQueues
from faaskit.events.mappings.remote.streams import RemoteStreams
from faaskit.events.mappings.streams import StreamMappings
from faaskit.events.targets import Parcel
from faaskit.events.watching import EventStatus, statuses
from faaskit.exceptions import DefinitionError, FaaskitError
from faaskit.functions import Function
from faaskit.gate.ask import ask
from faaskit.gate.gate import Gate, Principal
from faaskit.gate.invoking import LambdaService
from faaskit.gate.resource_policies import ResourcePolicies
from faaskit.gate.service import Caller, Refusal
from faaskit.gate.sessions import Sessions
from faaskit.gate.sts import StsService
from faaskit.iam.policies import Policy, PolicyLike
from faaskit.iam.roles import Role
from faaskit.iam.statements import HasArn, allow
from faaskit.iam.suggestion import Suggestion, suggest
from faaskit.invoke import Invocation, Invoker
from faaskit.names import DEFAULT_ACCOUNT, DEFAULT_REGION
from faaskit.resources.access import AccessRecord
from faaskit.resources.dynamodb.service import DynamoDbService
from faaskit.resources.eventbridge.service import EventsService
from faaskit.resources.history import History, PastInvocation
from faaskit.resources.kinesis.service import KinesisService
from faaskit.resources.s3.service import S3Service
from faaskit.resources.sqs.service import SqsService
from faaskit.runtimes.contract import ServiceCall, ServiceReply
from faaskit.runtimes.link import current_link

__all__ = ["App"]

_log = logging.getLogger(__name__)

_CONCURRENCY = 16

# Every App of this process that is alive, by a key of its own: two may have one name.
_apps: weakref.WeakValueDictionary[str, App] = weakref.WeakValueDictionary()


class App(Triggers):
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
        chosen = SystemClock() if clock is None else clock
        super().__init__(name, region=region, account=account, state=state, clock=chosen)
        self._invoker: Invoker | None = None
        self._closed = False
        self._roles: dict[str, Role] = {}
        self._sessions = Sessions()
        self._policies = ResourcePolicies(self._trust_of)
        self._elsewhere = None if aws is None else elsewhere(aws, region=region, account=account)
        self._started: dict[str, Role] = {}  # by function
        self._gate = self._make_gate()
        self._clients = Clients(self.perform, region=region)
        attempts: Attempts[Function, Invocation] = Attempts(
            self._queue,
            functions=lambda: dict(self._functions),
            invoke=self._invoke,
            forward=self._forward,
            clock=self._clock,
        )
        reader: Reader[Function, Invocation] = Reader(
            registry=self._mappings,
            state=self._state,
            functions=lambda: dict(self._functions),
            invoke=self._invoke,
            permitted=Permitted().may_read,
            clock=self._clock,
        )
        self._stream_mappings = streams = StreamMappings(reader, self._queue)
        queues = QueueMappings(reader, self._queue)
        remote_queues = RemoteQueues(reader, self.perform)
        remote_streams = RemoteStreams(reader, self.perform, streams.look)
        self._deliverer: Deliverer[Invocation] = Deliverer(
            (attempts, streams, queues, remote_queues, remote_streams),
            lambda: self._state.changes,
            clock=self._clock,
            timed=(self._correction, self._schedules),
        )
        self._access = AccessRecord(self._state, self._clock)
        self._history = History(self._state, self._clock)
        self._key = os.urandom(16).hex()
        _apps[self._key] = self

    def _make_gate(self) -> Gate:
        state = self._state
        place: dict[str, str] = {"region": self.region, "account": self.account}
        at: dict[str, Any] = {"clock": self._clock, **place}
        kinesis = KinesisService(state, streams=self._streams, **at)
        tables = DynamoDbService(state, tables=self._tables, **at)

        def resolve(kind: str, value: str) -> str | None:
            return kinesis.stream_of(value) if kind == "stream" else tables.partition_of(value)

        return Gate(
            LambdaService(self._functions.get, **place),
            S3Service(
                state,
                buckets=self._buckets,
                listener=self._triggers,
                clock=self._clock,
                region=self.region,
            ),
            StsService(self._role_of, sessions=self._sessions, clock=self._clock),
            tables,
            SqsService(state, queues=self._queues, correct=self._correction.look, **at),
            kinesis,
            EventsService(state, buses=self._buses, listener=self._rules, **at),
            policies=self._policies,
            elsewhere=self._elsewhere,
            resolve=resolve,
            **at,
        )

    def __reduce__(self) -> tuple[Any, ...]:
        # By name: an App that travels is a reference, and carries no connection.
        return _app_of, (self._key, self.name, self.region, self.account)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def has_elsewhere(self) -> bool:
        """Whether service calls go anywhere that are about none of the app's own resources."""
        return self._elsewhere is not None

    # --- what belongs to it -------------------------------------------------------------

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
                self._invoker.on_end = self._history.note
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
            SandboxError: This host can't enforce a limit of one of its functions.
        """
        self._refuse_inside("run()")
        if self._state.temporary:
            _log.warning(
                "App %r keeps its state in a temporary folder, gone when it closes; pass "
                "state='…' to App to keep what is not delivered",
                self.name,
            )
        over = threading.Event()
        with on_sigterm(over.set), self.running(concurrency, on_delivery):
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
            SandboxError: This host can't enforce a limit of one of its functions; before any
                event is delivered.
        """
        self._refuse_inside("running()")
        self._refuse_closed()
        for function in list(self._functions.values()):
            self.invoker.check(function)

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

    @property
    def events(self) -> list[EventStatus]:
        """What is queued, in flight or tried again, in the order it is due; then the dead."""
        self._refuse_inside("events")
        return statuses(self._queue.pending(), self._stream_mappings.retrying(), self._queue.dead())

    @property
    def invocations(self) -> list[PastInvocation]:
        """
        The invocations that ended, with their logs, the latest last.

        Those of earlier programs, too, of up to a week and 64 MB; of an app with a temporary
        state folder none are kept.
        """
        self._refuse_inside("invocations")
        return list(self._history.read())

    @property
    def history(self) -> History:
        """Where the invocations that ended are kept: for what follows them as they come."""
        return self._history

    def redrive(self, dead: DeadEvent) -> str:
        """
        Have an event that was given up delivered again, with all its attempts anew.

        Args:
            dead: One of ``dead()``.

        Returns:
            Its new request id.

        Raises:
            FaaskitError: It is not among the dead any more; or inside a function.
        """
        self._refuse_inside("redrive()")
        request_id = self._queue.redrive(dead)
        if request_id is None:
            msg = (
                f"event {dead.request_id} is not among those that App({self.name!r}) gave up: it "
                "was redriven already, or is older than the last 1,000"
            )
            raise FaaskitError(msg)
        return request_id

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
        if self._elsewhere is not None:
            self._elsewhere.cancel_start()  # an invocation that waits for it would be waited for
        if invoker is not None:
            invoker.close()
        if self._elsewhere is not None:
            self._elsewhere.close()
        self._access.write()
        self._history.close()
        self._state.close()

    # --- what its functions and resources ask of it -------------------------------------

    def start_services(self, function: Function) -> None:
        """
        Start what a function's calls may need elsewhere: on nobody's time, before its INIT.

        Args:
            function: Whose role says which services.

        Raises:
            MissingExtraError: An extra that ``aws`` needs is not installed.
            SandboxError: moto's server does not start.
        """
        if self._elsewhere is None or self._started.get(function.name) is function.role:
            return
        self._elsewhere.start(services_of(function.role))
        self._started[function.name] = function.role

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

    def _forward(self, function: str, parcel: Parcel) -> ServiceReply:
        """Send a record to a destination: under the role of the function that it is about."""
        owner = self._functions.get(function)
        if owner is None:
            return self.perform(parcel.call)
        # To name a destination allows it, as AWS CDK does; a Deny or a boundary still holds.
        role = owner.role.with_statements(allow(parcel.action, on=parcel.resource))
        return self._gate.serve(Principal(role, owner.name, owner.arn), parcel.call)

    def _invoke(self, function: Function, event: Any, request_id: str) -> Invocation:
        return self.invoker.invoke(function, event, request_id=request_id)

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
