"""The object that leaves, made of a stored one: its route's actions on a copy, or the stored bytes untouched."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from functools import partial

from gateway.common.turns import aside, in_turns
from gateway.dataset.encoding import DEFLATED
from gateway.dataset.inflation import InflationSteps
from gateway.dataset.splice import splice
from gateway.model.association import AssociationFacts
from gateway.model.attribute_path import AttributePath
from gateway.model.delivery import Delivery
from gateway.model.instance import Instance
from gateway.ports.converter import Converted, Converter
from gateway.ports.destination import Outbound
from gateway.ports.edits import Alteration
from gateway.ports.encoded_data_set import EncodedDataSet
from gateway.ports.errors import Refusal, Temporary
from gateway.ports.facts import Facts
from gateway.ports.kinds import Action, Conversion, Converting, Resources
from gateway.routing.facts import ObjectFacts, facts_for, finding_facts, needed, read_by
from gateway.routing.kept_facts import recall
from gateway.routing.language.resources import NO_RESOURCES
from gateway.routing.language.stored_actions import actions_from_json
from gateway.routing.table import apply_actions, attributes_of
from gateway.spool.body import FileDataSet, verify
from gateway.spool.pieces import EditedDataSet

LARGE_BYTES = 1024**2
"""The size above which editing runs in a thread: a file is read whole from disk first."""


class NoConverter:
    """Converts nothing."""

    async def convert(self, body: EncodedDataSet, transfer_syntax_uid: str, conversion: Conversion) -> Converted:
        raise Temporary("there are no worker processes for conversions here")


NO_CONVERTER = NoConverter()


@dataclasses.dataclass(slots=True)
class StoredFacts:
    """`gateway.ports.facts.Facts` of a stored object, after `edits`. It is scanned only when somebody asks for a
    value."""

    instance: Instance
    """The instance as it leaves: with the UIDs that the edits gave it."""
    stored: EncodedDataSet
    length_bytes: int
    edits: Sequence[Alteration] = ()
    kept: str = ""
    """The facts that were read of `stored` at arrival (`gateway.routing.kept_facts`); empty: none."""
    _scanned: ObjectFacts | None = None
    _paths: set[AttributePath] = dataclasses.field(default_factory=set)

    @property
    def association(self) -> AssociationFacts:
        """The association that the object arrived over."""
        return self.instance.association

    @property
    def sop_class_uid(self) -> str:
        """The SOP class as it leaves."""
        return self.instance.sop_class_uid

    @property
    def sop_instance_uid(self) -> str:
        """The SOP instance as it leaves."""
        return self.instance.sop_instance_uid

    @property
    def transfer_syntax_uid(self) -> str:
        """The encoding as it is stored."""
        return self.instance.transfer_syntax_uid

    @property
    def received_at(self) -> datetime:
        """The time of arrival."""
        return self.instance.received_at

    def values(self, path: AttributePath) -> tuple[str, ...] | None:
        """The values as text; raises Unreadable when the bytes are no data set."""
        return self._facts((path,)).values(path)

    def places(self, path: AttributePath) -> tuple[AttributePath, ...]:
        """One path an item; raises Unreadable when the bytes are no data set."""
        return self._facts((path,)).places(path)

    def read(self, paths: Iterable[AttributePath]) -> None:
        """Read the object once for all of `paths`, unless they are known."""
        self._facts(tuple(paths))

    def known(self, paths: Iterable[AttributePath]) -> ObjectFacts | None:
        """The facts when `paths` were read before, as this object or at its arrival; None when it has to be read."""
        if self._scanned is None and self.kept:
            self._recall()
        return self._scanned if self._scanned is not None and self._paths.issuperset(paths) else None

    def _recall(self) -> None:
        found, self.kept = recall(self.kept), ""
        if found is None or not found[1].issuperset(read_by(self.edits)):
            return
        level, self._paths = found
        before = ObjectFacts(
            self.association,
            self.sop_class_uid,
            self.sop_instance_uid,
            self.transfer_syntax_uid,
            self.length_bytes,
            self.received_at,
            level,
        )
        self._scanned = before.edited(self.edits)

    def _facts(self, paths: tuple[AttributePath, ...]) -> ObjectFacts:
        facts = self.known(paths)
        if facts is None:
            self._paths |= {*paths, *read_by(self.edits)}
            facts = self._scanned = facts_for(self.instance, self.stored, self._paths).edited(self.edits)
        return facts


@dataclasses.dataclass(frozen=True, slots=True)
class StoredOutbound(Outbound):
    """A stored object on its way out."""

    facts: StoredFacts

    @property
    def instance(self) -> Instance:
        """The instance as it leaves."""
        return self.facts.instance


async def outbound_for(
    delivery: Delivery,
    body: EncodedDataSet,
    resources: Resources = NO_RESOURCES,
    converter: Converter = NO_CONVERTER,
) -> StoredOutbound:
    """The object that goes to the destination, after the delivery's actions in order. Its body closes `body`.

    `resources` are those of the configuration in force; `converter` makes what actions ask for that change the object
    as a whole.

    Raises:
        Refusal: an action cannot be done on this object, or it cannot be read.
        Temporary: a conversion cannot be made now.
        ConfigurationError: the stored actions are not understood any more.
    """
    outbound = untouched(delivery.instance, body)
    if not delivery.actions_json:
        return outbound
    return await changed(outbound, actions_from_json(delivery.actions_json, resources), converter)


async def changed(outbound: StoredOutbound, actions: Sequence[Action], converter: Converter) -> StoredOutbound:
    """The object after `actions` in order. Its body closes that of `outbound`. Raises Refusal, Temporary."""
    for stage in _stages(actions):
        first = stage[0]
        if isinstance(first, Converting):
            outbound = await _by_action(outbound, first, first.convert, converter)
        outbound = await _edited(outbound, stage)
    return outbound


def finding_facts_of(outbound: StoredOutbound, attributes: Iterable[AttributePath]) -> InflationSteps[ObjectFacts]:
    """The facts of an object as it leaves, in steps, without reading it where `attributes` are known.

    Raises:
        Unreadable: the bytes are no data set.
    """
    known = outbound.facts.known(needed(attributes))
    if known is not None:
        return known
    return (yield from finding_facts(outbound.instance, outbound.body, attributes))


async def _edited(outbound: StoredOutbound, actions: Sequence[Action]) -> StoredOutbound:
    """`edited`, in a thread where it may take long: for large, deflated and very fine-grained objects."""
    body = outbound.body
    if outbound.transfer_syntax_uid in DEFLATED:
        return await aside(partial(edited, outbound, actions, outbound.facts.known(needed(attributes_of(actions)))))
    if body.length_bytes <= LARGE_BYTES:
        finding = finding_facts(outbound.instance, body, attributes_of(actions))
        try:
            next(finding)
        except StopIteration as found:
            return edited(outbound, actions, found.value)
        finding.close()
    return await aside(partial(edited, outbound, actions))


def _stages(actions: Sequence[Action]) -> Iterator[Sequence[Action]]:
    """The actions in order, cut before each that changes the object as a whole: the others share one edit."""
    start = 0
    for position, action in enumerate(actions):
        if position > start and isinstance(action, Converting):
            yield actions[start:position]
            start = position
    yield actions[start:]


def edited(outbound: StoredOutbound, actions: Sequence[Action], facts: ObjectFacts | None = None) -> StoredOutbound:
    """The object after the edits of `actions`; `facts` where they were found before. Raises Refusal, PayloadLost."""
    before, body = outbound.facts, outbound.body
    instance = before.instance
    if facts is None:
        facts = facts_for(instance, body, attributes_of(actions))
    edits = apply_actions(actions, facts)
    if not edits:
        return outbound
    verify(body)
    changed = EditedDataSet(splice(body.view(), instance.transfer_syntax_uid, edits, facts.fit), body)
    after = facts.edited(edits)
    leaving = dataclasses.replace(
        instance,
        sop_class_uid=after.sop_class_uid,
        sop_instance_uid=after.sop_instance_uid,
        study_instance_uid=after.study_instance_uid,
        series_instance_uid=after.series_instance_uid,
    )
    kept = "" if before.edits else instance.kept_facts  # of `body`, as long as nothing was edited before
    facts_after = StoredFacts(leaving, body, changed.length_bytes, edits, kept)
    return StoredOutbound(
        after.sop_class_uid, after.sop_instance_uid, instance.transfer_syntax_uid, changed, facts_after
    )


async def _by_action(
    outbound: StoredOutbound, action: Action, convert: Callable[[Facts], Conversion | None], converter: Converter
) -> StoredOutbound:
    """The object after the conversion that the action wants; the body before it is closed then."""
    before = outbound.body
    await read_from_disk(before)
    facts, _ = await in_turns(finding_facts_of(outbound, attributes_of([action])))
    conversion = convert(facts)
    if conversion is None:
        return outbound
    try:
        outbound = await converted(outbound, conversion, converter)
    except Refusal:
        if conversion.is_optional:
            return outbound
        raise
    before.close()
    return outbound


async def converted(outbound: StoredOutbound, conversion: Conversion, converter: Converter) -> StoredOutbound:
    """Another object, made of this one, whose body stays open. Raises Refusal, Temporary."""
    made = await converter.convert(outbound.body, outbound.transfer_syntax_uid, conversion)
    instance = dataclasses.replace(
        outbound.instance,
        transfer_syntax_uid=made.transfer_syntax_uid,
        sop_instance_uid=made.sop_instance_uid or outbound.sop_instance_uid,
        kept_facts="",
    )
    return untouched(instance, made.body)


async def read_from_disk(body: EncodedDataSet) -> None:
    """Read a large stored object in a thread, before it is looked through on the event loop.

    Raises PayloadMissing, Temporary: see `FileDataSet.view`.
    """
    if isinstance(body, FileDataSet):
        await aside(body.view)


def untouched(instance: Instance, body: EncodedDataSet) -> StoredOutbound:
    """The object as it is stored. The facts that `instance` keeps of its arrival must be of these bytes."""
    return StoredOutbound(
        instance.sop_class_uid,
        instance.sop_instance_uid,
        instance.transfer_syntax_uid,
        body,
        StoredFacts(instance, body, body.length_bytes, kept=instance.kept_facts),
    )
