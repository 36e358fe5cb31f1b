"""The form in which each destination gets a retrieved instance: changed by the retrieve coercions, converted where it
takes nothing else."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from gateway.common.turns import in_turns
from gateway.delivery.transform import changed, finding_facts_of, read_from_disk, untouched
from gateway.dimse.pynetdicom_contract.yields import EncodedInstance
from gateway.model.instance import Instance
from gateway.model.peer import Peer
from gateway.ports.converter import Converter
from gateway.ports.encoded_data_set import EncodedDataSet
from gateway.ports.kinds import Conversion
from gateway.routing.table import RetrieveCoercion

Body = EncodedDataSet | Callable[[], Awaitable[EncodedDataSet]]


class BorrowedDataSet:
    """An encoded data set that its owner closes."""

    __slots__ = ("_body",)

    def __init__(self, body: EncodedDataSet) -> None:
        self._body = body

    @property
    def length_bytes(self) -> int:
        return self._body.length_bytes

    def view(self) -> memoryview:
        """All bytes."""
        return self._body.view()

    def chunks(self, size_bytes: int) -> Iterator[memoryview | bytes]:
        """The bytes in pieces."""
        yield from self._body.chunks(size_bytes)

    def close(self) -> None:
        """The owner closes it."""


@dataclass(frozen=True, slots=True)
class _Form:
    coercions: tuple[RetrieveCoercion, ...]
    fallback: tuple[str, ...]


class Adaptation:
    """The form of the instances of one retrieve: `coercions` and peers as they were when it began.

    Args:
        coercions: in order; each names the peers it is for.
        peers: the destinations; of a C-GET the requestor.
        converter: for actions and fallbacks that change the object as a whole.
    """

    def __init__(self, coercions: Iterable[RetrieveCoercion], peers: Iterable[Peer], converter: Converter) -> None:
        all_coercions = tuple(coercions)
        self._converter = converter
        self._by_peer: Mapping[str, _Form] = {
            peer.name: _Form(tuple(one for one in all_coercions if peer.name in one.to), peer.fallback)
            for peer in peers
        }
        self._is_plain = not any(form.coercions or form.fallback for form in self._by_peer.values())

    def encoded(self, instance: Instance, body: Body) -> EncodedInstance:
        """The instance as the engine sends it; as it is stored unless a setting of a destination says otherwise."""

        async def form_for(destination: str, opened: EncodedDataSet) -> EncodedInstance:
            return await self._formed(self._form(destination), instance, opened)

        return EncodedInstance(
            instance.sop_class_uid,
            instance.sop_instance_uid,
            instance.transfer_syntax_uid,
            body,
            form_for=None if self._is_plain else form_for,
        )

    def _form(self, destination: str) -> _Form:
        """The form for a destination. A C-GET has one form, whatever the engine calls the requestor."""
        if len(self._by_peer) == 1:
            return next(iter(self._by_peer.values()))
        return self._by_peer[destination]

    async def _formed(self, form: _Form, instance: Instance, opened: EncodedDataSet) -> EncodedInstance:
        """Raises Refusal, Temporary: it cannot be had in this form, so that this destination does not get it."""
        if form.coercions:
            await read_from_disk(opened)
        outbound = untouched(instance, BorrowedDataSet(opened))
        for coercion in form.coercions:
            facts, _ = await in_turns(finding_facts_of(outbound, coercion.when.attributes()))
            if coercion.when(facts):
                outbound = await changed(outbound, coercion.actions, self._converter)
        return EncodedInstance(
            outbound.sop_class_uid,
            outbound.sop_instance_uid,
            outbound.transfer_syntax_uid,
            outbound.body,
            fallback=form.fallback,
            convert=self._convert(outbound.transfer_syntax_uid),
        )

    def _convert(self, source_uid: str) -> Callable[[EncodedDataSet, str], Awaitable[EncodedDataSet]]:
        async def convert(body: EncodedDataSet, target_uid: str) -> EncodedDataSet:
            made = await self._converter.convert(body, source_uid, Conversion("transcode", {"to": [target_uid]}))
            return made.body

        return convert
