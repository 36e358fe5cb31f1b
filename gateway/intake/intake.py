"""Taking instances in: the rules decide, the commit promises. An accepted instance and its deliveries are on disk.

A caller gives an `Incoming` and the rules that the request is pinned to, and gets the status of its answer. Nothing in
here knows by which protocol the instance came.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from functools import partial

from gateway.common.completion import Completion
from gateway.common.steady_clock import utc_now
from gateway.common.turns import WorkAbandoned, aside, in_turns
from gateway.dataset.encoding import DEFLATED
from gateway.dataset.header_pattern import HeaderFit
from gateway.dataset.inflation import InflationSteps
from gateway.dataset.repeated_edits import repeated
from gateway.dataset.scan import at_once, is_read_at_once
from gateway.dataset.splice import splice
from gateway.intake.incoming import Incoming
from gateway.intake.intake_log import IntakeLog
from gateway.intake.loops import LoopWatch, held, is_forwarder
from gateway.intake.member_choice import FirstMembers, MemberChoice
from gateway.model.delivery import UNREADABLE_RULE, DeliveryState, Dispatch
from gateway.model.dimse_status import SUCCESS
from gateway.model.instance import NOT_STORED, IndexEntry, Instance
from gateway.object_log import ObjectLog
from gateway.ports.errors import (
    GatewayError,
    NotAllowed,
    RejectedByRule,
    SenderPaused,
    Temporary,
    Unreadable,
    fit_for_log,
)
from gateway.ports.journal import Journal
from gateway.ports.meter import peer_label
from gateway.ports.pauses import PausedNames
from gateway.query.entry import IndexEntries
from gateway.routing.facts import ObjectFacts, check_identified
from gateway.routing.language.attribute_path import parse
from gateway.routing.table import RoutingPlan, RoutingTable
from gateway.spool.body import InMemoryDataSet

LARGE_BYTES = 4 * 1024**2
"""Objects from here on are edited in a thread."""
UNWANTED = "no rule wants this instance"
MODALITY = parse("Modality").tag


class _Commit(Completion[int]):
    """Everything that must be on disk before the response; gives the status of that."""

    __slots__ = ("dispatches", "edited", "facts", "incoming", "instance", "intake", "plan")

    def __init__(
        self,
        intake: Intake,
        incoming: Incoming,
        instance: Instance,
        edited: Sequence[bytes | memoryview] | None,
        dispatches: Sequence[Dispatch],
        plan: RoutingPlan | None = None,
        facts: ObjectFacts | None = None,
    ) -> None:
        super().__init__()
        self.intake = intake
        self.incoming = incoming
        self.instance = instance
        self.edited = edited
        """The bytes after the coercions, in pieces; None: as they came."""
        self.dispatches = dispatches
        self.plan = plan
        """None for an object that no rule could look at."""
        self.facts = facts
        """The facts before the coercions."""

    def __call__(self, stored: Instance | None, error: BaseException | None) -> None:
        """Called when payload, instance and deliveries are on disk, or cannot be."""
        try:
            self.intake._ended(self, stored, error)
            if isinstance(error, GatewayError):
                self.intake.log.refused(self.incoming, error)
        finally:  # whatever becomes of the log: without an answer the association would stand still
            self._end(SUCCESS, None) if error is None else self._end(None, error)


class Intake:
    """Takes instances in.

    Args:
        journal: its commit is the promise.
        log: counts and logs what is not stored, or not as it should be.
        now: the time of arrival.
        loops: notices what comes back again and again.
        objects: logs what is stored.
        members: gives each dispatch to a group the member that gets the object.
        paused: the senders that are refused, and the rules whose deliveries wait.
    """

    def __init__(
        self,
        journal: Journal,
        log: IntakeLog,
        now: Callable[[], datetime] = utc_now,
        *,
        loops: LoopWatch | None = None,
        objects: ObjectLog | None = None,
        members: MemberChoice | None = None,
        paused: PausedNames | None = None,
    ) -> None:
        self.log = log
        self._journal = journal
        self._now = now
        self._loops = loops
        self._objects = objects or ObjectLog()
        self._members = members or FirstMembers()
        self._paused = paused or PausedNames()
        self._entries = IndexEntries()

    async def accept(self, incoming: Incoming, table: RoutingTable) -> int:
        """The status to answer: only when everything we are about to promise is on disk, or the rules say to drop it.

        Raises:
            Unreadable, ClassMismatch, Refusal: this object is not taken in this form.
            NotAllowed: no rule wants it, and `unmatched: reject`.
            RejectedByRule: a rule does not want it.
            SpoolFull: the peer may send it again.
            SenderPaused: an operator paused it.
        """
        try:
            if self._paused.senders:
                self._require_going_on(incoming)
            return await self._accept(incoming, table)
        except GatewayError as error:
            self.log.refused(incoming, error)
            raise

    def accept_soon(self, incoming: Incoming, table: RoutingTable) -> Awaitable[int] | Completion[int] | int:
        """As `accept`, of a small object without a task, which takes as long as the rest of its way through the event
        loop.

        Raises:
            GatewayError: as `accept`.
        """
        if not is_read_at_once(incoming.body.length_bytes, incoming.transfer_syntax_uid):
            return self.accept(incoming, table)
        try:
            if self._paused.senders:
                self._require_going_on(incoming)
            return self._accept_small(incoming, table)
        except GatewayError as error:
            self.log.refused(incoming, error)
            raise

    # --- two ways to one end ---------------------------------------------------------------------------------------

    async def _accept(self, incoming: Incoming, table: RoutingTable) -> int:
        try:
            facts, turns = await self._read(incoming, table)
        except Unreadable as error:
            if not _is_held(incoming, table):
                raise
            return await self._hold_unreadable(incoming, error)
        check_identified(facts)
        plan = table.plan(facts, incoming.sent_as, self._paused.rules)
        if table.is_choosing and plan.dispatches:
            chosen = await self._members.chosen(plan.dispatches, table.groups, plan.facts.study_instance_uid)
            plan = plan._replace(dispatches=chosen)
        plan = self._judge(incoming, table, plan)
        if not plan.dispatches:
            return self._not_kept(incoming, plan)
        try:
            edited = await _edited(incoming, plan, facts.fit, is_heavy=turns > 0) if plan.edits else None
            commit = self._commit_of(incoming, table, facts, plan, edited)
        except Exception:
            self._not_taken(incoming)
            raise
        return await self._commit(commit)

    def _accept_small(self, incoming: Incoming, table: RoutingTable) -> Awaitable[int] | Completion[int] | int:
        """As `_accept`, but that its commit calls back when it is through."""
        try:
            facts = at_once(self._reading(incoming, table))
        except Unreadable:
            if not _is_held(incoming, table):
                raise
            return self.accept(incoming, table)
        check_identified(facts)
        plan = table.plan(facts, incoming.sent_as, self._paused.rules)
        if table.is_choosing and plan.dispatches:
            chosen = self._members.at_once(plan.dispatches, table.groups, plan.facts.study_instance_uid)
            if chosen is None:
                return self.accept(incoming, table)
            plan = plan._replace(dispatches=chosen)
        plan = self._judge(incoming, table, plan)
        if not plan.dispatches:
            return self._not_kept(incoming, plan)
        try:
            edited = None
            if plan.edits:
                edited = splice(incoming.body.view(), incoming.transfer_syntax_uid, plan.edits, facts.fit)
            commit = self._commit_of(incoming, table, facts, plan, edited)
            committing = self._journal.commit_soon(commit.instance, incoming.body, edited, plan.dispatches)
        except Exception:
            self._not_taken(incoming)
            raise
        if committing is None:  # it became too large for the segment
            return self._commit_or_log(commit)
        committing.then(commit)
        return commit

    async def _commit(self, commit: _Commit) -> int:
        """Return only when payload, instance and deliveries are on disk."""
        try:
            stored = await self._journal.commit(commit.instance, commit.incoming.body, commit.edited, commit.dispatches)
        except Exception as error:
            self._ended(commit, None, error)
            raise
        self._ended(commit, stored, None)
        return SUCCESS

    async def _commit_or_log(self, commit: _Commit) -> int:
        try:
            return await self._commit(commit)
        except GatewayError as error:
            self.log.refused(commit.incoming, error)
            raise

    def _ended(self, commit: _Commit, stored: Instance | None, error: BaseException | None) -> None:
        """The end of every commit. A durable instance is answered in this step of the event loop: log it so."""
        incoming, plan, facts = commit.incoming, commit.plan, commit.facts
        if error is not None:
            if plan is not None:
                self._not_taken(incoming)
            return
        assert stored is not None
        modality = ""
        if plan is not None:  # from those who read it: it is not read for the log
            known = plan.facts.level.known.get(MODALITY)
            modality = known[0] if known else ""
        self._objects.stored(
            stored, commit.dispatches, modality, owner=incoming.owner, is_answered=incoming.is_answered
        )
        if facts is not None and facts.oddities:
            self.log.oddities(incoming, facts.oddities)

    def _require_going_on(self, incoming: Incoming) -> None:
        """Raises SenderPaused. What comes for a retrieve was asked for: its source sends nothing of its own will."""
        facts = incoming.facts
        if not incoming.is_retrieved and not self._paused.senders.isdisjoint((facts.peer, facts.calling_ae_title)):
            raise SenderPaused("an operator paused this sender; send again later")

    # --- the steps ---------------------------------------------------------------------------------------------------

    async def _read(self, incoming: Incoming, table: RoutingTable) -> tuple[ObjectFacts, int]:
        """The facts, and how often others went on meanwhile: 0 of all objects but very fine-grained and deflated ones.

        An object that cannot be answered any more is not read on: it was not acknowledged, and its sender knows.
        """
        reading = self._reading(incoming, table)
        if is_read_at_once(incoming.body.length_bytes, incoming.transfer_syntax_uid):
            return at_once(reading), 0
        try:
            return await in_turns(reading, lambda: not incoming.is_answered)
        except WorkAbandoned:
            raise Temporary("the association ended before the object was read") from None

    def _reading(self, incoming: Incoming, table: RoutingTable) -> InflationSteps[ObjectFacts]:
        """Raises Unreadable for nothing at all."""
        if not incoming.body.length_bytes:
            raise Unreadable("the data set is empty")
        return table.reading_facts(
            association=incoming.facts,
            sop_class_uid=incoming.sop_class_uid,
            sop_instance_uid=incoming.sop_instance_uid,
            transfer_syntax_uid=incoming.transfer_syntax_uid,
            body=incoming.body,
            received_at=self._now(),
        )

    def _judge(self, incoming: Incoming, table: RoutingTable, plan: RoutingPlan) -> RoutingPlan:
        """The plan that the rules made, or a rejection. Nothing is lost in silence: what no rule wants, and what a rule
        drops, rejects or holds, is counted and logged. Raises as `accept`."""
        if plan.is_unmatched:
            self.log.unmatched(incoming, table.unmatched, UNWANTED, plan.facts)
            if table.unmatched == "reject":
                raise NotAllowed(UNWANTED)
        for rule in plan.unclear:
            self.log.priority_unclear(incoming, rule)
        for dispatch in plan.unaimed if table.is_aiming else ():
            self.log.unaimed(incoming, dispatch, plan.facts)
        decision = plan.decision
        if decision is not None:
            self.log.decided(incoming, decision, plan.facts)
            if decision.fate.kind == "reject":
                raise RejectedByRule(decision.fate.reason, decision.fate.status, decision.rule)
        if self._loops is not None and is_forwarder(incoming.facts, table):
            ring = self._ring(incoming, plan, self._loops)
            return plan._replace(dispatches=held(plan.dispatches, ring)) if ring else plan
        return plan

    def _not_kept(self, incoming: Incoming, plan: RoutingPlan) -> int:
        """The status of what a rule drops, or `unmatched: discard`."""
        self._objects.dropped(plan.facts, owner=incoming.owner)
        return SUCCESS if plan.decision is None else plan.decision.fate.status

    def _commit_of(
        self,
        incoming: Incoming,
        table: RoutingTable,
        facts: ObjectFacts,
        plan: RoutingPlan,
        edited: Sequence[bytes | memoryview] | None,
    ) -> _Commit:
        entry = self._entries.entry(plan.facts.level) if table.indexed else None
        kept = table.kept_facts(plan.facts) if incoming.transfer_syntax_uid in DEFLATED else ""
        return _Commit(self, incoming, as_instance(plan, entry, kept), edited, plan.dispatches, plan, facts)

    async def _hold_unreadable(self, incoming: Incoming, error: Unreadable) -> int:
        """`unreadable: hold`: kept as it came, under the UIDs of the command. No rule can decide about it."""
        instance = Instance(
            sop_class_uid=incoming.sop_class_uid,
            sop_instance_uid=incoming.sop_instance_uid,
            transfer_syntax_uid=incoming.transfer_syntax_uid,
            study_instance_uid="",
            series_instance_uid="",
            association=incoming.facts,
            payload=NOT_STORED,
            received_at=self._now(),
        )
        dispatch = Dispatch(UNREADABLE_RULE, "", "", DeliveryState.HELD, reason=fit_for_log(error))
        status = await self._commit(_Commit(self, incoming, instance, None, (dispatch,)))
        self.log.unreadable_held(incoming, UNREADABLE_RULE, error)
        return status

    # --- rings -----------------------------------------------------------------------------------------------------

    def _ring(self, incoming: Incoming, plan: RoutingPlan, loops: LoopWatch) -> str:
        """Why an object is held that came too often from a requestor that forwards; empty for others."""
        is_sent_on = any(dispatch.state is DeliveryState.PENDING for dispatch in plan.dispatches)
        if not is_sent_on or incoming.is_retrieved:
            return ""
        reason = loops.comes(incoming.facts, incoming.sop_instance_uid, incoming.body.length_bytes)
        if reason:
            loops.count_held(peer_label(incoming.facts))
            self.log.looping(incoming, reason, plan.facts)
        return reason

    def _not_taken(self, incoming: Incoming) -> None:
        """Forget the object for the count of rings: its sender sends it again until there is room, and that is no
        ring.
        """
        if self._loops is not None and not incoming.is_retrieved:
            self._loops.not_taken(incoming.facts, incoming.sop_instance_uid)


async def _edited(
    incoming: Incoming, plan: RoutingPlan, fit: HeaderFit | None, *, is_heavy: bool
) -> Sequence[bytes | memoryview]:
    """The bytes after the coercions; those of heavy objects are made in a thread."""
    if fit is not None and isinstance(incoming.body, InMemoryDataSet):
        first, *others = incoming.body.pieces
        same = repeated(memoryview(first), plan.edits, fit, others)
        if same is not None:  # made without joining the pieces
            return same
    edit = partial(splice, incoming.body.view(), incoming.transfer_syntax_uid, plan.edits, fit)
    is_heavy |= incoming.transfer_syntax_uid in DEFLATED or incoming.body.length_bytes >= LARGE_BYTES
    return await aside(edit) if is_heavy else edit()


def _is_held(incoming: Incoming, table: RoutingTable) -> bool:
    """True for an object with bytes that cannot be read, where `unreadable: hold` holds it."""
    is_strict = table.is_strict(incoming.facts.peer)
    return bool(incoming.body.length_bytes) and table.unreadable != "reject" and not is_strict


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
