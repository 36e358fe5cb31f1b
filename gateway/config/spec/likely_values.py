"""The values that are probably meant by texts which fit no pattern: units in other words, an address without a port."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from gateway.common import setting_faults as faults
from gateway.common.quantity import BYTES, size_bytes
from gateway.common.week import spans_of
from gateway.forms.described import Hint
from gateway.model.ae_title import fault_of_ae_title

SIZE = re.compile(r"[0-9]+ ?(" + "|".join(BYTES) + ")")
PLACE = re.compile(r"[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+(:[0-9]+)?")
"""An IP address or the name of a host, as no device has for an AE title."""
DURATION_UNITS = {
    "": "s",
    **dict.fromkeys(("sec", "secs", "second", "seconds"), "s"),
    **dict.fromkeys(("m", "mins", "minute", "minutes"), "min"),
    **dict.fromkeys(("hr", "hrs", "hour", "hours"), "h"),
    **dict.fromkeys(("day", "days"), "d"),
    **dict.fromkeys(("msec", "millisecond", "milliseconds"), "ms"),
}
_TIMES = {**dict.fromkeys(("min", "m", "minute"), "min"), **dict.fromkeys(("h", "hr", "hour"), "h")}
SIZE_UNITS = {
    "b": "B",
    **{prefix.casefold(): f"{prefix}B" for prefix in ("k", "M", "G", "T")},
    **{f"{prefix}i".casefold(): f"{prefix}iB" for prefix in ("K", "M", "G", "T")},
    **{f"{prefix}b".casefold(): f"{prefix}B" for prefix in ("k", "M", "G", "T")},
    **{f"{prefix}ib".casefold(): f"{prefix}iB" for prefix in ("K", "M", "G", "T")},
}
"""Units that users write → the unit that they mean."""


def why_no_ae_title(text: str) -> str:
    """The message on a text that is no AE title."""
    return fault_of_ae_title(text) or "an AE title has 1 to 16 printable ASCII characters without backslash"


def why_no_name(text: str) -> str:
    """The message on a text that names nothing."""
    return f"{faults.quoted(text)} is not a name: letters, digits, `_`, `-` and `.`, at most 64"


def why_no_window(text: str) -> str:
    """The message on a text that is no delivery window."""
    try:
        spans_of(text)
    except ValueError as error:
        return str(error)
    return f"{faults.quoted(text)} is no window; write it as `Mo-Fr 18:00-06:00`, `Sa,Su` or `18:00-06:00`"


def likely_duration(text: str, _beside: Callable[[str], str]) -> str:
    """A duration in other words for its unit."""
    return _meant(_with_unit(text, DURATION_UNITS))


def likely_size(text: str, _beside: Callable[[str], str]) -> str:
    """A size without a unit, or in other words for it."""
    if re.fullmatch(r"[0-9.]+", text):
        return f"; the unit is missing: {faults.listed(unit for unit in BYTES if unit != 'KB')}"
    return _meant(_with_unit(text, SIZE_UNITS))


def likely_rate(text: str, _beside: Callable[[str], str]) -> str:
    """A rate in bits, without its time, or in other words for its unit."""
    size, _, time = text.replace("ps", "/s").partition("/")
    if bits := re.fullmatch(r"([0-9]+) ?([kKMG])bit", size):
        near = f"{int(bits[1]) / 8:g} {bits[2]}B/{_TIMES.get(time, 's')}"
        return f"; it is in bytes, not in bits{faults.meant(near)}"
    near = size if SIZE.fullmatch(size) else _with_unit(size, SIZE_UNITS)
    return _meant(f"{near}/{_TIMES.get(time, 's')}" if near else "")


def likely_object_rate(text: str, _beside: Callable[[str], str]) -> str:
    """A number without its time, or in other words for it."""
    match = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?) ?(?:/|per)? ?([A-Za-z]*)", text)
    return _meant(f"{match[1]}/{_TIMES.get(match[2], 's')}" if match else "")


def likely_bytes(text: str, _beside: Callable[[str], str]) -> str:
    """A size with a unit, where a number of bytes is expected."""
    if not SIZE.fullmatch(text):
        return ""
    return f"; it is in bytes, without a unit{faults.meant(str(size_bytes(text)))}"


def likely_address(usual_port: int) -> Hint:
    """A URL, a host without the usual port, an IPv6 address without brackets, or the AE title of the peer."""

    def hint(text: str, beside: Callable[[str], str]) -> str:
        if PLACE.fullmatch(beside("ae_title")):
            return "; are `ae_title` and `address` swapped?"
        if re.fullmatch(r"[0-9A-Fa-f:]*:[0-9A-Fa-f:]*:[0-9]{2,5}", text):
            host, _, port = text.rpartition(":")
            return _meant(f"[{host}]:{port}")
        if re.fullmatch(r"[^\s:\[\]/]+", text) and not text.isdigit():
            return _meant(f"{text}:{usual_port}")
        return _meant(text.partition("://")[2].rstrip("/")) if re.fullmatch(r"[a-z]+://[^\s/]+/?", text) else ""

    return hint


def _meant(near: str) -> str:
    return faults.meant(near) if near else ""


def _with_unit(text: str, units: Mapping[str, str]) -> str:
    match = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)\s*([A-Za-z]*)", text)
    unit = units.get(match[2].casefold(), "") if match else ""
    return f"{match[1]} {unit}" if match and unit else ""
