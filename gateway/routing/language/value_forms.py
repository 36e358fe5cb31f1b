"""Texts that no value of a value representation has (PS3.5 §6.2): a comparison with one never holds."""

from __future__ import annotations

import re

_FORMS = {
    "DA": (re.compile(r"([0-9]{8})?"), "YYYYMMDD"),
    "TM": (re.compile(r"([0-9]{2}([0-9]{2}([0-9]{2}(\.[0-9]{1,6})?)?)?)?"), "HHMMSS"),
}
"""VR → form of its values."""


def form_fault(vr: str, name: str, text: str) -> str:
    """The reason why no date or time is written as `text`; empty when one may be, or `vr` is another."""
    if vr not in _FORMS:
        return ""
    form, shown = _FORMS[vr]
    if form.fullmatch(text):
        return ""
    digits = re.sub(r"[^0-9.]", "", text)
    near = f"; write `{digits}`" if form.fullmatch(digits) and digits else ""
    return f"{name} is written as {shown} (PS3.5 §6.2){near}"


def small_letters_fault(name: str, text: str, more: str = "") -> str:
    """The reason why no code string is `text`; empty when one may be. `more`: another remedy."""
    if text == text.upper():
        return ""
    return f"{name} has no small letters (PS3.5 §6.2, CS); write `{text.upper()}`{more}"
