"""C-STORE sub-operations: over associations of ours to a destination (C-MOVE), over the requestor's own (C-GET)."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

import structlog
from pydicom.dataset import Dataset

from gateway.dimse.associate_keywords import Target
from gateway.dimse.association import AssociationEnded
from gateway.dimse.client import ClientAssociation
from gateway.dimse.identifiers import encode_data_set, without_bulk_data
from gateway.dimse.memory import MemoryDataSet
from gateway.dimse.message import RESPONSE, Command, CommandField
from gateway.dimse.pool import AssociationPool
from gateway.dimse.status import Category
from gateway.dimse.tally import Result
from gateway.dimse.yields import EncodedInstance
from gateway.model import ProposedContext
from gateway.ports import DestinationDown, EncodedDataSet, GatewayError

if TYPE_CHECKING:
    from gateway.dimse.acceptor import AcceptedAssociation

log = structlog.get_logger()

EXPLICIT_LITTLE = "1.2.840.10008.1.2.1"
_INTERCHANGEABLE = (EXPLICIT_LITTLE, "1.2.840.10008.1.2", "1.2.840.10008.1.2.1.99")
"""Little endian without compression: a data set in one can be written in the others."""

_RESULTS = {Category.SUCCESS: Result.COMPLETED, Category.WARNING: Result.WARNING}


def result_of(status: int) -> Result:
    """What a C-STORE response means for the sub-operation; whatever is neither Success nor Warning failed."""
    return _RESULTS.get(Category.of(status), Result.FAILED)


# --- what is sent -----------------------------------------------------------------------------------------------


class Sendable(Protocol):
    """An instance on its way to one or many destinations."""

    @property
    def sop_class_uid(self) -> str: ...
    @property
    def sop_instance_uid(self) -> str: ...
    @property
    def transfer_syntaxes(self) -> Sequence[str]:
        """What it can be sent in, the preferred one first."""
        ...

    async def body(self, transfer_syntax_uid: str) -> EncodedDataSet:
        """The bytes; they stay the instance's."""
        ...

    def close(self) -> None: ...


class SendableDataset:
    """A data set of pydicom. It is sent in its own transfer syntax, or written in another uncompressed one.

    Raises:
        ValueError: it has no SOP Class UID or no SOP Instance UID.
    """

    def __init__(self, dataset: Dataset, *, is_without_bulk_data: bool = False) -> None:
        self._dataset = dataset
        self._is_without_bulk_data = is_without_bulk_data
        self._encoded: dict[str, MemoryDataSet] = {}
        self.sop_class_uid = str(dataset.get("SOPClassUID") or "")
        self.sop_instance_uid = str(dataset.get("SOPInstanceUID") or "")
        if not self.sop_class_uid or not self.sop_instance_uid:
            raise ValueError("the data set has no SOP Class UID or no SOP Instance UID")
        own = _transfer_syntax_of(dataset)
        others = [uid for uid in _INTERCHANGEABLE if uid != own] if own in _INTERCHANGEABLE else []
        self.transfer_syntaxes = (own, *others)

    async def body(self, transfer_syntax_uid: str) -> EncodedDataSet:
        """Encoded once for each transfer syntax."""
        if transfer_syntax_uid not in self._encoded:
            body: EncodedDataSet = MemoryDataSet(encode_data_set(self._dataset, transfer_syntax_uid))
            if self._is_without_bulk_data:
                body = without_bulk_data(body, transfer_syntax_uid)
            self._encoded[transfer_syntax_uid] = MemoryDataSet(body.view())
        return self._encoded[transfer_syntax_uid]

    def close(self) -> None:
        """Forget the bytes."""
        self._encoded.clear()


def _transfer_syntax_of(dataset: Dataset) -> str:
    meta = getattr(dataset, "file_meta", None)
    uid = str(meta.get("TransferSyntaxUID") or "") if meta is not None else ""
    return uid or EXPLICIT_LITTLE


