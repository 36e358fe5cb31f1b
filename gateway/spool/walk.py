"""The records of a file in order, and what lies between them where some of it is damaged.

Where no header is found, the next one is looked for: one that is whole, and so is what follows it. So one damaged byte
costs one record at most; a header of which one byte has changed costs nothing, since its CRC says which.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from gateway.spool import record
from gateway.spool.digest import Proof
from gateway.spool.record import HEADER_BYTES, RecordHeader

SECTOR_BYTES = 512
"""The bytes that a disk writes in one piece: a write that the power cut short leaves whole sectors as they were."""
LEAST_ZEROS_BYTES = 16
"""Fewer zeros at the end of a record say nothing."""
PIECE_BYTES = 1024**2


@dataclass(frozen=True, slots=True)
class FoundRecord:
    """One record."""

    record: RecordHeader
    trouble: str = ""
    """The problem with its content; empty when all of it is as it was written."""
    is_header_damaged: bool = False
    """One byte of its header had changed, and the digest of the content proved which."""
    is_unwritten: bool = False
    """The content looks as if the power had failed before all of it was written."""

    @property
    def start_bytes(self) -> int:
        """The offset at which its header begins."""
        return self.record.offset_bytes - HEADER_BYTES

    @property
    def end_bytes(self) -> int:
        return self.record.end_bytes


@dataclass(frozen=True, slots=True)
class Gap:
    """Bytes that are no record, and are not zeros up to the end of the file."""

    start_bytes: int
    end_bytes: int
    is_unwritten: bool
    """True when it looks as if the power had failed before all of it was written."""


def walk(
    path: Path, seed: int, start_bytes: int = 0, end_bytes: int | None = None, *, is_checked: bool = True
) -> Iterator[FoundRecord | Gap]:
    """Everything in a file from `start_bytes`, where a record begins. Zeros behind the last of it are left out, and so
    is what lies behind `end_bytes`, when it is given.

    Unless `is_checked` contents are read only where the next record has to be looked for. Raises OSError when the file
    cannot be opened; bytes of it that cannot be read are damaged ones.
    """
    with path.open("rb", buffering=0) as file:
        yield from _Walk(file.fileno(), seed, end_bytes, is_checked=is_checked).run(start_bytes)


def content(path: Path, found: RecordHeader) -> bytes:
    """The bytes that follow a header; shorter when the file ends before. Raises OSError."""
    with path.open("rb", buffering=0) as file:
        return os.pread(file.fileno(), found.length_bytes, found.offset_bytes)


class _Walk:
    def __init__(self, descriptor: int, seed: int, end_bytes: int | None, *, is_checked: bool) -> None:
        self._descriptor = descriptor
        self._size_bytes = os.fstat(descriptor).st_size
        if end_bytes is not None:
            self._size_bytes = min(self._size_bytes, end_bytes)
        self._seed = seed
        self._is_checked = is_checked
        self._seeds: tuple[int, ...] = ()
        """The seeds of the headers that count when the next one is searched; found out when it is needed."""
        self._unreadable: set[int] = set()
        """The offsets at which reads of a sector or less failed."""

    def run(self, at: int) -> Iterator[FoundRecord | Gap]:
        while at < self._size_bytes:
            found: FoundRecord | Gap | None = self._record_at(at)
            if found is None:
                if self._is_zero_from(at):
                    return
                found = self._gap(at)
            yield found
            at = found.end_bytes

    def _record_at(self, at: int) -> FoundRecord | None:
        header = self._read(at, HEADER_BYTES)
        for seed in (self._seed, 0):
            whole = record.unpack(header, at, seed)
            if whole is not None:
                return self._checked(whole)
        for seed in (self._seed, 0):
            for guess in record.repaired(header, at, seed):
                if guess.end_bytes <= self._size_bytes and self._trouble(guess, is_sure=True) == "":
                    return FoundRecord(guess, is_header_damaged=True)
        return None

    def _checked(self, whole: RecordHeader) -> FoundRecord:
        if whole.end_bytes > self._size_bytes:
            return self._cut_short(whole)
        trouble = self._trouble(whole) if self._is_checked else ""
        is_unwritten = bool(trouble) and self._looks_unwritten(whole.offset_bytes, whole.end_bytes)
        return FoundRecord(whole, trouble, is_unwritten=is_unwritten)

    def _cut_short(self, whole: RecordHeader) -> FoundRecord:
        """The file ends inside the record."""
        left = RecordHeader(
            whole.offset_bytes,
            max(self._size_bytes - whole.offset_bytes, 0),
            whole.digest,
            whole.transfer_syntax_uid,
            whole.kind,
            whole.checksum,
        )
        return FoundRecord(
            left, f"{whole.end_bytes - self._size_bytes} bytes are missing at its end", is_unwritten=True
        )

    def _trouble(self, whole: RecordHeader, *, is_sure: bool = False) -> str:
        """The problem with the content. `is_sure`: the checksum alone is not believed."""
        checksum, proof = record.Checksum(), Proof()
        for start in range(whole.offset_bytes, whole.end_bytes, PIECE_BYTES):
            try:
                piece = os.pread(self._descriptor, min(PIECE_BYTES, whole.end_bytes - start), start)
            except OSError as error:
                return f"it cannot be read: {error}"
            checksum.update(piece)
            if is_sure or not whole.checksum:
                proof.update(piece)
        if whole.checksum and not is_sure:
            return "" if checksum.value() == whole.checksum else self._trouble(whole, is_sure=True)
        return "" if proof.is_of(whole.digest) else "its bytes have changed"

    def _read(self, at: int, length_bytes: int) -> bytes:
        """Bytes that cannot be read are filled, never with zeros: they are not unwritten."""
        try:
            return os.pread(self._descriptor, length_bytes, at)
        except OSError:
            if length_bytes <= SECTOR_BYTES:
                self._unreadable.add(at)
                return b"\xff" * min(length_bytes, self._size_bytes - at)
            ends = range(at, min(at + length_bytes, self._size_bytes), SECTOR_BYTES)
            return b"".join(self._read(start, min(SECTOR_BYTES, at + length_bytes - start)) for start in ends)

    # --- where there is no header -----------------------------------------------------------------------------------

    def _is_zero_from(self, at: int) -> bool:
        return self._end_of_bytes(at) == at

    def _end_of_bytes(self, at: int) -> int:
        """The position behind the last byte from `at` on that is not zero."""
        end = self._size_bytes
        while end > at:
            start = max(at, end - PIECE_BYTES)
            piece = self._read(start, end - start).rstrip(b"\0")
            if piece:
                return start + len(piece)
            end = start
        return at

    def _gap(self, at: int) -> Gap:
        following = self._next_record(at + 1)
        end = following if following is not None else self._end_of_bytes(at)
        is_unwritten = following is None and self._looks_unwritten(
            at, max(end, min(at + HEADER_BYTES, self._size_bytes))
        )
        return Gap(at, end, is_unwritten or (end - at < HEADER_BYTES and end == self._size_bytes))

    def _next_record(self, at: int) -> int | None:
        if not self._seeds:
            self._seeds = self._seeds_in_use()
        return next(self._whole_records(at, self._seeds), None)

    def _seeds_in_use(self) -> tuple[int, ...]:
        """Headers of former versions count only in a file that has no others."""
        if self._seed and next(self._whole_records(0, (self._seed,)), None) is not None:
            return (self._seed,)
        return (self._seed, 0)

    def _whole_records(self, at: int, seeds: tuple[int, ...]) -> Iterator[int]:
        """The offsets of records whose header and content are whole."""
        while at < self._size_bytes:
            piece = self._read(at, PIECE_BYTES)
            place = piece.find(record.MAGIC)
            while place >= 0:
                if self._is_record(at + place, seeds):
                    yield at + place
                place = piece.find(record.MAGIC, place + 1)
            at += max(len(piece) - len(record.MAGIC) + 1, 1)

    def _is_record(self, at: int, seeds: tuple[int, ...]) -> bool:
        header = self._read(at, HEADER_BYTES)
        found = next(filter(None, (record.unpack(header, at, seed) for seed in seeds)), None)
        if found is None or found.end_bytes > self._size_bytes:
            return False
        return bool(self._seed and seeds == (self._seed,)) or self._trouble(found, is_sure=True) == ""

    def _looks_unwritten(self, start: int, end: int) -> bool:
        """A sector of it is all zeros, as far as it belongs to it, and all of it can be read: a power cut leaves no
        read errors, and what has one may have been acknowledged."""
        data = self._read(start, end - start)
        if any(start <= each < end for each in self._unreadable):
            return False
        ends = [*range(-start % SECTOR_BYTES or SECTOR_BYTES, len(data), SECTOR_BYTES), len(data)]
        begin = 0
        for stop in ends:
            if stop - begin >= LEAST_ZEROS_BYTES and not data[begin:stop].strip(b"\0"):
                return True
            begin = stop
        return False
