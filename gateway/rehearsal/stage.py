"""A rehearsal of an object on the real path, without network and disk.

An object goes through admission, the C-STORE handler and what a delivery does before it sends, as if it had arrived.
`gateway explain` and `gateway test` both stand on this, so that neither tells a story of its own.
"""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from typing import cast

from gateway.conversion.pool import ConversionPool
from gateway.dataset.inflation import Bounds, set_bounds
from gateway.dataset.scan import at_once
from gateway.delivery.transform import StoredOutbound, outbound_for
from gateway.dimse.acceptor.admission import Rejected, admit
from gateway.dimse.acceptor.negotiation import Policy, decide
from gateway.dimse.protocol.associate_items import ABSTRACT_SYNTAX_NOT_SUPPORTED, TRANSFER_SYNTAXES_NOT_SUPPORTED
from gateway.dimse.protocol.associate_request import ProposedPresentationContext
from gateway.dimse.protocol.context import as_uid
from gateway.dimse.protocol.memory import MemoryDataSet
from gateway.intake.incoming import Incoming
from gateway.intake.intake import Intake
from gateway.intake.intake_log import IntakeLog
from gateway.intake.loops import LoopWatch
from gateway.model.association import AssociationFacts
from gateway.model.delivery import Delivery, Dispatch
from gateway.model.instance import Instance, PayloadRef
from gateway.ports.converter import Converter
from gateway.ports.encoded_data_set import EncodedDataSet
from gateway.ports.errors import GatewayError, ObjectTooLarge
from gateway.ports.journal import Journal
from gateway.ports.meter import NoMeter
from gateway.retrieve.adaptation import BorrowedDataSet
from gateway.routing.facts import ObjectFacts
from gateway.routing.table import RoutingTable


@dataclass(frozen=True, slots=True)
class RehearsedStore:
    """One object on its way to us."""

    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str
    body: EncodedDataSet


@dataclass(frozen=True, slots=True)
class RehearsedAdmission:
    """The result of the association request: made or not, and able to store or not."""

    association: AssociationFacts
    """The association, with the peer as which it is admitted."""
    text: str
    is_admitted: bool


@dataclass(frozen=True, slots=True)
class RehearsedResponse:
    """The C-STORE response, and the state of the disk after it."""

    status: int
    error_comment: str = ""
    instance: Instance | None = None
    """The instance after the coercions; None when nothing would be kept."""
    body: EncodedDataSet | None = None
    dispatches: tuple[Dispatch, ...] = ()
    """The deliveries that would be owed."""
    is_unmatched: bool = False
    """True when no route applies to it."""


def admission(table: RoutingTable, facts: AssociationFacts, sent: RehearsedStore) -> RehearsedAdmission:
    """The peer as which an association with `facts` is admitted, or the reason why it is not, or why nothing like
    `sent` comes over it."""
    admitted = query_admission(table, facts)
    if not admitted.is_admitted:
        return admitted
    facts, peer = admitted.association, table.peers.get(admitted.association.peer)
    if peer is None:
        return _negotiated(facts, admitted.text, Policy(_STORE), sent)
    if "store" not in peer.may:
        return RehearsedAdmission(facts, f"{admitted.text}, which may not store", is_admitted=False)
    policy = Policy(_STORE, peer.accept_sop_classes, peer.accept_transfer_syntaxes)
    return _negotiated(facts, admitted.text, policy, sent)


def query_admission(table: RoutingTable, facts: AssociationFacts) -> RehearsedAdmission:
    """The peer as which an association with `facts` is admitted, or the reason why it is not, whatever it is for."""
    listener = next((one for one in table.settings.listeners if one.name == facts.listener), None)
    facts = replace(facts, is_tls=facts.is_tls or (listener is not None and listener.tls is not None))
    try:
        admitted = admit(facts, table.settings, table.peers, reserved=table.reserved_ae_titles)
    except Rejected as rejected:
        return RehearsedAdmission(facts, f"association rejected: {rejected}", is_admitted=False)
    peer = admitted.peer
    for check in (listener.user_identity if listener else None, admitted.user_identity):
        if check is not None and not (facts.user_identity in check.users if check.users else facts.user_identity):
            text = "association rejected: no user identity that is verified and allowed here"
            return RehearsedAdmission(facts, text, is_admitted=False)
    if peer is None:
        return RehearsedAdmission(facts, "admitted as a stranger", is_admitted=True)
    return RehearsedAdmission(replace(facts, peer=peer.name), f"admitted as peer {peer.name}", is_admitted=True)


_STORE = frozenset({"store"})
_NOT_ACCEPTED = {
    ABSTRACT_SYNTAX_NOT_SUPPORTED: "its SOP class is accepted in no presentation context",
    TRANSFER_SYNTAXES_NOT_SUPPORTED: "its transfer syntax is accepted in no presentation context",
}


