"""The places of the instances that a retrieve names: here, or at sources; hidden ones are left out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import structlog

from gateway.model.query import AnyValue
from gateway.ports.errors import GatewayError
from gateway.retrieve.retrieve_backends import CannotCount, RetrieveBackends, RetrieveRequest
from gateway.retrieve.source_instances import AllSourceInstances, SourceInstance, SourceInstances, query_instances
from gateway.sources.source_query import SourceFailed
from gateway.sources.sources import peers_for, sources_of
from gateway.sources.study_visibility import StudyVisibility

log = structlog.get_logger()

BATCH = 256
"""Instances whose rows are read at once."""


@dataclass(frozen=True, slots=True)
class Located:
    """The places of everything that one retrieve is to bring."""

    held: Sequence[int]
    """Instances that are here, as the index knows them."""
    held_uids: frozenset[str] = frozenset()
    """The SOP Instance UIDs of those instances; only when sources were asked."""
    elsewhere: Sequence[SourceInstances] = ()
    """The instances that sources have, in the configuration's order."""
    failures: Sequence[SourceFailed] = field(default=())
    """Sources that did not list their instances."""


async def located(backends: RetrieveBackends, request: RetrieveRequest) -> Located:
    """Asks the index and all sources. Raises CannotCount when the index cannot be read now."""
    queried = sources_of(request.table, request.facts)
    if queried.is_cut:
        backends.query.meter.count("gateway_retrieve_partial_total")
        log.warning("retrieve_not_passed_on", reason="the request came through too many gateways")
    visibility = StudyVisibility(request.table, request.facts, backends.query)
    try:
        held: Sequence[int] = await backends.query.index.find_instances(request.query) if queried.is_local else ()
        if not queried.peers and not visibility.hides_any:
            return Located(held)
        rows = await _rows(backends, held)
    except GatewayError as error:
        raise CannotCount(str(error)) from error
    found = AllSourceInstances()
    if queried.peers:
        sources, keep = backends.query.sources, backends.query.background.add
        limit_s = request.table.query_retrieve.timeout_s
        found = await query_instances(sources, queried.peers, request.query, limit_s=limit_s, run=keep)
    visible = await _without_hidden(Located(held, elsewhere=found.found, failures=found.failures), rows, visibility)
    for failure in visible.failures:
        log.warning("source_failed", source=failure.source, service="find", reason=failure.reason)
    if visible.failures and request.table.query_retrieve.partial == "accept":
        backends.query.meter.count("gateway_retrieve_partial_total")
    return visible


async def _rows(backends: RetrieveBackends, held: Sequence[int]) -> dict[int, tuple[str, str]]:
    """(SOP Instance UID, Study Instance UID) of instances that are here. Raises Temporary."""
    found = {}
    for start in range(0, len(held), BATCH):
        for instance in await backends.query.index.instances(held[start : start + BATCH]):
            found[instance.instance_id] = (instance.sop_instance_uid, instance.study_instance_uid)
    return found


async def _without_hidden(
    all_of_it: Located, rows: Mapping[int, tuple[str, str]], visibility: StudyVisibility
) -> Located:
    """The instances without those of studies that are hidden at one of the places."""
    hidden: set[str] = set()
    if visibility.hides_any:
        for study in {study for _, study in rows.values()}:
            if await visibility.hides(study):
                hidden.add(study)
        for holding in all_of_it.elsewhere:
            for study in {item.study_instance_uid for item in holding.items.values()} - hidden:
                if await visibility.hides(study, holding.peer):
                    hidden.add(study)
    if hidden:
        log.info("studies_hidden", number=len(hidden))
    failed = {failure.source for failure in all_of_it.failures}
    unseen = [failure for name, failure in visibility.failures.items() if name not in failed]
    held = [number for number in all_of_it.held if number in rows and rows[number][1] not in hidden]
    return replace(
        all_of_it,
        held=held,
        held_uids=frozenset(rows[number][0] for number in held),
        elsewhere=[_without(holding, hidden) for holding in all_of_it.elsewhere] if hidden else all_of_it.elsewhere,
        failures=(*all_of_it.failures, *unseen),
    )


def _without(holding: SourceInstances, hidden: set[str]) -> SourceInstances:
    items = {uid: item for uid, item in holding.items.items() if item.study_instance_uid not in hidden}
    return replace(holding, items=items)


def located_relayed(backends: RetrieveBackends, request: RetrieveRequest) -> Located:
    """The places of objects that have no patient: each peer that serves them may have each. Peers are tried in the
    configuration's order; an object that none of them gives has failed.
    """
    assert request.relayed is not None
    names = request.table.query_retrieve.relay.get(request.relayed.service, ())
    peers, is_cut = peers_for(request.table, names, request.facts)
    if is_cut:
        backends.query.meter.count("gateway_retrieve_partial_total")
        log.warning("retrieve_not_passed_on", reason="the request came through too many gateways")
    uids = [
        uid
        for key in request.query.keys
        for each in key.conditions
        if isinstance(each, AnyValue)
        for uid in each.values
    ]
    items = {uid: SourceInstance(uid, "", "", "", "") for uid in uids}
    return Located((), elsewhere=[SourceInstances(peer, items) for peer in peers])
