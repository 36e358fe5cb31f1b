"""Messages that are taken whole from the receive buffer are those that fragments make: same messages, responses,
aborts, time limits and work, whatever else comes on the association."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Sequence
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.dimse.protocol.assembly import Message
from gateway.dimse.protocol.memory import MemoryReceiver
from gateway.dimse.protocol.message import encode
from gateway.dimse.protocol.pdata import COMMAND, LAST
from gateway.dimse.protocol.upper_layer import RELEASE_RQ
from gateway.model.listener import Limits
from gateway.ports.errors import SpoolFull
from tests.support.dimse.memory_transport import MemoryTransport, deliver
from tests.support.dimse.rig import CT_ID, MR_ID, echo_command, item, message, p_data, store_command
from tests.support.quick_run import QUICK_RUN
from tests.unit.dimse.protocol.test_association import ARRIVAL, Bench, SlowReceiver, established


class Fails(MemoryReceiver):
    """Fails with a data set that says where."""

    def write(self, fragment: memoryview) -> None:
        if bytes(fragment[:5]) == b"write":
            raise SpoolFull("no room")
        super().write(fragment)

    def finish(self) -> Any:
        body = super().finish()
        if bytes(body.view()[:6]) == b"finish":
            raise SpoolFull("no room")
        return body


class InFragments(Bench):
    """Takes no message whole."""

    whole = 0

    def _take_message(self) -> bool:
        return False


class Whole(Bench):
    """Counts the messages that it takes whole."""

    whole = 0

    def _take_message(self) -> bool:
        is_taken = super()._take_message()
        self.whole += is_taken
        return is_taken


def opened(kind: type[Bench], receiver: Any = Fails) -> tuple[Bench, MemoryTransport]:
    """An association of this kind that takes data sets of up to 64 bytes."""
    bench, transport = established(receiver, kind=kind, limits=Limits(object_bytes=64))
    return bench, transport


def described(one: Message) -> object:
    body = None if one.body is None else bytes(one.body.view())
    return one.context.context_id, one.command, body, type(one.failure), str(one.failure)


def outcome(kind: type[Bench], reads: Sequence[bytes]) -> tuple[list[object], int]:
    """Everything that can be seen after each read; the number of messages that were taken whole."""
    bench, transport = opened(kind)
    seen: list[object] = []
    for data in reads:
        deliver(bench, data)
        messages = [described(one) for one in bench.received]
        bench.received.clear()
        seen.append((messages, transport.taken(), bench.ended_as(), bench.is_running(*ARRIVAL), bench._work_left))
    bench.close_now()
    return seen, getattr(bench, "whole", 0)


UIDS = st.sampled_from([*["1.2.34"] * 3, "1.2.56", "1"])
CONTEXTS = st.sampled_from([*[CT_ID] * 6, MR_ID, 99])
DATA = st.sampled_from([b"0123456789", b"abc", b"", b"write it", b"finish it", bytes(64), bytes(65)])
KINDS = st.sampled_from(
    [*["whole"] * 8, "halves", "one PDU", "two contexts", "no data set", "noise", "release", "twice"]
)


@st.composite
def sent(draw: st.DrawFn) -> bytes:
    """What a peer sends: mostly C-STORE requests like those before."""
    priority = draw(st.sampled_from([0, 0, 0, 2]))
    command = store_command(draw(st.integers(0, 65535)), AffectedSOPInstanceUID=draw(UIDS), Priority=priority)
    context_id, data = draw(CONTEXTS), draw(DATA)
    encoded, half = encode(command), len(data) // 2
    match draw(KINDS):
        case "whole":
            return message(context_id, command, data)
        case "halves":
            halves = p_data(item(context_id, 0, data[:half])) + p_data(item(context_id, LAST, data[half:]))
            return message(context_id, command) + halves
        case "one PDU":
            return p_data(item(context_id, COMMAND | LAST, encoded), item(context_id, LAST, data))
        case "two contexts":
            return message(CT_ID, command) + p_data(item(MR_ID, LAST, data))
        case "no data set":
            return message(CT_ID, echo_command(draw(st.integers(0, 65535))))
        case "noise":
            noisy = bytearray(message(CT_ID, command, data))
            noisy[draw(st.integers(0, len(noisy) - 1))] = draw(st.integers(0, 255))
            return bytes(noisy)
        case "twice":
            return message(CT_ID, command) + message(CT_ID, command, data)
        case _:
            return RELEASE_RQ


FIRST = message(CT_ID, store_command(AffectedSOPInstanceUID="1.2.34"), b"0123456789")


@settings(max_examples=QUICK_RUN.examples(400))
@given(st.lists(sent(), min_size=1, max_size=6), st.lists(st.integers(0, 2000), max_size=3))
def test_whole_messages_are_those_of_fragments(messages: list[bytes], cuts: list[int]) -> None:
    async def compare() -> None:
        stream = b"".join(messages)
        edges = [0, *sorted(cut % (len(stream) + 1) for cut in cuts), len(stream)]
        reads = [FIRST, *(stream[start:stop] for start, stop in itertools.pairwise(edges) if start < stop)]
        assert outcome(Whole, reads)[0] == outcome(InFragments, reads)[0]

    asyncio.run(compare())


async def test_requests_of_a_series_are_taken_whole_from_the_second_one_on() -> None:
    reads = [message(CT_ID, store_command(number), b"0123456789") for number in range(1, 6)]
    assert outcome(Whole, reads)[1] == 4
    assert outcome(Whole, [b"".join(reads)])[1] == 4
    assert outcome(Whole, [b"".join(reads)[:-1]])[1] == 3


async def test_a_message_that_was_taken_whole_waits_for_its_receiver() -> None:
    receivers: list[SlowReceiver] = []

    def receiver() -> Any:
        receivers.append(SlowReceiver())
        return receivers[-1]

    bench, transport = opened(Whole, receiver)
    first, second, third = (message(CT_ID, store_command(number), b"abcd") for number in (1, 2, 3))
    for data in (first, second + third):
        deliver(bench, data)
        assert transport.is_paused
        receivers[-1].ready.set_result(None)
        async with asyncio.timeout(60):
            while len(bench.received) < len(receivers) and len(receivers) < 3:
                await asyncio.sleep(0)
    receivers[-1].ready.set_result(None)
    async with asyncio.timeout(60):
        while len(bench.received) < 3:
            await asyncio.sleep(0)
    assert [got.command["MessageID"] for got in bench.received] == [1, 2, 3]
    assert [bytes(got.body.view()) for got in bench.received if got.body is not None] == [b"abcd"] * 3
    bench.close_now()
