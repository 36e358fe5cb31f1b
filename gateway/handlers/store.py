"""C-STORE: take an instance in. Success says that it and every delivery it owes are on disk (PS3.4 §B.2.3)."""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from typing import Any

import structlog

from gateway.common.completion import Completion
from gateway.common.turns import NobodyWaits, aside, in_turns
from gateway.dataset.encoding import DEFLATED
from gateway.dataset.inflation import InflationSteps
from gateway.dataset.scan import at_once, is_read_at_once
from gateway.dataset.splice import splice
from gateway.dimse.acceptor.handler_thread import on_event_loop
from gateway.dimse.protocol.association import Association
from gateway.dimse.pynetdicom_contract.event import Event
from gateway.handlers.loops import LOOP_RULE, LoopWatch, held, is_forwarder
from gateway.leniency import tolerated
from gateway.model.delivery import DeliveryState, Dispatch
from gateway.model.dimse_status import SUCCESS
from gateway.model.instance import IndexEntry, Instance, PayloadRef
from gateway.object_log import ObjectLog
from gateway.ports.errors import GatewayError, NotAllowed, RejectedByRule, Temporary, Unreadable, fit_for_log
from gateway.ports.journal import Journal
from gateway.ports.meter import Meter, peer_label
from gateway.query.entry import IndexEntries
from gateway.retrieve.arrival import RetrievedArrival
from gateway.retrieve.move_rendezvous import IncomingInstance, MoveRendezvous
from gateway.routing.facts import ObjectFacts, check_identified
from gateway.routing.fate_decision import FateDecision
from gateway.routing.language.attribute_path import parse
from gateway.routing.table import RoutingPlan, RoutingTable

LARGE_BYTES = 4 * 1024**2
"""Objects from here on are edited in a thread."""
UNREADABLE_RULE = "(unreadable)"
"""The name in a route's place of an object that `unreadable: hold` keeps."""
UNWANTED = "no rule wants this instance"
MORE = "counted, not logged, for this association"
MODALITY = parse("Modality").tag
NOT_STORED = PayloadRef(name="", offset_bytes=0, length_bytes=0, digest=b"")

log = structlog.get_logger()


def utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class StoreDesk:
    """What the C-STORE handler works with."""

    journal: Journal
    meter: Meter
    now: Callable[[], datetime] = utc_now
    told: deque[str] = field(default_factory=lambda: deque(maxlen=256))
    """Associations whose first held instance was logged."""
    entries: IndexEntries = field(default_factory=IndexEntries)
    log: Any = log
    """Where what is not stored is told."""
    loops: LoopWatch | None = None
    """Notices what comes back again and again."""
    rendezvous: MoveRendezvous | None = None
    """Gives what comes for a retrieve of ours to the one who asked for it."""
    objects: ObjectLog = field(default_factory=ObjectLog)
    """Where what is stored is told."""


@on_event_loop
def take_store(event: Event, desk: StoreDesk) -> Awaitable[int] | Completion[int] | int:
    """`evt.EVT_C_STORE`: as `handle_store`; of small objects that come one after the other without a task, which takes
    as long as the rest of their way through the event loop.

    Raises:
        GatewayError: as `handle_store`.
    """
    is_small = is_read_at_once(event.body.length_bytes, event.transfer_syntax_uid)
    if not is_small or not desk.journal.is_in_turn or _rendezvous_of(event, desk) is not None:
        return handle_store(event, desk)
    try:
        return _accept_small(event, desk)
    except GatewayError as error:
        _log_refused(event, desk, error)
        raise


def _accept_small(event: Event, desk: StoreDesk) -> Awaitable[int] | Completion[int] | int:
    """As `accept`, but that its commit tells when it is through."""
    table: RoutingTable = event.association.table
    try:
        facts = at_once(_reading(event, desk, table))
    except Unreadable:
        if not _is_held(event, table):
            raise
        return handle_store(event, desk)
    plan = _decide(event, desk, table, facts)
    if not plan.dispatches:
        return _not_kept(event, desk, plan)
    try:
        edited = splice(event.body.view(), event.transfer_syntax_uid, plan.edits) if plan.edits else None
        instance = _instance(event, desk, table, plan)
        committing = desk.journal.commit_soon(instance, event.body, edited, plan.dispatches)
    except Exception:
        _not_taken(event, desk)
        raise
    if committing is None:
        return _commit(event, desk, facts, instance, edited, plan)
    completion: Completion[int] = Completion()
    committing.then(partial(_committed, event, desk, facts, plan, completion))
    return completion


