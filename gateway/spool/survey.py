"""A survey of segments behind a place in them: redo records, cancellations, payloads without redo records, damage."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from pathlib import Path

from gateway.ports.errors import ConfigurationError
from gateway.spool import redo, segment
from gateway.spool.digest import has_digest
from gateway.spool.record import CANCEL, HEADER_BYTES, PAYLOAD, REDO, RecordHeader
from gateway.spool.recovery import number, payload_files
from gateway.spool.redo import Position, RedoRecord
from gateway.spool.walk import FoundRecord, Gap, content, walk

Cancelled = Mapping[bytes, AbstractSet[int]]
"""Digest of a redo record → which of its arrivals were refused."""


@dataclass(frozen=True, slots=True)
class FoundRedoRecord:
    """One whole redo record."""

    position: Position
    """The position at which it ends."""
    digest: bytes
    redo_record: RedoRecord


@dataclass(frozen=True, slots=True)
class Damage:
    """Bytes of a file that are not as they were written."""

    name: str
    start_bytes: int
    end_bytes: int
    what: str
    """`header` (nothing is lost), `payload`, `note` (a redo record), `cancellation`, or `unknown` without a header."""
    trouble: str
    is_unwritten: bool = False
    """True when it looks as if the power had failed before all of it was written."""
    is_torn: bool = False
    """True when the same holds for all damage behind the last whole redo record of the file: nothing of it was
    acknowledged."""
    sop_instance_uids: Sequence[str] = ()
    """The SOP Instance UIDs of whole redo records that name payloads in it."""

    def covers(self, offset_bytes: int, length_bytes: int) -> bool:
        """True when a payload at this place is touched."""
        return self.start_bytes < offset_bytes + length_bytes and offset_bytes - HEADER_BYTES < self.end_bytes


@dataclass(slots=True)
class Survey:
    """The survey of one segment, from a position on."""

    name: str
    redo_records: list[FoundRedoRecord] = field(default_factory=list)
    loose: list[RecordHeader] = field(default_factory=list)
    """Whole payloads that no whole redo record names, though they may have been acknowledged."""
    unfinished: list[RecordHeader] = field(default_factory=list)
    """Whole payloads at the end of the file whose redo record was never written: they were not acknowledged."""
    damages: list[Damage] = field(default_factory=list)
    has_empty_redo_records: bool = False
    """True when there are empty notes: those of groups that could not be encoded, which the queue alone had."""
    payloads: dict[int, RecordHeader] = field(default_factory=dict)
    """All whole payloads by their offsets."""
    records: int = 0
    end_bytes: int = 0
    """The position behind all of it."""

    def named(self) -> set[tuple[str, int]]:
        """Files and places in them of the payloads that whole redo records name."""
        return {
            (instance.payload.name, instance.payload.offset_bytes)
            for found_redo in self.redo_records
            for instance, _ in found_redo.redo_record.arrivals
        }

    @property
    def has_lost_redo_records(self) -> bool:
        """True when a redo record may be damaged: then payloads in other files that it named have none now."""
        return self.has_empty_redo_records or any(
            each.what in ("note", "unknown") and not each.is_torn for each in self.damages
        )


def segments_from(root: Path, position: Position) -> list[tuple[str, int]]:
    """Segments from a position on, in order, and where in each to begin."""
    first = number(position.name) if position.name else 0
    names = [name for name, _ in payload_files(root) if name.startswith(f"{segment.FOLDER}/") and number(name) >= first]
    return [(name, position.end_bytes if name == position.name else 0) for name in sorted(names, key=number)]


def cancellations(root: Path, places: Sequence[tuple[str, int]], seed: int) -> dict[bytes, set[int]]:
    """The arrivals that were refused after they had been noted. Raises ConfigurationError when a newer gateway wrote
    it."""
    refused: dict[bytes, set[int]] = {}
    for name, start_bytes in places:
        for found in walk(root / name, seed, start_bytes, is_checked=False):
            if isinstance(found, Gap) or found.record.kind != CANCEL:
                continue
            data = content(root / name, found.record)
            if not has_digest([data], found.record.digest):
                continue  # `survey` says so
            try:
                cancellation = redo.decode_cancellation(data)
            except ValueError as error:
                raise _newer(root, name, found.end_bytes, error) from None
            for each in cancellation.refused:
                refused.setdefault(each.digest, set()).update(each.numbers)
    return refused


def survey(root: Path, name: str, seed: int, start_bytes: int = 0, end_bytes: int | None = None) -> Survey:
    """Read all of a segment from `start_bytes` on, or up to `end_bytes`, where a group ends.

    Raises OSError when it cannot be opened, ConfigurationError when a newer gateway wrote it.
    """
    found = Survey(name, end_bytes=start_bytes)
    payloads: list[RecordHeader] = []
    damages: list[Damage] = []
    last_redo_bytes = start_bytes
    for each in walk(root / name, seed, start_bytes, end_bytes):
        found.end_bytes = each.end_bytes
        found.records += isinstance(each, FoundRecord)
        damage = _damage(name, each)
        if damage is not None:
            damages.append(damage)
        if isinstance(each, Gap) or each.trouble:
            continue
        if each.record.kind == PAYLOAD:
            payloads.append(each.record)
            found.payloads[each.record.offset_bytes] = each.record
            continue
        last_redo_bytes = each.end_bytes
        if each.record.kind == REDO:
            found.has_empty_redo_records |= not each.record.length_bytes
            if each.record.length_bytes:
                found.redo_records.append(_redo_record(root, name, each.record))
    is_torn = all(each.is_unwritten for each in damages if each.start_bytes >= last_redo_bytes)
    _sort_payloads(found, payloads, last_redo_bytes, is_torn=is_torn)
    found.damages = [
        replace(
            each,
            is_torn=is_torn and each.start_bytes >= last_redo_bytes,
            sop_instance_uids=_named_in(each, found.redo_records),
        )
        for each in damages
    ]
    return found


def _redo_record(root: Path, name: str, record: RecordHeader) -> FoundRedoRecord:
    try:
        redo_record = redo.decode(content(root / name, record))
    except ValueError as error:
        raise _newer(root, name, record.end_bytes, error) from None
    return FoundRedoRecord(Position(name, record.end_bytes), record.digest, redo_record)


def _newer(root: Path, name: str, end_bytes: int, error: ValueError) -> ConfigurationError:
    return ConfigurationError(f"spool {root}: {name} before {end_bytes}: {error}; run the version that wrote it")


def _damage(name: str, found: FoundRecord | Gap) -> Damage | None:
    if isinstance(found, Gap):
        return Damage(name, found.start_bytes, found.end_bytes, "unknown", "no header is found", found.is_unwritten)
    if found.is_header_damaged:
        return Damage(name, found.start_bytes, found.record.offset_bytes, "header", "one byte has changed")
    if not found.trouble:
        return None
    what = {PAYLOAD: "payload", REDO: "note", CANCEL: "cancellation"}.get(found.record.kind, "unknown")
    return Damage(name, found.start_bytes, found.end_bytes, what, found.trouble, found.is_unwritten)


def _sort_payloads(found: Survey, payloads: list[RecordHeader], last_redo_bytes: int, *, is_torn: bool) -> None:
    """Payloads without a redo record at the end of the file may be the rest of a group without an answer."""
    named = found.named()
    for payload in payloads:
        if (found.name, payload.offset_bytes) in named:
            continue
        is_at_end = payload.offset_bytes > last_redo_bytes
        (found.unfinished if is_at_end and is_torn else found.loose).append(payload)


def _named_in(damage: Damage, redo_records: Sequence[FoundRedoRecord]) -> list[str]:
    return [
        instance.sop_instance_uid
        for found_redo in redo_records
        for instance, _ in found_redo.redo_record.arrivals
        if instance.payload.name == damage.name
        and damage.covers(instance.payload.offset_bytes, instance.payload.length_bytes)
    ]
