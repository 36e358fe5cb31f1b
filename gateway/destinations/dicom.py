"""A DICOM peer: C-STORE over one association per channel, with contexts from what is queued."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace

import structlog

from gateway.common.steady_clock import loop_clock_s
from gateway.dataset.native import NATIVE, alternatives
from gateway.dimse.protocol.associate_items import MOST_HOPS_WRITTEN
from gateway.dimse.requestor.association_pool import AssociationPool
from gateway.dimse.requestor.requestor_association import RequestorAssociation
from gateway.leniency import tolerated
from gateway.model.associate import ProposedContext
from gateway.model.association import AssociationFacts
from gateway.model.attribute_path import AttributePath
from gateway.model.delivery import Deferred, Delivered, Outcome, Refused
from gateway.model.dimse_status import DUPLICATE_SOP_INSTANCE
from gateway.model.hops import hops_of
from gateway.model.peer import Peer
from gateway.ports import kinds as port_kinds
from gateway.ports.destination import Outbound
from gateway.ports.encoded_data_set import EncodedDataSet
from gateway.ports.errors import (
    ConfigurationError,
    DestinationDown,
    DestinationRefuses,
    NoContextAccepted,
    PeerError,
    Refusal,
    Unreadable,
    fit_for_log,
)
from gateway.ports.kinds import DestinationContext
from gateway.ports.meter import Meter
from gateway.routing.ae_title_templates import has_templates, titled
from gateway.sending.contexts import ConfiguredContexts, Kind, kinds_of, named, propose
from gateway.sending.native_form import in_native_form
from gateway.sending.store_outcome import HAS_IT_ALREADY, outcome_of
from gateway.sending.store_sender import StoreResponse, StoreSender

log = structlog.get_logger()

NOTHING_ACCEPTED_S = 30.0
"""The time for which a peer is not tried again after it accepted no context."""


MOST_TITLES = 256
"""Pairs of AE titles that are remembered, with numbers of gateways."""

MOST_CHANNELS = 4
"""Kept by one worker, where the AE titles of associations depend on who sent the objects."""


@dataclass(frozen=True, slots=True)
class AssociationContext(DestinationContext):
    """The surroundings of a destination that associates."""

    associations: AssociationPool


@port_kinds.destination("dicom")
@dataclass(frozen=True, slots=True)
class DicomNode:
    """An application entity that takes objects by C-STORE. Its address and the settings of associations are the peer's:
    queries and retrieves use them too."""

    def open(self, context: DestinationContext) -> DimseDestination:
        """Raises ConfigurationError: the context has no associations."""
        if not isinstance(context, AssociationContext):
            raise ConfigurationError(f"peer {context.peer.name!r} is reached by associations, and there are none")
        return DimseDestination(context.peer, context.associations, context.meter)

    def attributes(self) -> tuple[AttributePath, ...]:
        return ()

    def place(self) -> str:
        return "the address of the peer"


class DimseDestination:
    """Opens channels to one DICOM peer. They share the memory of the contexts that were needed lately."""

    def __init__(self, peer: Peer, associations: AssociationPool, meter: Meter, hops: int = 1) -> None:
        self.peer = peer
        self.called = replace(peer, associate=replace(peer.associate, hops=hops))
        """The peer, as it is associated with: it sees how many gateways what we deliver came through."""
        self._hops = hops
        self.associations = associations
        self.open_channels = 0
        """Channels that have an association."""
        self.meter = meter
        self.recent = associations.recent_contexts("deliveries", peer)
        """The same ones for each number of gateways: it is the same place."""
        self.given = ConfiguredContexts(peer.associate.contexts)
        self._has_templates = has_templates(peer)
        self._by_titles: dict[tuple[str, str, int], DimseDestination] = {}

    @property
    def channels_at_once(self) -> int:
        """One, that is made anew for objects that came through another number of gateways; several for AE titles."""
        return MOST_CHANNELS if self._has_templates else 1

    def on_behalf_of(self, sender: AssociationFacts) -> DimseDestination:
        """One for each pair of AE titles that templates give, and for each number of gateways that objects came
        through. Raises Refusal for what is no AE title."""
        hops = min(hops_of(sender) + 1, MOST_HOPS_WRITTEN)
        if hops == self._hops and not self._has_templates:
            return self
        peer = titled(self.peer, sender) if self._has_templates else self.peer
        if peer.fault:
            raise Refusal(f"this object cannot be sent to {peer.name}: {peer.fault}")
        key = (peer.calling_ae_title, peer.associate.called_ae_title, hops)
        found = self._by_titles.get(key)
        if found is None:
            if len(self._by_titles) >= MOST_TITLES:
                self._by_titles.pop(next(iter(self._by_titles)))
            found = DimseDestination(peer, self.associations, self.meter, hops)
            self._by_titles[key] = found
        return found

    def channel(self) -> DimseChannel:
        """A channel without an association yet."""
        return DimseChannel(self)


class DimseChannel:
    """One association at a time, made anew when it is lost or when a kind turns up that it has no context for. It is
    released between two objects when another user of the pool waits for one to this peer."""

    def __init__(self, destination: DimseDestination) -> None:
        self._destination = destination
        self._sender: StoreSender[RequestorAssociation] = StoreSender(destination.associations, self._released)
        self._proposed: frozenset[Kind] = frozenset()
        self._kinds: tuple[Kind, ...] = ()
        """The kinds that `prepare` was last asked for."""
        self._has_served = False
        """The association answered a C-STORE."""
        self._is_undivided = False
        self._associations_made = 0
        self._nothing_until_s = 0.0
        """The time until which the peer takes none of `_proposed`: it accepted no context."""

    async def prepare(self, kinds: Sequence[Kind]) -> None:
        """Have an association on which `kinds[0]` was proposed, and the others as far as there is room.

        Raises:
            DestinationDown: no connection, no answer, or a transient rejection.
            DestinationRefuses: a permanent rejection, or TLS or settings that cannot work.
        """
        there = self._destination
        if self._is_usable() and (kinds[0] in self._proposed or there.given.contexts or self.takes(kinds[0])):
            return
        if there.given.refusal(kinds[0]):
            return  # `send` says so
        await self.close()
        self._kinds, self._has_served = tuple(kinds), False
        await self._associate(propose(kinds, there.recent, there.given, there.peer.fallback))

    def keep_undivided(self) -> None:
        """The association that `prepare` makes is new, and of this user alone until it is ended."""
        self._is_undivided = True

    def takes(self, kind: Kind) -> bool:
        """True when the peer accepted a presentation context for it as it is."""
        association = self._sender.association
        return association is not None and kind in association.accepted

    async def send(self, outbound: Outbound) -> Outcome:
        """C-STORE the object over the association that `prepare` made. One that is lost after it served is opened anew
        at once, and the object sent again: some peers close the connection after each object.

        Raises:
            DestinationDown, DestinationRefuses: as `prepare`.
        """
        sender = self._sender
        sender.begin()
        try:
            return await self._sending(outbound)
        finally:
            sender.end()

    def _sending(self, outbound: Outbound) -> Awaitable[Outcome]:
        kind = (outbound.sop_class_uid, outbound.transfer_syntax_uid)
        association = self._sender.association
        if association is not None and kind in association.accepted:
            return self._store(outbound, kind[1], outbound.body)
        return self._store_in_other_form(outbound, kind)

    async def _store_in_other_form(self, outbound: Outbound, kind: Kind) -> Outcome:
        syntax = self._sender.form_for(kind[0], alternatives(kind[1]))
        if not syntax:
            return self._no_context(kind)
        try:
            written = await in_native_form(outbound.body, kind[1], syntax)
        except (Refusal, Unreadable) as error:
            alone = f"{self._destination.peer.name} takes {named(kind[0])} in {named(syntax)} alone"
            for_log = f"{alone}: {fit_for_log(error) or 'it cannot be written so'}"
            reason = f"{alone}: {error}"
            return Refused(reason, is_about_form=True, log_reason=for_log, kind="presentation_context")
        try:
            return await self._store(outbound, syntax, written)
        finally:
            written.let_go()

    async def _store(self, outbound: Outbound, syntax: str, body: EncodedDataSet) -> Outcome:
        refused = self._odd(body)
        if refused is not None:
            return refused
        begun_s = loop_clock_s()
        try:
            response = await self._sender.send(outbound.sop_class_uid, outbound.sop_instance_uid, syntax, body)
        except DestinationDown as error:
            # A peer that is silent to one object is silent to the next. One that ends the association may mean this
            # object only: it is held against the object first, and the next association decides.
            is_silent = loop_clock_s() - begun_s >= 0.99 * self._destination.peer.timers.dimse_s
            if self._has_served and not is_silent:
                return await self._sent_again(outbound, is_doubtful=error.is_doubtful)
            return Deferred(
                str(error), is_destination_down=is_silent, is_over_object=True, is_doubtful=error.is_doubtful
            )
        except ValueError as error:
            return _not_written(error)
        self._has_served = True
        return self._outcome_of(response, outbound)

    async def _sent_again(self, outbound: Outbound, *, is_doubtful: bool) -> Outcome:
        """Once: the new association has not served yet. A doubt about the first one is one about both."""
        try:
            await self.prepare(self._kinds)
            outcome = await self._sending(outbound)
        except PeerError as error:
            error.is_doubtful |= is_doubtful
            raise
        return outcome if isinstance(outcome, Delivered) or not is_doubtful else replace(outcome, is_doubtful=True)

    @property
    def window(self) -> int:
        """One until the association has served."""
        return self._sender.window if self._has_served else 1

    async def begin(self, outbound: Outbound, answered: Callable[[Outcome | None], None]) -> Outcome | None:
        """C-STORE the object, and leave its response for later."""
        refused = self._odd(outbound.body)
        if refused is not None:
            return refused

        def came(response: StoreResponse | None) -> None:
            answered(None if response is None else self._outcome_of(response, outbound))

        class_uid, uid, syntax = outbound.sop_class_uid, outbound.sop_instance_uid, outbound.transfer_syntax_uid
        try:
            await self._sender.begin_store(class_uid, uid, syntax, outbound.body, came)
        except ValueError as error:
            return _not_written(error)
        return None

    def _odd(self, body: EncodedDataSet) -> Refused | None:
        if not (self._destination.peer.is_strict and body.length_bytes % 2):
            return None
        name = self._destination.peer.name
        return Refused(
            f"this object cannot be sent: its data set has an odd length, and {name} is strict", kind="object"
        )

    def _outcome_of(self, response: StoreResponse, outbound: Outbound) -> Outcome:
        if response.status == DUPLICATE_SOP_INSTANCE and self._destination.peer.is_duplicate_delivered:
            there, uid = self._destination, outbound.sop_instance_uid
            tolerated(there.meter, "duplicate_sop_instance", there.peer.name, sop_instance_uid=uid)
            return HAS_IT_ALREADY
        return outcome_of(response.status, response.error_comment)

    async def close(self) -> None:
        """Release the association."""
        ending = self._sender.discard()
        self._proposed = frozenset()
        if ending is not None:
            self._destination.open_channels -= 1
            if self._is_undivided:
                self._sender.end()
            await ending

    def _released(self) -> None:
        """The association was released to another user of the pool; `prepare` asks for one again."""
        self._proposed = frozenset()
        self._destination.open_channels -= 1

    def _is_usable(self) -> bool:
        association = self._sender.association
        if association is not None:
            return association.is_open
        return loop_clock_s() < self._nothing_until_s

    async def _associate(self, contexts: Sequence[ProposedContext]) -> None:
        there = self._destination
        try:
            association = await there.associations.acquire(
                there.called,
                contexts,
                use="bundles" if self._is_undivided else "deliveries",
                is_further=there.open_channels > 0,
                is_exact=True,
            )
            there.open_channels += 1
            self._sender.hold(association)
            if self._is_undivided:
                self._note_division()
        except NoContextAccepted:
            self._nothing_until_s = loop_clock_s() + NOTHING_ACCEPTED_S
        except (ConfigurationError, ValueError) as error:
            raise DestinationRefuses(f"{there.peer.name}: {error}") from error
        own = (context for context in contexts if len(context.transfer_syntaxes) == 1)
        self._proposed = frozenset(kinds_of(own))

    def _note_division(self) -> None:
        """The association is lent to nobody between two objects."""
        self._sender.begin()
        self._associations_made += 1
        if self._associations_made > 1:
            number, name = self._associations_made, self._destination.peer.name
            log.warning("one_association_divided", destination=name, associations=number)

    def _no_context(self, kind: Kind) -> Outcome:
        reason = self._destination.given.refusal(kind)
        if reason:
            reason = f"{self._destination.peer.name}: {reason}"
            return Refused(reason, is_about_form=True, kind="presentation_context")
        if kind in self._proposed or (self._destination.given.contexts and self._is_usable()):
            name, other = self._destination.peer.name, "" if kind[1] not in NATIVE else ", nor in a native one"
            reason = f"{name} accepted no presentation context for {named(kind[0])} in {named(kind[1])}{other}"
            return Refused(
                reason,
                is_about_form=True,
                is_without_context=True,
                is_nothing_accepted=self._sender.association is None,
                kind="presentation_context",
            )
        return Deferred("the association was lost before the object was sent")


def _not_written(error: ValueError) -> Refused:
    for_log = "this object cannot be sent: its command or data set cannot be written"
    return Refused(f"this object cannot be sent: {error}", log_reason=for_log, kind="object")
