"""An association that a peer asked us for: admission, negotiation, one request after the other."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import zlib
from collections import deque
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import structlog
from pynetdicom import evt
from pynetdicom.ae import ApplicationEntity

from gateway.common.completion import Completion
from gateway.dimse.acceptor.admission import (
    APPLICATION_CONTEXT_NOT_SUPPORTED,
    NO_REASON,
    PERMANENT,
    PROVIDER_PRESENTATION,
    SERVICE_USER,
    TEMPORARY_CONGESTION,
    TRANSIENT,
    Admitted,
    Rejected,
)
from gateway.dimse.acceptor.handler_failures import HandlerFailures
from gateway.dimse.acceptor.handler_thread import Handlers, HandlerThread
from gateway.dimse.acceptor.identity_check import VerifyIdentity, positive_response, verified_identity
from gateway.dimse.acceptor.negotiation import NegotiationResult, Policy, answer_extended, encode_accept, negotiate
from gateway.dimse.protocol.assembly import Message
from gateway.dimse.protocol.associate_request import (
    APPLICATION_CONTEXT_NAME,
    AssociateHead,
    AssociateRequest,
    MalformedAssociate,
    head,
    parse,
)
from gateway.dimse.protocol.association import Association, AssociationEnded
from gateway.dimse.protocol.cancellation import OperationScope
from gateway.dimse.protocol.connection import ReadingHeld
from gateway.dimse.protocol.context import AcceptedContext
from gateway.dimse.protocol.deadlines import AssociationTimer
from gateway.dimse.protocol.message import RESPONSE, Command, CommandField
from gateway.dimse.protocol.oddities import odd_user_information
from gateway.dimse.protocol.pdata import SMALLEST_MAXIMUM
from gateway.dimse.protocol.peer_certificate import shown_certificate
from gateway.dimse.protocol.upper_layer import (
    AbortReason,
    AssociateRequestPDU,
    ServicePrimitive,
    UpperLayerEvent,
    UpperLayerState,
    encode_reject,
)
from gateway.dimse.requestor.association_pool import AssociationPool
from gateway.identity.values import VerifiedIdentity
from gateway.leniency import tolerated
from gateway.model.association import AssociationFacts
from gateway.model.listener import Limits, Timers
from gateway.model.peer import Peer
from gateway.model.security import IdentityCheck
from gateway.ports.encoded_data_set import DataSetReceiver, EncodedDataSet
from gateway.ports.meter import Meter, peer_label

log = structlog.get_logger()

MOST_QUEUED = 8
"""Requests that a peer may send ahead of our responses before we stop reading."""

RELEASE_ASKED = "the peer asked for release"


Later = Coroutine[Any, Any, None] | Completion[Any]
"""Of a request that is not answered at once: the worker awaits a coroutine, a completion calls `complete`."""


@dataclass(frozen=True, slots=True)
class Operation:
    """How one DIMSE request is served.

    Attributes:
        event: what its handler is bound to.
        service: the service whose contexts it may come over.
        serve: serves a complete message.
        receive: checks the command set before the data set comes and gives the receiver; raises GatewayError to have
            the data set thrown away. None: a data set is not expected.
    """

    event: evt.InterventionEvent
    service: str
    serve: Callable[[AcceptorAssociation, Message], Later | None]
    receive: Callable[[AcceptorAssociation, Message], DataSetReceiver] | None = None


@dataclass(frozen=True, slots=True)
class Operations:
    """The DIMSE requests that a server knows."""

    known: Mapping[int, Operation]
    """By Command Field (PS3.7 §E.1)."""
    unrecognized: Callable[[AcceptorAssociation, Message], Later | None]
    """Serves all others."""


class NotifiesHandlers(Protocol):
    """Tells handlers of notification events what happens to an association."""

    handlers: Any
    """A tuple of bindings."""

    @property
    def tap(self) -> asyncio.BufferedProtocol:
        """What asyncio's transport is to give what it reads."""
        ...

    def wrapped(self, transport: asyncio.Transport) -> asyncio.Transport: ...
    def raised(self, event: Any, **attributes: Any) -> None: ...