def _negotiated(facts: AssociationFacts, text: str, policy: Policy, sent: RehearsedStore) -> RehearsedAdmission:
    """The admission of an accepted association, with or without the context that `sent` needs."""
    proposal = ProposedPresentationContext(1, as_uid(sent.sop_class_uid), (as_uid(sent.transfer_syntax_uid),))
    result, context = decide(proposal, {}, policy)
    if context is None:
        return RehearsedAdmission(
            facts, f"{text}, but {_NOT_ACCEPTED.get(result, 'it is not accepted')}", is_admitted=False
        )
    return RehearsedAdmission(facts, text, is_admitted=True)


async def store(
    table: RoutingTable, association: AssociationFacts, sent: RehearsedStore, now: datetime
) -> RehearsedResponse:
    """Take the object in, as the C-STORE handler does it. `sent.body` stays the caller's to close."""
    most = table.settings.limits.object_bytes
    if sent.body.length_bytes > most:
        return RehearsedResponse(
            ObjectTooLarge.dimse_status, f"{sent.body.length_bytes} bytes; `limits.object_size` is {most}"
        )
    journal, meter = _Journal(), _Meter()
    loops = LoopWatch(
        table.settings.loops
    )  # knows of nothing that came before, but how many gateways this came through
    intake = Intake(cast(Journal, journal), IntakeLog(meter, _SILENT), lambda: now, loops=loops)
    incoming = Incoming(association, sent.sop_class_uid, sent.sop_instance_uid, sent.transfer_syntax_uid, sent.body)
    try:
        status = await intake.accept(incoming, table)
    except GatewayError as error:
        return RehearsedResponse(error.dimse_status, str(error), is_unmatched=meter.is_unmatched)
    return RehearsedResponse(int(status), "", journal.instance, journal.body, journal.dispatches, meter.is_unmatched)


@dataclass(frozen=True, slots=True)
class Stage:
    """The means of a rehearsal: the rules, and worker processes that convert where rules say so."""

    table: RoutingTable
    converter: Converter


@asynccontextmanager
async def staged(table: RoutingTable) -> AsyncIterator[Stage]:
    """A stage for any number of objects; its workers start when they are needed and end with it."""
    limits = table.settings.limits
    set_bounds(Bounds(limits.inflated_bytes, limits.inflated_ratio))
    pool = ConversionPool(table.settings.conversion, tempfile.gettempdir(), NoMeter(), events=_SILENT)
    try:
        yield Stage(table, pool)
    finally:
        await pool.close()


def read_facts(stage: Stage, association: AssociationFacts, sent: RehearsedStore, received_at: datetime) -> ObjectFacts:
    """The object's facts, with what routes' actions read at delivery.

    Raises:
        Unreadable, ClassMismatch: the handler refuses it as well.
    """
    reading = stage.table.reading_facts(
        association=association,
        sop_class_uid=sent.sop_class_uid,
        sop_instance_uid=sent.sop_instance_uid,
        transfer_syntax_uid=sent.transfer_syntax_uid,
        body=sent.body,
        received_at=received_at,
        is_to_explain=True,
    )
    return at_once(reading)


async def leave(stage: Stage, instance: Instance, body: EncodedDataSet, dispatch: Dispatch) -> StoredOutbound:
    """The object that would be sent to the route's destination, conversions included. `body` stays the caller's to
    close.

    Raises:
        Refusal: the route's actions cannot be done on this object: it would be a dead letter.
    """
    delivery = Delivery(
        delivery_id=0,
        instance=instance,
        destination=dispatch.destination,
        rule=dispatch.rule,
        actions_json=dispatch.actions_json,
        state=dispatch.state,
        attempts=0,
        created_at=instance.received_at,
        due_at=instance.received_at,
    )
    return await outbound_for(delivery, BorrowedDataSet(body), stage.table.resources, stage.converter)


class _Meter(NoMeter):
    """A meter that notes whether the object is counted as wanted by no route."""

    def __init__(self) -> None:
        self.is_unmatched = False

    def count(self, name: str, amount: float = 1, /, **labels: str) -> None:
        self.is_unmatched |= name == "gateway_unmatched_instances_total"


class _Silent:
    """A log that drops every event: nothing happened."""

    def info(self, name: str, **fields: object) -> None: ...
    def warning(self, name: str, **fields: object) -> None: ...
    def error(self, name: str, **fields: object) -> None: ...


_SILENT = _Silent()


class _Journal:
    """A journal that keeps the object instead of committing it."""

    def __init__(self) -> None:
        self.instance: Instance | None = None
        self.body: EncodedDataSet | None = None
        self.dispatches: tuple[Dispatch, ...] = ()

    async def commit(
        self,
        instance: Instance,
        body: EncodedDataSet,
        edited: Sequence[bytes | memoryview] | None,
        dispatches: Sequence[Dispatch],
    ) -> Instance:
        self.body = body if edited is None else MemoryDataSet(b"".join(edited))
        self.instance = replace(instance, payload=PayloadRef("", 0, self.body.length_bytes, b""))
        self.dispatches = tuple(dispatches)
        return self.instance
