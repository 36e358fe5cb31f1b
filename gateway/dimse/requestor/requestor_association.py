"""Associations that we ask for: C-ECHO, C-STORE, C-FIND, C-GET and C-MOVE as an SCU."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import Callable, Iterable, Mapping, Sequence

import structlog

from gateway.dimse.protocol.assembly import Message
from gateway.dimse.protocol.association import AssociationEnded
from gateway.dimse.protocol.connection import ReadingHeld
from gateway.dimse.protocol.message import RESPONSE, Command, CommandField
from gateway.dimse.protocol.pdata import SMALLEST_MAXIMUM
from gateway.dimse.protocol.proposal import (
    AssociateAccept,
    decode_accept,
    decode_reject,
    describe_reject,
    encode_request,
)
from gateway.dimse.protocol.tls_failures import our_certificate_refused
from gateway.dimse.protocol.upper_layer import ServicePrimitive, UpperLayerEvent, UpperLayerState
from gateway.dimse.requestor.connecting import TLSOverride, connect
from gateway.dimse.requestor.single_response import SingleResponseAssociation, granted_window
from gateway.leniency import tolerated
from gateway.model.associate import DEFAULT_OFFERED_PDU, ProposedContext
from gateway.model.association import AssociationFacts
from gateway.model.dimse_status import UNRECOGNIZED_OPERATION
from gateway.model.listener import Limits
from gateway.model.peer import Peer
from gateway.ports.errors import DestinationDown, DestinationRefuses, NoContextAccepted, PeerFailure
from gateway.ports.meter import Meter, NoMeter
from gateway.routing.ae_title_templates import is_template

log = structlog.get_logger()

TRANSIENT_REJECTION = 2
LARGEST_PDU = 2**32 - 1


class RequestorAssociation(SingleResponseAssociation):
    """The requestor's side."""

    holds_reading_while_writing = False

    def __init__(self, peer: Peer, own_ae_title: str, contexts: Sequence[ProposedContext], meter: Meter) -> None:
        offered = peer.associate.max_pdu_bytes  # 0 is without limit: what is never buffered needs none
        limits = Limits(max_pdu_bytes=LARGEST_PDU if offered == 0 else offered or DEFAULT_OFFERED_PDU)
        super().__init__(timers=peer.timers, limits=limits)
        self._peer = peer
        self._proposed = tuple(contexts)
        self._all_proposed = frozenset(contexts)
        self._meter = meter
        self._opening: asyncio.Future[AssociateAccept] = self._loop.create_future()
        self._has_joined = False
        self.accepted: Mapping[tuple[str, str], int] = {}
        """(abstract syntax, transfer syntax) → presentation context ID, where we are the SCU."""
        self.identity_response: bytes | None = None
        """Server response to the user identity that we offered."""
        self.extended: Mapping[str, bytes] = {}
        """SOP class extended negotiation answered by the peer: SOP class UID → application information."""
        self.facts = AssociationFacts(
            calling_ae_title=_plain(peer.calling_ae_title) or own_ae_title,
            called_ae_title=_plain(peer.associate.called_ae_title) or peer.ae_title,
            remote_host=peer.host,
            remote_port=peer.port,
            peer=peer.name,
            association_id=self.association_id,
        )

    # --- what one may ask ------------------------------------------------------------------------------------------

    @property
    def is_open(self) -> bool:
        """True while requests can be sent."""
        return self._ended is None and self._upper.state is UpperLayerState.ESTABLISHED

    @property
    def remote_address(self) -> str:
        """Numeric address of the peer; empty when there is no connection (any more)."""
        place = None if self._transport is None else self._transport.get_extra_info("peername")
        return str(place[0]) if place else ""

    @property
    def peer_certificate(self) -> bytes:
        """The certificate of the peer, in DER form; empty without TLS."""
        connection = None if self._transport is None else self._transport.get_extra_info("ssl_object")
        return (connection.getpeercert(binary_form=True) or b"") if connection is not None else b""

    def has_proposed(self, contexts: Iterable[ProposedContext]) -> bool:
        """True when all of `contexts` were proposed, accepted or not."""
        return self._all_proposed.issuperset(contexts)

    async def release(self) -> None:
        """Release, and return when the connection is gone; a peer that does not answer is aborted."""
        if self._upper.state is UpperLayerState.ESTABLISHED:
            self._request_release()
        elif self._upper.state in (UpperLayerState.IDLE, UpperLayerState.AWAITING_ASSOCIATE_AC):
            self.abort()
        await self.wait_closed()

    # --- requests --------------------------------------------------------------------------------------------------

    def _message_received(self, message: Message) -> None:
        field = message.command["CommandField"]
        if field & RESPONSE:
            if not self._is_for_responses(message):
                message.close()
                self._response_received(message)
            return
        responses = self._responses
        if responses is not None and responses.takes_store(message):
            return
        message.close()
        if field == CommandField.C_CANCEL:
            return
        refusal: Command = {
            "CommandField": field | RESPONSE,
            "MessageIDBeingRespondedTo": message.command["MessageID"],
            "Status": UNRECOGNIZED_OPERATION,
        }
        with contextlib.suppress(AssociationEnded):  # we are releasing
            self.send_command(message.context.context_id, refusal)

    # --- opening and closing ---------------------------------------------------------------------------------------

    @property
    def name(self) -> str:
        """The peer, for messages."""
        called = self.facts.called_ae_title
        return f"{self._peer.name} ({called} at {self._peer.host}:{self._peer.port})"

    async def open(self) -> None:
        """Negotiate on the transport that is attached."""
        request = encode_request(
            self.facts.calling_ae_title, self.facts.called_ae_title, self._proposed, self._peer.associate
        )
        self._event(UpperLayerEvent.ASSOCIATE_REQUEST)
        self._event(UpperLayerEvent.TRANSPORT_CONFIRM, request)
        self._unhold(ReadingHeld.TRANSPORT)
        try:
            async with asyncio.timeout(self._timers.association_s):
                accepted = await self._opening
        except TimeoutError:
            self.abort("no answer to A-ASSOCIATE-RQ")
            raise DestinationDown(
                f"{self.name} did not answer the association request in {self._timers.association_s:g} s",
                PeerFailure("no_answer"),
            ) from None
        except BaseException:
            self.abort("association given up")
            raise
        self.identity_response, self.extended = accepted.identity_response, dict(accepted.extended)
        self.window = granted_window(self._peer.associate.async_operations, accepted.asynchronous_operations)
        self._by_syntax = {
            (str(context.abstract_syntax), str(context.transfer_syntax)): context
            for context in reversed(list(accepted.contexts.values()))
            if context.is_scu
        }
        self.accepted = {key: context.context_id for key, context in self._by_syntax.items()}
        if 0 < accepted.max_pdu_bytes < SMALLEST_MAXIMUM:
            self.abort()
            raise DestinationRefuses(f"{self.name} takes PDUs of {accepted.max_pdu_bytes} bytes only")
        if not accepted.contexts:
            await self.release()
            raise NoContextAccepted(f"{self.name} accepted none of {len(self._proposed)} presentation contexts")

    def _read_pdu(self, event: UpperLayerEvent, data: bytes) -> object:
        if event is UpperLayerEvent.ASSOCIATE_AC_PDU and self._upper.state is UpperLayerState.AWAITING_ASSOCIATE_AC:
            return self._read_accept(data)
        return super()._read_pdu(event, data)

    def _read_accept(self, data: bytes) -> AssociateAccept:
        """Raises ValueError: it cannot be read, or is odd and the peer held to the letter."""
        accepted = decode_accept(data, self._proposed, self._peer.associate)
        if accepted.oddities:
            if self._peer.is_strict:
                raise ValueError(f"an A-ASSOCIATE-AC with {', '.join(accepted.oddities)}")
            found = accepted.oddities
            tolerated(self._meter, "associate_items", self._peer.name, association=self.association_id, found=found)
        return accepted

    def _indicated(self, primitive: ServicePrimitive, value: object) -> None:
        if primitive is ServicePrimitive.ASSOCIATE_ACCEPTED:
            assert isinstance(value, AssociateAccept)
            self._establish(value.contexts, value.max_pdu_bytes)
            self._joined()
            if not self._opening.done():
                self._opening.set_result(value)
        elif primitive is ServicePrimitive.ASSOCIATE_REJECTED:
            assert isinstance(value, bytes)
            self._rejected(value)
        else:
            super()._indicated(primitive, value)

    def _rejected(self, pdu: bytes) -> None:
        reject = decode_reject(pdu)
        kind = DestinationDown if reject.result == TRANSIENT_REJECTION else DestinationRefuses
        failure = PeerFailure("rejected", (reject.result or 0, reject.source or 0, reject.reason_diagnostic or 0))
        self._fail_opening(kind(f"{self.name} rejected the association: {describe_reject(reject)}", failure))
        self._count("rejected")
        self._end("rejected")

    def _joined(self) -> None:
        self._has_joined = True
        self._count("accepted")
        self._meter.count("gateway_associations_open", 1, direction="out", peer=self._peer.name)

    def _count(self, result: str) -> None:
        self._meter.count("gateway_associations_total", direction="out", peer=self._peer.name, result=result)

    def _fail_opening(self, error: Exception) -> None:
        if not self._opening.done():
            self._opening.set_exception(error)
            self._opening.exception()  # retrieved: the opening may have been given up

    def _association_ended(self, reason: str) -> None:
        if self._responses is not None:
            self._responses.ended(reason)
        self._fail_opening(DestinationDown(f"{self.name}: {reason}", PeerFailure("ended")))
        if not self._has_joined:
            return
        self._count("released" if reason == "released" else "aborted")
        self._meter.count("gateway_associations_open", -1, direction="out", peer=self._peer.name)
        if reason != "released":
            log.warning("association_lost", association=self.association_id, peer=self._peer.name, reason=reason)

    def _lost(self, error: Exception | None) -> None:
        if isinstance(error, ssl.SSLError):
            text = our_certificate_refused(error, self._peer.associate.tls) or f"TLS failed: {error}"
            self._fail_opening(DestinationRefuses(f"{self.name}: {text}", PeerFailure("tls")))
        super()._lost(error)


