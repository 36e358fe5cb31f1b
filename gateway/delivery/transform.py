"""From a stored object to what leaves: its route's actions on a copy, or the stored bytes untouched."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime

from gateway.dataset.splice import splice
from gateway.model import AssociationFacts, AttributePath, Delivery, Instance
from gateway.ports import Alteration, EncodedDataSet, Outbound, Resources
from gateway.routing.facts import ObjectFacts, facts_for, read_by
from gateway.routing.kinds import actions_from_json
from gateway.routing.resources import NO_RESOURCES
from gateway.routing.table import apply_actions, attributes_of
from gateway.spool.body import flat

LARGE_BYTES = 4 * 1024**2
"""From here on editing happens in a thread: a mapped file may have to be read from disk."""
JOINED_BYTES = 1024**2
"""Up to here an edited object is one piece of memory; a larger one keeps pointing into the stored one."""


@dataclasses.dataclass(slots=True)
class StoredFacts:
    """`gateway.ports.Facts` of a stored object, after `edits`. It is scanned only when somebody asks for a value."""

    instance: Instance
    """As it leaves: with the UIDs that the edits gave it."""
    stored: EncodedDataSet
    length_bytes: int
    edits: Sequence[Alteration] = ()
    _scanned: ObjectFacts | None = None
    _paths: set[AttributePath] = dataclasses.field(default_factory=set)

    @property
    def association(self) -> AssociationFacts:
        """It arrived over this one."""
        return self.instance.association

    @property
    def sop_class_uid(self) -> str:
        """As it leaves."""
        return self.instance.sop_class_uid

    @property
    def sop_instance_uid(self) -> str:
        """As it leaves."""
        return self.instance.sop_instance_uid

    @property
    def transfer_syntax_uid(self) -> str:
        """As stored."""
        return self.instance.transfer_syntax_uid

    @property
    def received_at(self) -> datetime:
        """As it arrived."""
        return self.instance.received_at

    def values(self, path: AttributePath) -> tuple[str, ...] | None:
        """As text; raises Unreadable when the bytes are no data set."""
        return self._scan(path).values(path)

    def places(self, path: AttributePath) -> tuple[AttributePath, ...]:
        """One path an item; raises Unreadable when the bytes are no data set."""
        return self._scan(path).places(path)

    def _scan(self, path: AttributePath) -> ObjectFacts:
        if self._scanned is None or path not in self._paths:
            self._paths |= {path, *read_by(self.edits)}
            self._scanned = facts_for(self.instance, self.stored, self._paths).edited(self.edits)
        return self._scanned


class EditedDataSet:
    """The pieces of an edited data set; most of them point into the stored one, which this closes."""

    __slots__ = ("_pieces", "_stored", "length_bytes")

    def __init__(self, pieces: Iterable[bytes | memoryview], stored: EncodedDataSet) -> None:
        self._pieces = [memoryview(piece) for piece in pieces]
        self._stored = stored
        self.length_bytes = sum(len(piece) for piece in self._pieces)
        if self.length_bytes <= JOINED_BYTES:
            self._pieces = [memoryview(b"".join(self._pieces))]

    def view(self) -> memoryview:
        """All bytes; joins them first."""
        if len(self._pieces) != 1:
            self._pieces = [memoryview(b"".join(self._pieces))]
        return self._pieces[0]

    def chunks(self, size_bytes: int) -> Iterator[memoryview | bytes]:
        """Every chunk but the last has `size_bytes`, however the pieces lie. Mapped pages are given back on the way."""
        return flat(self._whole_chunks(size_bytes), self._stored)

    def _whole_chunks(self, size_bytes: int) -> Iterator[memoryview | bytes]:
        waiting = bytearray()
        for piece in self._pieces:
            start = 0
            if waiting:
                start = size_bytes - len(waiting)
                waiting += piece[:start]
                if len(waiting) < size_bytes:
                    continue
                yield bytes(waiting)
                waiting = bytearray()
            whole = start + max(len(piece) - start, 0) // size_bytes * size_bytes
            for position in range(start, whole, size_bytes):
                yield piece[position : position + size_bytes]
            waiting += piece[whole:]
        if waiting:
            yield bytes(waiting)

    def close(self) -> None:
        """Let go of the stored object."""
        self._pieces = []
        self._stored.close()


async def outbound_for(delivery: Delivery, body: EncodedDataSet, resources: Resources = NO_RESOURCES) -> Outbound:
    """What goes to the destination. Its body closes `body`. `resources` are those of the configuration in force.

    Raises:
        Refusal: an action cannot be done on this object, or it cannot be read.
        ConfigurationError: the stored actions are not understood any more.
    """
    if not delivery.actions_json:
        return _untouched(delivery.instance, body)
    if body.length_bytes < LARGE_BYTES:
        return edited(delivery, body, resources)
    return await asyncio.to_thread(edited, delivery, body, resources)


def edited(delivery: Delivery, body: EncodedDataSet, resources: Resources = NO_RESOURCES) -> Outbound:
    """`outbound_for` of a delivery with actions."""
    instance = delivery.instance
    actions = actions_from_json(delivery.actions_json, resources)
    facts = facts_for(instance, body, attributes_of(actions))
    edits = apply_actions(actions, facts)
    if not edits:
        return _untouched(instance, body)
    changed = EditedDataSet(splice(body.view(), instance.transfer_syntax_uid, edits), body)
    after = facts.edited(edits)
    leaving = dataclasses.replace(
        instance,
        sop_class_uid=after.sop_class_uid,
        sop_instance_uid=after.sop_instance_uid,
        study_instance_uid=after.study_instance_uid,
        series_instance_uid=after.series_instance_uid,
    )
    facts_after = StoredFacts(leaving, body, changed.length_bytes, edits)
    return Outbound(after.sop_class_uid, after.sop_instance_uid, instance.transfer_syntax_uid, changed, facts_after)


def _untouched(instance: Instance, body: EncodedDataSet) -> Outbound:
    return Outbound(
        instance.sop_class_uid,
        instance.sop_instance_uid,
        instance.transfer_syntax_uid,
        body,
        StoredFacts(instance, body, body.length_bytes),
    )
