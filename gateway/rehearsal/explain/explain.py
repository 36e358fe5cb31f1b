"""An object's fate under a routing table, and why: the real path once, then every rule's verdict beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from gateway.dataset.difference import Difference, differences
from gateway.dataset.splice import splice
from gateway.delivery.keeping import keep_by_rule, keep_s
from gateway.delivery.waits import why_it_waits
from gateway.model.association import AssociationFacts
from gateway.model.delivery import DeliveryState, Dispatch
from gateway.model.dimse_status import is_stored
from gateway.model.instance import Instance
from gateway.model.peer import Peer
from gateway.ports import kinds as port_kinds
from gateway.ports.destination import Outbound
from gateway.ports.encoded_data_set import EncodedDataSet
from gateway.ports.errors import GatewayError, Refusal, Unreadable
from gateway.rehearsal import stage as rehearsal
from gateway.rehearsal.explain.explanation import (
    DestinationProposal,
    FateWord,
    InstanceExplanation,
    OutgoingObject,
    RuleOutcome,
)
from gateway.rehearsal.explain.rings import ring_to, was_held
from gateway.rehearsal.explain.subjects import ExplainedObject
from gateway.rehearsal.stage import RehearsedAdmission, RehearsedResponse, Stage, read_facts
from gateway.routing.language.kinds import name_of_kind
from gateway.routing.table import Route, RoutingTable
from gateway.routing.verdicts import Verdict
from gateway.sending.contexts import ConfiguredContexts, RecentContexts, propose


async def explain(stage: Stage, subject: ExplainedObject, *, with_values: bool) -> InstanceExplanation:
    """Decide on `subject` as if it came now over its association; a stored one as it lies there, without coercions.

    `with_values` keeps what predicates compared; differences always know their values.
    """
    if subject.deliveries:
        stage = replace(stage, table=replace(stage.table, coercions=()))
    table = stage.table
    if subject.deliveries:
        admission = RehearsedAdmission(subject.association, f"stored {subject.received_at:%Y-%m-%d %H:%M:%S %Z}", True)
    else:
        admission = rehearsal.admission(table, subject.association, subject.sent)
    answer = InstanceExplanation(
        name=subject.name,
        sop_class_uid=subject.sent.sop_class_uid,
        sop_instance_uid=subject.sent.sop_instance_uid,
        transfer_syntax_uid=subject.sent.transfer_syntax_uid,
        association=admission.association,
        admission=admission,
        fate="not admitted",
        status=None,
    )
    if not admission.is_admitted:
        return answer
    stored = await rehearsal.store(table, admission.association, subject.sent, subject.received_at)
    coercions, routes, decided_by, oddities = await _judged(
        stage, subject, admission.association, stored, with_values=with_values
    )
    return replace(
        answer,
        fate=_fate(stored),
        status=stored.status,
        error_comment=stored.error_comment,
        decided_by=decided_by,
        oddities=oddities,
        coercions=coercions,
        routes=routes,
        leaving=tuple([await _leaving(stage, stored, dispatch) for dispatch in stored.dispatches]),
        owed=tuple([await _owed(stage, subject, index) for index in range(len(subject.deliveries))]),
        kept_until=subject.kept_until,
    )


def _fate(stored: RehearsedResponse) -> FateWord:
    if not stored.dispatches:
        return "discarded" if is_stored(stored.status) else "refused"
    return "held" if all(dispatch.state is DeliveryState.HELD for dispatch in stored.dispatches) else "routed"


async def _judged(
    stage: Stage,
    subject: ExplainedObject,
    association: AssociationFacts,
    stored: RehearsedResponse,
    *,
    with_values: bool,
) -> tuple[tuple[RuleOutcome, ...], tuple[RuleOutcome, ...], str, Mapping[str, str]]:
    """Coercions and routes with their verdicts, none when the object cannot be read at all; the rule that decides on
    the object as a whole; and what is odd about it."""
    sent = subject.sent
    try:
        facts = read_facts(stage, association, sent, subject.received_at)
    except Refusal:
        return (), (), "", {}  # the status says it
    found = stage.table.explain(facts, with_values=with_values)
    coercions = tuple(_coerced(found.coercions, sent.body.view(), sent.transfer_syntax_uid))
    if any(one.refusal for one in coercions):
        return coercions, tuple(RuleOutcome(_not_reached(verdict)) for verdict in found.routes), "", facts.oddities
    routes = [
        await _routed(stage, verdict, route, stored)
        for verdict, route in zip(found.routes, stage.table.routes, strict=True)
    ]
    return coercions, tuple(routes), "" if found.decision is None else found.decision.rule, facts.oddities


def _coerced(verdicts: Sequence[Verdict], view: memoryview, syntax: str) -> list[RuleOutcome]:
    """Each coercion with what it changes in what the former left."""
    judged: list[RuleOutcome] = []
    is_refused = False
    for verdict in verdicts:
        one, after = _changed(_not_reached(verdict) if is_refused else verdict, view, syntax)
        judged.append(one)
        view, is_refused = after, is_refused or bool(one.refusal)
    return judged


def _changed(verdict: Verdict, view: memoryview, syntax: str) -> tuple[RuleOutcome, memoryview]:
    """(the verdict with what changes, the data set after it)."""
    if verdict.refusal or not verdict.edits:
        return RuleOutcome(verdict, refusal=verdict.refusal), view
    try:
        after = memoryview(b"".join(splice(view, syntax, verdict.edits)))
    except Refusal as refusal:
        return RuleOutcome(verdict, refusal=str(refusal)), view
    return RuleOutcome(verdict, tuple(differences(view, syntax, after, syntax))), after


def _not_reached(verdict: Verdict) -> Verdict:
    """The verdict of a rule that is not reached: the object was refused before it."""
    return replace(verdict, is_reached=False, edits=(), refusal="")


async def _routed(stage: Stage, verdict: Verdict, route: Route, stored: RehearsedResponse) -> RuleOutcome:
    """One route with what its actions change in what is stored."""
    if not verdict.is_applied or not route.actions_json or stored.instance is None or stored.body is None:
        return RuleOutcome(verdict, refusal=verdict.refusal)
    dispatch = next(iter(route.dispatches), Dispatch(route.name, "", route.actions_json))
    changed, _, refusal = await _sent_on(stage, stored.instance, stored.body, dispatch)
    return RuleOutcome(verdict, changed, refusal)


async def _leaving(stage: Stage, stored: RehearsedResponse, dispatch: Dispatch) -> OutgoingObject:
    assert stored.instance is not None
    assert stored.body is not None
    changed, outbound, refusal = await _sent_on(stage, stored.instance, stored.body, dispatch)
    instance = stored.instance
    return _as_leaving(stage.table, instance.association, dispatch, changed, outbound, refusal, instance.received_at)


async def _owed(stage: Stage, subject: ExplainedObject, index: int) -> OutgoingObject:
    """A delivery of the queue, with the actions that were frozen when the object arrived."""
    delivery = subject.deliveries[index]
    how: dict[str, Any] = {"priority": delivery.priority, "passes_window": delivery.passes_window}
    how |= {"bundle": delivery.bundle, "bundle_place": delivery.bundle_place}
    kept = (delivery.rule, delivery.destination, delivery.actions_json, delivery.state, delivery.group_name)
    dispatch = Dispatch(*kept, **how)
    changed, outbound, refusal = await _sent_on(stage, delivery.instance, subject.sent.body, dispatch)
    sender = delivery.instance.association
    leaving = _as_leaving(stage.table, sender, dispatch, changed, outbound, refusal, datetime.now(UTC))
    ring = was_held(delivery.rule, delivery.state) or leaving.ring
    return replace(leaving, delivery_id=delivery.delivery_id, ring=ring)


def _as_leaving(
    table: RoutingTable,
    association: AssociationFacts,
    dispatch: Dispatch,
    changed: tuple[Difference, ...],
    outbound: Outbound | None,
    refusal: str,
    at: datetime,
) -> OutgoingObject:
    peer = table.peers.get(dispatch.destination)
    if dispatch.destination and peer is None:
        refusal = refusal or "the rules of now have no such peer; it waits until they do"
    return OutgoingObject(
        destination=dispatch.destination,
        rule=dispatch.rule,
        state=dispatch.state,
        sop_instance_uid=outbound.sop_instance_uid if outbound else "",
        transfer_syntax_uid=outbound.transfer_syntax_uid if outbound else "",
        differences=changed,
        refusal=refusal,
        proposal=_proposal(peer, outbound) if peer is not None and outbound is not None else None,
        ring="" if peer is None else ring_to(table, association, peer),
        waits="" if peer is None else _waits(peer, dispatch, at),
        keep_s=0.0 if peer is None else keep_s(peer, dispatch.rule, keep_by_rule(table.routes)),
        group_name=dispatch.group_name,
        group_kind=table.groups[dispatch.group_name].kind if dispatch.group_name in table.groups else "",
        is_one_association=bool(dispatch.bundle),
        stand_ins=_stand_ins(table, dispatch),
        priority=dispatch.priority,
        reason=dispatch.reason,
    )


def _waits(peer: Peer, dispatch: Dispatch, at: datetime) -> str:
    window = None if dispatch.is_passing else peer.window
    return why_it_waits(window, peer.bytes_per_s, peer.objects_per_s, at)


def _stand_ins(table: RoutingTable, dispatch: Dispatch) -> tuple[str, ...]:
    group = table.groups.get(dispatch.group_name)
    return () if group is None else tuple(name for name in group.members if name != dispatch.destination)


async def _sent_on(
    stage: Stage, instance: Instance, body: EncodedDataSet, dispatch: Dispatch
) -> tuple[tuple[Difference, ...], Outbound | None, str]:
    """(what the route's actions change, what leaves, why nothing can)."""
    try:
        outbound = await rehearsal.leave(stage, instance, body, dispatch)
    except GatewayError as error:
        return (), None, str(error)
    try:
        after, syntax = outbound.body.view(), outbound.transfer_syntax_uid
        return tuple(differences(body.view(), instance.transfer_syntax_uid, after, syntax)), outbound, ""
    except Unreadable as error:
        return (), outbound, str(error)
    finally:
        outbound.body.close()


def _proposal(peer: Peer, outbound: Outbound) -> DestinationProposal:
    if peer.destination is not None:
        return DestinationProposal(name_of_kind(peer.destination, port_kinds.destination), peer.destination.place())
    kind = (outbound.sop_class_uid, outbound.transfer_syntax_uid)
    given = ConfiguredContexts(peer.associate.contexts)
    where = f"[{peer.host}]:{peer.port}" if ":" in peer.host else f"{peer.host}:{peer.port}"
    return DestinationProposal(
        "dicom", where, propose([kind], RecentContexts(), given, peer.fallback), given.refusal(kind)
    )
