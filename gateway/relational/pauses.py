"""Pauses in a relational database."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from gateway.ports.pauses import Pause, PausedKind
from gateway.relational.rows import cleaned, microseconds, moment
from gateway.relational.statements import Statements


class RelationalPauses:
    """The `Pauses` port on one connection."""

    def __init__(self, statements: Statements) -> None:
        self._statements = statements

    def all_pauses(self) -> Sequence[Pause]:
        """Those that go on, and the last one of each kind and name."""
        with self._statements.errors():
            return [_pause(*row) for row in self._statements.rows("pauses")]

    def begin_pause(self, pause: Pause) -> bool:
        """False when it is paused already."""
        name, operator, why = cleaned([pause.name, pause.operator, pause.why])
        began_at = microseconds(pause.began_at)
        values = {"kind": pause.kind, "subject": name, "operator": operator, "why": why, "began_at": began_at}
        return self._statements.do("begin_pause", **values) > 0

    def end_pause(self, kind: PausedKind, name: str, now: datetime) -> bool:
        """False when it is not paused."""
        (cleaned_name,) = cleaned([name])
        return self._statements.do("end_pause", kind=kind, subject=cleaned_name, resumed_at=microseconds(now)) > 0


def _pause(kind: PausedKind, name: str, operator: str, why: str, began_at: int, resumed_at: int | None) -> Pause:
    """The pause of a row."""
    return Pause(kind, name, operator, why, moment(began_at), None if resumed_at is None else moment(resumed_at))