def _committed(
    event: Event,
    desk: StoreDesk,
    facts: ObjectFacts,
    plan: RoutingPlan,
    completion: Completion[int],
    instance: Instance | None,
    error: BaseException | None,
) -> None:
    try:
        if error is not None:
            _not_taken(event, desk)
        if isinstance(error, GatewayError):
            _log_refused(event, desk, error)
        elif instance is not None:
            _stored(event, desk, facts, plan, instance)
    finally:  # whatever becomes of the log: without an answer the association would stand still
        completion.set_result(SUCCESS) if error is None else completion.set_exception(error)


async def _commit(
    event: Event,
    desk: StoreDesk,
    facts: ObjectFacts,
    instance: Instance,
    edited: Sequence[bytes | memoryview] | None,
    plan: RoutingPlan,
) -> int:
    """Of what became too large for the segment."""
    try:
        stored = await desk.journal.commit(instance, event.body, edited, plan.dispatches)
    except Exception as error:
        _not_taken(event, desk)
        if isinstance(error, GatewayError):
            _log_refused(event, desk, error)
        raise
    _stored(event, desk, facts, plan, stored)
    return SUCCESS


async def handle_store(event: Event, desk: StoreDesk) -> int:
    """Success when the instance is durable, or the status with which a rule drops it. What a source sends for a
    retrieve of ours goes to the one who asked for it, and not through the rules.

    Raises:
        GatewayError: its `dimse_status` and text are the answer's status and Error Comment.
    """
    try:
        rendezvous = _rendezvous_of(event, desk)
        if rendezvous is not None:
            status = await rendezvous.deliver(_incoming(event), event.take_body)
            if status is not None:
                return status
        return await accept(event, desk)
    except GatewayError as error:
        _log_refused(event, desk, error)
        raise


async def accept(event: Event | RetrievedArrival, desk: StoreDesk) -> int:
    """The status to answer: only when everything we are about to promise is on disk, or the rules say to drop it.

    Raises:
        Unreadable, ClassMismatch, Refusal: this object is not taken in this form.
        NotAllowed: no rule wants it, and `unmatched: reject`.
        RejectedByRule: a rule does not want it.
        SpoolFull: the peer may send it again.
    """
    table: RoutingTable = event.association.table  # of when the request arrived, whatever is reloaded meanwhile
    try:
        facts, turns = await _read(event, _reading(event, desk, table))
    except Unreadable as error:
        if not _is_held(event, table):
            raise
        return await _hold_unreadable(event, desk, table, error)
    plan = _decide(event, desk, table, facts)
    if not plan.dispatches:
        return _not_kept(event, desk, plan)
    try:
        edited = None
        if plan.edits:
            edit = partial(splice, event.body.view(), event.transfer_syntax_uid, plan.edits)
            is_heavy = turns or event.transfer_syntax_uid in DEFLATED or event.body.length_bytes >= LARGE_BYTES
            edited = await aside(edit) if is_heavy else edit()
        stored = await desk.journal.commit(_instance(event, desk, table, plan), event.body, edited, plan.dispatches)
    except Exception:
        _not_taken(event, desk)
        raise
    _stored(event, desk, facts, plan, stored)
    return SUCCESS


def _is_held(event: Event | RetrievedArrival, table: RoutingTable) -> bool:
    """Of an object with bytes that cannot be read."""
    return bool(event.body.length_bytes) and table.unreadable != "reject" and not table.is_strict(event.facts.peer)


def _reading(event: Event | RetrievedArrival, desk: StoreDesk, table: RoutingTable) -> InflationSteps[ObjectFacts]:
    """Raises Unreadable for nothing at all."""
    if not event.body.length_bytes:
        raise Unreadable("the data set is empty")
    return table.reading_facts(
        association=event.facts,
        sop_class_uid=event.sop_class_uid,
        sop_instance_uid=event.sop_instance_uid,
        transfer_syntax_uid=event.transfer_syntax_uid,
        body=event.body,
        received_at=desk.now(),
    )


def _decide(event: Event | RetrievedArrival, desk: StoreDesk, table: RoutingTable, facts: ObjectFacts) -> RoutingPlan:
    """What is to be done, with what is to be counted and logged of it. Raises as `accept`."""
    check_identified(facts)
    plan = table.plan(facts)
    if plan.is_unmatched:
        _tell_unmatched(event, desk, table, plan.facts)
    if plan.decision is not None:
        _tell_decision(event, desk, plan.decision, plan.facts)
    if desk.loops is not None and is_forwarder(event.facts, table) and _is_loop(event, desk, plan, desk.loops):
        return replace(plan, dispatches=held(plan.dispatches))
    return plan


def _not_kept(event: Event | RetrievedArrival, desk: StoreDesk, plan: RoutingPlan) -> int:
    """The status of what a rule drops, or `unmatched: discard`."""
    desk.objects.dropped(plan.facts, owner=_owner(event))
    return SUCCESS if plan.decision is None else plan.decision.fate.status


