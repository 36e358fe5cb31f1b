"""C-STORE: take an instance in. Success says that it and every delivery it owes are on disk (PS3.4 §B.2.3)."""

from __future__ import annotations

from collections.abc import Awaitable

from gateway.common.completion import Completion
from gateway.dimse.pynetdicom_contract.event import Event
from gateway.intake.incoming import Incoming
from gateway.intake.intake import Intake
from gateway.model.priority import MEDIUM
from gateway.ports.errors import GatewayError
from gateway.retrieve.move_rendezvous import IncomingInstance, MoveRendezvous
from gateway.routing.table import RoutingTable


class StoreHandler:
    """`evt.EVT_C_STORE`.

    Args:
        intake: takes instances in by the rules.
        rendezvous: takes what a source sends for a C-MOVE to ourselves.
    """

    runs_on_event_loop = True
    """It never blocks: it is called without a thread (`gateway.dimse.acceptor.handler_thread`)."""

    def __init__(self, intake: Intake, rendezvous: MoveRendezvous | None = None) -> None:
        self._intake = intake
        self._rendezvous = rendezvous

    def __call__(self, event: Event) -> Awaitable[int] | Completion[int] | int:
        """Success when the instance is durable, or the status with which a rule drops it. An instance that a source
        sends for a retrieve of ours goes to that retrieve, and not through the rules.

        Raises:
            GatewayError: its `dimse_status` and text are the answer's status and Error Comment.
        """
        table: RoutingTable = event.association.table  # of when the request arrived, whatever is reloaded meanwhile
        incoming = incoming_of(event)
        rendezvous = self._rendezvous
        if rendezvous is not None and rendezvous.is_expected(incoming.sop_instance_uid):
            return self._delivered_or_accepted(event, incoming, table, rendezvous)
        return self._intake.accept_soon(incoming, table)

    async def _delivered_or_accepted(
        self, event: Event, incoming: Incoming, table: RoutingTable, rendezvous: MoveRendezvous
    ) -> int:
        try:
            status = await rendezvous.deliver(_for_retrieves(event, table), event.take_body)
        except GatewayError as error:
            self._intake.log.refused(incoming, error)
            raise
        return await self._intake.accept(incoming, table) if status is None else status


def incoming_of(event: Event) -> Incoming:
    """The instance of a C-STORE request."""
    return Incoming(
        event.facts,
        event.sop_class_uid,
        event.sop_instance_uid,
        event.transfer_syntax_uid,
        event.body,
        event.association,
        sent_as=event.command.get("Priority") or MEDIUM,
    )


def _for_retrieves(event: Event, table: RoutingTable) -> IncomingInstance:
    return IncomingInstance(
        peer=event.facts.peer,
        remote_host=event.facts.remote_host,
        sop_class_uid=event.sop_class_uid,
        sop_instance_uid=event.sop_instance_uid,
        transfer_syntax_uid=event.transfer_syntax_uid,
        known_peers=table.peers.keys(),
        originator_ae_title=str(event.command.get("MoveOriginatorApplicationEntityTitle") or ""),
        originator_message_id=event.command.get("MoveOriginatorMessageID"),
    )