class SendableBytes:
    """An `EncodedInstance`; its body is opened when the first destination wants it."""

    def __init__(self, instance: EncodedInstance, *, is_without_bulk_data: bool = False) -> None:
        self._instance = instance
        self._is_without_bulk_data = is_without_bulk_data
        self._opening: asyncio.Task[EncodedDataSet] | None = None
        self.sop_class_uid = str(instance.sop_class_uid)
        self.sop_instance_uid = str(instance.sop_instance_uid)
        self.transfer_syntaxes = (str(instance.transfer_syntax_uid),)

    async def body(self, transfer_syntax_uid: str) -> EncodedDataSet:
        """Opened once for all destinations."""
        if self._opening is None:
            self._opening = asyncio.ensure_future(self._open())
        return await asyncio.shield(self._opening)

    async def _open(self) -> EncodedDataSet:
        given = self._instance.body
        body = await given() if callable(given) else given
        if not self._is_without_bulk_data:
            return body
        stripped = without_bulk_data(body, self.transfer_syntaxes[0])
        if stripped is not body:
            body.close()
        return stripped

    def close(self) -> None:
        """Close the body, also one that is still being opened."""
        if self._opening is not None:
            self._opening.add_done_callback(_close_opened)
            self._opening.cancel()
        elif not callable(self._instance.body):
            self._instance.body.close()


def _close_opened(opening: asyncio.Task[EncodedDataSet]) -> None:
    if not opening.cancelled() and opening.exception() is None:
        opening.result().close()


# --- where it goes ----------------------------------------------------------------------------------------------


class Line(Protocol):
    """One destination."""

    @property
    def name(self) -> str: ...
    async def send(self, instance: Sendable) -> Result:
        """One sub-operation. Never raises for what a peer does."""
        ...

    def close(self) -> None: ...


class DestinationLine:
    """Associations of ours to one destination, lent by the pool. A destination that cannot be reached, or that ends two
    associations over one instance, gets nothing more during this operation."""

    def __init__(
        self, target: Target, pool: AssociationPool, *, width: int, priority: int, originator: tuple[str, int]
    ) -> None:
        self._target = target
        self._pool = pool
        self._priority = priority
        self._originator = originator
        self._room = asyncio.Semaphore(max(1, width))
        self._free: list[ClientAssociation] = []
        self._down = ""
        self._told: set[str] = set()
        listed: dict[str, set[str]] = {}
        for context in target.peer.associate.contexts:
            listed.setdefault(context.abstract_syntax, set()).update(context.transfer_syntaxes)
        self._listed = listed

    @property
    def name(self) -> str:
        """For the log."""
        return self._target.peer.name

    async def send(self, instance: Sendable) -> Result:
        """C-STORE over an association of ours; once more over another one when the first is lost."""
        async with self._room:
            for _ in range(2):
                if self._down:
                    return Result.FAILED
                try:
                    return await self._send(instance)
                except DestinationDown as error:
                    lost = str(error)
            self._give_up(lost)
            return Result.FAILED

    async def _send(self, instance: Sendable) -> Result:
        proposals = self._proposals(instance)
        if not proposals:
            self._tell(f"{instance.sop_class_uid} in {instance.transfer_syntaxes[0]} is not among its contexts")
            return Result.FAILED
        association = await self._association(proposals)
        if association is None:
            return Result.FAILED
        try:
            return await self._store(association, instance)
        finally:
            if association.is_open and not association.is_busy:
                self._free.append(association)
            else:
                self._pool.give(association)

    async def _association(self, proposals: list[ProposedContext]) -> ClientAssociation | None:
        while self._free:
            association = self._free.pop()
            if association.is_open and association.has_proposed(proposals):
                return association
            self._pool.give(association)
        try:
            return await self._pool.take(self._target.peer, proposals, self._target.tls)
        except (GatewayError, ValueError) as error:
            self._give_up(str(error))
            return None

    async def _store(self, association: ClientAssociation, instance: Sendable) -> Result:
        syntaxes = instance.transfer_syntaxes
        syntax = next((uid for uid in syntaxes if (instance.sop_class_uid, uid) in association.accepted), None)
        if syntax is None:
            self._tell(f"no context was accepted for {instance.sop_class_uid} in {syntaxes[0]}")
            return Result.FAILED
        response = await association.c_store(
            sop_class_uid=instance.sop_class_uid,
            sop_instance_uid=instance.sop_instance_uid,
            transfer_syntax_uid=syntax,
            body=await instance.body(syntax),
            priority=self._priority,
            move_originator=self._originator,
        )
        result = result_of(response.status)
        if result is not Result.COMPLETED:
            self._tell(f"C-STORE response 0x{response.status:04X}")
        return result

    def _proposals(self, instance: Sendable) -> list[ProposedContext]:
        allowed = self._listed.get(instance.sop_class_uid)
        if allowed is None and self._target.is_limited_to_contexts:
            return []
        return [
            ProposedContext(instance.sop_class_uid, (uid,))
            for uid in instance.transfer_syntaxes
            if allowed is None or uid in allowed
        ]

    def _give_up(self, reason: str) -> None:
        self._down = reason
        log.warning("move_destination_down", destination=self.name, reason=reason)

    def _tell(self, reason: str) -> None:
        """One line for each reason."""
        if reason not in self._told:
            self._told.add(reason)
            log.warning("sub_operation_not_completed", destination=self.name, reason=reason)

    def close(self) -> None:
        """Give the associations back."""
        for association in self._free:
            self._pool.give(association)
        self._free.clear()


