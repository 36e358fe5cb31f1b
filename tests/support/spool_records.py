"""Payloads for segments, and the records of a spool file, read without its database."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from gateway.common.buffer import Buffer
from gateway.spool.record import HEADER_BYTES, RecordHeader, unpack


@dataclass(frozen=True, slots=True)
class SmallPayload:
    """As much of an acceptance as a segment needs."""

    pieces: Sequence[Buffer]
    transfer_syntax_uid: str


def read_records(path: Path) -> Iterator[RecordHeader]:
    """The records of a segment or large file in order, up to the first that is torn or cut short."""
    with path.open("rb") as file:
        size_bytes = os.fstat(file.fileno()).st_size
        offset_bytes = 0
        while record := unpack(os.pread(file.fileno(), HEADER_BYTES, offset_bytes), offset_bytes, None):
            offset_bytes = record.end_bytes
            if offset_bytes > size_bytes:
                return
            yield record
