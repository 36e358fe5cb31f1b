"""Time zones by name."""

from __future__ import annotations

import zoneinfo
from functools import lru_cache
from zoneinfo import ZoneInfo

from gateway.common.setting_faults import did_you_mean, unknown_word
from gateway.routing.language.fields import FIELD_TYPES, FieldType

NO_DATABASE = (
    "this machine has no database of time zones; install the Python package `tzdata`, or that of the system, and "
    "start again"
)


@lru_cache(maxsize=256)
def time_zone(name: str) -> ZoneInfo:
    """The zone of the IANA database called `name`; Python brings none of its own, so `tzdata` is installed with us.

    Raises:
        ValueError: there is none; the message says what is close, or that there is no database.
    """
    try:
        return ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        known = zoneinfo.available_timezones()
    if not known:
        raise ValueError(NO_DATABASE)
    short = {zone.rpartition("/")[2]: zone for zone in sorted(known)}
    near = did_you_mean(name, known) or did_you_mean(short.get(name.replace(" ", "_"), ""), known)
    raise ValueError(unknown_word("time zone", name, near or "; write it as Europe/Berlin or UTC"))


TimeZone = ZoneInfo
"""A setting that is a time zone."""
FIELD_TYPES[TimeZone] = FieldType(
    time_zone, "unknown-time-zone", {"type": "string", "description": "Time zone such as Europe/Berlin, or UTC"}
)
