"""A finding of `gateway check`, and the report of all findings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

RepairSeverity = Literal["error", "note"]
"""An error is for an operator to act on; a note only says what there is."""

LOOK_AT_THE_DISK = "look at the disk; ask the sender to send the objects again, and discard what cannot be delivered"
REBUILD = "run `gateway rebuild`"
MOUNT = "mount or restore it (a file system that is not mounted looks like this)"
NOTHING = "nothing needs to be done"


@dataclass(frozen=True, slots=True)
class RepairFinding:
    """A damage found: its kind, its place, the loss that it causes, and the action to take."""

    severity: RepairSeverity
    code: str
    file: str
    """Relative to the spool folder, or the database's path."""
    what: str
    remedy: str
    start_bytes: int | None = None
    end_bytes: int | None = None
    lost: Sequence[str] = ()
    """SOP Instance UIDs of objects that cannot be delivered, as far as they are known."""
    owed: int = 0
    """Deliveries that are owed of these."""


@dataclass(slots=True)
class RepairReport:
    """The result of one check."""

    findings: list[RepairFinding] = field(default_factory=list)
    segments: int = 0
    large_files: int = 0
    records: int = 0
    instances: int = 0
    is_running: bool = False
    """True when a gateway was using spool or database meanwhile."""
    counts: dict[str, int] = field(default_factory=dict)
    """Kind → number, of a cluster."""
    left_out: list[str] = field(default_factory=list)
    """The parts that were not checked, and why."""
    rebuild: str = REBUILD
    """The remedy for a database that cannot be trusted."""

    def error(self, code: str, file: str, what: str, remedy: str, **more: object) -> None:
        self.findings.append(RepairFinding("error", code, file, what, remedy, **more))  # type: ignore[arg-type]

    def note(self, code: str, file: str, what: str, remedy: str = NOTHING, **more: object) -> None:
        self.findings.append(RepairFinding("note", code, file, what, remedy, **more))  # type: ignore[arg-type]

    def has(self, code: str) -> bool:
        """True when something of this kind was found."""
        return any(each.code == code for each in self.findings)

    @property
    def errors(self) -> list[RepairFinding]:
        return [each for each in self.findings if each.severity == "error"]
