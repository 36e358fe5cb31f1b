"""The redo record of a group of acceptances, kept beside its payloads: one sync makes both durable.

The queue's transaction that follows is not synced. When the power fails before SQLite syncs it, the queue is as it was
some groups ago, and has the position up to which it has replayed the segments. The next start replays everything behind
it (`gateway.spool.replay`). An acceptance that is refused after its redo record was written is cancelled by a record of
its own, or the record is taken back, before the refusal is answered.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

import msgspec

from gateway.model.delivery import Dispatch
from gateway.model.instance import Instance

VERSION = 1


class Position(NamedTuple):
    """A place in the sequence of segments."""

    name: str
    """The name of a segment; empty before the first."""
    end_bytes: int


NOWHERE = Position("", 0)


class RedoRecord(msgspec.Struct, frozen=True, array_like=True):
    """The acceptances of one group, with their payloads' places."""

    version: int
    now: datetime
    arrivals: list[tuple[Instance, list[Dispatch]]]


def _plain(value: object) -> str:
    """Text of a class of its own, such as pydicom's UID, as plain text."""
    if isinstance(value, str):
        return str.__str__(value)
    raise TypeError(f"{type(value).__name__} has no place in a note")


_encoder = msgspec.msgpack.Encoder(enc_hook=_plain)
_decoder = msgspec.msgpack.Decoder(RedoRecord)


def encode(now: datetime, arrivals: Sequence[tuple[Instance, Sequence[Dispatch]]]) -> bytes:
    """A redo record as bytes. Raises ValueError for text that has no UTF-8."""
    return _encoder.encode((VERSION, now, arrivals))  # as a `RedoRecord`


def decode(data: bytes) -> RedoRecord:
    """The record that `encode` wrote, with defaults for fields that a former version did not know.

    Raises ValueError when a newer version wrote it, or it is none.
    """
    try:
        redo_record = _decoder.decode(data)
    except msgspec.MsgspecError as error:
        raise ValueError(f"not a note for the queue: {error}") from None
    if redo_record.version > VERSION:
        raise ValueError(f"written by a newer gateway (version {redo_record.version}, this one knows {VERSION})")
    return redo_record


class RefusedArrivals(msgspec.Struct, frozen=True, array_like=True):
    """Arrivals of one redo record that were refused after it had been written."""

    digest: bytes
    """Digest of the redo record; no two are alike, since each has the time at which it was made."""
    numbers: list[int]
    """The numbers of its arrivals, from 0."""


class Cancellation(msgspec.Struct, frozen=True, array_like=True):
    """Written before the refusal is answered: the redo records of these arrivals are void."""

    version: int
    refused: list[RefusedArrivals]


_cancellation_decoder = msgspec.msgpack.Decoder(Cancellation)


def encode_cancellation(refused: Sequence[RefusedArrivals]) -> bytes:
    """A cancellation as bytes."""
    return _encoder.encode(Cancellation(VERSION, list(refused)))


def decode_cancellation(data: bytes) -> Cancellation:
    """The cancellation that `encode_cancellation` wrote. Raises ValueError when a newer version wrote it, or it is
    none."""
    try:
        found = _cancellation_decoder.decode(data)
    except msgspec.MsgspecError as error:
        raise ValueError(f"not a cancellation: {error}") from None
    if found.version > VERSION:
        raise ValueError(f"written by a newer gateway (version {found.version}, this one knows {VERSION})")
    return found
