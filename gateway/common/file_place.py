"""A check that a path still leads to a file that is open. It runs for each group of acceptances, so it costs one system
call and no object but its result."""

from __future__ import annotations

import os


def leads_to(path: bytes, device: int, inode: int) -> bool:
    """True when it does, symbolic links followed; False also when that cannot be determined."""
    try:
        found = os.stat(path)
    except OSError:
        return False
    return found.st_ino == inode and found.st_dev == device
