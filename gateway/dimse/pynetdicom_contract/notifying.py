"""An association of ours with handlers bound to its notification events."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pynetdicom import evt

from gateway.dimse.pynetdicom_contract.notifications import BoundNotification, Notifier
from gateway.dimse.requestor.requestor_association import RequestorAssociation


class AssociationNode:
    """One side, as handlers know it from pynetdicom."""

    def __init__(self, ae_title: str, address: str, port: int) -> None:
        self.ae_title = ae_title
        self.address = address
        self.port = port


class AssociationView:
    """`event.assoc` of a notification event. May be used from any thread."""

    is_requestor = True
    is_acceptor = False

    def __init__(self, association: NotifyingAssociation) -> None:
        self._association = association
        self.is_aborted = self.is_rejected = self.is_released = False
        facts = association.facts
        self.requestor = AssociationNode(facts.calling_ae_title, "", 0)
        self.acceptor = AssociationNode(facts.called_ae_title, facts.remote_host, facts.remote_port)

    @property
    def is_established(self) -> bool:
        """True between acceptance and release or abort."""
        return self._association.is_established

    @property
    def accepted_contexts(self) -> list[Any]:
        """(context ID, abstract syntax, transfer syntax) of each."""
        contexts: Mapping[int, Any] = self._association.accepted_contexts
        return [context.documented for context in contexts.values()]

    def abort(self) -> None:
        """Send A-ABORT."""
        self._association.loop.call_soon_threadsafe(self._association.abort)


class NotifyingAssociation(RequestorAssociation):
    """Raises what happens to it."""

    def __init__(self, *arguments: Any, handlers: tuple[BoundNotification, ...]) -> None:
        super().__init__(*arguments)
        self.loop = self._loop
        self._view = AssociationView(self)
        self._notifier = Notifier(handlers, self._view)
        self._address: tuple[str, int] | None = None
        self._notifier.raised(evt.EVT_REQUESTED)

    def _attached(self) -> None:
        super()._attached()
        self._keep_to_transport()  # `_write` sees only what goes there
        if self._address is None and self._transport is not None:
            place = self._transport.get_extra_info("peername") or (self.facts.remote_host, self.facts.remote_port)
            self._address = (str(place[0]), int(place[1]))
            self._notifier.raised(evt.EVT_CONN_OPEN, address=self._address)

    def _write(self, data: bytes) -> None:
        super()._write(data)
        self._notifier.bytes_passed(data, is_sent=True)

    def buffer_updated(self, nbytes: int) -> None:
        self._notifier.bytes_passed(self._buffer[:nbytes], is_sent=False)
        super().buffer_updated(nbytes)

    async def _flush(self, pieces: list[bytes | memoryview]) -> None:
        await super()._flush(pieces)
        await self._notifier.until_there_is_room()

    def _joined(self) -> None:
        super()._joined()
        self._notifier.raised(evt.EVT_ACCEPTED)
        self._notifier.raised(evt.EVT_ESTABLISHED)

    def _association_ended(self, reason: str) -> None:
        super()._association_ended(reason)
        if self._address is None:
            return
        kind = {"rejected": evt.EVT_REJECTED, "released": evt.EVT_RELEASED}.get(reason, evt.EVT_ABORTED)
        self._view.is_rejected = kind is evt.EVT_REJECTED
        self._view.is_released = kind is evt.EVT_RELEASED
        self._view.is_aborted = kind is evt.EVT_ABORTED
        self._notifier.raised(kind)

    def _lost(self, error: Exception | None) -> None:
        super()._lost(error)
        if self._address is not None:
            self._notifier.raised(evt.EVT_CONN_CLOSE, address=self._address)


@dataclass(frozen=True, slots=True)
class MakeNotifying:
    """Makes associations whose events `handlers` receive; equal ones have the same handlers."""

    handlers: tuple[BoundNotification, ...]

    def __call__(self, *arguments: Any) -> NotifyingAssociation:
        return NotifyingAssociation(*arguments, handlers=self.handlers)