class AcceptorHost(Protocol):
    """What an accepted association needs of its server."""

    handlers: Handlers
    operations: Operations
    notifications: tuple[Any, ...]
    """Handlers of notification events."""
    notified: Callable[[AcceptorAssociation, tuple[Any, ...]], NotifiesHandlers]
    timers: Timers
    limits: Limits
    meter: Meter
    receiver: Callable[[], DataSetReceiver]
    pool: AssociationPool
    keep_alive_s: float
    ae_title: str
    verify_identity: VerifyIdentity
    handler_failures: HandlerFailures

    table: Callable[[], Any]

    @property
    def ae(self) -> ApplicationEntity: ...

    def admit(self, facts: AssociationFacts) -> Admitted: ...
    def readmit(self, association: AcceptorAssociation) -> Admitted: ...
    def policy(self, peer: Peer | None, *, is_strict: bool = False) -> Policy: ...
    def rejected(self, association: AcceptorAssociation) -> None: ...
    def joined(self, association: AcceptorAssociation) -> None: ...
    def known_as(self, before: AssociationFacts, after: AssociationFacts) -> None: ...
    def left(self, association: AcceptorAssociation) -> None: ...
    def closed(self, association: AcceptorAssociation) -> None: ...


class AcceptorAssociation(Association):
    """The acceptor's side. `facts` and `peer` are set once the association is accepted, `table` for each request."""

    holds_reading_while_writing = True

    def __init__(
        self, host: AcceptorHost, listener: str, max_pdu_bytes: int, identity_check: IdentityCheck | None = None
    ) -> None:
        super().__init__(is_requestor=False, timers=host.timers, limits=host.limits)
        self._host = host
        self._listener = listener
        self._identity_check = identity_check
        """What the listener demands of everybody."""
        self._verifying: asyncio.Task[None] | None = None
        self._max_pdu_bytes = max_pdu_bytes
        self.handlers = host.handlers
        self.peer: Peer | None = None
        self.table: Any = None
        """The rules that were in force when the request in work had arrived; a reload does not change them."""
        self.is_strict = False
        """The requestor is held to the letter of the standard (`gateway.leniency`); known once it is admitted."""
        self.extended: Mapping[str, bytes] = {}
        """SOP class extended negotiation as we answered it: SOP class UID → application information."""
        self._queue: deque[Message] = deque()
        self._current: Message | None = None
        self._cancelled: set[int] = set()
        self._watch: OperationScope | None = None
        self._worker: asyncio.Task[None] | None = None
        self._later: list[Coroutine[Any, Any, None]] = []
        self._wakeup: asyncio.Future[None] | None = None
        self._is_serving = False
        self._is_release_asked = False
        self._is_draining = False
        self._has_joined = False
        self._is_readmission_due = False
        """Other rules came into force, and it is not decided yet whether they admit this requestor."""
        self._local_address = ("", 0)
        self._handler_thread: HandlerThread | None = None
        self.associate_rq = b""
        """The A-ASSOCIATE-RQ that was accepted, deflated (zlib); for
        `gateway.dimse.pynetdicom_contract.handler_association` alone."""
        self.associate_ac = b""
        """Our answer."""
        self.handler_association: Any = None
        """What handlers have as `event.assoc`, once one has asked for it."""
        self.on_end: list[Callable[[], object]] = []
        """Called once, when no message goes either way any more."""
        self._notified: NotifiesHandlers | None = None
        """Tells the handlers of notification events, where there are any."""
        self.notifications = host.notifications

    # --- notification events -----------------------------------------------------------------------------------

    @property
    def notifications(self) -> tuple[Any, ...]:
        """Handlers of notification events."""
        return () if self._notified is None else self._notified.handlers

    @notifications.setter
    def notifications(self, handlers: tuple[Any, ...]) -> None:
        if self._notified is not None:
            self._notified.handlers = handlers
        elif handlers:
            self._notified = self._host.notified(self, handlers)
            if self._transport is not None:
                self._transport = self._notified.wrapped(self._transport)

    @property
    def protocol(self) -> asyncio.BufferedProtocol:
        """What asyncio's transport is to give what it reads."""
        return self if self._notified is None else self._notified.tap

    @property
    def is_between_messages(self) -> bool:
        """True while nothing has arrived of the message that comes next."""
        reader, assembler = self._reader, self._assembler
        return not (reader.is_mid_pdu or reader.has_more or (assembler is not None and assembler.is_mid_message))

    def crowded(self, is_crowded: bool) -> None:
        """Handlers of notification events are far behind, or no longer: nothing is read and nothing long is written."""
        if is_crowded:
            self._is_write_paused = True
            self._hold(ReadingHeld.HANDLERS)
            return
        self._is_write_paused = self._deadlines.is_running(AssociationTimer.SENDING)
        if not self._is_write_paused:
            self._let_writers_go_on()
        self._unhold(ReadingHeld.HANDLERS)

    def _raise(self, event: Any, **attributes: Any) -> None:
        if self._notified is not None:
            self._notified.raised(event, **attributes)

    # --- for handlers ------------------------------------------------------------------------------------------

    @property
    def host(self) -> AcceptorHost:
        """The server."""
        return self._host

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """Where everything is done to it."""
        return self._loop

    @property
    def timers(self) -> Timers:
        """The server's, unless a handler has set its own."""
        return self._timers

    @timers.setter
    def timers(self, timers: Timers) -> None:
        self._timers = timers

    @property
    def ended(self) -> str | None:
        """Why no message goes either way any more; None while they do."""
        return self._ended

    @property
    def local_address(self) -> tuple[str, int]:
        """Where the peer called us."""
        return self._local_address

    def request_release(self) -> None:
        """Send A-RELEASE-RQ now, also while a request is being served: it has no response then."""
        self._request_release()

    @property
    def handler_thread(self) -> HandlerThread:
        """Where plain handlers of C-ECHO and C-STORE are called, one request after the other."""
        if self._handler_thread is None:
            self._handler_thread = HandlerThread()
        return self._handler_thread

    @property
    def pool(self) -> AssociationPool:
        """Associations of ours that are kept open for all who need one."""
        return self._host.pool

    @property
    def keep_alive_s(self) -> float:
        """A C-GET or C-MOVE that takes longer than this is reported on with a Pending response."""
        return self._host.keep_alive_s

    def is_cancelled(self, message_id: int) -> bool:
        """True once the peer sent C-CANCEL for the request with `message_id`."""
        return message_id in self._cancelled

    def is_duplicate(self, message: Message) -> bool:
        """True when an earlier request with the Message ID of this one, which is still arriving, has no final response
        yet (PS3.7 §C.5.6)."""
        message_id = message.command["MessageID"]
        earlier = (self._current, *self._queue)
        return any(item is not None and item.command["MessageID"] == message_id for item in earlier)

    def may(self, service: str) -> bool:
        """True when the peer's settings let it ask for `service`; strangers may not query or retrieve."""
        return self.peer is None or service in self.peer.may

    def new_receiver(self) -> DataSetReceiver:
        """For one data set."""
        return self._host.receiver()

    def handler_failed(self, event: evt.InterventionEvent, error: BaseException | str) -> None:
        """The handler of `event` failed with a request: see `gateway.dimse.acceptor.handler_failures`."""
        self._host.handler_failures.failed(event.name, self.handlers[event].handler, error)

    def handler_answered(self, event: evt.InterventionEvent) -> None:
        """The handler of `event` did what it is for."""
        if self._host.handler_failures.failing:
            self._host.handler_failures.answered(event.name)

    def send_response(self, message: Message, command: Command) -> None:
        """Answer `message`; when the association is gone there is nobody to answer."""
        try:
            self.send_command(message.context.context_id, command)
        except AssociationEnded as error:
            log.info("response_not_sent", **self._who, reason=str(error))

    # --- operations that take time -------------------------------------------------------------------------------

    @contextlib.contextmanager
    def watched(self, message: Message) -> Iterator[OperationScope]:
        """While `message` is being answered with many responses: the watch over what cuts that short.

        Reading goes on while the peer leaves our responses unread, so that a C-CANCEL and the end are seen at once;
        what it may send ahead is bounded by the queue.
        """
        watch = self._watch = OperationScope(is_cancelled=message.command["MessageID"] in self._cancelled)
        if self._ended is not None:
            watch.end(self._ended)
        elif self._is_release_asked:
            watch.end(RELEASE_ASKED)
        self.holds_reading_while_writing = False
        if self._held & ReadingHeld.WRITE:
            self._unhold(ReadingHeld.WRITE)
        try:
            yield watch
        finally:
            self._watch = None
            self.holds_reading_while_writing = True
            if self._is_write_paused:
                self._hold(ReadingHeld.WRITE)

    async def invoke(self, context: AcceptedContext, request: Command, body: EncodedDataSet) -> Message:
        """A request of ours over the requestor's association; its response.

        A caller that is cancelled in the middle of sending is told when everything is sent; the response, should it
        come later, is taken and thrown away.

        Raises:
            AssociationEnded: the association is gone, or no response came in time.
        """
        waiting = self._expect_response(request)
        sending = self._loop.create_task(self.send_message(context.context_id, request, body))
        try:
            await asyncio.shield(sending)
        except asyncio.CancelledError:
            waiting.cancel()
            await asyncio.wait({sending})
            raise
        self._await_response()
        try:
            return await waiting
        finally:
            self._deadlines.stop(AssociationTimer.RESPONSE)

    # --- opening -----------------------------------------------------------------------------------------------

    def attach(self, transport: asyncio.Transport) -> None:
        super().attach(transport if self._notified is None else self._notified.wrapped(transport))

    def _attached(self) -> None:
        if self._ended is not None:  # closed before its transport was there
            self._abort_transport()
            return
        if self._notified is not None:
            host, port = self._remote_address()
            self.facts = dataclasses.replace(self.facts, remote_host=host, remote_port=port)
            self._raise(evt.EVT_CONN_OPEN, address=(host, port))
        self._event(UpperLayerEvent.TRANSPORT_INDICATION)
        self._unhold(ReadingHeld.TRANSPORT)

    def _read_pdu(self, event: UpperLayerEvent, data: bytes) -> object:
        if event is UpperLayerEvent.ASSOCIATE_RQ_PDU and self._upper.state is UpperLayerState.AWAITING_ASSOCIATE_RQ:
            fixed = head(data)
            return AssociateRequestPDU(fixed.protocol_version, self._considered(fixed))
        return super()._read_pdu(event, data)

    def _considered(self, fixed: AssociateHead) -> tuple[Admitted, AssociateRequest] | Rejected:
        """Titles, host and limits come first: only of a requestor that is admitted is the rest of the request read.

        Raises MalformedAssociate.
        """
        self.facts = self._read_facts(fixed)
        if self._notified is not None:
            self.associate_rq = zlib.compress(fixed.pdu, 1)
            self._raise(evt.EVT_REQUESTED)
        try:
            admitted = self._host.admit(self.facts)
        except Rejected as rejected:
            return rejected
        self.is_strict = admitted.is_strict
        request = parse(fixed.pdu)
        self.associate_rq = zlib.compress(fixed.pdu, 1)
        self.facts = dataclasses.replace(
            self.facts,
            peer=admitted.peer.name if admitted.peer is not None else "",
            claimed_user_identity=request.identity.user_name if request.identity else "",
            implementation_class_uid=request.implementation_class_uid,
            implementation_version_name=request.implementation_version_name,
        )
        return admitted, request

    def _indicated(self, primitive: ServicePrimitive, value: object) -> None:
        if primitive is not ServicePrimitive.ASSOCIATE_INDICATION:
            super()._indicated(primitive, value)
            return
        try:
            if isinstance(value, Rejected):
                raise value
            assert isinstance(value, tuple)
            self._answer(*value)
        except Rejected as rejected:
            self._reject(rejected)
        except MalformedAssociate as error:
            self._invalid(AbortReason.INVALID_PARAMETER, str(error))

    def _read_facts(self, request: AssociateHead) -> AssociationFacts:
        """What is known without decoding anything but the fixed fields."""
        assert self._transport is not None
        host, port = self._remote_address()
        own = self._transport.get_extra_info("sockname") or ("", 0)
        self._local_address = (str(own[0]).removeprefix("::ffff:"), int(own[1]))
        certificate = shown_certificate(self._transport)
        return AssociationFacts(
            calling_ae_title=request.calling_ae_title,
            called_ae_title=request.called_ae_title,
            remote_host=host,
            remote_port=port,
            listener=self._listener,
            is_tls=self._transport.get_extra_info("ssl_object") is not None,
            tls_subject=certificate.subject,
            tls_names=certificate.names,
            tls_fingerprint=certificate.fingerprint,
            association_id=self.association_id,
        )

    def _remote_address(self) -> tuple[str, int]:
        assert self._transport is not None
        address = self._transport.get_extra_info("peername") or ("", 0)
        return str(address[0]).removeprefix("::ffff:"), int(address[1])

    def _answer(self, admitted: Admitted, request: AssociateRequest) -> None:
        """Say yes, go on with the user identity, or raise Rejected or MalformedAssociate."""
        if request.application_context_name != APPLICATION_CONTEXT_NAME:
            text = f"application context {request.application_context_name!r}"
            raise Rejected(PERMANENT, SERVICE_USER, APPLICATION_CONTEXT_NOT_SUPPORTED, text)
        if 0 < request.max_pdu_bytes < SMALLEST_MAXIMUM:
            text = f"maximum length {request.max_pdu_bytes} is too small for any message"
            raise Rejected(PERMANENT, SERVICE_USER, NO_REASON, text)
        demanded = (self._identity_check, admitted.user_identity)
        checks = tuple(check for check in demanded if check is not None)
        if not checks:
            self._accept(admitted, request)
            return
        self._verifying = self._loop.create_task(self._verify_identity(checks, admitted, request))

    async def _verify_identity(
        self, checks: Sequence[IdentityCheck], admitted: Admitted, request: AssociateRequest
    ) -> None:
        """Off the event loop; meanwhile the peer waits, and may abort."""
        try:
            async with asyncio.timeout(self._timers.association_s):
                verified = await verified_identity(checks, request.identity, self.facts, self._host.verify_identity)
            if self._upper.state is not UpperLayerState.AWAITING_ASSOCIATE_RESPONSE:
                return
            self.facts = dataclasses.replace(self.facts, user_identity=verified.user, claimed_user_identity="")
            again = self._host.admit(self.facts)  # places may have been taken, and rules put in force, meanwhile
            if (again.peer, again.user_identity) != (admitted.peer, admitted.user_identity):
                raise Rejected(TRANSIENT, PROVIDER_PRESENTATION, TEMPORARY_CONGESTION, "other rules are in force now")
            self._accept(again, request, verified)
        except (Rejected, TimeoutError) as error:
            if self._upper.state is UpperLayerState.AWAITING_ASSOCIATE_RESPONSE:
                self._reject(error if isinstance(error, Rejected) else _not_in_time())
        except MalformedAssociate as error:
            self._invalid(AbortReason.INVALID_PARAMETER, str(error))
        except Exception:
            self._failed()

    def _accept(self, admitted: Admitted, request: AssociateRequest, verified: VerifiedIdentity | None = None) -> None:
        """Say yes. Raises MalformedAssociate."""
        self.peer, self.is_strict = admitted.peer, admitted.is_strict
        answer = negotiate(
            request.contexts, request.roles, self._host.policy(admitted.peer, is_strict=admitted.is_strict)
        )
        extended = answer_extended(request, answer)
        self.extended = dict(extended)
        accept = encode_accept(
            request,
            answer,
            max_pdu_bytes=self._max_pdu_bytes,
            identity_response=positive_response(request.identity, verified),
            extended=extended,
        )
        self._tell_odd(odd_user_information(request.user_information), answer.even_ids)
        self.associate_ac = accept
        self._has_joined = True
        self._host.joined(self)
        self._establish(answer.contexts, request.max_pdu_bytes)
        self._event(UpperLayerEvent.ASSOCIATE_ACCEPT, accept)
        self._deadlines.start(AssociationTimer.IDLE, self._timers.idle_s)
        self._log_accepted(request, answer)
        self._raise(evt.EVT_ACCEPTED)
        self._raise(evt.EVT_ESTABLISHED)

    def _tell_odd(self, oddities: tuple[str, ...], even_ids: tuple[int, ...]) -> None:
        """Raises MalformedAssociate: the peer is held to the letter."""
        if oddities and self.is_strict:
            raise MalformedAssociate(f"an A-ASSOCIATE-RQ with {', '.join(oddities)}")
        who, association = peer_label(self.facts), self.association_id
        if oddities:
            tolerated(self._host.meter, "associate_items", who, association=association, found=oddities)
        if even_ids:
            tolerated(self._host.meter, "even_context_ids", who, association=association, context_ids=even_ids)

    def _log_accepted(self, request: AssociateRequest, answer: NegotiationResult) -> None:
        facts = self.facts
        log.info(
            "association_accepted",
            association=facts.association_id,
            calling_ae_title=facts.calling_ae_title,
            called_ae_title=facts.called_ae_title,
            remote_host=facts.remote_host,
            peer=facts.peer,
            contexts=len(answer.contexts),
            max_pdu_bytes=request.max_pdu_bytes,
        )

    def _reject(self, rejected: Rejected) -> None:
        log.warning(
            "association_rejected",
            association=self.association_id,
            calling_ae_title=self.facts.calling_ae_title,
            called_ae_title=self.facts.called_ae_title,
            remote_host=self.facts.remote_host,
            result=rejected.result,
            source=rejected.source,
            reason=rejected.reason,
            diagnostic=str(rejected),
        )
        self._count("rejected")
        self._host.rejected(self)
        self._event(UpperLayerEvent.ASSOCIATE_REJECT, encode_reject(rejected.result, rejected.source, rejected.reason))
        self._end("rejected")

    def _count(self, result: str) -> None:
        self._host.meter.count(
            "gateway_associations_total", direction="in", peer=self.facts.peer or "(stranger)", result=result
        )

    # --- requests ----------------------------------------------------------------------------------------------

    def _open_data_set(self, message: Message) -> DataSetReceiver | None:
        operation = self._operation(message)
        return operation.receive(self, message) if operation is not None and operation.receive else None

    def _operation(self, message: Message) -> Operation | None:
        return self._host.operations.known.get(message.command["CommandField"])

    def _message_received(self, message: Message) -> None:
        command = message.command
        field = command["CommandField"]
        if field & RESPONSE:
            self._response_received(message)
        elif field == CommandField.C_CANCEL:
            self._cancel(command.get("MessageIDBeingRespondedTo", -1))
            if not self._is_serving:
                self._rest()
        else:
            message.table = self._host.table()
            self._queue.append(message)
            if not self._is_serving:
                self._deadlines.stop(AssociationTimer.IDLE)
                self._serve_queue()
            elif len(self._queue) >= MOST_QUEUED:
                self._hold(ReadingHeld.QUEUE)

    def _cancel(self, message_id: int) -> None:
        """Remember a C-CANCEL for what is being served or waits; what is over cannot be cancelled (PS3.7 §9.1.2.2)."""
        known = [self._current, *self._queue]
        if any(message is not None and message.command["MessageID"] == message_id for message in known):
            self._cancelled.add(message_id)
            current = self._current
            if self._watch is not None and current is not None and current.command["MessageID"] == message_id:
                self._watch.cancel()
                self._let_writers_go_on()  # the last response need not be read before the handler is told

    def _serve_queue(self) -> None:
        """Serve what waits, up to the first request that takes time: the worker goes on with that one."""
        self._is_serving = True
        while self._queue and self._ended is None:
            message = self._current = self._queue.popleft()
            self.table = message.table
            if self._held & ReadingHeld.QUEUE and len(self._queue) < MOST_QUEUED // 2:
                self._unhold(ReadingHeld.QUEUE)
            later = self._serve(message)
            if later is not None:
                if not isinstance(later, Completion):
                    self._hand_over(later)
                return
            self._served(message)
        self._is_serving = False
        self._rest()

    def complete(self, answer: Callable[[], None]) -> None:
        """What was served without the worker has its result: answer it, and go on with what waits."""
        try:
            answer()
        except Exception:
            self._failed()
        self._go_on()

    def _serve(self, message: Message) -> Later | None:
        operation = self._operation(message)
        try:
            serve = operation.serve if operation is not None else self._host.operations.unrecognized
            return serve(self, message)
        except Exception:
            self._failed()
            return None

    def _failed(self) -> None:
        """A fault of ours with a request; called while its exception is handled."""
        log.exception("request_failed", association=self.association_id)
        self.abort("internal error")

    def _go_on(self) -> None:
        """What took time is through: serve what waits."""
        if self._current is not None:
            self._served(self._current)
        self._serve_queue()

    def _hand_over(self, later: Coroutine[Any, Any, None]) -> None:
        self._later.append(later)
        if self._worker is None:
            self._worker = self._loop.create_task(self._work())
        elif self._wakeup is not None and not self._wakeup.done():
            self._wakeup.set_result(None)

    async def _work(self) -> None:
        """The one task of an association that has asynchronous handlers; it sleeps between requests."""
        while True:
            while self._later:
                try:
                    await self._later.pop()
                except Exception:
                    self._failed()
                self._go_on()
            if self._ended is not None:
                return
            self._wakeup = self._loop.create_future()
            await self._wakeup

    def _served(self, message: Message) -> None:
        """The response is out, or cannot be sent: free the data set."""
        message.close()
        self._current = None
        if self._cancelled:
            self._cancelled.discard(message.command["MessageID"])
        if self._is_readmission_due:
            self._readmit()

    def _rest(self) -> None:
        """Nothing is in work."""
        if self._is_readmission_due:
            self._readmit()
        if self._ended is not None:
            return
        if self._is_release_asked:
            self._answer_release()
        elif self._is_draining:
            self._request_release()
        else:
            self._deadlines.start(AssociationTimer.IDLE, self._timers.idle_s)

    # --- other rules -------------------------------------------------------------------------------------------

    def rules_changed(self) -> None:
        """Other rules are in force. Whether they still admit this requestor is decided after the request that is in
        work, or of which a part has arrived: it is answered first."""
        if not self._has_joined or self._ended is not None:
            return
        self._is_readmission_due = True
        if not self._is_serving and not (self._assembler is not None and self._assembler.is_mid_message):
            self._readmit()

    def _readmit(self) -> None:
        self._is_readmission_due = False
        if self._ended is not None:
            return
        try:
            self._be(self._host.readmit(self))
        except Rejected as rejected:
            log.warning("association_admission_ended", **self._who, reason=str(rejected))
            self.abort("the rules in force do not admit this requestor any more")
        except Exception:
            self._failed()

    def _be(self, admitted: Admitted) -> None:
        """The requestor is this peer from now on."""
        self.peer, self.is_strict, before = admitted.peer, admitted.is_strict, self.facts
        name = admitted.peer.name if admitted.peer is not None else ""
        if name != before.peer:
            self.facts = dataclasses.replace(before, peer=name)
            self._host.known_as(before, self.facts)

    # --- closing -----------------------------------------------------------------------------------------------

    def drain(self) -> None:
        """Release once nothing is in work; before the association is accepted, go at once."""
        self._is_draining = True
        if self._upper.state is UpperLayerState.ESTABLISHED:
            assembler = self._assembler
            if not self._is_serving and not (assembler is not None and assembler.is_mid_message):
                self._request_release()
        elif self._upper.state in (
            UpperLayerState.IDLE,
            UpperLayerState.AWAITING_ASSOCIATE_RQ,
            UpperLayerState.AWAITING_ASSOCIATE_RESPONSE,
        ):
            self.abort("shutting down")

    def _release_requested(self) -> None:
        if not self._is_serving:
            self._answer_release()
            return
        self._is_release_asked = True
        if self._watch is not None:
            self._watch.end(RELEASE_ASKED)
            self._let_writers_go_on()

    def _association_ended(self, reason: str) -> None:
        for message in self._queue:
            message.close()
        self._queue.clear()
        if self._verifying is not None:
            self._verifying.cancel()
        if self._watch is not None:
            self._watch.end(reason)
        if self._wakeup is not None and not self._wakeup.done():
            self._wakeup.set_result(None)
        if self._handler_thread is not None:
            self._handler_thread.stop()
        for call in self.on_end:
            call()
        if self.associate_rq:
            self._raise({"rejected": evt.EVT_REJECTED, "released": evt.EVT_RELEASED}.get(reason, evt.EVT_ABORTED))
        if not self._has_joined:
            return
        self._count("released" if reason == "released" else "aborted")
        log.info("association_ended", **self._who, reason=reason)
        self._host.left(self)

    def _lost(self, error: Exception | None) -> None:
        super()._lost(error)
        self._host.closed(self)
        self._raise(evt.EVT_CONN_CLOSE, address=(self.facts.remote_host, self.facts.remote_port))


def _not_in_time() -> Rejected:
    text = "the user identity was not verified in time"
    return Rejected(TRANSIENT, PROVIDER_PRESENTATION, TEMPORARY_CONGESTION, text)
