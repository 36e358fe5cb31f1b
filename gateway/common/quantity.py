"""Durations, sizes and addresses: text of the configuration → numbers; sizes → text for people."""

from __future__ import annotations

import re

SECONDS = {"ms": 0.001, "s": 1.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
BYTES = {
    "B": 1,
    "kB": 10**3,
    "KB": 10**3,
    "MB": 10**6,
    "GB": 10**9,
    "TB": 10**12,
    "KiB": 2**10,
    "MiB": 2**20,
    "GiB": 2**30,
    "TiB": 2**40,
}
DURATION = rf"[0-9]{{1,12}}(\.[0-9]{{1,6}})? ?({'|'.join(SECONDS)})"
"""A regular expression, like those below."""
HOST = r"(\[[0-9A-Fa-f:.%]+\]|[^\s:\[\]/]+)"
"""A name or an IPv4 address; an IPv6 address in brackets."""
ADDRESS = HOST + r":[0-9]{1,5}"
QUANTITY = re.compile(r"([0-9.]+) ?([A-Za-z]+)")


def _split(text: str) -> tuple[str, str]:
    match = QUANTITY.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is not a number with a unit")
    return match[1], match[2]


def duration_s(text: str) -> float:
    """``10 s`` → 10.0. Raises ValueError for what the schema's pattern does not let through."""
    number, unit = _split(text)
    return float(number) * SECONDS[unit]


def duration(seconds: float) -> str:
    """604800.0 → 7 d: in the largest unit that says it exactly."""
    unit = next((each for each in ("d", "h", "min") if seconds and seconds % SECONDS[each] == 0), "s")
    return f"{seconds / SECONDS[unit]:g} {unit}"


def size_bytes(text: str) -> int:
    """``5 GiB`` → 5368709120. Raises ValueError for what the schema's pattern does not let through."""
    number, unit = _split(text)
    return round(float(number) * BYTES[unit]) if "." in number else int(number) * BYTES[unit]


def host_and_port(text: str) -> tuple[str, int]:
    """``[::1]:104`` → ("::1", 104); the port is 0 when there is none."""
    if text.startswith("["):
        host, _, rest = text[1:].partition("]")
        return host, int(rest.removeprefix(":") or 0)
    host, _, port = text.partition(":")
    return host, int(port or 0)


UNITS = ("B", "KiB", "MiB", "GiB", "TiB")


def size(number_of_bytes: float) -> str:
    """1536 → 1.5 KiB."""
    for unit in UNITS[:-1]:
        if number_of_bytes < 1024:
            return f"{number_of_bytes:.0f} B" if unit == "B" else f"{number_of_bytes:.1f} {unit}"
        number_of_bytes /= 1024
    return f"{number_of_bytes:.1f} {UNITS[-1]}"