async def associate(
    peer: Peer,
    *,
    own_ae_title: str,
    contexts: Sequence[ProposedContext],
    meter: Meter | None = None,
    tls: TLSOverride | None = None,
    made: Callable[[Peer, str, Sequence[ProposedContext], Meter], RequestorAssociation] = RequestorAssociation,
) -> RequestorAssociation:
    """Connect to `peer` and negotiate.

    Args:
        peer: where, and how to associate.
        own_ae_title: calling AE title unless the peer's settings name another.
        contexts: 1 to 128; get the IDs 1, 3, 5, … in order.
        meter: where associations are counted.
        tls: a TLS context and server name in place of the peer's settings.
        made: makes the association; one that raises events, where handlers are bound to them.

    Raises:
        DestinationDown: connection refused or timed out, name not found, transient rejection, abort.
        DestinationRefuses: permanent rejection, TLS identity.
        NoContextAccepted: none of `contexts`.
        ConfigurationError: TLS files cannot be used.
        ValueError: contexts or AE titles that cannot be sent.
    """
    if peer.fault:
        raise DestinationRefuses(f"{peer.name}: {peer.fault}")
    association = made(peer, own_ae_title, contexts, meter if meter is not None else NoMeter())
    try:
        await connect(association, peer, tls)
        await association.open()
    except BaseException:
        association.close_now()
        raise
    return association


def _plain(title: str) -> str:
    """Empty for one that is made for a requestor, of whom there is none: we ask for ourselves."""
    return "" if is_template(title) else title
