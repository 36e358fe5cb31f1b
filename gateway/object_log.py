"""The log of stored and delivered objects: one line a study, one an object, or none (`gateway.log.objects`, and
`log.objects` of a peer: of what it sends, and of what is delivered to it).

```text
objects      stored                                   delivered
study        objects_stored, of an association and    objects_delivered, of a destination and a study
             a study
object       object_stored, object_dropped            object_delivered
none         -                                        -
```

A line of a study is written when nothing more can be expected soon: the association ended or went on to another study,
the destination has no association any more; else a minute after its first object. Each object is counted in exactly one
line. No line has a value of an object but its UIDs and a known Modality. All on the event loop.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Literal, Protocol

import structlog

from gateway.common.plain_text import MODALITIES
from gateway.model.association import AssociationFacts
from gateway.model.delivery import Delivery, DeliveryState, Dispatch
from gateway.model.instance import Instance
from gateway.model.peer import Peer

Objects = Literal["study", "object", "none"]

LONGEST_S = 60.0
"""An object is counted in a line that is written so much later at the latest, or at the next `write_due`."""
MOST_STUDIES = 64
"""The most open studies of one association or destination; the line of the oldest one is written for the next."""
MOST_MODALITIES = 8

log = structlog.get_logger()


class UnstoredFacts(Protocol):
    """The facts that the log needs of an object that is not kept (`gateway.routing.facts.ObjectFacts`)."""

    @property
    def association(self) -> AssociationFacts: ...
    @property
    def sop_class_uid(self) -> str: ...
    @property
    def sop_instance_uid(self) -> str: ...
    @property
    def series_instance_uid(self) -> str: ...
    @property
    def study_instance_uid(self) -> str: ...


class _StudyCount:
    """Objects of one study that no line counts yet."""

    __slots__ = ("began_s", "seen")

    def __init__(self, began_s: float) -> None:
        self.began_s = began_s
        self.seen = -1
        """`total` at the last look."""

    @property
    def total(self) -> int:
        raise NotImplementedError

    def write(self, study_instance_uid: str) -> None:
        raise NotImplementedError


class _OpenCounts:
    """Tallies by association or destination, then by study."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self.of: dict[str, dict[str, Any]] = {}

    def begin(self, owner: str, study_instance_uid: str, make: Callable[[float], Any]) -> Any:
        """A new tally."""
        studies = self.of.setdefault(owner, {})
        if len(studies) >= MOST_STUDIES:
            oldest = next(iter(studies))
            studies.pop(oldest).write(oldest)
        counters = studies[study_instance_uid] = make(self._now())
        return counters

    def end(self, owner: str) -> None:
        """Write all lines of `owner`."""
        for study_instance_uid, counters in self.of.pop(owner, {}).items():
            counters.write(study_instance_uid)

    def write_due(self) -> None:
        """Write the lines of studies that were left for others, and those that are old."""
        now_s = self._now()
        for owner, studies in list(self.of.items()):
            is_one_of_several = len(studies) > 1
            for study_instance_uid, counters in list(studies.items()):
                is_left = is_one_of_several and counters.total == counters.seen
                if is_left or now_s - counters.began_s >= LONGEST_S:
                    del studies[study_instance_uid]
                    counters.write(study_instance_uid)
                counters.seen = counters.total
            if not studies:
                del self.of[owner]


class ObjectLog:
    """The log of stored and delivered objects; this one writes nothing (`objects: none`)."""

    def stored(
        self,
        instance: Instance,
        dispatches: Sequence[Dispatch],
        modality: str = "",
        *,
        owner: str = "",
        is_answered: bool = True,
    ) -> None:
        """An object is durable.

        Args:
            instance: as it is kept.
            dispatches: what it owes.
            modality: its Modality where it was read; empty otherwise.
            owner: whose line counts it; the association's when empty.
            is_answered: False when the association ended before its response.
        """

    def dropped(self, facts: UnstoredFacts, *, owner: str = "") -> None:
        """An object was answered with success or a warning, and is not kept: a rule or `unmatched` says so."""

    def association_ended(self, association: AssociationFacts) -> None:
        """The association has ended: nothing more comes over it."""

    def delivered(self, delivery: Delivery, at: datetime, status: int) -> None:
        """A destination has an object, and the queue knows it.

        Args:
            delivery: as it was claimed.
            at: when, by the queue's clock.
            status: 0x0000, or the warning that came with the success.
        """

    def destination_idle(self, destination: str) -> None:
        """The destination is idle: nothing is being sent there, and has not been for a moment."""

    def write_due(self) -> None:
        """Write the lines that are due. To be called now and then."""

    def close(self) -> None:
        """Write what is left."""


