"""Messages out of fragments: order, limits, receivers that fail or are slow (PS3.7 §6.3, PS3.8 Annex E)."""

import asyncio
import itertools
from collections.abc import Awaitable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.dimse.protocol.assembly import Message, MessageAssembler, ProtocolError
from gateway.dimse.protocol.context import AcceptedContext, as_uid
from gateway.dimse.protocol.memory import MemoryDataSet, MemoryReceiver
from gateway.dimse.protocol.message import encode
from gateway.dimse.protocol.pdata import COMMAND, LAST
from gateway.dimse.protocol.upper_layer import AbortReason
from gateway.ports.encoded_data_set import DataSetReceiver
from gateway.ports.errors import ObjectTooLarge, SpoolFull

CT = AcceptedContext(1, as_uid("1.2.840.10008.5.1.4.1.1.2"), as_uid("1.2.840.10008.1.2"), "store")
MR = AcceptedContext(3, as_uid("1.2.840.10008.5.1.4.1.1.4"), as_uid("1.2.840.10008.1.2"), "store")
CONTEXTS = {1: CT, 3: MR}

STORE = encode({"CommandField": 1, "MessageID": 1, "CommandDataSetType": 1})
ECHO = encode({"CommandField": 0x30, "MessageID": 2, "CommandDataSetType": 0x0101})

Fragment = tuple[int, int, bytes]


class Receiver(MemoryReceiver):
    """Counts discards, fails where it is told to."""

    def __init__(self, *, fails_at: str = "") -> None:
        super().__init__()
        self.fails_at = fails_at
        self.discarded = 0

    def write(self, fragment: memoryview) -> None:
        if self.fails_at == "write":
            raise SpoolFull("no room")
        super().write(fragment)

    def finish(self) -> MemoryDataSet:
        if self.fails_at == "finish":
            raise SpoolFull("no room")
        return super().finish()

    def discard(self) -> None:
        self.discarded += 1


def assembler(
    receiver: DataSetReceiver | None = None, *, max_command_bytes: int = 1000, max_object_bytes: int = 1000
) -> MessageAssembler:
    def open_data_set(message: Message) -> DataSetReceiver | None:
        if isinstance(receiver, Receiver) and receiver.fails_at == "open":
            raise SpoolFull("no room")
        return receiver

    return MessageAssembler(
        CONTEXTS, open_data_set, max_command_bytes=max_command_bytes, max_object_bytes=max_object_bytes
    )


def feed(target: MessageAssembler, *fragments: Fragment) -> list[Message]:
    found = [target.fragment(context_id, control, memoryview(data)) for context_id, control, data in fragments]
    return [message for message in found if message is not None]


def test_a_message_without_a_data_set() -> None:
    target = assembler()
    (message,) = feed(target, (3, COMMAND | LAST, ECHO))
    assert message.context is MR
    assert message.command["MessageID"] == 2
    assert message.body is None
    assert not target.is_mid_message


@given(
    command_cuts=st.lists(st.integers(0, len(STORE)), max_size=5),
    data=st.binary(max_size=60),
    data_cuts=st.lists(st.integers(0, 60), max_size=5),
)
def test_any_fragmentation_gives_the_same_message(command_cuts: list[int], data: bytes, data_cuts: list[int]) -> None:
    def cut(whole: bytes, cuts: list[int], kind: int) -> list[Fragment]:
        edges = [0, *sorted(min(edge, len(whole)) for edge in cuts), len(whole)]
        parts = [whole[a:b] for a, b in itertools.pairwise(edges)]
        return [(1, kind | (LAST if index == len(parts) - 1 else 0), part) for index, part in enumerate(parts)]

    target = assembler(Receiver())
    messages = feed(target, *cut(STORE, command_cuts, COMMAND), *cut(data, data_cuts, 0), (1, 3, ECHO))
    assert [message.command["CommandField"] for message in messages] == [1, 0x30]
    assert messages[0].body is not None
    assert bytes(messages[0].body.view()) == data


