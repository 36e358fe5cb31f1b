"""Every attack by its name."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass

from tests.support.attacks import connections, http, messages
from tests.support.attacks.line import Target

LONG_S = 45.0
"""The longest time of an attack; a peer that is too slow is aborted before."""


@dataclass(frozen=True, slots=True)
class Attack:
    """`run` goes on until it has done its worst, or is cancelled after `seconds`."""

    run: Callable[[Target], Awaitable[None]]
    seconds: float = 25.0
    descriptors: int = 0
    """The gateway's limit of open files, 0: as it is."""

    @property
    def what(self) -> str:
        return (self.run.__doc__ or "").strip().splitlines()[0]


ATTACKS: Mapping[str, Attack] = {
    "idle-sockets": Attack(connections.idle_sockets),
    "strangers": Attack(connections.strangers),
    "strangers-from-many-hosts": Attack(connections.strangers_from_many_hosts),
    "descriptors-dicom": Attack(connections.descriptors_dicom, descriptors=1024),
    "descriptors-http": Attack(connections.descriptors_http, descriptors=1024),
    "role-items": Attack(connections.role_items),
    "different-contexts": Attack(connections.different_contexts, seconds=60.0),
    "empty-pdvs": Attack(messages.empty_pdvs),
    "one-byte-pdvs": Attack(messages.one_byte_pdvs),
    "pipelined-echo": Attack(messages.pipelined_echo),
    "tiny-elements": Attack(messages.tiny_elements),
    "more-tiny-elements": Attack(messages.more_tiny_elements, seconds=40.0),
    "deflate-bombs": Attack(messages.deflate_bombs, seconds=40.0),
    "fine-deflate-bombs": Attack(messages.fine_deflate_bombs),
    "slow-pdus": Attack(messages.slow_pdus, seconds=60.0),
    "bytes-after-abort": Attack(messages.bytes_after_abort),
    "slow-http": Attack(http.slow_http, seconds=75.0),
    "reload-loops": Attack(http.reload_loops),
    "many-keys": Attack(messages.many_keys),
    "no-message-id": Attack(messages.no_message_id),
}


async def run(attack: Attack, target: Target) -> dict[str, int]:
    """Run it for `target.seconds` at most; what it saw, with `open`: its connections, and `kept`: those it could keep
    for `LONG_S`."""
    with suppress(TimeoutError):
        async with asyncio.timeout(target.seconds):
            await attack.run(target)
    await asyncio.sleep(0)
    still_open = [line for line in target.lines if line.is_open]
    kept = sum(time.monotonic() - line.opened_s > LONG_S for line in still_open)
    return {**target.counts, "open": len(still_open), "kept": kept}
