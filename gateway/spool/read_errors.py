"""The meaning of an error of the operating system for stored bytes.

Bytes are lost only when they were read and have changed. After an error of the disk, without the folder, with a file
that has become shorter, or with too few descriptors they may come back: they are read again later.
"""

from __future__ import annotations

import errno

from gateway.ports.errors import PayloadMissing, PayloadUnreadable, Temporary
from gateway.spool.disk import is_shortage


def cannot_read(name: str, error: OSError) -> Temporary:
    """The payload file `name` gave `error`."""
    reason = error.strerror or type(error).__name__
    if error.errno in (errno.ENOENT, errno.ENOTDIR):
        return PayloadMissing(f"payload {name}: the file is not there; restore it, or discard what it held")
    if is_shortage(error):
        return Temporary(f"payload {name}: cannot be read now: {reason}")
    return PayloadUnreadable(f"payload {name}: cannot be read now: {reason}; look at the disk")


def cut_short(name: str, missing_bytes: int) -> PayloadMissing:
    """The payload file `name` ends before the payload does: an older copy, or a file system that was repaired."""
    reason = f"{missing_bytes} bytes are missing at its end; restore the file, or discard what it held"
    return PayloadMissing(f"payload {name}: {reason}")
