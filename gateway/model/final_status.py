"""The end of a request, as its final response says it."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.model.dimse_status import SUCCESS


@dataclass(frozen=True, slots=True)
class FinalStatus:
    """Status, Error Comment and Offending Element of a final response (PS3.7 §C)."""

    code: int
    comment: str = ""
    """Empty for none; it is cut to what Error Comment (0000,0902) holds."""
    offending: tuple[int, ...] = ()
    """Tags."""

    @property
    def is_success(self) -> bool:
        return self.code == SUCCESS

    def __str__(self) -> str:
        """The code, as logs and metrics have it."""
        return f"0x{self.code:04X}"


DONE = FinalStatus(SUCCESS)
"""Everything that was asked for was given."""
