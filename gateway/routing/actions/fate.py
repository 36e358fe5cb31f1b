"""Actions about what becomes of the object as a whole; decided when it is routed. See `gateway.ports`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

from gateway.model import dimse_status
from gateway.model.attribute_path import AttributePath
from gateway.model.problem import SettingProblem
from gateway.ports.edits import Edit
from gateway.ports.facts import Facts
from gateway.ports.kinds import Fate, action
from gateway.routing.language.fields import StatusField

SUCCESS = StatusField(dimse_status.SUCCESS)
NOT_AUTHORIZED = StatusField(dimse_status.NOT_AUTHORIZED)
MAX_COMMENT_CHARACTERS = 64


@action("drop")
@dataclass(frozen=True, slots=True)
class Drop:
    """Takes the object out: it is neither kept nor sent, whatever other rules say, and no later rule is asked. The
    sender is answered `status`, Success unless said otherwise, or a warning (0xB000 to 0xBFFF). `reason` is for the
    log. The only action of its rule; a route that drops has no `to`.
    """

    example: ClassVar[str] = """
drop: {status: 0x0000, reason: no longer wanted}
"""

    status: StatusField = SUCCESS
    reason: str = ""

    @property
    def fate(self) -> Fate:
        return Fate("drop", self.status, self.reason)

    def edits(self, facts: Facts) -> Iterable[Edit]:
        return ()

    def attributes(self) -> Iterable[AttributePath]:
        return ()

    def problems(self) -> Iterable[SettingProblem]:
        if self.status != SUCCESS and self.status not in dimse_status.WARNINGS:
            yield ("status",), f"{self.status} is neither Success nor a warning (0xB000 to 0xBFFF): use `reject`"


@action("reject")
@dataclass(frozen=True, slots=True)
class Reject:
    """Refuses the object: it is neither kept nor sent, whatever other rules say, and no later rule is asked. The sender
    is answered `status`, a failure, with `reason` as Error Comment. The only action of its rule; a route that rejects
    has no `to`.
    """

    example: ClassVar[str] = """
reject: {status: 0x0124, reason: send it to the archive}
"""

    status: StatusField = NOT_AUTHORIZED
    reason: str = "refused by a rule"

    @property
    def fate(self) -> Fate:
        return Fate("reject", self.status, self.reason)

    def edits(self, facts: Facts) -> Iterable[Edit]:
        return ()

    def attributes(self) -> Iterable[AttributePath]:
        return ()

    def problems(self) -> Iterable[SettingProblem]:
        if not any(self.status in failures for failures in dimse_status.FAILURES):
            yield ("status",), f"{self.status} is no failure: use 0xA700, 0xC000, 0x0124 and the like, or `drop`"
        if not self.reason.isascii() or not self.reason.isprintable() or "\\" in self.reason:
            yield ("reason",), "an Error Comment is printable ASCII without backslash (PS3.7 §C.5.8)"
        if len(self.reason) > MAX_COMMENT_CHARACTERS:
            message = f"an Error Comment has at most {MAX_COMMENT_CHARACTERS} characters, this has {len(self.reason)}"
            yield ("reason",), message


@action("hold")
@dataclass(frozen=True, slots=True)
class Hold:
    """Keeps what the object owes until an operator releases it: of a route, its deliveries; of a coercion, those of all
    routes. The sender is answered Success. Takes the reason, for the log, or stands alone.
    """

    example: ClassVar[str] = """
hold: waits for the second reading
"""

    reason: str = ""

    @property
    def fate(self) -> Fate:
        return Fate("hold", SUCCESS, self.reason)

    def edits(self, facts: Facts) -> Iterable[Edit]:
        return ()

    def attributes(self) -> Iterable[AttributePath]:
        return ()