class EachObject(ObjectLog):
    """`objects: object`. A line costs some tens of microseconds."""

    def stored(
        self,
        instance: Instance,
        dispatches: Sequence[Dispatch],
        modality: str = "",
        *,
        owner: str = "",
        is_answered: bool = True,
    ) -> None:
        pending = [dispatch.destination for dispatch in dispatches if dispatch.state is DeliveryState.PENDING]
        fields: dict[str, Any] = {} if is_answered else {"is_answered": False}
        if len(pending) < len(dispatches):
            fields["held"] = len(dispatches) - len(pending)
        log.info(
            "object_stored",
            **_uids(instance),
            bytes=instance.payload.length_bytes,
            **_sender(instance.association),
            destinations=pending,
            **fields,
            **({"modality": modality} if modality in MODALITIES else {}),
        )

    def dropped(self, facts: UnstoredFacts, *, owner: str = "") -> None:
        log.info("object_dropped", **_uids(facts), **_sender(facts.association))

    def delivered(self, delivery: Delivery, at: datetime, status: int) -> None:
        instance = delivery.instance
        log.info(
            "object_delivered",
            destination=delivery.destination,
            **_uids(instance),
            bytes=instance.payload.length_bytes,
            status=f"0x{status:04X}",
            tries=delivery.attempts + 1,
            waited_s=_waited_s(delivery, at),
            rule=delivery.rule,
            delivery_id=delivery.delivery_id,
            **_sender(instance.association),
        )


class EachStudy(ObjectLog):
    """`objects: study`. An object costs two look-ups and three additions."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        """`now`: a monotonic clock, in seconds."""
        self._stored = _OpenCounts(now)
        self._delivered = _OpenCounts(now)

    def stored(
        self,
        instance: Instance,
        dispatches: Sequence[Dispatch],
        modality: str = "",
        *,
        owner: str = "",
        is_answered: bool = True,
    ) -> None:
        association, study_instance_uid = instance.association, instance.study_instance_uid
        studies = self._stored.of.get(owner or association.association_id)
        counters: _Stored | None = studies.get(study_instance_uid) if studies is not None else None
        if counters is None:
            counters = self._begin_stored(association, study_instance_uid, owner)
        counters.count += 1
        counters.size_bytes += instance.payload.length_bytes
        if modality != counters.modality:
            counters.add_modality(modality)
        if not is_answered:
            counters.unanswered += 1

    def dropped(self, facts: UnstoredFacts, *, owner: str = "") -> None:
        association, study_instance_uid = facts.association, facts.study_instance_uid
        studies = self._stored.of.get(owner or association.association_id, {})
        counters = studies.get(study_instance_uid) or self._begin_stored(association, study_instance_uid, owner)
        counters.dropped += 1

    def _begin_stored(self, association: AssociationFacts, study_instance_uid: str, owner: str) -> _Stored:
        make = lambda began_s: _Stored(began_s, association)  # noqa: E731
        counters: _Stored = self._stored.begin(owner or association.association_id, study_instance_uid, make)
        return counters

    def association_ended(self, association: AssociationFacts) -> None:
        self._stored.end(association.association_id)

    def delivered(self, delivery: Delivery, at: datetime, status: int) -> None:
        study_instance_uid, destination = delivery.instance.study_instance_uid, delivery.destination
        studies = self._delivered.of.get(destination)
        counters: _Delivered | None = studies.get(study_instance_uid) if studies is not None else None
        waited_s = (at - delivery.created_at).total_seconds()
        if counters is None:
            make = lambda began_s: _Delivered(began_s, destination, waited_s)  # noqa: E731
            counters = self._delivered.begin(destination, study_instance_uid, make)
        counters.count += 1
        counters.size_bytes += delivery.instance.payload.length_bytes
        counters.last_s = waited_s
        if waited_s > counters.longest_s:
            counters.longest_s = waited_s
        if status:
            counters.with_warning += 1

    def destination_idle(self, destination: str) -> None:
        self._delivered.end(destination)

    def write_due(self) -> None:
        self._stored.write_due()
        self._delivered.write_due()

    def close(self) -> None:
        for tallies, owner in [(each, owner) for each in (self._stored, self._delivered) for owner in each.of]:
            tallies.end(owner)


class _Stored(_StudyCount):
    __slots__ = ("_association", "_modalities", "count", "dropped", "modality", "size_bytes", "unanswered")

    def __init__(self, began_s: float, association: AssociationFacts) -> None:
        super().__init__(began_s)
        self._association = association
        self._modalities: set[str] = set()
        self.modality = ""
        """The Modality of the last object."""
        self.count = self.size_bytes = self.unanswered = self.dropped = 0

    @property
    def total(self) -> int:
        return self.count + self.dropped

    def add_modality(self, modality: str) -> None:
        """Count a Modality. A value outside the standard's terms may be free text, and is not shown."""
        self.modality = modality
        if modality in MODALITIES and len(self._modalities) < MOST_MODALITIES:
            self._modalities.add(modality)

    def write(self, study_instance_uid: str) -> None:
        fields: dict[str, Any] = {}
        if self._modalities:
            fields["modality"] = "/".join(sorted(self._modalities))
        if self.dropped:
            fields["dropped"] = self.dropped
        if self.unanswered:
            fields["unanswered"] = self.unanswered
        log.info(
            "objects_stored",
            count=self.count,
            bytes=self.size_bytes,
            study_instance_uid=study_instance_uid,
            **_sender(self._association),
            **fields,
        )


