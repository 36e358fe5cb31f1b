"""`event.assoc`: the association as pynetdicom documents it for handlers, on top of the runtime's own.

Handlers run in threads; actions on the association are done on its event loop. Requestor and acceptor are pynetdicom's
`ServiceUser` (`service_user`). We can be SCU on a requestor's association for storage alone (`store_to_requestor`).
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from pydicom import dcmread
from pydicom.dataset import Dataset
from pynetdicom.ae import ApplicationEntity
from pynetdicom.association import ServiceUser
from pynetdicom.presentation import PresentationContext

from gateway.dimse.acceptor.acceptor_association import AcceptorAssociation
from gateway.dimse.pynetdicom_contract import bindings, notifications, store_to_requestor
from gateway.dimse.pynetdicom_contract.bindings import is_notification
from gateway.dimse.pynetdicom_contract.sendable import SendableDataset
from gateway.dimse.pynetdicom_contract.service_user import (
    Side,
    SideOfAssociation,
    documented_context,
    rejected_contexts,
)
from gateway.model.association import AssociationFacts
from gateway.model.listener import Timers
from gateway.model.peer import Peer

T = TypeVar("T")

_lock = threading.Lock()
FOR_EVER_S = 1e9


def of(association: AcceptorAssociation) -> HandlerAssociation:
    """The `HandlerAssociation` of an association: handlers see the same object with each of its requests."""
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
    """The association of an event as handlers see it: its attributes, and the actions on it.

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
        self._sides: dict[str, SideOfAssociation] = {}

    # --- the gateway's own ---------------------------------------------------------------------------------------

    @property
    def facts(self) -> AssociationFacts:
        """The titles, addresses and identities of the association."""
        return self._association.facts

    @property
    def peer(self) -> Peer | None:
        """The configured peer that the requestor is; None for a stranger."""
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
        return self._side("requestor")

    @property
    def acceptor(self) -> ServiceUser:
        """Ourselves. The title that was called is `requestor.primitive.called_ae_title`."""
        return self._side("acceptor")

    @property
    def remote(self) -> dict[str, Any]:
        """The peer in short."""
        return self.requestor.info

    @property
    def local(self) -> dict[str, Any]:
        """Ourselves in short."""
        return self.acceptor.info

    def _side(self, side: Side) -> SideOfAssociation:
        if side in self._sides:
            return self._sides[side]
        are_titles_known = bool(self._association.associate_rq)  # before the facts are read: they may come meanwhile
        user = SideOfAssociation(self, self._association, side)
        if are_titles_known:
            self._sides[side] = user
        return user

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
        """Accepted contexts by ID."""
        accepted = self._association.accepted_contexts
        return [documented_context(accepted[context_id]) for context_id in sorted(accepted)]

    @property
    def rejected_contexts(self) -> list[PresentationContext]:
        """The contexts as they were proposed, each with the result of its answer."""
        return rejected_contexts(self.requestor, self.acceptor)

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
        """Have `handler` take `event` on this association no more, if it does now."""
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
        """Do `action` on the event loop; it is done when this returns."""
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
        context = store_to_requestor.context_for(self._association, instance)
        request = store_to_requestor.store_request(instance, priority, originator_aet, originator_id)
        return self._wait_for(store_to_requestor.store(self._association, context, request, instance))

    def _no_service(self, *arguments: Any, **keywords: Any) -> Any:
        """Raises ValueError: we have the SCU role on a requestor's association for storage alone."""
        raise store_to_requestor.no_context("this service")

    send_c_echo = send_c_find = send_c_get = send_c_move = send_c_cancel = _no_service
    send_n_action = send_n_create = send_n_delete = send_n_event_report = send_n_get = send_n_set = _no_service


def _is_in_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
