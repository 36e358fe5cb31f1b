"""Stored payloads, for reading alone: needs no lock, so that it works beside a running gateway."""

from __future__ import annotations

import os
from pathlib import Path

from gateway.model import PayloadRef
from gateway.ports import EncodedDataSet, PayloadLost, Temporary
from gateway.spool import record
from gateway.spool.body import FileDataSet, InMemoryDataSet
from gateway.spool.disk import is_shortage
from gateway.spool.segment import SegmentReader, check


class PayloadReader:
    """Opens payloads of the spool folder `root`. Any thread; writes nothing."""

    def __init__(self, root: Path, large_object_bytes: int) -> None:
        self.root = root
        self._large_object_bytes = large_object_bytes
        self._segments = SegmentReader(root)

    def open(self, ref: PayloadRef) -> EncodedDataSet:
        """The stored bytes, checked by their digest: small ones in memory, now; large ones as a file, in `chunks`.

        Raises PayloadLost, or Temporary when they cannot be read now.
        """
        if ref.length_bytes <= self._large_object_bytes:
            return InMemoryDataSet([self._segments.read(ref)])
        try:
            descriptor = os.open(self.root / ref.name, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            if is_shortage(error):
                raise Temporary(f"payload {ref.name}: cannot be read now: {error}") from error
            raise PayloadLost(f"payload {ref.name}: {error}; restore it, or discard it") from error
        body = FileDataSet(descriptor, ref.offset_bytes, ref.length_bytes, ref.name, digest=ref.digest)
        try:
            header = os.pread(descriptor, record.HEADER_BYTES, ref.offset_bytes - record.HEADER_BYTES)
            body.expect(check(ref, header).checksum)
            if os.fstat(descriptor).st_size < ref.offset_bytes + ref.length_bytes:
                raise PayloadLost(f"payload {ref.name}: bytes are missing at its end; look at the disk")
        except OSError as error:
            body.close()
            raise PayloadLost(f"payload {ref.name}: {error}; look at the disk") from error
        except PayloadLost:
            body.close()
            raise
        return body

    def open_cached(self, ref: PayloadRef) -> EncodedDataSet | None:
        """As `open`, when nobody has to wait for the disk; else None. Raises PayloadLost."""
        if ref.length_bytes > self._large_object_bytes:
            return None
        payload = self._segments.read_cached(ref)
        return None if payload is None else InMemoryDataSet([payload])

    def forget(self, name: str) -> None:
        """The file is gone."""
        self._segments.forget(name)

    def close(self) -> None:
        """Close the files that were kept open."""
        self._segments.close()
