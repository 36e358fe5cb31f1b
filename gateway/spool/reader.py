"""Stored payloads, for reading alone: needs no lock, so that it works beside a running gateway."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from gateway.common.regular_file import open_regular_file
from gateway.model.instance import PayloadRef
from gateway.ports.encoded_data_set import EncodedDataSet
from gateway.ports.errors import GatewayError
from gateway.spool import record
from gateway.spool.body import FileDataSet, InMemoryDataSet
from gateway.spool.read_errors import cannot_read, cut_short
from gateway.spool.segment import SegmentReader, check


class PayloadReader:
    """Opens payloads of the spool folder `root`, or by `open_file`, which gives a descriptor for a name. Any thread;
    writes nothing. `report` is told of each error of a large file that shows while it is read.
    """

    def __init__(
        self,
        root: Path,
        large_object_bytes: int,
        open_file: Callable[[str], int] | None = None,
        report: Callable[[GatewayError], None] = lambda _: None,
    ) -> None:
        self._report = report
        self._large_object_bytes = large_object_bytes
        self._open_file = open_file or (lambda name: open_regular_file(root / name))
        self._segments = SegmentReader(root, self._open_file)

    def open(self, ref: PayloadRef) -> EncodedDataSet:
        """The stored bytes, checked by their digest: small ones in memory, now; large ones as a file, in `chunks`.

        Raises PayloadLost when they are damaged; PayloadMissing, Temporary when they cannot be read now.
        """
        if ref.length_bytes <= self._large_object_bytes:
            return InMemoryDataSet([self._segments.read(ref)])
        try:
            descriptor = self._open_file(ref.name)
        except OSError as error:
            raise cannot_read(ref.name, error) from error
        body = FileDataSet(descriptor, ref.offset_bytes, ref.length_bytes, ref.name, None, ref.digest, self._report)
        try:
            missing_bytes = ref.offset_bytes + ref.length_bytes - os.fstat(descriptor).st_size
            if missing_bytes > 0:
                raise cut_short(ref.name, missing_bytes)
            header = os.pread(descriptor, record.HEADER_BYTES, ref.offset_bytes - record.HEADER_BYTES)
            body.expect(check(ref, header).checksum)
        except OSError as error:
            body.close()
            raise cannot_read(ref.name, error) from error
        except GatewayError:
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
