"""Values that say nothing, valid for their VR (PS3.5 §6.2); in ASCII, so that every character set can write them."""

from __future__ import annotations

from typing import Final

from gateway.dataset.dictionary import takes_count
from gateway.dataset.value import TEXT_WITH_BACKSLASH

TEXT: Final = "ANONYMIZED"
DATE: Final = "19000101"

_BY_VR: Final = {
    "AE": TEXT,
    "AS": "000Y",
    "AT": "00000000",
    "CS": TEXT,
    "DA": DATE,
    "DT": f"{DATE}000000",
    "LO": TEXT,
    "LT": TEXT,
    "PN": TEXT,
    "SH": TEXT,
    "ST": TEXT,
    "TM": "000000",
    "UC": TEXT,
    "UI": "2.25.0",
    "UR": "urn:anonymized",
    "UT": TEXT,
    **dict.fromkeys(("DS", "IS", "FL", "FD", "SL", "SS", "SV", "UL", "US", "UV"), "0"),
    **dict.fromkeys(("OB", "OD", "OF", "OL", "OV", "OW", "UN"), "0"),
}
_MAX_COUNT: Final = 64
"""No attribute of the dictionary needs more values."""


def dummy(tag: int, vr: str, count: int) -> tuple[str, ...] | None:
    """As many dummies as there were values, at least one; None for a VR that has none, a sequence or an unknown one."""
    text = _BY_VR.get(vr)
    if text is None:
        return None
    if vr in TEXT_WITH_BACKSLASH:
        return (text,)
    wanted = max(count, 1)
    if takes_count(tag, wanted):
        return (text,) * wanted
    return (text,) * next((number for number in range(1, _MAX_COUNT) if takes_count(tag, number)), 1)
