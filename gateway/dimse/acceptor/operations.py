"""The DIMSE requests that a server knows, and how each is served; what an accepted association needs of its server."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from pynetdicom import evt
from pynetdicom.ae import ApplicationEntity

from gateway.common.completion import Completion
from gateway.dimse.acceptor.admission import (
    Admitted,
)
from gateway.dimse.acceptor.handler_failures import HandlerFailures
from gateway.dimse.acceptor.handler_thread import Handlers
from gateway.dimse.acceptor.identity_check import VerifyIdentity
from gateway.dimse.acceptor.negotiation import Policy
from gateway.dimse.protocol.assembly import Message
from gateway.dimse.requestor.association_pool import AssociationPool
from gateway.model.association import AssociationFacts
from gateway.model.listener import Limits, Timers
from gateway.model.peer import Peer
from gateway.ports.encoded_data_set import DataSetReceiver
from gateway.ports.meter import Meter

Later = Coroutine[Any, Any, None] | Completion[Any]
"""The rest of a request that is not answered at once: the worker awaits a coroutine, a completion calls `complete`."""

A = TypeVar("A")
"""The class of accepted associations."""


@dataclass(frozen=True, slots=True)
class Operation(Generic[A]):
    """The service of one DIMSE request.

    Attributes:
        event: what its handler is bound to.
        service: the service whose contexts it may come over.
        serve: serves a complete message.
        receive: checks the command set before the data set comes and gives the receiver; raises GatewayError to have
            the data set thrown away. None: a data set is not expected.
    """

    event: evt.InterventionEvent
    service: str
    serve: Callable[[A, Message], Later | None]
    receive: Callable[[A, Message], DataSetReceiver] | None = None


@dataclass(frozen=True, slots=True)
class Operations(Generic[A]):
    """The DIMSE requests that a server knows."""

    known: Mapping[int, Operation[A]]
    """Operations by Command Field (PS3.7 §E.1)."""
    unrecognized: Callable[[A, Message], Later | None]
    """Serves all others."""


class NotifiesHandlers(Protocol):
    """Tells handlers of notification events what happens to an association."""

    handlers: Any
    """A tuple of bindings."""

    @property
    def tap(self) -> asyncio.BufferedProtocol:
        """The protocol that gets everything that asyncio's transport reads."""
        ...

    def wrapped(self, transport: asyncio.Transport) -> asyncio.Transport: ...
    def raised(self, event: Any, **attributes: Any) -> None: ...


class AcceptorHost(Protocol[A]):
    """The server, as far as an accepted association needs it."""

    handlers: Handlers
    operations: Operations[A]
    notifications: tuple[Any, ...]
    """Handlers of notification events."""
    notified: Callable[[A, tuple[Any, ...]], NotifiesHandlers]
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
    def readmit(self, association: A) -> Admitted: ...
    def policy(self, peer: Peer | None, *, is_strict: bool = False) -> Policy: ...
    def rejected(self, association: A) -> None: ...
    def joined(self, association: A) -> None: ...
    def known_as(self, before: AssociationFacts, after: AssociationFacts) -> None: ...
    def left(self, association: A) -> None: ...
    def closed(self, association: A) -> None: ...
