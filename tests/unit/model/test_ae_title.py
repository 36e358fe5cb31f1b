"""AE titles (PS3.5 §6.2)."""

from __future__ import annotations

import pytest

from gateway.model.ae_title import fault_of_ae_title


@pytest.mark.parametrize("text", ["A", "STORE SCP", "  PACS  ", "X" * 16, "a/b"])
def test_titles(text: str) -> None:
    assert fault_of_ae_title(text) == ""


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "an AE title cannot be empty"),
        ("    ", "an AE title cannot be empty"),
        ("X" * 17, f"AE title '{'X' * 17}' has 17 characters; at most 16 are allowed"),
        ("A\\B", "AE title 'A\\\\B' may only hold printable ASCII without backslash"),
        ("Ä", "AE title 'Ä' may only hold printable ASCII without backslash"),
    ],
)
def test_texts_that_are_none(text: str, fault: str) -> None:
    assert fault_of_ae_title(text) == fault