class RequestorLine:
    """The requestor's own association, on contexts where it took the SCP role (PS3.4 §C.4.3, PS3.7 §D.3.3.4)."""

    name = "(requestor)"

    def __init__(self, association: AcceptedAssociation, *, priority: int) -> None:
        self._association = association
        self._priority = priority
        self._told: set[str] = set()
        self._contexts = {
            (str(context.abstract_syntax), str(context.transfer_syntax)): context
            for context in reversed(list(association.accepted_contexts.values()))
            if context.is_scu and context.service == "store"
        }

    async def send(self, instance: Sendable) -> Result:
        """C-STORE; without an accepted context it failed."""
        sop_class = instance.sop_class_uid
        syntax = next((uid for uid in instance.transfer_syntaxes if (sop_class, uid) in self._contexts), None)
        if syntax is None:
            self._tell(f"no context with the SCP role for {sop_class} in {instance.transfer_syntaxes[0]}")
            return Result.FAILED
        request: Command = {
            "AffectedSOPClassUID": sop_class,
            "CommandField": CommandField.C_STORE,
            "Priority": self._priority,
            "AffectedSOPInstanceUID": instance.sop_instance_uid,
        }
        body = await instance.body(syntax)
        try:
            response = await self._association.invoke(self._contexts[sop_class, syntax], request, body)
        except AssociationEnded as error:
            self._tell(str(error))
            return Result.FAILED
        command = response.command
        is_answer = command["CommandField"] == CommandField.C_STORE | RESPONSE and "Status" in command
        return result_of(command["Status"]) if is_answer else Result.FAILED

    def _tell(self, reason: str) -> None:
        if reason not in self._told:
            self._told.add(reason)
            log.warning(
                "sub_operation_not_completed", destination=self._association.facts.calling_ae_title, reason=reason
            )

    def close(self) -> None:
        """The association is the requestor's."""


async def to_all(lines: Sequence[Line], instance: Sendable) -> list[Result]:
    """One instance to every destination at once; a result each. What cannot be opened failed everywhere."""
    return list(await asyncio.gather(*(_to_one(line, instance) for line in lines)))


async def _to_one(line: Line, instance: Sendable) -> Result:
    try:
        return await line.send(instance)
    except Exception as error:
        log.warning(
            "sub_operation_failed",
            destination=line.name,
            sop_instance_uid=instance.sop_instance_uid,
            error=type(error).__name__,
            reason=str(error) if isinstance(error, GatewayError) else "",
        )
        return Result.FAILED
