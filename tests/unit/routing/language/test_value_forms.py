"""Texts that no value of a representation has."""

from __future__ import annotations

import pytest

from gateway.routing.language.value_forms import form_fault, small_letters_fault


@pytest.mark.parametrize(
    ("vr", "text", "fault"),
    [
        ("DA", "20261121", ""),
        ("DA", "", ""),
        ("DA", "2026-11-21", "StudyDate is written as YYYYMMDD (PS3.5 §6.2); write `20261121`"),
        ("DA", "2026", "StudyDate is written as YYYYMMDD (PS3.5 §6.2)"),
        ("DA", "today", "StudyDate is written as YYYYMMDD (PS3.5 §6.2)"),
        ("TM", "10", ""),
        ("TM", "101112.123456", ""),
        ("TM", "10:11", "StudyDate is written as HHMMSS (PS3.5 §6.2); write `1011`"),
        ("LO", "2026-11-21", ""),
        ("", "2026-11-21", ""),
    ],
)
def test_dates_and_times(vr: str, text: str, fault: str) -> None:
    assert form_fault(vr, "StudyDate", text) == fault


def test_code_strings() -> None:
    assert small_letters_fault("Modality", "MR") == ""
    assert small_letters_fault("Modality", "mr", "!") == ("Modality has no small letters (PS3.5 §6.2, CS); write `MR`!")
