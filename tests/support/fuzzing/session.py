"""One mutated association against a gateway."""

from __future__ import annotations

import asyncio
import random
import struct
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

from tests.support.attacks.line import Line
from tests.support.fuzzing.mutate import PDUs, mutated

HOSTS = tuple(f"127.0.4.{number}" for number in range(1, 41))
"""The hosts of the configured peer that the recordings are of."""
ANSWER_S = 0.3
"""How long an answer is waited for before the next PDU is sent all the same."""
NO_DATA_SET = struct.pack("<HHIH", 0, 0x0800, 2, 0x0101)
ENDS = (3, 6, 7)
NAMES = {1: "A-ASSOCIATE-RQ", 2: "A-ASSOCIATE-AC", 3: "A-ASSOCIATE-RJ", 4: "P-DATA-TF", 5: "A-RELEASE-RQ",
         6: "A-RELEASE-RP", 7: "A-ABORT"}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Fuzzer:
    """Sessions by number: the same seed and number send the same bytes."""

    port: int
    seed: int
    recorded: Mapping[str, PDUs]

    async def session(self, number: int, counts: Counter[str]) -> None:
        """Connect, send, and look at what comes; `counts` gets the answers by kind."""
        chance = random.Random(f"{self.seed}:{number}")
        name, pdus = mutated(self.recorded, chance)
        counts[f"sent: {name}"] += 1
        loop = asyncio.get_running_loop()
        seen = Counter[str]()
        try:
            async with asyncio.timeout(60):
                _, line = await loop.create_connection(
                    partial(Line, seen), "127.0.0.1", self.port, local_addr=(chance.choice(HOSTS), 0)
                )
        except (OSError, TimeoutError) as error:
            counts[f"no connection: {type(error).__name__}"] += 1
            return
        async with line:
            try:
                await _talk(line, pdus, chance, counts)
            except OSError:
                counts["closed while we sent"] += 1

    def bytes_of(self, number: int) -> bytes:
        """What a session sends."""
        return b"".join(mutated(self.recorded, random.Random(f"{self.seed}:{number}"))[1])


async def _talk(line: Line, pdus: PDUs, chance: random.Random, counts: Counter[str]) -> None:
    is_waiting, is_stubborn = chance.random() < 0.7, chance.random() < 0.2
    for pdu in pdus:
        for piece in _pieces(pdu, chance):
            await line.send(piece)
        if is_waiting and _asks(pdu) and await _is_over(line, ANSWER_S, counts, most=1) and not is_stubborn:
            break
    if chance.random() < 0.7:  # otherwise the connection is lost now
        await _is_over(line, ANSWER_S, counts)


def _pieces(pdu: bytes, chance: random.Random) -> list[bytes]:
    if len(pdu) < 2 or chance.random() < 0.8:
        return [pdu]
    at = chance.randrange(1, len(pdu))
    return [pdu[:at], pdu[at:]]


def _asks(pdu: bytes) -> bool:
    """True for what is usually answered: requests for association and release, and the end of a message."""
    if pdu[:1] != b"\4":
        return pdu[:1] in (b"\1", b"\5")
    if len(pdu) < 12 or struct.unpack_from(">I", pdu, 2)[0] > len(pdu):
        return False
    is_command, is_last = pdu[11] & 1, pdu[11] & 2
    return bool(is_last) and (not is_command or NO_DATA_SET in pdu)


async def _is_over(line: Line, wait_s: float, counts: Counter[str], most: int = 1000) -> bool:
    """Take answers; true when the association is over."""
    try:
        async with asyncio.timeout(wait_s):
            for _ in range(most):
                answer = await line.pdu()
                counts[NAMES.get(answer[0], "unknown") if answer else "closed by the gateway"] += 1
                if not answer or answer[0] in ENDS:
                    return True
    except TimeoutError:
        counts["no answer in time"] += 1
    return False
