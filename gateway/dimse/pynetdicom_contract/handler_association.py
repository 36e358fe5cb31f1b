"""`event.assoc`: the association as pynetdicom documents it for handlers, on top of the runtime's own.

Handlers run in threads; whatever acts on the association is done on its event loop. Requestor and acceptor are
pynetdicom's `ServiceUser`; what they say of the negotiation is read from the two A-ASSOCIATE PDUs when a handler asks
for it. We can be SCU on a requestor's association for storage alone, where it took the SCP role (PS3.7 §D.3.3.4).
"""

from __future__ import annotations

import asyncio
import threading
import warnings
import zlib
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar, cast

from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import UID
from pynetdicom.ae import ApplicationEntity
from pynetdicom.association import ServiceUser
from pynetdicom.pdu import A_ASSOCIATE_AC, A_ASSOCIATE_RQ
from pynetdicom.pdu_primitives import A_ASSOCIATE
from pynetdicom.presentation import PresentationContext, build_context
from pynetdicom.transport import AddressInformation

from gateway.dimse.acceptor.acceptor_association import AcceptorAssociation
from gateway.dimse.protocol.association import AssociationEnded
from gateway.dimse.protocol.context import AcceptedContext
from gateway.dimse.protocol.message import Command, CommandField
from gateway.dimse.pynetdicom_contract import bindings, notifications
from gateway.dimse.pynetdicom_contract.bindings import is_notification
from gateway.dimse.pynetdicom_contract.sendable import SendableDataset
from gateway.model.association import AssociationFacts
from gateway.model.listener import Timers
from gateway.model.peer import Peer

T = TypeVar("T")

_RESPONSE_ELEMENTS = ("Status", "OffendingElement", "ErrorComment", "ErrorID", "AffectedSOPInstanceUID")
_lock = threading.Lock()
FOR_EVER_S = 1e9


def of(association: AcceptorAssociation) -> HandlerAssociation:
    """The one of an association: handlers see the same object with each of its requests."""
    found: HandlerAssociation | None = association.handler_association
    if found is None:
        with _lock:
            found = association.handler_association = association.handler_association or HandlerAssociation(association)
    return found


