"""A destination: one line of JSON an object, in a file."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from gateway.model.association import AssociationFacts
from gateway.model.attribute_path import AttributePath
from gateway.model.delivery import Deferred, Delivered, Outcome
from gateway.ports.destination import Outbound
from gateway.ports.kinds import DestinationContext


@dataclass(frozen=True, slots=True)
class Ledger:
    """Writes the UIDs and the length of each object as a line of JSON to the file `path`; the object itself goes
    nowhere."""

    example: ClassVar[str] = "ledger: /var/lib/gateway/ledger.jsonl"

    path: str

    def open(self, context: DestinationContext) -> OpenLedger:
        """Nothing is opened before the first object."""
        return OpenLedger(Path(self.path))

    def attributes(self) -> Iterable[AttributePath]:
        """No attribute is read."""
        return ()

    def place(self) -> str:
        """For `gateway explain`."""
        return self.path


class OpenLedger:
    """The destination and its only channel."""

    channels_at_once = 1

    def __init__(self, path: Path) -> None:
        self._path = path

    def on_behalf_of(self, sender: AssociationFacts) -> OpenLedger:
        """The same for all senders."""
        return self

    def channel(self) -> OpenLedger:
        """The ledger itself."""
        return self

    async def prepare(self, kinds: Sequence[tuple[str, str]]) -> None:
        """Nothing to do."""

    def takes(self, kind: tuple[str, str]) -> bool:
        """Every SOP class in every transfer syntax."""
        return True

    async def send(self, outbound: Outbound) -> Outcome:
        """Delivered when the line is written; a file that cannot be written is tried again later."""
        line = json.dumps({"sop_instance_uid": outbound.sop_instance_uid, "length": outbound.body.length_bytes})
        try:
            await asyncio.to_thread(self._append, f"{line}\n")
        except OSError as error:
            return Deferred(f"the ledger cannot be written: {error.strerror}", is_destination_down=True)
        return Delivered()

    async def close(self) -> None:
        """Nothing to close."""

    def _append(self, line: str) -> None:
        with self._path.open("a", encoding="ascii") as file:
            file.write(line)