def _stored(
    event: Event | RetrievedArrival, desk: StoreDesk, facts: ObjectFacts, plan: RoutingPlan, instance: Instance
) -> None:
    """It is durable, and will be answered in this step of the event loop: tell so."""
    known = plan.facts.level.known.get(MODALITY)  # of those who read it: it is not read for the log
    association = event.association
    is_answered = not (isinstance(association, Association) and association.is_over)
    modality = known[0] if known else ""
    desk.objects.stored(instance, plan.dispatches, modality, owner=_owner(event), is_answered=is_answered)
    if facts.oddities:
        _tell_oddities(event, desk, facts.oddities)


def _owner(event: Event | RetrievedArrival) -> str:
    """What a source sends for a retrieve has the association of the requestor: it is counted for itself."""
    return f"{event.facts.association_id} {event.facts.peer}" if isinstance(event, RetrievedArrival) else ""


def _instance(event: Event | RetrievedArrival, desk: StoreDesk, table: RoutingTable, plan: RoutingPlan) -> Instance:
    entry = desk.entries.entry(plan.facts.level) if table.indexed else None
    kept = table.kept_facts(plan.facts) if event.transfer_syntax_uid in DEFLATED else ""
    return as_instance(plan, entry, kept)


def _is_loop(event: Event | RetrievedArrival, desk: StoreDesk, plan: RoutingPlan, loops: LoopWatch) -> bool:
    """True for an object that came too often from a requestor that forwards; it is counted, and logged once an
    association."""
    is_sent_on = any(dispatch.state is DeliveryState.PENDING for dispatch in plan.dispatches)
    if not is_sent_on or isinstance(event, RetrievedArrival):
        return False
    reason = loops.comes(event.facts, event.sop_instance_uid, event.body.length_bytes)
    if not reason:
        return False
    peer = peer_label(event.facts)
    loops.count_held(peer)
    desk.meter.count("gateway_looping_instances_total", peer=peer)
    key = f"{event.facts.association_id} {LOOP_RULE}"
    if key not in desk.told:
        desk.told.append(key)
        study = plan.facts.study_instance_uid
        _log(
            desk,
            "instance_loop_detected",
            event,
            study_instance_uid=study,
            rule=LOOP_RULE,
            reason=reason,
            more=f"{MORE} and rule",
        )
    return True


def _not_taken(event: Event | RetrievedArrival, desk: StoreDesk) -> None:
    """What is refused for want of room comes again until it is taken: that is no ring."""
    if desk.loops is not None and not isinstance(event, RetrievedArrival):
        desk.loops.not_taken(event.facts, event.sop_instance_uid)


async def _hold_unreadable(
    event: Event | RetrievedArrival, desk: StoreDesk, table: RoutingTable, error: Unreadable
) -> int:
    """`unreadable: hold`: kept as it came, under the UIDs of the command. No rule can decide about it."""
    instance = Instance(
        sop_class_uid=event.sop_class_uid,
        sop_instance_uid=event.sop_instance_uid,
        transfer_syntax_uid=event.transfer_syntax_uid,
        study_instance_uid="",
        series_instance_uid="",
        association=event.facts,
        payload=NOT_STORED,
        received_at=desk.now(),
    )
    dispatch = Dispatch(UNREADABLE_RULE, "", "", DeliveryState.HELD)
    stored = await desk.journal.commit(instance, event.body, None, (dispatch,))
    association = event.association
    is_answered = not (isinstance(association, Association) and association.is_over)
    desk.objects.stored(stored, (dispatch,), owner=_owner(event), is_answered=is_answered)
    desk.meter.count("gateway_decided_instances_total", rule=UNREADABLE_RULE, action="hold")
    _log(desk, "instance_held", event, rule=UNREADABLE_RULE, reason=str(error))
    return SUCCESS


def _tell_oddities(event: Event | RetrievedArrival, desk: StoreDesk, oddities: Mapping[str, str]) -> None:
    """What was taken although the standard does not allow it."""
    for kind, where in oddities.items():
        tolerated(
            desk.meter,
            kind,
            peer_label(event.facts),
            where=where,
            sop_instance_uid=event.sop_instance_uid,
            association=event.facts.association_id,
            log=desk.log,
        )


async def _read(event: Event | RetrievedArrival, reading: InflationSteps[ObjectFacts]) -> tuple[ObjectFacts, int]:
    """The facts, and how often others went on meanwhile: 0 of all objects but very fine-grained and deflated ones.

    An object that cannot be answered any more is not read on: it was not acknowledged, and its sender knows.
    """
    if is_read_at_once(event.body.length_bytes, event.transfer_syntax_uid):
        return at_once(reading), 0
    association = event.association
    is_over = partial(_is_over, association) if isinstance(association, Association) else None
    try:
        return await in_turns(reading, is_over)
    except NobodyWaits:
        raise Temporary("the association ended before the object was read") from None