class _Delivered(_StudyCount):
    __slots__ = ("_destination", "_first_s", "count", "last_s", "longest_s", "size_bytes", "with_warning")

    def __init__(self, began_s: float, destination: str, waited_s: float) -> None:
        super().__init__(began_s)
        self._destination = destination
        self._first_s = self.last_s = self.longest_s = waited_s
        self.count = self.size_bytes = self.with_warning = 0

    @property
    def total(self) -> int:
        return self.count

    def write(self, study_instance_uid: str) -> None:
        log.info(
            "objects_delivered",
            destination=self._destination,
            count=self.count,
            bytes=self.size_bytes,
            study_instance_uid=study_instance_uid,
            first_waited_s=round(self._first_s, 3),
            last_waited_s=round(self.last_s, 3),
            longest_waited_s=round(self.longest_s, 3),
            **({"with_warning": self.with_warning} if self.with_warning else {}),
        )


class ByPeer(ObjectLog):
    """The log that each peer's settings want."""

    def __init__(self, chosen: Callable[[str], Objects]) -> None:
        self._chosen = chosen  # by the name of a peer, which is empty for a stranger
        self._study = EachStudy()
        self._logs: dict[Objects, ObjectLog] = {"study": self._study, "object": EachObject(), "none": ObjectLog()}

    def stored(self, instance: Instance, dispatches: Sequence[Dispatch], modality: str = "", **how: Any) -> None:
        self._logs[self._chosen(instance.association.peer)].stored(instance, dispatches, modality, **how)

    def dropped(self, facts: UnstoredFacts, *, owner: str = "") -> None:
        self._logs[self._chosen(facts.association.peer)].dropped(facts, owner=owner)

    def delivered(self, delivery: Delivery, at: datetime, status: int) -> None:
        self._logs[self._chosen(delivery.destination)].delivered(delivery, at, status)

    def association_ended(self, association: AssociationFacts) -> None:
        self._study.association_ended(association)

    def destination_idle(self, destination: str) -> None:
        self._study.destination_idle(destination)

    def write_due(self) -> None:
        self._study.write_due()

    def close(self) -> None:
        self._study.close()


def object_log(objects: Objects, peers: Callable[[], Mapping[str, Peer]]) -> ObjectLog:
    """The log that the settings want; what a peer's own settings say goes before `objects`."""

    def chosen(name: str) -> Objects:
        peer = peers().get(name)
        return objects if peer is None or peer.log_objects is None else peer.log_objects

    return ByPeer(chosen)


def _sender(association: AssociationFacts) -> dict[str, str]:
    return {
        "calling_ae_title": association.calling_ae_title,
        "called_ae_title": association.called_ae_title,
        "peer": association.peer,
        "association": association.association_id,
    }


def _uids(instance: Instance | UnstoredFacts) -> dict[str, str]:
    return {
        "sop_class_uid": instance.sop_class_uid,
        "sop_instance_uid": instance.sop_instance_uid,
        "series_instance_uid": instance.series_instance_uid,
        "study_instance_uid": instance.study_instance_uid,
    }


def _waited_s(delivery: Delivery, at: datetime) -> float:
    return round((at - delivery.created_at).total_seconds(), 3)
