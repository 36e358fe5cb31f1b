"""An association that a peer asked us for: one request after the other, and its end."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import structlog
from pynetdicom import evt

from gateway.common.completion import Completion
from gateway.dimse.acceptor.handler_thread import HandlerThread
from gateway.dimse.acceptor.negotiation import MOST_QUEUED
from gateway.dimse.acceptor.opening import OpeningAssociation
from gateway.dimse.acceptor.operations import AcceptorHost
from gateway.dimse.protocol.assembly import Message
from gateway.dimse.protocol.association import AssociationEnded
from gateway.dimse.protocol.cancellation import OperationScope
from gateway.dimse.protocol.connection import ReadingHeld
from gateway.dimse.protocol.context import AcceptedContext
from gateway.dimse.protocol.deadlines import AssociationTimer
from gateway.dimse.protocol.message import RESPONSE, Command, CommandField
from gateway.dimse.protocol.upper_layer import UpperLayerState
from gateway.dimse.requestor.association_pool import AssociationPool
from gateway.model.listener import Timers
from gateway.model.security import IdentityCheck
from gateway.ports.encoded_data_set import DataSetReceiver, EncodedDataSet

log = structlog.get_logger()

RELEASE_REQUESTED = "the peer asked for release"


class AcceptorAssociation(OpeningAssociation):
    """The acceptor's side. `facts` and `peer` are set once the association is accepted, `table` for each request."""

    holds_reading_while_writing = True

    def __init__(
        self, host: AcceptorHost[Any], listener: str, max_pdu_bytes: int, identity_check: IdentityCheck | None = None
    ) -> None:
        super().__init__(host, listener, max_pdu_bytes, identity_check)
        self.handlers = host.handlers
        self._operations = host.operations.known
        self.table: Any = None
        """The rules that were in force when the request in work had arrived; a reload does not change them."""
        self._queue: deque[Message] = deque()
        self._current: Message | None = None
        self._cancelled: set[int] = set()
        self._watch: OperationScope | None = None
        self._worker: asyncio.Task[None] | None = None
        self._later: list[Coroutine[Any, Any, None]] = []
        self._wakeup: asyncio.Future[None] | None = None
        self._is_serving = False
        self._is_release_requested = False
        self._is_draining = False
        self._handler_thread: HandlerThread | None = None
        self.handler_association: Any = None
        """The association that handlers have as `event.assoc`, once one has read it."""
        self.store_measures: Any = None
        """The measures of its C-STORE requests (`gateway.dimse.services.served`), once one was answered."""
        self.outcomes: dict[str, dict[str, int]] = {}
        """Service → status, or why there was none → the number of its requests that ended so."""
        self.on_end: list[Callable[[], object]] = []
        """Called once, when no message goes either way any more."""
        self.notifications = host.notifications  # they may look at all of the above

    # --- state ---------------------------------------------------------------------------------------------------

    @property
    def is_between_messages(self) -> bool:
        """True while nothing has arrived of the message that comes next."""
        reader, assembler = self._reader, self._assembler
        return not (reader.is_mid_pdu or reader.has_more or (assembler is not None and assembler.is_mid_message))

    # --- for handlers ------------------------------------------------------------------------------------------

    @property
    def host(self) -> AcceptorHost[Any]:
        """The server."""
        return self._host

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The event loop on which everything is done to it."""
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
        """The reason why no message goes either way any more; None while they do."""
        return self._ended

    @property
    def local_address(self) -> tuple[str, int]:
        """The address at which the peer called us."""
        return self._local_address

    def request_release(self) -> None:
        """Send A-RELEASE-RQ now, also while a request is being served: it has no response then."""
        self._request_release()

    @property
    def handler_thread(self) -> HandlerThread:
        """The thread for plain handlers of C-ECHO and C-STORE, one request after the other."""
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
        """A receiver for one data set."""
        return self._host.receiver()

    def handler_failed(self, event: evt.InterventionEvent, error: BaseException | str) -> None:
        """The handler of `event` failed with a request: see `gateway.dimse.acceptor.handler_failures`."""
        self._host.handler_failures.failed(event.name, self.handlers[event].handler, error)

    def handler_answered(self, event: evt.InterventionEvent) -> None:
        """The handler of `event` did what it is for."""
        if self._host.handler_failures.failing:
            self._host.handler_failures.answered(event.name)

    def send_response(self, message: Message, command: Command | None) -> None:
        """Answer `message`; None answers a C-STORE request with 0x0000. Logged when the association is gone."""
        try:
            if command is None:
                self.send_stored(message)
            else:
                self.send_command(message.context.context_id, command)
        except AssociationEnded as error:
            log.info("response_not_sent", **self._log_fields, reason=str(error))

    # --- operations that take time -------------------------------------------------------------------------------

    @contextlib.contextmanager
    def watched(self, message: Message) -> Iterator[OperationScope]:
        """The watch over what cuts the responses to `message` short, while there are many.

        Reading goes on while the peer leaves our responses unread, so that a C-CANCEL and the end are seen at once;
        what it may send ahead is bounded by the queue.
        """
        watch = self._watch = OperationScope(is_cancelled=message.command["MessageID"] in self._cancelled)
        if self._ended is not None:
            watch.end(self._ended)
        elif self._is_release_requested:
            watch.end(RELEASE_REQUESTED)
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

        A caller that is cancelled in the middle of sending learns of it when everything is sent; a response that
        comes later is taken and thrown away.

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

    # --- requests ----------------------------------------------------------------------------------------------

    def _open_data_set(self, message: Message) -> DataSetReceiver | None:
        operation = self._operations.get(message.command["CommandField"])
        return operation.receive(self, message) if operation is not None and operation.receive else None

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
            if not self._is_serving and self._ended is None:
                self._deadlines.stop(AssociationTimer.IDLE)
                self._is_serving = True
                if self._is_served(message):
                    self._serve_queue()
                return
            self._queue.append(message)
            if len(self._queue) >= MOST_QUEUED:
                self._hold(ReadingHeld.QUEUE)

    def _cancel(self, message_id: int) -> None:
        """Remember a C-CANCEL for what is being served or waits; what is over cannot be cancelled (PS3.7 §9.1.2.2)."""
        known = [self._current, *self._queue]
        if any(message is not None and message.command["MessageID"] == message_id for message in known):
            self._cancelled.add(message_id)
            current = self._current
            if self._watch is not None and current is not None and current.command["MessageID"] == message_id:
                self._watch.cancel()
                self._let_writers_go_on()  # the handler learns of it though the last response is unread

    def _serve_queue(self) -> None:
        """Serve what waits, up to the first request that takes time."""
        while self._queue and self._ended is None:
            message = self._queue.popleft()
            if self._held and self._held & ReadingHeld.QUEUE and len(self._queue) < MOST_QUEUED // 2:
                self._unhold(ReadingHeld.QUEUE)
            if not self._is_served(message):
                return
        self._is_serving = False
        self._rest()

    def _is_served(self, message: Message) -> bool:
        """Serve a request. False when it takes time: what waits behind it goes on when its response is out."""
        self._current, self.table = message, message.table
        operation = self._operations.get(message.command["CommandField"])
        try:
            serve = operation.serve if operation is not None else self._host.operations.unrecognized
            later = serve(self, message)
        except Exception:
            self._failed()
            later = None
        if later is None:
            self._served(message)
            return True
        if not isinstance(later, Completion):
            self._hand_over(later)
        return False

    def complete(self, answer: Callable[..., None], *arguments: Any) -> None:
        """Respond to a request by a call of `answer`, and go on with what waits. For requests without the worker."""
        try:
            answer(*arguments)
        except Exception:
            self._failed()
        self._go_on()

    def _go_on(self) -> None:
        """Go on with the requests that wait, after one that took time."""
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
        """Stop the worker: no request is in work."""
        if self._is_readmission_due:
            self._readmit()
        if self._ended is not None:
            return
        if self._is_release_requested:
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
        self._is_release_requested = True
        if self._watch is not None:
            self._watch.end(RELEASE_REQUESTED)
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
        log.info("association_ended", **self._log_fields, reason=reason, **self.outcomes)
        self._host.left(self)

    def _lost(self, error: Exception | None) -> None:
        super()._lost(error)
        self._host.closed(self)
        self._raise(evt.EVT_CONN_CLOSE, address=(self.facts.remote_host, self.facts.remote_port))
