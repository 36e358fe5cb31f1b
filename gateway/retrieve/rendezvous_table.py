"""The rendezvous of C-MOVEs to ourselves within one process: a table by SOP Instance UID."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import Callable, Iterator, Sequence

import structlog

from gateway.dimse.protocol.status import stack_lines
from gateway.ports.encoded_data_set import EncodedDataSet
from gateway.ports.errors import GatewayError, Temporary
from gateway.retrieve.get_fetcher import FetchedInstance
from gateway.retrieve.move_rendezvous import ExpectedMove, IncomingInstance, RefusedByRetrieve
from gateway.retrieve.shared_data_set import SharedDataSet

log = structlog.get_logger()

LARGEST_MESSAGE_ID = 0xFFFF
LATE_S = 60.0
"""The time after the end of a C-MOVE during which its instances are still known as such."""
MOST_LATE = 100_000
"""Instances of C-MOVEs that have ended; above it those of the oldest are forgotten, whatever their time."""

ENDED = (Temporary.dimse_status, "the retrieve that asked for this has ended")
"""Status and Error Comment of an instance that comes too late."""


class RendezvousTable:
    """`MoveRendezvous` in memory. On the event loop alone."""

    def __init__(self) -> None:
        self._expected: dict[str, list[ExpectedMove]] = {}
        """Expected C-MOVEs by SOP Instance UID, in the order in which they began to wait."""
        self._late: dict[ExpectedMove, asyncio.TimerHandle] = {}
        """C-MOVEs that have ended, the oldest first."""
        self._late_instances = 0
        self._message_id = secrets.randbelow(LARGEST_MESSAGE_ID)

    def close(self) -> None:
        """Wait for nothing any more."""
        for timer in self._late.values():
            timer.cancel()
        self._late.clear()
        self._expected.clear()

    def next_message_id(self) -> int:
        """The next Message ID: from 1 to 65535, then 1 again."""
        self._message_id = self._message_id % LARGEST_MESSAGE_ID + 1
        return self._message_id

    # --- who waits ---------------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def expecting(self, expected: ExpectedMove) -> Iterator[None]:
        """A context in which, and for `LATE_S` after it, the instances of `expected` are known."""
        for uid in expected.sop_instance_uids:
            self._expected.setdefault(uid, []).append(expected)
        try:
            yield
        finally:
            expected.is_over = True
            self._late[expected] = asyncio.get_running_loop().call_later(LATE_S, self._forget, expected)
            self._late_instances += len(expected.sop_instance_uids)
            while self._late_instances > MOST_LATE and len(self._late) > 1:
                self._forget(next(iter(self._late)))

    def _forget(self, expected: ExpectedMove) -> None:
        self._late.pop(expected).cancel()
        self._late_instances -= len(expected.sop_instance_uids)
        for uid in expected.sop_instance_uids:
            waiting = [other for other in self._expected.get(uid, ()) if other is not expected]
            if waiting:
                self._expected[uid] = waiting
            else:
                self._expected.pop(uid, None)

    async def announce(self, expected: ExpectedMove) -> None:
        """There is nothing to be done: they arrive here."""

    # --- who receives ------------------------------------------------------------------------------------------------

    def is_expected(self, sop_instance_uid: str) -> bool:
        """One look into the table."""
        return sop_instance_uid in self._expected

    async def deliver(self, incoming: IncomingInstance, take_body: Callable[[], EncodedDataSet]) -> int | None:
        """Hand an instance to the retrieves that it is meant for, side by side; Success when one could take it."""
        meant = self._meant(incoming)
        if not meant:
            return None
        for expected in meant:
            expected.touch()
        body = SharedDataSet(take_body())
        try:
            if len(meant) == 1:
                answers = [await taken_by(meant[0], arrived_with(incoming, body))]
            else:
                answers = await asyncio.gather(*(taken_by(each, arrived_with(incoming, body)) for each in meant))
        finally:
            body.close()
        status, text = min(answers, key=lambda answer: bool(answer[0]))
        if status:
            raise RefusedByRetrieve(status, text)
        return status

    def _meant(self, incoming: IncomingInstance) -> Sequence[ExpectedMove]:
        """The C-MOVE that it names; else all that wait for it, since any copy is as good and each C-MOVE brings one;
        else one that waited for it until just now."""
        waiting = self._expected.get(incoming.sop_instance_uid, ())
        for expected in waiting:
            if expected.may_be_meant(incoming):
                peer = expected.sender.peer
                raise RefusedByRetrieve(Temporary.dimse_status, f"the rules in force here have no peer {peer}")
        if not any(expected.sender.peer == incoming.peer for expected in waiting):
            return ()
        meant = [expected for expected in waiting if expected.is_meant(incoming)]
        named = [expected for expected in meant if expected.is_of_this(incoming)][:1]
        return named or [expected for expected in meant if not expected.is_over] or meant[:1]


def arrived_with(incoming: IncomingInstance, body: SharedDataSet) -> FetchedInstance:
    """The instance with a share of its bytes."""
    return FetchedInstance(
        incoming.sop_class_uid, incoming.sop_instance_uid, incoming.transfer_syntax_uid, body.share()
    )


async def taken_by(expected: ExpectedMove, arrived: FetchedInstance) -> tuple[int, str]:
    """The status of the C-STORE response, and its Error Comment. The body is closed."""
    try:
        if expected.is_over:
            return ENDED
        return await expected.take(arrived), ""
    except GatewayError as error:
        return error.dimse_status, str(error)
    except Exception as error:
        log.error("hand_over_failed", error=type(error).__name__, where=stack_lines(error))
        return RefusedByRetrieve.dimse_status, ""
    finally:
        arrived.body.close()
