"""At a start the store accepts again what the segments hold and it does not know any more, or never learned.

Everything that cannot be replayed is reported: damaged bytes are copied into the quarantine folder and named, objects
whose redo record is damaged are held for an operator, objects whose own bytes are damaged are named.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import structlog

from gateway.common.steady_clock import utc_now
from gateway.model.association import AssociationFacts
from gateway.model.delivery import RECOVERED_RULE, DeliveryState, Dispatch
from gateway.model.instance import Identifiers, Instance, PayloadRef
from gateway.ports.errors import GatewayError, PayloadLost, PayloadMissing, PayloadUnreadable
from gateway.ports.store import Store
from gateway.spool import large, survey
from gateway.spool.record import RecordHeader
from gateway.spool.recovery import payload_files
from gateway.spool.redo import Position
from gateway.spool.store import SpoolStore
from gateway.spool.survey import Cancelled, Damage, FoundRedoRecord, Survey
from gateway.spool.walk import FoundRecord, walk

log = structlog.get_logger()

RecordedArrival = tuple[Instance, Sequence[Dispatch]]

RECOVERED = Dispatch(RECOVERED_RULE, "", "", DeliveryState.HELD, reason="its redo record is damaged")
"""The dispatch of an object whose redo record is damaged: an operator says where it goes."""
UNKNOWN_SENDER = AssociationFacts("", "", "")
UIDS_LOGGED = 100
"""The most SOP Instance UIDs in one line of the log."""

Identify = Callable[[memoryview, str], Identifiers | None]
"""The identifiers that an encoded data set in a transfer syntax gives itself; None when it gives none."""
Choose = Callable[[Position, Instance, Sequence[Dispatch]], Sequence[Dispatch] | None]
"""The part of an arrival that is replayed: its dispatches, or some of them; None leaves it out."""


def identify_nothing(view: memoryview, transfer_syntax_uid: str) -> Identifiers | None:
    """Identifies nothing."""
    return None


def held_for_recovery(instance: Instance) -> RecordedArrival:
    """An instance that the store does not take as it is: without index entry and kept facts, for an operator."""
    return dataclasses.replace(instance, index=None, kept_facts=""), [RECOVERED]


def everything(position: Position, instance: Instance, dispatches: Sequence[Dispatch]) -> Sequence[Dispatch] | None:
    """Leaves nothing out."""
    return dispatches


@dataclass(slots=True)
class ReplayResult:
    """The result of a replay."""

    redo_records: int = 0
    instances: int = 0
    """The number of instances that the store accepted."""
    refused: int = 0
    """The number of instances that were left out: their senders got a refusal."""
    held: list[str] = field(default_factory=list)
    """SOP Instance UIDs of objects whose redo record is damaged; an operator releases or discards them."""
    lost: list[str] = field(default_factory=list)
    """SOP Instance UIDs of objects whose own bytes are damaged or gone."""
    gone: list[str] = field(default_factory=list)
    """SOP Instance UIDs of objects whose file is not there, in a rebuild: delivered and deleted before, or lost."""
    damages: list[Damage] = field(default_factory=list)
    kept_as: list[str] = field(default_factory=list)
    """Copies of damaged and of unfinished bytes, relative to the spool folder."""
    unidentified: list[str] = field(default_factory=list)
    """Copies of whole payloads without a redo record that cannot be identified."""


def replay(
    payloads: SpoolStore,
    store: Store,
    *,
    identify: Identify = identify_nothing,
    choose: Choose = everything,
    keep: Callable[[Instance], bool] = lambda _: False,
    now: Callable[[], datetime] = utc_now,
) -> ReplayResult:
    """Accept everything behind the queue's position. It is on disk when this returns, and the queue knows the segments
    up to their end.

    An object whose sender got no answer may be among it. It is delivered all the same: its sender sends it again, and
    one object twice is no loss. `keep` decides whether an object whose bytes are damaged or gone is accepted all the
    same: its deliveries become dead letters then. `now` gives the queue's time.

    Raises:
        ConfigurationError: a newer gateway wrote these segments.
        Temporary: a payload cannot be read now, or the queue cannot be written.
        OSError: a segment cannot be read, or damaged bytes cannot be set aside.
    """
    return _Replay(payloads, store, identify, choose, keep, now).run()


class _Replay:
    def __init__(
        self,
        payloads: SpoolStore,
        store: Store,
        identify: Identify,
        choose: Choose,
        keep: Callable[[Instance], bool],
        now: Callable[[], datetime],
    ) -> None:
        self._now = now
        self._payloads = payloads
        self._store = store
        self._identify = identify
        self._choose = choose
        self._keep = keep
        self._cancelled: Cancelled = {}
        self._result = ReplayResult()

    def run(self) -> ReplayResult:
        before = Position(*self._store.spool.replayed_position())
        places = survey.segments_from(self._payloads.root, before)
        self._cancelled = survey.cancellations(self._payloads.root, places, self._payloads.seed)
        end, has_looked_for_files = before, False
        for name, start_bytes in places:
            found = survey.survey(self._payloads.root, name, self._payloads.seed, start_bytes)
            if found.has_lost_redo_records and not has_looked_for_files:
                self._hold(self._loose_files(places))
                has_looked_for_files = True
            self._replay_segment(found)
            end = Position(name, found.end_bytes)
        if end != before:
            with self._store.transaction():
                self._store.spool.set_replayed_position(*end)
                self._store.sync()
        result = self._result
        if result.instances or result.held or result.lost or result.refused:
            log.warning(
                "group_replayed",
                instances=result.instances,
                held=len(result.held),
                lost=len(result.lost),
                refused=result.refused,
            )
        return result

    def _replay_segment(self, found: Survey) -> None:
        for damage in found.damages:
            self._set_aside(damage)
        self._drop_unfinished(found)
        self._hold((_place(found.name, each), each.transfer_syntax_uid) for each in found.loose)
        for found_redo in found.redo_records:
            self._replay_record(found_redo)

    # --- damage -----------------------------------------------------------------------------------------------------

    def _set_aside(self, damage: Damage) -> None:
        kept_as = self._payloads.keep_copy(damage.name, damage.start_bytes, damage.end_bytes, f"{damage.what} damaged")
        self._result.damages.append(damage)
        self._result.kept_as.append(kept_as)
        log_damage = log.warning if damage.is_torn else log.error
        log_damage(
            "spool_damaged",
            file=damage.name,
            start_bytes=damage.start_bytes,
            end_bytes=damage.end_bytes,
            what=damage.what,
            trouble=damage.trouble,
            is_power_cut_likely=damage.is_unwritten,
            objects=0 if damage.what == "header" else len(damage.sop_instance_uids),
            sop_instance_uids=list(damage.sop_instance_uids[:UIDS_LOGGED]),
            kept_as=kept_as,
        )

    def _drop_unfinished(self, found: Survey) -> None:
        """Drop payloads of a group that a power cut ended: no sender got an answer for them. A copy is kept."""
        if not found.unfinished:
            return
        start = min(each.offset_bytes for each in found.unfinished)
        end = max(each.end_bytes for each in found.unfinished)
        kept_as = self._payloads.keep_copy(found.name, start, end, "never acknowledged")
        self._result.kept_as.append(kept_as)
        identifiers = [
            self._identified(_place(found.name, each), each.transfer_syntax_uid) for each in found.unfinished
        ]
        uids = [each.sop_instance_uid for each in identifiers if each is not None]
        log.warning(
            "group_not_finished",
            file=found.name,
            start_bytes=start,
            end_bytes=end,
            objects=len(found.unfinished),
            sop_instance_uids=uids[:UIDS_LOGGED],
            kept_as=kept_as,
        )

    # --- objects without a redo record ------------------------------------------------------------------------------

    def _loose_files(self, places: Sequence[tuple[str, int]]) -> Iterable[tuple[PayloadRef, str]]:
        """Whole large files that neither the queue nor a redo record names."""
        named = set(self._store.spool.payload_names())
        for name, start_bytes in places:
            named |= {
                each for each, _ in survey.survey(self._payloads.root, name, self._payloads.seed, start_bytes).named()
            }
        for name, _ in sorted(payload_files(self._payloads.root)):
            if name in named or not name.startswith(f"{large.FOLDER}/"):
                continue
            first = next(walk(self._payloads.root / name, 0), None)
            if isinstance(first, FoundRecord) and not first.trouble:
                yield _place(name, first.record), first.record.transfer_syntax_uid

    def _hold(self, loose: Iterable[tuple[PayloadRef, str]]) -> None:
        """Hold objects whose destinations are not known. They are reported before the queue knows the segments beyond
        them."""
        held = []
        for payload, transfer_syntax_uid in loose:
            identifiers = self._identified(payload, transfer_syntax_uid)
            if identifiers is None:
                self._keep_unidentified(payload)
                continue
            instance = Instance(
                *identifiers[:2], transfer_syntax_uid, *identifiers[2:], UNKNOWN_SENDER, payload, utc_now()
            )
            dispatches = self._choose(Position(payload.name, payload.offset_bytes), instance, [RECOVERED])
            if dispatches:
                held.append((instance, dispatches))
        if not held:
            return
        with self._store.transaction():
            self._store.deliveries.accept(held, self._now(), self._payloads.can_read)
        for instance, _ in held:
            self._report_held(instance, "its redo record is damaged: its destinations are not known")

    def _report_held(self, instance: Instance, reason: str) -> None:
        self._result.held.append(instance.sop_instance_uid)
        log.error(
            "instance_held_after_recovery",
            sop_instance_uid=instance.sop_instance_uid,
            file=instance.payload.name,
            offset_bytes=instance.payload.offset_bytes,
            reason=reason,
        )

    def _identified(self, payload: PayloadRef, transfer_syntax_uid: str) -> Identifiers | None:
        try:
            with contextlib.closing(self._payloads.open(payload)) as body:
                return self._identify(body.view(), transfer_syntax_uid)
        except (GatewayError, OSError):
            return None

    def _keep_unidentified(self, payload: PayloadRef) -> None:
        end_bytes = payload.offset_bytes + payload.length_bytes
        kept_as = self._payloads.keep_copy(
            payload.name, payload.offset_bytes, end_bytes, "not identified, and without a note"
        )
        self._result.unidentified.append(kept_as)
        log.error(
            "payload_not_identified",
            file=payload.name,
            start_bytes=payload.offset_bytes,
            end_bytes=end_bytes,
            kept_as=kept_as,
            reason="its redo record is damaged, and its data set has no identifiers",
        )

    # --- redo records -----------------------------------------------------------------------------------------------

    def _replay_record(self, found_redo: FoundRedoRecord) -> None:
        refused = self._cancelled.get(found_redo.digest, frozenset[int]())
        arrivals = [arrival for number, arrival in enumerate(found_redo.redo_record.arrivals) if number not in refused]
        self._result.refused += len(found_redo.redo_record.arrivals) - len(arrivals)
        chosen: list[RecordedArrival] = []
        for instance, dispatches in arrivals:
            wanted = self._choose(found_redo.position, instance, dispatches)
            if wanted is not None and (self._is_there(instance) or self._keep(instance)):
                chosen.append((instance, wanted))
        self._result.instances += self._accept(found_redo.redo_record.now, chosen, found_redo.position)
        self._result.redo_records += 1

    def _is_there(self, instance: Instance) -> bool:
        """False when the payload's bytes are damaged, or did not reach the disk.

        An instance whose bytes cannot be read now is replayed, since they may be read later. Raises Temporary when this
        process is short of a resource: an acknowledged instance may not be left out.
        """
        try:
            self._payloads.open(instance.payload).close()
        except PayloadLost as error:
            self._report_lost(instance, str(error))
            return False
        except PayloadUnreadable as error:
            if isinstance(error, PayloadMissing) and self._choose is not everything:
                self._report_missing(instance, str(error))
                return False
            log.error("payload_not_read", sop_instance_uid=instance.sop_instance_uid, error=str(error))
        return True

    def _report_missing(self, instance: Instance, why: str) -> None:
        """Report a missing payload in a replay from the first segment on: most missing large files were delivered and
        deleted."""
        if (self._payloads.root / instance.payload.name).exists():
            self._report_lost(instance, why)
            return
        self._result.gone.append(instance.sop_instance_uid)
        log.warning("instance_removed", sop_instance_uid=instance.sop_instance_uid, file=instance.payload.name)

    def _report_lost(self, instance: Instance, why: str) -> None:
        self._result.lost.append(instance.sop_instance_uid)
        log.error(
            "instance_lost",
            sop_instance_uid=instance.sop_instance_uid,
            file=instance.payload.name,
            offset_bytes=instance.payload.offset_bytes,
            length_bytes=instance.payload.length_bytes,
            error=why,
        )

    def _accept(self, now: datetime, arrivals: Sequence[RecordedArrival], position: Position) -> int:
        """Accept the arrivals of one redo record, in the transaction that sets the replayed position; one by one when
        an arrival breaks it.

        Not synced: when the power fails, the redo records are still there.
        """
        try:
            with self._store.transaction(is_durable=False):
                self._store.deliveries.accept(arrivals, now, self._payloads.can_read)
                self._store.spool.set_replayed_position(*position)
            return len(arrivals)
        except (GatewayError, MemoryError):  # no room, or the queue is damaged: nothing to go on with
            raise
        except Exception:
            result = sum(self._accept_alone(now, arrival) for arrival in arrivals)
        with self._store.transaction(is_durable=False):
            self._store.spool.set_replayed_position(*position)
        return result

    def _accept_alone(self, now: datetime, arrival: RecordedArrival) -> int:
        """Accept one arrival; 0 when it is the one that breaks its transaction, else 1.

        That one is held, without what is not needed to keep it; lost is what the store does not take even so.
        """
        broken_by: Exception | None = None
        for form in (arrival, held_for_recovery(arrival[0])):
            try:
                with self._store.transaction(is_durable=False):
                    self._store.deliveries.accept([form], now, self._payloads.can_read)
            except (GatewayError, MemoryError):
                raise
            except Exception as error:
                broken_by = broken_by or error
                continue
            if broken_by is not None:
                self._report_held(form[0], f"the store does not take it whole: {type(broken_by).__name__}: {broken_by}")
            return int(broken_by is None)
        payload = arrival[0].payload
        end_bytes = payload.offset_bytes + payload.length_bytes
        kept_as = self._payloads.keep_copy(payload.name, payload.offset_bytes, end_bytes, "the store does not take it")
        self._result.kept_as.append(kept_as)
        why = f"the store does not take it: {type(broken_by).__name__}: {broken_by}; a copy is {kept_as}"
        self._report_lost(arrival[0], why)
        return 0


def _place(name: str, record: RecordHeader) -> PayloadRef:
    return PayloadRef(name, record.offset_bytes, record.length_bytes, record.digest)