BROKEN: dict[str, tuple[list[Fragment], AbortReason]] = {
    "context not accepted": ([(5, 3, ECHO)], AbortReason.INVALID_PARAMETER),
    "context 0": ([(0, 3, ECHO)], AbortReason.INVALID_PARAMETER),
    "data before any command": ([(1, LAST, b"xx")], AbortReason.UNEXPECTED_PARAMETER),
    "data before the command's end": ([(1, COMMAND, ECHO[:4]), (1, 0, b"xx")], AbortReason.UNEXPECTED_PARAMETER),
    "command within a data set": ([(1, 3, STORE), (1, 0, b"xx"), (1, 3, ECHO)], AbortReason.UNEXPECTED_PARAMETER),
    "two contexts in a command": ([(1, COMMAND, ECHO[:4]), (3, 3, ECHO[4:])], AbortReason.UNEXPECTED_PARAMETER),
    "two contexts in a message": ([(1, 3, STORE), (3, LAST, b"xx")], AbortReason.UNEXPECTED_PARAMETER),
    "command too long": ([(1, COMMAND, bytes(600)), (1, COMMAND, bytes(600))], AbortReason.INVALID_PARAMETER),
    "command too long at once": ([(1, 3, bytes(1001))], AbortReason.INVALID_PARAMETER),
    "malformed command": ([(1, 3, b"\x08\0\0\0\0\0\0\0")], AbortReason.INVALID_PARAMETER),
    "no Command Field": ([(1, 3, encode({"MessageID": 1}))], AbortReason.INVALID_PARAMETER),
    "request without Message ID": ([(1, 3, encode({"CommandField": 0x30}))], AbortReason.INVALID_PARAMETER),
    "data set announced without Message ID": (
        [(1, 3, encode({"CommandField": 0x20, "CommandDataSetType": 0}))],
        AbortReason.INVALID_PARAMETER,
    ),
    "empty command": ([(1, 3, b"")], AbortReason.INVALID_PARAMETER),
}


@pytest.mark.parametrize(("fragments", "reason"), BROKEN.values(), ids=BROKEN.keys())
def test_what_breaks_the_protocol(fragments: list[Fragment], reason: AbortReason) -> None:
    target = assembler(Receiver())
    with pytest.raises(ProtocolError) as caught:
        feed(target, *fragments)
    assert caught.value.reason is reason


@pytest.mark.parametrize("place", ["open", "write", "finish"])
def test_a_receiver_that_fails_costs_the_message_only(place: str) -> None:
    receiver = Receiver(fails_at=place)
    target = assembler(receiver)
    messages = feed(target, (1, 3, STORE), (1, 0, b"ab"), (1, LAST, b"cd"), (1, 3, ECHO))
    assert isinstance(messages[0].failure, SpoolFull)
    assert messages[0].body is None
    assert receiver.discarded == (place != "open")
    assert len(messages) == 2


def test_an_object_over_the_limit_is_read_to_its_end() -> None:
    receiver = Receiver()
    target = assembler(receiver, max_object_bytes=10)
    (message,) = feed(target, (1, 3, STORE), (1, 0, bytes(10)), (1, 0, bytes(2)), (1, LAST, bytes(90)))
    assert isinstance(message.failure, ObjectTooLarge)
    assert message.failure.dimse_status == 0xA700
    assert receiver.discarded == 1


def test_a_message_that_does_not_end_is_discarded() -> None:
    receiver = Receiver()
    target = assembler(receiver)
    feed(target, (1, 3, STORE), (1, 0, b"ab"))
    assert target.is_mid_message
    target.discard()
    target.discard()
    assert receiver.discarded == 1
    assert not target.is_mid_message


class SlowReceiver(Receiver):
    """Says with every fragment that it needs time."""

    def write(self, fragment: memoryview) -> Awaitable[None]:  # type: ignore[override]
        super().write(fragment)
        return asyncio.sleep(0)


@pytest.mark.parametrize("error", [None, SpoolFull("no room")], ids=["done", "failed"])
async def test_a_slow_receiver_finishes_after_its_last_fragment(error: Exception | None) -> None:
    target = assembler(SlowReceiver())
    assert feed(target, (1, 3, STORE), (1, LAST, b"ab")) == []
    assert target.pending is not None
    await target.pending
    message = target.resume(error)
    assert message is not None
    assert message.failure is error
    assert (message.body is None) == (error is not None)
    assert not target.is_mid_message
