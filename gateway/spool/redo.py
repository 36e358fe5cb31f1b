"""What a group of acceptances tells the queue, kept beside its payloads: one sync makes both durable.

The queue's transaction that follows is not synced. When the power fails before SQLite syncs it, the queue is as it was
some groups ago, and says up to where it knows the segments; what stands behind is told to it again at the next start.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

import msgspec

from gateway.model import Instance, Route
from gateway.spool import segment
from gateway.spool.record import REDO, Record, read_records
from gateway.spool.recovery import number, payload_files

VERSION = 1


class Position(NamedTuple):
    """A place in the sequence of segments."""

    name: str
    """Of a segment; empty before the first."""
    end_bytes: int


NOWHERE = Position("", 0)


class Note(msgspec.Struct, frozen=True, array_like=True):
    """The acceptances of one group, with their payloads' places."""

    version: int
    now: datetime
    arrivals: list[tuple[Instance, list[Route]]]


def _plain(value: object) -> str:
    """Text of a class of its own, such as pydicom's UID, as plain text."""
    if isinstance(value, str):
        return str.__str__(value)
    raise TypeError(f"{type(value).__name__} has no place in a note")


_encoder = msgspec.msgpack.Encoder(enc_hook=_plain)
_decoder = msgspec.msgpack.Decoder(Note)


def encode(now: datetime, arrivals: Sequence[tuple[Instance, Sequence[Route]]]) -> bytes:
    """A note as bytes. Raises ValueError for text that has no UTF-8."""
    return _encoder.encode(Note(VERSION, now, [(instance, list(routes)) for instance, routes in arrivals]))


def decode(data: bytes) -> Note:
    """What `encode` wrote, with defaults for what a former version did not know.

    Raises ValueError when a newer version wrote it, or it is none.
    """
    try:
        note = _decoder.decode(data)
    except msgspec.MsgspecError as error:
        raise ValueError(f"not a note for the queue: {error}") from None
    if note.version > VERSION:
        raise ValueError(f"written by a newer gateway (version {note.version}, this one knows {VERSION})")
    return note


def notes_after(root: Path, position: Position) -> Iterator[tuple[Position, bytes]]:
    """The whole notes behind `position` in order, and where each ends."""
    first = number(position.name) if position.name else 0
    names = [name for name, _ in payload_files(root) if name.startswith(f"{segment.FOLDER}/") and number(name) >= first]
    for name in sorted(names, key=number):
        known_bytes = position.end_bytes if name == position.name else 0
        for record in read_records(root / name):
            if record.kind != REDO or record.end_bytes <= known_bytes:
                continue
            data = _content(root / name, record)
            if data and hashlib.sha256(data).digest() == record.digest:  # else torn: its group was never answered
                yield Position(name, record.end_bytes), data


def _content(path: Path, record: Record) -> bytes:
    with path.open("rb") as file:
        file.seek(record.offset_bytes)
        return file.read(record.length_bytes)
