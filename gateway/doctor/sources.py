"""Peers that queries and retrieves are passed on to: which of the SOP classes that will be proposed they accept. They
are asked for nothing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from gateway.dimse.protocol.context import as_uid
from gateway.dimse.requestor.query_contexts import as_store_scp, query_contexts
from gateway.doctor import peers
from gateway.doctor.finding import DoctorFinding, found
from gateway.doctor.site import Site
from gateway.model.associate import ProposedContext
from gateway.model.peer import Peer
from gateway.model.settings import QueryRetrieve
from gateway.ports.errors import ConfigurationError, PeerError
from gateway.query.sop_classes import FIND_OF_ROOT, GET_OF_ROOT, MOVE_OF_ROOT
from gateway.retrieve.get_proposals import USUAL_CLASSES, get_contexts
from gateway.scu.negotiate import AcceptedSOPClasses, negotiate
from gateway.sources.relayed_services import RETRIEVING, SERVICES, RelayedRetrieveService

ASSOCIATIONS = 3
"""The most associations to one source: for C-FIND, for C-MOVE and for C-GET."""


@dataclass(frozen=True, slots=True)
class SourceDuties:
    """The queries and retrieves that the configuration passes on to one peer."""

    is_source: bool
    """It is among `query_retrieve.sources`."""
    relayed: tuple[str, ...] = ()
    """The services of `query_retrieve.relay` that name it."""

    @property
    def retrieving(self) -> list[RelayedRetrieveService]:
        """The relayed services whose objects are retrieved."""
        return [each for each in RETRIEVING if each.service in self.relayed]

    def finds(self) -> list[str]:
        """SOP classes for C-FIND."""
        own = FIND_OF_ROOT.values() if self.is_source else ()
        return [*own, *(uid for name in self.relayed for uid in SERVICES[name].sop_class_uids)]

    def moves(self) -> list[str]:
        """SOP classes for C-MOVE."""
        return [*(MOVE_OF_ROOT.values() if self.is_source else ()), *(each.move for each in self.retrieving)]

    def gets(self) -> list[str]:
        """SOP classes for C-GET."""
        return [*(GET_OF_ROOT.values() if self.is_source else ()), *(each.get for each in self.retrieving)]

    def stored(self) -> list[str]:
        """Storage SOP classes of the instances that a C-GET brings."""
        usual = USUAL_CLASSES if self.is_source else ()
        return [*usual, *(uid for each in self.retrieving for uid in each.storage)]


def duties_of(name: str, settings: QueryRetrieve) -> SourceDuties | None:
    """The duties of the peer of this name in `query_retrieve`; None when it has none."""
    relayed = tuple(service for service, names in settings.relay.items() if name in names)
    is_source = name in settings.sources
    return SourceDuties(is_source, relayed) if is_source or relayed else None


@dataclass(frozen=True, slots=True)
class _Negotiation:
    """The SOP classes that were proposed to a source, and those that it accepted."""

    proposed: tuple[str, ...]
    accepted: frozenset[str]
    is_move_tried: bool
    get_without_storage: bool
    """C-GET was accepted, and nothing that it could send."""

    def has(self, uids: Iterable[str]) -> bool:
        """True when one of them was accepted."""
        return not self.accepted.isdisjoint(uids)


async def source(one: Peer, duties: SourceDuties, site: Site) -> list[DoctorFinding]:
    """The findings about one peer that was reached already."""
    subject = peers.subject_of(one)
    try:
        negotiation = await _negotiated(peers.limited(one, site.limit_s), duties, site.settings.ae_title)
    except PeerError as error:
        finding = peers.failed(error, subject, one, peers.own_title(one, site), one.host)
        return [replace(finding, what=f"when it was offered queries and retrieves: {finding.what}")]
    except (ConfigurationError, ValueError) as error:
        return [found("tls-unusable", subject, str(error), area="peer")]
    missing = [*_missing(one, duties, negotiation, subject)]
    return [*missing, found("source-contexts", subject, _described(negotiation))]


async def _negotiated(one: Peer, duties: SourceDuties, own_ae_title: str) -> _Negotiation:
    """An association for each operation, as retrieves and queries make them."""

    async def of(peer: Peer, contexts: tuple[ProposedContext, ...]) -> AcceptedSOPClasses:
        return await negotiate(peer, own_ae_title, contexts) if contexts else AcceptedSOPClasses()

    is_moved_to_us = one.retrieve == "move" or (one.retrieve == "auto" and "store" in one.may)
    finds, moves = duties.finds(), duties.moves() if is_moved_to_us else []
    gets = duties.gets() if one.retrieve != "move" else []
    accepted = (await of(one, query_contexts(one, finds))).as_scu | (await of(one, query_contexts(one, moves))).as_scu
    contexts = get_contexts(one, duties.stored(), gets) if gets else ()
    storage = as_store_scp(one, (context.abstract_syntax for context in contexts[len(gets) :]))
    by_get = await of(storage, contexts)
    of_get = by_get.as_scu.intersection(gets)
    is_empty = bool(of_get) and by_get.as_scp.isdisjoint(duties.stored())
    return _Negotiation((*finds, *moves, *gets), accepted | of_get, bool(moves), is_empty)


def _missing(one: Peer, duties: SourceDuties, negotiation: _Negotiation, subject: str) -> Iterator[DoctorFinding]:
    """The errors: duties that the source cannot do."""
    if duties.is_source:
        if not negotiation.has((FIND_OF_ROOT["study"], FIND_OF_ROOT["patient"])):
            yield found("query-refused", subject, "it accepts C-FIND neither of Study Root nor of Patient Root")
        is_got = negotiation.has(GET_OF_ROOT.values()) and not negotiation.get_without_storage
        if not is_got and not negotiation.has(MOVE_OF_ROOT.values()):
            yield found("retrieve-refused", subject, _no_way(one, negotiation))
    for name in duties.relayed:
        if not negotiation.has(SERVICES[name].sop_class_uids):
            yield found("relay-refused", subject, f"`relay: {name}`: it accepts none of its SOP classes")


def _no_way(one: Peer, negotiation: _Negotiation) -> str:
    """The reasons why nothing can be retrieved, way by way."""
    ways = []
    if one.retrieve != "move":
        refused = "it accepts no C-GET"
        ways.append("it accepts C-GET, and no SOP class to send by it" if negotiation.get_without_storage else refused)
    if negotiation.is_move_tried:
        ways.append("it accepts no C-MOVE")
    elif one.retrieve == "auto":
        ways.append("C-MOVE is not tried, for its `may` has no `store`")
    return "; ".join(ways)


def _described(negotiation: _Negotiation) -> str:
    """The accepted and the refused SOP classes, by name."""
    refused = [uid for uid in negotiation.proposed if uid not in negotiation.accepted]
    parts = [("accepted", [uid for uid in negotiation.proposed if uid in negotiation.accepted]), ("refused", refused)]
    return "; ".join(f"{word}: {', '.join(_name(uid) for uid in uids)}" for word, uids in parts if uids)


def _name(uid: str) -> str:
    """`Study Root - FIND` in place of the whole name."""
    return as_uid(uid).name.replace(" Query/Retrieve Information Model", "").replace(" Information Model", "")
