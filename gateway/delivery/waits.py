"""The words for a delivery that waits because of its destination's window or rate. Pure."""

from __future__ import annotations

from datetime import datetime

from gateway.model.delivery_window import DeliveryWindow


def why_it_waits(window: DeliveryWindow | None, bytes_per_s: float, objects_per_s: float, now: datetime) -> str:
    """The reason why what is due may not be sent at once; empty where there is none. `now` is the wall clock's."""
    if window is not None and not window.is_open(now):
        opens_at = window.changes_at(now)
        return f"its window is closed until {window.local(opens_at):%a %Y-%m-%d %H:%M %Z}" if opens_at else ""
    rates = [f"{bytes_per_s / 1e6:g} MB/s"] if bytes_per_s else []
    rates += [f"{objects_per_s:g} objects/s"] if objects_per_s else []
    return f"no more than {' and '.join(rates)} are sent" if rates else ""
