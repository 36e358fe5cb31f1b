"""A finding of the doctor: its subject, its fact, its remedy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from gateway.doctor.catalogue import CATALOGUE, Area, FindingSeverity


@dataclass(frozen=True, slots=True)
class DoctorFinding:
    """The result of one check. A note reports something that is as it should be."""

    severity: FindingSeverity
    area: Area
    code: str
    """The code for programs; it stays the same in later versions."""
    subject: str
    """The peer, listener or file: its name in the rules, or its path."""
    what: str
    remedy: str
    """The action to take; empty for a note."""

    def __str__(self) -> str:
        return f"{self.severity}: {self.area} {self.subject}: {self.code}: {self.what}"

    def as_json(self) -> Mapping[str, str]:
        return {
            "severity": self.severity,
            "area": self.area,
            "code": self.code,
            "subject": self.subject,
            "what": self.what,
            "remedy": self.remedy,
        }


def found(code: str, subject: str, what: str, *, area: Area | None = None, remedy: str = "") -> DoctorFinding:
    """A finding of the catalogue. `area`: where its code is of several; `remedy`: where more is known than it says."""
    entry = CATALOGUE[code]
    where = area or entry.areas[0]
    assert where in entry.areas, f"{code} is not for {where}"
    return DoctorFinding(entry.severity, where, code, subject, what, remedy or entry.remedy)


DoctorResult = Literal["fine", "findings", "bad_configuration"]
