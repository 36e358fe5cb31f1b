"""C-STORE sub-operations: over associations of ours to a destination (C-MOVE), over the requestor's own (C-GET)."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, Protocol

import structlog

from gateway.dataset.native import alternatives
from gateway.dimse.acceptor.acceptor_association import AcceptorAssociation
from gateway.dimse.protocol.association import AssociationEnded
from gateway.dimse.protocol.message import RESPONSE, Command, CommandField
from gateway.dimse.protocol.status import stack_lines
from gateway.dimse.pynetdicom_contract.associate_keywords import Target
from gateway.dimse.pynetdicom_contract.notifying import MakeNotifying
from gateway.dimse.pynetdicom_contract.sendable import Sendable
from gateway.dimse.requestor.association_pool import AssociationPool
from gateway.dimse.requestor.requestor_association import RequestorAssociation
from gateway.model.associate import ProposedContext
from gateway.ports.errors import DestinationDown, GatewayError, Refusal
from gateway.ports.meter import peer_label
from gateway.sending.contexts import contexts_of, taken_form
from gateway.sending.store_outcome import SubOperationResult, result_of
from gateway.sending.store_sender import StoreOptions, StoreSender

log = structlog.get_logger()


class StoreTarget(Protocol):
    """One destination of sub-operations."""

    @property
    def name(self) -> str: ...
    @property
    def label(self) -> str:
        """The label of its metrics: the name of a configured peer, or the one that all others share."""
        ...

    async def send(self, instance: Sendable) -> SubOperationResult:
        """One sub-operation. Never raises for what a peer does."""
        ...

    def close(self) -> None: ...


class ReasonLog:
    """Logs the reasons for which sub-operations to one destination were not completed, each once."""

    def __init__(self, destination: str) -> None:
        self._destination = destination
        self._reasons: set[str] = set()

    def report(self, reason: str) -> None:
        """Log `reason`, unless it was logged before."""
        if reason not in self._reasons:
            self._reasons.add(reason)
            log.warning("sub_operation_not_completed", destination=self._destination, reason=reason)


class MoveTarget:
    """Associations of ours to one destination, of the pool. A destination that cannot be reached, or that ends two
    associations over one instance, gets nothing more during this operation.

    Many peers serve one association at a time and let the next one wait: an instance goes over whichever is free first,
    and a further association that cannot be opened is no loss.
    """

    def __init__(
        self, target: Target, pool: AssociationPool, *, width: int, priority: int, originator: tuple[str, int]
    ) -> None:
        self._target = target
        self._pool = pool
        self._priority = priority
        self._originator = originator
        self._room = asyncio.Semaphore(max(1, width))
        self._free: list[StoreSender[RequestorAssociation]] = []
        self._in_use = 0
        self._opening: asyncio.Task[None] | None = None
        self._is_full = False
        """The destination took no further association."""
        self._changed: asyncio.Event | None = None
        """Set when an association is free or none will come; None while nobody waits for that."""
        self._down = ""
        self._reasons = ReasonLog(target.peer.name)
        self._given = target.peer.associate.contexts
        self._kind: tuple[str, Sequence[str]] = ("", ())
        """SOP class and transfer syntaxes of the last instance; most of a study have the same."""
        self._proposed: Sequence[ProposedContext] = ()
        """The contexts for that."""

    @property
    def name(self) -> str:
        """The destination, for the log."""
        return self._target.peer.name

    @property
    def label(self) -> str:
        """The name of the destination, which is a configured peer."""
        return self._target.peer.name

    async def send(self, instance: Sendable) -> SubOperationResult:
        """C-STORE over an association of ours; once more over another one when the first is lost."""
        losses = 0
        while not self._down:
            async with self._room:
                try:
                    return await self._send(instance)
                except DestinationDown as error:
                    losses += 1
                    if losses > 1:
                        self._give_up(str(error))
        return SubOperationResult.FAILED

    async def _send(self, instance: Sendable) -> SubOperationResult:
        sender = await self._sender(self._given or self._proposals(instance))
        if sender is None:
            return SubOperationResult.FAILED
        sender.begin()
        self._in_use += 1
        try:
            return await self._store(sender, instance)
        finally:
            self._in_use -= 1
            if sender.end():
                self._free.append(sender)
            self._wake()

    def _proposals(self, instance: Sendable) -> Sequence[ProposedContext]:
        kind = instance.sop_class_uid, instance.transfer_syntaxes
        if kind != self._kind:
            self._kind, self._proposed = kind, proposals_for(instance)
        return self._proposed

    def _released(self) -> None:
        """Others have been waiting for an association to this peer: they have their turn, then it is ours again."""
        self._free = [sender for sender in self._free if sender.association is not None]
        if self._opening is not None and not self._in_use and not self._free:
            self._opening.cancel()  # it was for one more; from now on we wait for the only one

    async def _sender(self, proposals: Sequence[ProposedContext]) -> StoreSender[RequestorAssociation] | None:
        """A sender for this instance alone; None when the destination is given up."""
        while True:
            while self._free:
                sender = self._free.pop()
                if sender.is_fit(proposals):
                    return sender
                sender.discard()  # a peer that serves one association at a time would not take the next
            if self._down:
                return None
            if self._opening is None and not (self._is_full and self._in_use):
                self._opening = asyncio.get_running_loop().create_task(self._open(proposals))
                self._opening.add_done_callback(self._opened)
            if self._changed is None:
                self._changed = asyncio.Event()
            await self._changed.wait()

    async def _open(self, proposals: Sequence[ProposedContext]) -> None:
        try:
            is_further = bool(self._in_use or self._free)
            peer, tls = self._target.peer, self._target.tls
            more: dict[str, Any] = {"made": MakeNotifying(self._target.handlers)} if self._target.handlers else {}
            more |= {"use": "sub-operations", "is_further": is_further}
            sender = StoreSender(self._pool, self._released)
            sender.hold(await self._pool.acquire(peer, proposals, tls, **more))
            self._free.append(sender)
        except (GatewayError, ValueError) as error:
            if self._in_use or self._free:
                self._is_full = True
            else:
                self._give_up(str(error))
        except Exception as error:  # a fault of ours must not leave the others waiting
            log.error("association_failed", destination=self.name, error=type(error).__name__, where=stack_lines(error))
            self._give_up(type(error).__name__)

    def _opened(self, opening: asyncio.Task[None]) -> None:
        """The opening has ended; also one that was cancelled before it began, whose own code never runs."""
        if self._opening is opening:
            self._opening = None
        self._wake()

    def _wake(self) -> None:
        changed, self._changed = self._changed, None
        if changed is not None:
            changed.set()

    async def _store(self, sender: StoreSender[RequestorAssociation], instance: Sendable) -> SubOperationResult:
        sop_class, syntaxes = instance.sop_class_uid, instance.transfer_syntaxes
        syntax = sender.form_for(sop_class, syntaxes)
        if not syntax:
            self._reasons.report(f"no context was accepted for {sop_class} in {syntaxes[0]}")
            return SubOperationResult.FAILED
        body = await instance.body(syntax)
        more: StoreOptions = {"priority": self._priority, "move_originator": self._originator}
        response = await sender.send(sop_class, instance.sop_instance_uid, syntax, body, **more)
        result = result_of(response.status, is_duplicate_delivered=self._target.peer.is_duplicate_delivered)
        if result is not SubOperationResult.COMPLETED:
            self._reasons.report(f"C-STORE response 0x{response.status:04X}")
        return result

    def _give_up(self, reason: str) -> None:
        self._down = reason
        log.warning("move_destination_failed", destination=self.name, reason=reason)

    def close(self) -> None:
        """Release the associations."""
        if self._opening is not None:
            self._opening.cancel()
        for sender in self._free:  # one with handlers is of no use to others
            sender.discard() if self._target.handlers else sender.release()
        self._free.clear()


def proposals_for(instance: Sendable) -> list[ProposedContext]:
    """The contexts of all that the instance can be sent in."""
    own, *others = instance.transfer_syntaxes
    return contexts_of(instance.sop_class_uid, own, (uid for uid in others if uid not in alternatives(own)))


class GetTarget:
    """The requestor's own association, on contexts where it took the SCP role (PS3.4 §C.4.3, PS3.7 §D.3.3.4)."""

    name = "(requestor)"

    def __init__(self, association: AcceptorAssociation, *, priority: int) -> None:
        self.label = peer_label(association.facts)
        self._association = association
        self._priority = priority
        self._reasons = ReasonLog(association.facts.calling_ae_title)
        self._contexts = {
            (str(context.abstract_syntax), str(context.transfer_syntax)): context
            for context in reversed(list(association.accepted_contexts.values()))
            if context.is_scu and context.service == "store"
        }

    async def send(self, instance: Sendable) -> SubOperationResult:
        """C-STORE; without an accepted context it failed."""
        sop_class = instance.sop_class_uid
        syntax = taken_form(sop_class, instance.transfer_syntaxes, self._contexts)
        if not syntax:
            self._reasons.report(f"no context with the SCP role for {sop_class} in {instance.transfer_syntaxes[0]}")
            return SubOperationResult.FAILED
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
            self._reasons.report(str(error))
            return SubOperationResult.FAILED
        command = response.command
        is_answer = command["CommandField"] == CommandField.C_STORE | RESPONSE and "Status" in command
        if not is_answer:
            return SubOperationResult.FAILED
        return result_of(command["Status"], is_duplicate_delivered=not self._association.is_strict)

    def close(self) -> None:
        """The association is the requestor's."""


async def to_all(targets: Sequence[StoreTarget], instance: Sendable) -> list[SubOperationResult]:
    """Send one instance to every destination at once; a result each. A body that cannot be opened has failed
    everywhere.
    """
    if len(targets) == 1:
        return [await _to_one(targets[0], instance)]
    return list(await asyncio.gather(*(_to_one(target, instance) for target in targets)))


async def _to_one(target: StoreTarget, instance: Sendable) -> SubOperationResult:
    form = instance
    try:
        form = await instance.form_for(target.name)
        return await target.send(form)
    except Exception as error:
        log.warning(
            "sub_operation_failed",
            destination=target.name,
            sop_instance_uid=instance.sop_instance_uid,
            error=type(error).__name__,
            reason="" if type(error) is Refusal or not isinstance(error, GatewayError) else str(error),
        )
        return SubOperationResult.FAILED
    finally:
        if form is not instance:
            form.close()
