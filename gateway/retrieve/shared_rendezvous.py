"""The rendezvous of C-MOVEs to ourselves among nodes: an instance may arrive at another node than the one that waits.

```text
node A                                       node B
rows of the C-MOVE, NOTIFY ────────────────▶ looks, knows of it, writes that it does
waits until all nodes know of it
C-MOVE-RQ to the source                      C-STORE-RQ of the source
                                             the instance goes into a row (a large one into the object store), NOTIFY
looks, takes it as if it had arrived here ◀─
the answer goes into the row, NOTIFY ──────▶ looks; C-STORE-RSP with that status, the row goes
rows deleted, NOTIFY ──────────────────────▶ the C-MOVE has ended
```

Notices are a help: each node looks at the rows each second, and more often while it waits for another one.

No C-STORE costs a question to the database while a look of the last `FRESH_S` is there. A node whose last look is older
asks before it decides, and so does one whose row was gone: nobody waited for it. So a node that waited for
`KNOWN_AFTER_S` after its rows were committed needs no more answers: another one that does not know of the C-MOVE by
then has an old look, or takes nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import structlog

from gateway.cluster.destination_leases import awake_clock_s
from gateway.ports.encoded_data_set import EncodedDataSet
from gateway.ports.errors import GatewayError, Temporary
from gateway.ports.expected_instances import (
    ExpectedInstances,
    ExpectedView,
    Finished,
    HandedInstance,
    HandoverAnswer,
    SharedMove,
)
from gateway.retrieve.expected_sender import ExpectedSender
from gateway.retrieve.get_fetcher import FetchedInstance, Take
from gateway.retrieve.handed_bytes import HandedBytes
from gateway.retrieve.look_record import FRESH_S, GONE_S, LookRecord
from gateway.retrieve.move_rendezvous import ExpectedMove, IncomingInstance, RefusedByRetrieve
from gateway.retrieve.rendezvous_table import ENDED, RendezvousTable, taken_by
from gateway.retrieve.shared_data_set import SharedDataSet
from gateway.retrieve.shared_steps import SharedSteps

log = structlog.get_logger()

KNOWN_AFTER_S = FRESH_S + 0.5
LOOK_S, BUSY_LOOK_S = 1.0, 0.1
"""The time between two looks without a notice; while another node is waited for."""
AWARE_LOOK_S = 0.02
"""The time between two questions whether all nodes know of a C-MOVE."""
LOST_S = 15.0
"""An instance that was handed over is refused when no look has succeeded for so long."""
REFRESH_LIMIT_S = 4.0
"""The longest time that a C-STORE waits for a look."""
TIDY_S = 5.0
LEAVE_LIMIT_S = 4.0
"""The time that an end waits for the database."""


@dataclass(slots=True, eq=False)
class _HandedOver:
    """An instance of ours that another node is to answer."""

    move_id: str
    answered: asyncio.Future[tuple[int, str]]

    def answer(self, status: int, comment: str) -> None:
        if not self.answered.done():
            self.answered.set_result((status, comment))


class SharedRendezvous:
    """`MoveRendezvous` of a node. On the event loop alone.

    Args:
        table: the rendezvous of this process; C-MOVEs of other nodes wait in it as its own do.
        open_shared: see `SharedSteps`.
        node: this run of the node.
        handed_bytes: the bytes of instances on their way to another node, and from one.
        clock_s: see `awake_clock_s`.
    """

    def __init__(
        self,
        table: RendezvousTable,
        open_shared: Callable[[], ExpectedInstances],
        node: str,
        handed_bytes: HandedBytes,
        *,
        clock_s: Callable[[], float] = awake_clock_s,
    ) -> None:
        self._table = table
        self._step = SharedSteps(open_shared)
        self._node = node
        self._bytes = handed_bytes
        self._clock_s = clock_s
        self._own: dict[str, tuple[SharedMove, ExpectedMove]] = {}
        self._announced: set[str] = set()
        """C-MOVEs of ours whose rows are there."""
        self._others: dict[str, contextlib.ExitStack] = {}
        """C-MOVEs of other nodes, each with what ends its waiting here."""
        self._handed_over: dict[str, _HandedOver] = {}
        self._taking: dict[str, asyncio.Task[None]] = {}
        """Instances of other nodes, until the database has the answer."""
        self._ended: set[str] = set()
        self._answers: dict[str, HandoverAnswer] = {}
        self._done: set[str] = set()
        self._known: set[str] | None = None
        """C-MOVEs of others that the database says this node knows of; None: that is not certain."""
        self._looking = asyncio.Lock()
        self._looks = LookRecord(clock_s)
        self._tidied_at_s = float("-inf")
        self._wake = asyncio.Event()
        self._problem = ""

    # --- life ---------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Know of what is expected before anything is received. Raises as `ExpectedInstances`."""
        await self._step(lambda shared: shared.join(self._node))
        await self.look()

    async def run(self) -> None:
        """Look for what concerns this node, until cancelled."""
        while True:
            self._wake.clear()
            try:
                await self.look()
                await self._tidy()
            except GatewayError as error:
                self._failed(error)
            else:
                self._problem = ""
            is_busy = self._own or self._handed_over or self._answers
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(BUSY_LOOK_S if is_busy else LOOK_S):
                    await self._wake.wait()

    def _failed(self, error: GatewayError) -> None:
        if not self._problem:
            log.warning("expected_instances_not_read", reason=str(error))
        self._problem = str(error)
        if self._looks.age_s >= LOST_S:
            for each in self._handed_over.values():
                each.answer(Temporary.dimse_status, "the node that waits for it cannot be reached")

    def noticed(self, node: str) -> None:
        """Another node says that there is something for `node`; empty: for all."""
        if node in ("", self._node):
            self._wake.set()

    async def close(self) -> None:
        """Wait for nothing any more."""
        for task in self._taking.values():
            task.cancel()
        for each in self._handed_over.values():
            each.answer(*ENDED)
        try:
            async with asyncio.timeout(LEAVE_LIMIT_S):
                await self._settle()
                await self._step(lambda shared: shared.leave(self._node))
        except (TimeoutError, GatewayError) as error:
            log.warning("expected_instances_not_left", reason=str(error), consequence="they go within some seconds")
        for waiting in self._others.values():
            waiting.close()
        self._table.close()
        self._step.close()
        self._bytes.close()

    # --- who waits ----------------------------------------------------------------------------------------------

    def next_message_id(self) -> int:
        return self._table.next_message_id()

    @contextlib.contextmanager
    def expecting(self, expected: ExpectedMove) -> Iterator[None]:
        move = SharedMove(
            uuid.uuid4().hex,
            self._node,
            expected.sender.peer,
            expected.sender.hosts,
            expected.our_ae_title,
            expected.message_id,
            expected.sop_instance_uids,
        )
        with self._table.expecting(expected):
            self._own[move.move_id] = move, expected
            try:
                yield
            finally:
                del self._own[move.move_id]
                self._announced.discard(move.move_id)
                self._ended.add(move.move_id)
                self._wake.set()

    async def announce(self, expected: ExpectedMove) -> None:
        move = next(move for move, each in self._own.values() if each is expected)
        await self._expect(move)
        self._announced.add(move.move_id)
        written_at_s = self._clock_s()
        while unaware := await self._step(lambda shared: shared.unaware(move)):
            if self._clock_s() - written_at_s >= KNOWN_AFTER_S:
                log.warning("nodes_not_informed", nodes=len(unaware), consequence="they ask before they take an object")
                return
            await asyncio.sleep(AWARE_LOOK_S)

    async def _expect(self, move: SharedMove) -> None:
        await self._step(lambda shared: shared.expect(move))

    # --- who receives -------------------------------------------------------------------------------------------

    def is_expected(self, sop_instance_uid: str) -> bool:
        return self._table.is_expected(sop_instance_uid) or not self._looks.is_fresh

    async def deliver(self, incoming: IncomingInstance, take_body: Callable[[], EncodedDataSet]) -> int | None:
        if not self._looks.is_fresh:
            await self._refresh()
        return await self._table.deliver(incoming, take_body)

    async def _refresh(self) -> None:
        """Look, or take what a look brought meanwhile: one for all that wait, also when it fails.

        Raises as `ExpectedInstances`.
        """
        failures = self._looks.failures
        try:
            async with asyncio.timeout(REFRESH_LIMIT_S), self._looking:
                if self._looks.is_fresh:
                    return
                if self._looks.failures > failures:
                    raise Temporary(self._looks.failure)
                await self._look()
        except TimeoutError:
            raise Temporary("the database does not say which retrieve waits for this") from None

    # --- looking ------------------------------------------------------------------------------------------------

    async def look(self) -> None:
        """Tell what this node is done with, and follow what others wrote. Raises as `ExpectedInstances`."""
        async with self._looking:
            await self._look()

    async def _look(self) -> None:
        try:
            await self._settle()
            began_at_s, view = await self._view()
            await self._follow_moves(view)
        except GatewayError as error:
            self._looks.failed(str(error))
            raise
        self._looks.succeeded(began_at_s)
        for answer in view.answers:
            if answer.handover_id in self._handed_over:
                self._handed_over[answer.handover_id].answer(answer.status, answer.comment)
        for handed in view.handed:
            if handed.handover_id not in self._taking:
                taking = asyncio.create_task(self._take(handed), name="instance of another node")
                self._taking[handed.handover_id] = taking

    async def _view(self) -> tuple[float, ExpectedView]:
        """The time at which a look began, and its view, while other nodes wait for this one. They did not when its row
        was gone: what it knew does not count then, and what it sees counts from after its row is there."""
        began_at_s = self._clock_s()
        view = await self._step(lambda shared: shared.look(self._node))
        if not view.is_joined:
            self._looks.forget()
            self._known = None
            log.warning("expected_instances_joined_again", consequence="other nodes wait for this one again")
            await self._step(lambda shared: shared.join(self._node))
            began_at_s = self._clock_s()
            view = await self._step(lambda shared: shared.look(self._node))
        return began_at_s, view

    async def _settle(self) -> None:
        """Write what this node is done with; it is tried again with the next look when that fails."""
        moves, answers, done = set(self._ended), dict(self._answers), set(self._done)
        if not (moves or answers or done):
            return
        await self._step(lambda shared: shared.finish(Finished(moves, answers.values(), done)))
        self._ended -= moves
        self._done -= done
        for handover_id in answers:
            self._answers.pop(handover_id, None)
            self._taking.pop(handover_id, None)

    async def _follow_moves(self, view: ExpectedView) -> None:
        """C-MOVEs of other nodes wait here from now on, or do so no longer."""
        lost = [self._own[move_id][0] for move_id in self._announced - view.moves]
        for move in lost:  # the node stood still, or a standby without them was promoted
            if move.move_id in self._announced:  # it may have ended meanwhile
                await self._expect(move)
        others = view.moves - self._own.keys() - self._ended
        new, gone = others - self._others.keys(), self._others.keys() - others
        for move in await self._step(lambda shared: shared.read_moves(new)) if new else ():
            if move.node != self._node:
                waiting = contextlib.ExitStack()
                waiting.enter_context(self._table.expecting(self._as_expected(move)))
                self._others[move.move_id] = waiting
        for move_id in gone:
            self._others.pop(move_id).close()
            for each in self._handed_over.values():
                if each.move_id == move_id:
                    each.answer(*ENDED)
        known = set(self._others)
        if known != self._known:
            self._known = None
            await self._step(lambda shared: shared.know(self._node, known))
            self._known = known

    async def _tidy(self) -> None:
        if self._looks.is_steady and self._clock_s() - self._tidied_at_s >= TIDY_S:
            await self._step(lambda shared: shared.tidy(GONE_S))
            self._tidied_at_s = self._clock_s()

    # --- the node at which an instance arrives ------------------------------------------------------------------

    def _as_expected(self, move: SharedMove) -> ExpectedMove:
        """A C-MOVE of another node, as if this one waited."""
        return ExpectedMove(
            sender=ExpectedSender(move.peer, move.hosts),
            our_ae_title=move.our_ae_title,
            sop_instance_uids=move.sop_instance_uids,
            take=self._handing_over(move.move_id),
            touch=lambda: None,
            message_id=move.message_id,
        )

    def _handing_over(self, move_id: str) -> Take:
        async def hand_over(arrived: FetchedInstance) -> int:
            handover_id = uuid.uuid4().hex
            handed = _HandedOver(move_id, asyncio.get_running_loop().create_future())
            self._handed_over[handover_id] = handed
            try:
                return await self._hand_over(handover_id, handed, arrived)
            finally:
                del self._handed_over[handover_id]
                self._done.add(handover_id)
                self._wake.set()

        return hand_over

    async def _hand_over(self, handover_id: str, handed: _HandedOver, arrived: FetchedInstance) -> int:
        """The status that the node that waits gives. Raises RefusedByRetrieve, Temporary."""
        async with contextlib.AsyncExitStack() as stack:
            object_name, payload = await self._bytes.put(handover_id, arrived.body, stack)
            instance = HandedInstance(
                handover_id,
                handed.move_id,
                arrived.sop_class_uid,
                arrived.sop_instance_uid,
                arrived.transfer_syntax_uid,
                arrived.body.length_bytes,
                object_name,
            )
            is_awaited = await self._step(lambda shared: shared.hand_over(self._node, instance, payload))
            status, comment = await handed.answered if is_awaited else ENDED
        if status:
            raise RefusedByRetrieve(status, comment)
        return status

    # --- the node that waits ------------------------------------------------------------------------------------

    async def _take(self, handed: HandedInstance) -> None:
        """Take an instance that arrived at another node as if it had arrived here."""
        status, comment = ENDED
        try:
            if handed.move_id in self._own:
                status, comment = await self._taken(handed, self._own[handed.move_id][1])
        finally:
            self._answers[handed.handover_id] = HandoverAnswer(handed.handover_id, status, comment)
            self._wake.set()

    async def _taken(self, handed: HandedInstance, expected: ExpectedMove) -> tuple[int, str]:
        """The status of the C-STORE response, and its Error Comment."""
        expected.touch()
        try:
            body = SharedDataSet(await self._bytes.read(handed, self._read))
        except GatewayError as error:
            return error.dimse_status, str(error)
        arrived = FetchedInstance(handed.sop_class_uid, handed.sop_instance_uid, handed.transfer_syntax_uid, body)
        return await taken_by(expected, arrived)

    async def _read(self, handover_id: str) -> bytes | None:
        return await self._step(lambda shared: shared.read(handover_id))
