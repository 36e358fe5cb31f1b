"""Whether a gateway works on a queue's file, as another process sees it without touching the gateway's lock."""

from __future__ import annotations

from pathlib import Path

from gateway.spool.lock import is_held, of_queue


def is_gateway_running(queue: Path) -> bool:
    """True while a gateway, or `gateway rebuild`, holds the lock beside `queue`; False when it cannot be opened."""
    return is_held(of_queue(queue))
