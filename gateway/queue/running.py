"""Whether a gateway works on a queue's file, as another process sees it without touching the gateway's lock."""

from __future__ import annotations

import re
from pathlib import Path

LOCKS = Path("/proc/locks")

_FLOCK = re.compile(r"FLOCK +ADVISORY +WRITE +(\d+) ")
_LONGEST_CHARACTERS = 32


def is_gateway_running(queue: Path, locks: Path = LOCKS) -> bool:
    """True when the process that the lock file beside `queue` names holds a lock. False where that cannot be seen, as
    from another container.

    To try the lock would tell more, but a gateway that starts at that moment would find it taken.
    """
    try:
        with queue.with_name(f"{queue.name}.lock").open(encoding="ascii", errors="replace") as file:
            holder = file.read(_LONGEST_CHARACTERS).strip()
        return bool(holder) and holder in _FLOCK.findall(locks.read_text(encoding="ascii", errors="replace"))
    except OSError:
        return False
