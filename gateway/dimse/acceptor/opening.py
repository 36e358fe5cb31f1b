"""An association that a peer asks us for, until it is accepted: admission, user identity, negotiation; and whether the
rules of a reload still admit its requestor."""

from __future__ import annotations

import asyncio
import dataclasses
import zlib
from collections.abc import Mapping, Sequence
from typing import Any

import structlog
from pynetdicom import evt

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
from gateway.dimse.acceptor.identity_check import positive_response, verified_identity
from gateway.dimse.acceptor.negotiation import NegotiationResult, answer_extended, encode_accept, negotiate
from gateway.dimse.acceptor.operations import AcceptorHost, NotifiesHandlers
from gateway.dimse.protocol.associate_request import (
    APPLICATION_CONTEXT_NAME,
    AssociateHead,
    AssociateRequest,
    MalformedAssociate,
    head,
    parse,
)
from gateway.dimse.protocol.association import Association
from gateway.dimse.protocol.connection import ReadingHeld
from gateway.dimse.protocol.deadlines import AssociationTimer
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
from gateway.identity.values import VerifiedIdentity
from gateway.leniency import tolerated
from gateway.model.association import AssociationFacts
from gateway.model.peer import Peer
from gateway.model.security import IdentityCheck
from gateway.network.accepting import host_of
from gateway.network.proxy_header import Caller
from gateway.ports.meter import peer_label

log = structlog.get_logger()


class OpeningAssociation(Association):
    """The acceptor's side of opening. `facts` and `peer` are set once the association is accepted."""

    def __init__(
        self, host: AcceptorHost[Any], listener: str, max_pdu_bytes: int, identity_check: IdentityCheck | None = None
    ) -> None:
        super().__init__(is_requestor=False, timers=host.timers, limits=host.limits)
        self._host: AcceptorHost[Any] = host
        self._listener = listener
        self._identity_check = identity_check
        """The identity check of the listener for all requestors."""
        self._verifying: asyncio.Task[None] | None = None
        self._max_pdu_bytes = max_pdu_bytes
        self.peer: Peer | None = None
        self.is_strict = False
        """The requestor is held to the letter of the standard (`gateway.leniency`); known once it is admitted."""
        self.extended: Mapping[str, bytes] = {}
        """SOP class extended negotiation as we answered it: SOP class UID → application information."""
        self._has_joined = False
        self._is_readmission_due = False
        """Other rules came into force, and it is not decided yet whether they admit this requestor."""
        self._local_address = ("", 0)
        self._proxy_host = ""
        """The address of the balancer that the connection came through; empty without one."""
        self.associate_rq = b""
        """The A-ASSOCIATE-RQ that was accepted, deflated (zlib); for
        `gateway.dimse.pynetdicom_contract.handler_association` alone."""
        self.associate_ac = b""
        """Our answer."""
        self._notified: NotifiesHandlers | None = None
        """Tells the handlers of notification events, where there are any."""

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
                self._keep_to_transport()

    @property
    def protocol(self) -> asyncio.BufferedProtocol:
        """The protocol that gets everything that asyncio's transport reads."""
        return self if self._notified is None else self._notified.tap

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

    # --- opening -----------------------------------------------------------------------------------------------

    def came_through(self, proxy_host: str, caller: Caller) -> None:
        """The connection is a balancer's, and its header names `caller`; before `attach`."""
        self._proxy_host = proxy_host
        self.facts = dataclasses.replace(self.facts, remote_host=caller.host, remote_port=caller.port)

    def remote_hosts(self, transport: asyncio.BaseTransport | None = None) -> dict[str, str]:
        """The requestor's address and the balancer's, where there is one, as fields of the log; `transport`: while none
        is attached."""
        proxy = {"proxy_host": self._proxy_host} if self._proxy_host else {}
        return {"remote_host": self._remote_address(transport or self._transport)[0], **proxy}

    @property
    def _log_fields(self) -> dict[str, str]:
        return {**super()._log_fields, **self.remote_hosts()}

    def attach(self, transport: asyncio.Transport) -> None:
        super().attach(transport if self._notified is None else self._notified.wrapped(transport))

    def _attached(self) -> None:
        if self._notified is not None:
            self._keep_to_transport()
        if self._ended is not None:  # closed before its transport was there
            self._abort_transport()
            return
        if self._notified is not None:
            host, port = self._remote_address(self._transport)
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
        """The facts that are known without decoding anything but the fixed fields."""
        assert self._transport is not None
        host, port = self._remote_address(self._transport)
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

    def _remote_address(self, transport: asyncio.BaseTransport | None) -> tuple[str, int]:
        if self.facts.remote_host:
            return self.facts.remote_host, self.facts.remote_port
        address = transport.get_extra_info("peername") if transport is not None else None
        return host_of(address or ()), int(address[1]) if address else 0

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
        self._log_oddities(odd_user_information(request.user_information), answer.even_ids)
        self.associate_ac = accept
        self._has_joined = True
        self._host.joined(self)
        self._establish(answer.contexts, request.max_pdu_bytes)
        self._event(UpperLayerEvent.ASSOCIATE_ACCEPT, accept)
        self._deadlines.start(AssociationTimer.IDLE, self._timers.idle_s)
        self._log_accepted(request, answer)
        self._raise(evt.EVT_ACCEPTED)
        self._raise(evt.EVT_ESTABLISHED)

    def _log_oddities(self, oddities: tuple[str, ...], even_ids: tuple[int, ...]) -> None:
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
            **self.remote_hosts(),
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
            **self.remote_hosts(),
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
        self._host.meter.count("gateway_associations_total", direction="in", peer=peer_label(self.facts), result=result)

    # --- other rules -------------------------------------------------------------------------------------------

    def _failed(self) -> None:
        """A fault of ours with a request; called while its exception is handled."""
        log.exception("request_failed", association=self.association_id)
        self.abort("internal error")

    def _readmit(self) -> None:
        self._is_readmission_due = False
        if self._ended is not None:
            return
        try:
            self._be(self._host.readmit(self))
        except Rejected as rejected:
            log.warning("association_admission_ended", **self._log_fields, reason=str(rejected))
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


def _not_in_time() -> Rejected:
    text = "the user identity was not verified in time"
    return Rejected(TRANSIENT, PROVIDER_PRESENTATION, TEMPORARY_CONGESTION, text)