class _Timeout:
    """A time limit of an association: one of `gateway.model.listener.Timers`."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __get__(self, association: HandlerAssociation, owner: type) -> float | None:
        seconds: float = getattr(association.timers, self._name)
        return None if seconds >= FOR_EVER_S else seconds

    def __set__(self, association: HandlerAssociation, seconds: float | None) -> None:
        association.timers = replace(association.timers, **{self._name: FOR_EVER_S if seconds is None else seconds})


class HandlerAssociation:
    """What a handler may ask of its association, and do with it.

    As documented by pynetdicom: `requestor`, `acceptor`, `remote`, `local`, `ae`, `mode`, `is_acceptor`,
    `is_requestor`, `is_established`, `is_released`, `is_aborted`, `is_rejected`, `accepted_contexts`,
    `rejected_contexts`, the timeouts, `lock`, `bind`, `unbind`, `get_handlers`, `get_events`, `abort`, `release`,
    `kill` and `send_c_store`. The other `send_…` methods raise ValueError, as they do wherever there is no context for
    them. The gateway's own: `facts`, `peer`, `table`, `extended`.
    """

    mode = "acceptor"
    is_acceptor = True
    is_requestor = False
    network_timeout_response = "A-ABORT"

    def __init__(self, association: AcceptorAssociation) -> None:
        self._association: AcceptorAssociation = association
        self._loop = association.loop
        self.over = threading.Event()
        """Set when no message goes either way any more."""
        association.on_end.append(self.over.set)
        if association.is_over:
            self.over.set()
        self.lock = threading.Lock()
        self._users: dict[str, ServiceUser] = {}

    # --- the gateway's own ---------------------------------------------------------------------------------------

    @property
    def facts(self) -> AssociationFacts:
        """What is known of the association."""
        return self._association.facts

    @property
    def peer(self) -> Peer | None:
        """Whom the rules know it for."""
        return self._association.peer

    @property
    def table(self) -> Any:
        """The rules that the association began with."""
        return self._association.table

    @property
    def extended(self) -> Mapping[str, bytes]:
        """SOP class extended negotiation as we answered it."""
        return self._association.extended

    @property
    def timers(self) -> Timers:
        """Time limits of this association."""
        return self._association.timers

    @timers.setter
    def timers(self, timers: Timers) -> None:
        self._association.timers = timers

    # --- both sides ----------------------------------------------------------------------------------------------

    @property
    def ae(self) -> ApplicationEntity:
        """An application entity with our AE title, for associations of the handler's own."""
        return self._association.host.ae

    @property
    def requestor(self) -> ServiceUser:
        """The peer."""
        return self._user("requestor")

    @property
    def acceptor(self) -> ServiceUser:
        """Ourselves. The title that was called is `requestor.primitive.called_ae_title`."""
        return self._user("acceptor")

    @property
    def remote(self) -> dict[str, Any]:
        """The peer in short."""
        return self.requestor.info

    @property
    def local(self) -> dict[str, Any]:
        """Ourselves in short."""
        return self.acceptor.info

    def _user(self, mode: str) -> ServiceUser:
        if mode in self._users:
            return self._users[mode]
        is_requested = bool(self._association.associate_rq)
        facts, host = self.facts, self._association.host
        if mode == "requestor":
            address, title = (facts.remote_host, facts.remote_port), facts.calling_ae_title
        else:
            address, title = self._association.local_address, host.ae_title
        user = _User(self, mode, title, address)
        if is_requested:  # before that its titles are not known
            self._users[mode] = user
        return user

    def primitive(self, mode: str) -> A_ASSOCIATE | None:
        """The A-ASSOCIATE primitive of one side, None before it is there. Raises ValueError when pynetdicom cannot read
        it."""
        association = self._association
        pdu: Any = A_ASSOCIATE_RQ() if mode == "requestor" else A_ASSOCIATE_AC()
        data = association.associate_rq if mode == "requestor" else association.associate_ac
        if not data:
            return None
        data = zlib.decompress(data) if mode == "requestor" else data
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of odd UIDs
                pdu.decode(data)
                return cast(A_ASSOCIATE, pdu.to_primitive())
        except Exception as error:
            text = f"pynetdicom cannot read the A-ASSOCIATE of the {mode}: {type(error).__name__}"
            raise ValueError(text) from error

    # --- state ---------------------------------------------------------------------------------------------------

    @property
    def is_established(self) -> bool:
        """True until it is released or aborted."""
        return self._association.is_established

    @property
    def is_released(self) -> bool:
        """True when it ended with a release."""
        return self._association.ended == "released"

    @property
    def is_aborted(self) -> bool:
        """True when it ended, and neither with a release nor with a rejection."""
        return self._association.is_over and not self.is_released and not self.is_rejected

    @property
    def is_rejected(self) -> bool:
        """True when it was not accepted."""
        return self._association.ended == "rejected"

    def is_alive(self) -> bool:
        """True while it lives; pynetdicom's association is a thread."""
        return not self._association.is_over

    @property
    def accepted_contexts(self) -> list[PresentationContext]:
        """By ID."""
        accepted = self._association.accepted_contexts
        return [_documented(accepted[context_id]) for context_id in sorted(accepted)]

    @property
    def rejected_contexts(self) -> list[PresentationContext]:
        """As they were proposed, with the result that they were answered with."""
        results = self.acceptor.primitive.presentation_context_definition_results_list  # type: ignore[union-attr]
        rejected = {context.context_id: context.result for context in results if context.result}
        found: list[PresentationContext] = []
        for context in self.requestor.primitive.presentation_context_definition_list:  # type: ignore[union-attr]
            if context.context_id in rejected:
                context.result = rejected[context.context_id]
                found.append(context)
        return found

    # --- timeouts, in seconds: of this association alone when a handler sets them; None is for ever ------------------

    acse_timeout = _Timeout("association_s")
    connection_timeout = _Timeout("connect_s")
    dimse_timeout = _Timeout("dimse_s")
    network_timeout = _Timeout("idle_s")

    # --- handlers --------------------------------------------------------------------------------------------------

    def bind(self, event: Any, handler: Callable[..., Any], args: Sequence[Any] | None = None) -> None:
        """Have `handler` take `event` on this association from its next request on. Raises ValueError, TypeError."""
        self._act(lambda: bindings.bind(self._association, event, handler, args))

    def unbind(self, event: Any, handler: Callable[..., Any]) -> None:
        """Have nobody take `event` on this association, if `handler` does now."""
        self._act(lambda: bindings.unbind(self._association, event, handler))

    def get_handlers(self, event: Any) -> Any:
        """Handler and arguments of `event`; of a notification event a list of them. Raises KeyError for one that is not
        raised."""
        if is_notification(event):
            return notifications.of_event(self._association.notifications, event)
        return self._association.handlers[event].documented

    def get_events(self) -> list[Any]:
        """Intervention events, and the notification events that handlers are bound to, by name."""
        found = {*self._association.handlers, *(one.event for one in self._association.notifications)}
        return sorted(found, key=lambda event: str(event.name))

    # --- the end ---------------------------------------------------------------------------------------------------

    def abort(self, block: bool = True) -> None:
        """Send A-ABORT; what the handler says afterwards has no response."""
        self._act(self._association.abort)

    def kill(self) -> None:
        """Abort, and close the connection."""
        self._act(self._association.close_now)

    def release(self) -> None:
        """Send A-RELEASE-RQ; what the handler says afterwards has no response. In a thread: wait for the peer."""
        self._act(self._association.request_release)
        if not _is_in_loop():
            self.over.wait(self.acse_timeout)

    def _act(self, action: Callable[[], object]) -> None:
        """On the event loop, and done when this returns."""
        if _is_in_loop():
            action()
            return

        async def act() -> None:
            action()

        self._wait_for(act())

    def _wait_for(self, coroutine: Coroutine[Any, Any, T]) -> T:
        if _is_in_loop():
            coroutine.close()
            raise RuntimeError("this waits for the peer: call it in a plain handler, which runs in a thread")
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result()

    # --- as a requestor of services ----------------------------------------------------------------------------------

    def send_c_store(
        self,
        dataset: Dataset | str | Path,
        msg_id: int = 1,
        priority: int = 2,
        originator_aet: str | None = None,
        originator_id: int | None = None,
    ) -> Dataset:
        """C-STORE to the requestor, over its own association.

        Args:
            dataset: the instance, or the path of its file.
            msg_id: the Message ID is ours to choose; it is not used.
            priority: 0 medium, 1 high, 2 low.
            originator_aet, originator_id: of a C-MOVE that this is a sub-operation of.

        Returns:
            Status and what belongs to it; empty when the association ended, or no response came.

        Raises:
            RuntimeError: the association is over, or this is called on the event loop.
            ValueError: no context with the SCP role fits, or the data set cannot be encoded.
        """
        if not self.is_established:
            raise RuntimeError("The association with a peer SCP must be established before sending a C-STORE request")
        instance = SendableDataset(dataset if isinstance(dataset, Dataset) else dcmread(dataset))
        context = self._context_for(instance)
        request: Command = {
            "AffectedSOPClassUID": instance.sop_class_uid,
            "CommandField": CommandField.C_STORE,
            "Priority": priority,
            "AffectedSOPInstanceUID": instance.sop_instance_uid,
            "MoveOriginatorApplicationEntityTitle": originator_aet,
            "MoveOriginatorMessageID": originator_id,
        }
        return self._wait_for(self._stored(context, request, instance))

    def _context_for(self, instance: SendableDataset) -> AcceptedContext:
        found = {
            (str(context.abstract_syntax), str(context.transfer_syntax)): context
            for context in self._association.accepted_contexts.values()
            if context.is_scu and context.service == "store"
        }
        for syntax in instance.transfer_syntaxes:
            if (instance.sop_class_uid, syntax) in found:
                return found[instance.sop_class_uid, syntax]
        raise self._no_context(UID(instance.sop_class_uid).name)

    @staticmethod
    def _no_context(what: str) -> ValueError:
        return ValueError(f"No presentation context for '{what}' has been accepted by the peer for the SCU role")

    async def _stored(self, context: AcceptedContext, request: Command, instance: SendableDataset) -> Dataset:
        found = Dataset()
        try:
            body = await instance.body(str(context.transfer_syntax))
            response = (await self._association.invoke(context, request, body)).command
        except AssociationEnded:
            return found
        for keyword in _RESPONSE_ELEMENTS:
            value = response.get(keyword)
            if value is not None:
                setattr(found, keyword, list(value) if isinstance(value, tuple) else value)
        return found

    def _no_service(self, *arguments: Any, **keywords: Any) -> Any:
        """Raises ValueError: we have the SCU role on a requestor's association for storage alone."""
        raise self._no_context("this service")

    send_c_echo = send_c_find = send_c_get = send_c_move = send_c_cancel = _no_service
    send_n_action = send_n_create = send_n_delete = send_n_event_report = send_n_get = send_n_set = _no_service


def _is_in_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def _documented(context: AcceptedContext) -> PresentationContext:
    found = build_context(context.abstract_syntax, context.transfer_syntax)
    found._context_id, found.result = context.context_id, 0x00  # even ones are refused by the property
    found._as_scp, found._as_scu = context.is_scp, context.is_scu
    return found


class _User(ServiceUser):
    """One side, whose primitive is read when somebody asks for it."""

    def __init__(self, association: HandlerAssociation, mode: str, ae_title: str, address: tuple[str, int]) -> None:
        self._read: A_ASSOCIATE | None = None
        self._is_made = False
        super().__init__(cast(Any, association), mode)
        self._ae_title = ae_title  # an odd one passes
        self.address_info = AddressInformation(*address)
        self._is_made = True

    @property
    def primitive(self) -> A_ASSOCIATE | None:
        if self._read is None and self._is_made:
            self._read = cast(HandlerAssociation, self.assoc).primitive(self._mode)
        return self._read

    @primitive.setter
    def primitive(self, value: A_ASSOCIATE | None) -> None:
        """`ServiceUser` begins with None."""