def _is_over(association: Association) -> bool:
    return association.is_over


def _rendezvous_of(event: Event, desk: StoreDesk) -> MoveRendezvous | None:
    """Where the instance may be expected; None when no retrieve waits for it."""
    rendezvous = desk.rendezvous
    if rendezvous is None or not event.association.table.query_retrieve.is_fetching:
        return None
    return rendezvous if rendezvous.is_expected(event.sop_instance_uid) else None


def _incoming(event: Event) -> IncomingInstance:
    return IncomingInstance(
        peer=event.facts.peer,
        remote_host=event.facts.remote_host,
        sop_class_uid=event.sop_class_uid,
        sop_instance_uid=event.sop_instance_uid,
        transfer_syntax_uid=event.transfer_syntax_uid,
        originator_ae_title=str(event.command.get("MoveOriginatorApplicationEntityTitle") or ""),
        originator_message_id=event.command.get("MoveOriginatorMessageID"),
    )


def as_instance(plan: RoutingPlan, index: IndexEntry | None, kept_facts: str = "") -> Instance:
    """The instance as it will be kept: after the coercions."""
    facts = plan.facts
    return Instance(
        sop_class_uid=facts.sop_class_uid,
        sop_instance_uid=facts.sop_instance_uid,
        transfer_syntax_uid=facts.transfer_syntax_uid,
        study_instance_uid=facts.study_instance_uid,
        series_instance_uid=facts.series_instance_uid,
        association=facts.association,
        payload=NOT_STORED,
        received_at=facts.received_at,
        index=index,
        kept_facts=kept_facts,
    )


def _tell_unmatched(event: Event | RetrievedArrival, desk: StoreDesk, table: RoutingTable, facts: ObjectFacts) -> None:
    """Nothing is lost in silence: what no rule wants is counted and logged, then held, rejected or discarded.

    What is held stands in the queue for all to see, so that one line an association is enough.

    Raises:
        NotAllowed: `unmatched: reject`.
    """
    desk.meter.count("gateway_unmatched_instances_total", peer=peer_label(event.facts), action=table.unmatched)
    why = {"study_instance_uid": facts.study_instance_uid, "action": table.unmatched, "reason": UNWANTED}
    if table.unmatched != "hold":
        _log(desk, "instance_unmatched", event, **why)
    elif event.facts.association_id not in desk.told:
        desk.told.append(event.facts.association_id)
        _log(desk, "instance_unmatched", event, **why, more=MORE)
    if table.unmatched == "reject":
        raise NotAllowed(UNWANTED)


def _tell_decision(
    event: Event | RetrievedArrival, desk: StoreDesk, decision: FateDecision, facts: ObjectFacts
) -> None:
    """What a rule drops, rejects or holds is counted, and logged: once an association and rule where the sender is
    told of success.

    Raises:
        RejectedByRule
    """
    fate = decision.fate
    desk.meter.count("gateway_decided_instances_total", rule=decision.rule, action=fate.kind)
    if fate.kind == "reject":
        raise RejectedByRule(fate.reason, fate.status, decision.rule)
    key = f"{event.facts.association_id} {decision.rule}"
    if key in desk.told:
        return
    desk.told.append(key)
    name = "instance_dropped" if fate.kind == "drop" else "instance_held"
    why = {"rule": decision.rule, "reason": fate.reason or f"the rule says `{fate.kind}`"}
    _log(desk, name, event, study_instance_uid=facts.study_instance_uid, **why, more=f"{MORE} and rule")


def _why(error: GatewayError) -> dict[str, str]:
    """For the log. A plain Refusal is an action's, and its text may quote the object."""
    if isinstance(error, RejectedByRule):
        return {"error": "RejectedByRule", "rule": error.rule, "reason": str(error)}
    words = fit_for_log(error)
    return {"error": type(error).__name__, **({"reason": words} if words else {})}


def _log_refused(event: Event | RetrievedArrival, desk: StoreDesk, error: GatewayError) -> None:
    _log(desk, "instance_refused", event, status=f"0x{error.dimse_status:04X}", **_why(error))


def _log(desk: StoreDesk, name: str, event: Event | RetrievedArrival, **fields: str) -> None:
    desk.log.warning(
        name,
        sop_instance_uid=event.sop_instance_uid,
        sop_class_uid=event.sop_class_uid,
        calling_ae_title=event.facts.calling_ae_title,
        peer=event.facts.peer,
        remote_host=event.facts.remote_host,
        association=event.facts.association_id,
        **fields,
    )
