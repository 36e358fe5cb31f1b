"""The rules of AE titles (PS3.5 §6.2)."""

from __future__ import annotations


def fault_of_ae_title(text: str) -> str:
    """The reason why `text` cannot be an AE title; empty when it can."""
    title = text.strip(" ")
    if not title:
        return "an AE title cannot be empty"
    if len(title) > 16:
        return f"AE title {title!r} has {len(title)} characters; at most 16 are allowed"
    if not all(" " <= character <= "~" and character != "\\" for character in title):
        return f"AE title {title!r} may only hold printable ASCII without backslash"
    return ""
