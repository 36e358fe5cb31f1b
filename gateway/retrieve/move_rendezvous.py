"""The port at which instances of a C-MOVE to ourselves are handed over.

The source opens an association of its own for them, so that they reach the C-STORE handler. The retrieve says with
`MoveRendezvous.expecting` which instances are to come. The C-STORE handler gives each that came to
`MoveRendezvous.deliver`, whose answer is the status of the C-STORE response.

Instances are taken only from the source of the C-MOVE (`gateway.retrieve.expected_sender`): knowing a SOP Instance UID,
an AE title or a Message ID gives no right to hand over an instance.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

import structlog

from gateway.dimse.acceptor.hosts import is_within
from gateway.ports.encoded_data_set import EncodedDataSet
from gateway.ports.errors import Refusal
from gateway.retrieve.expected_sender import ExpectedSender
from gateway.retrieve.get_fetcher import Take

log = structlog.get_logger()


class RefusedByRetrieve(Refusal):
    """The retrieve that asked for the instance has ended, or does not take it in this form."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.dimse_status = status


@dataclass(frozen=True, slots=True)
class IncomingInstance:
    """An instance that came, without its bytes."""

    peer: str
    """Name of the peer that it came from; empty for a stranger."""
    remote_host: str
    """Numeric address that it came from."""
    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str
    known_peers: Collection[str]
    """Names of all peers, as the rules have them by which this one was named."""
    originator_ae_title: str = ""
    originator_message_id: int | None = None


@dataclass(slots=True, eq=False)
class ExpectedMove:
    """The instances that one C-MOVE to ourselves is to bring."""

    sender: ExpectedSender
    our_ae_title: str
    """Calling AE title of the C-MOVE."""
    sop_instance_uids: frozenset[str]
    take: Take
    touch: Callable[[], None]
    """Called at every sign of life."""
    message_id: int
    """The Message ID of the C-MOVE."""
    is_over: bool = False
    """The retrieve has ended; an instance of it that still comes is refused: the gateway does not want it either."""

    def is_meant(self, incoming: IncomingInstance) -> bool:
        """True for an instance of the peer that was asked. Sources that leave the originator out are common; after the
        end only an instance that names the C-MOVE is known."""
        if incoming.sop_instance_uid not in self.sop_instance_uids:
            return False
        refusal = self.sender.refusal(incoming.peer, incoming.remote_host)
        if refusal:
            log.warning(
                "retrieve_instance_not_taken",
                source=self.sender.peer,
                reason=refusal,
                sop_instance_uid=incoming.sop_instance_uid,
                remote_host=incoming.remote_host,
            )
            return False
        return not self.is_over or self._is_named(incoming)

    def may_be_meant(self, incoming: IncomingInstance) -> bool:
        """True when it comes from a host of the peer that was asked, and the rules by which it came do not have that
        peer: those of a node that is not reloaded yet, or of before or after the peer was renamed."""
        return (
            self.sender.peer not in incoming.known_peers
            and is_within(incoming.remote_host, self.sender.hosts)
            and (not self.is_over or self._is_named(incoming))
        )

    def is_of_this(self, incoming: IncomingInstance) -> bool:
        """True when it has the message ID of this C-MOVE, whatever title the source gives as the originator's."""
        return not self.is_over and self.message_id == incoming.originator_message_id

    def _is_named(self, incoming: IncomingInstance) -> bool:
        return incoming.originator_ae_title == self.our_ae_title and incoming.originator_message_id == self.message_id


class MoveRendezvous(Protocol):
    """Between the retrieves that ask for C-MOVEs to ourselves and the C-STORE handler."""

    def next_message_id(self) -> int:
        """The Message ID of the next C-MOVE to ourselves. No two of them have the same one for a long time, so that
        an instance tells which of several retrieves of one study it is for.
        """
        ...

    def expecting(self, expected: ExpectedMove) -> AbstractContextManager[None]:
        """A context in which the instances that `expected` means go to its `take`."""
        ...

    async def announce(self, expected: ExpectedMove) -> None:
        """Return when the instances are taken for what they are wherever they may arrive: then the C-MOVE may be sent.
        Inside `expecting`. Raises GatewayError.
        """
        ...

    def is_expected(self, sop_instance_uid: str) -> bool:
        """True when a retrieve waits for this instance, or did so until just now, or may do so. Asked for each
        C-STORE."""
        ...

    async def deliver(self, incoming: IncomingInstance, take_body: Callable[[], EncodedDataSet]) -> int | None:
        """Give an instance to the retrieves that it is meant for; the status to answer. None: it is for none of them.

        Args:
            take_body: gives the bytes, which are then the rendezvous' to close; called once, or not at all for None.

        Raises:
            RefusedByRetrieve: with the status to answer.
        """
        ...
