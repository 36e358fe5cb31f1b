"""The result of a handler as the status of a response (PS3.7 §9, pynetdicom's handler contract)."""

from __future__ import annotations

import traceback
from collections.abc import Sequence
from typing import Any

import structlog
from pydicom.dataset import Dataset

from gateway.dimse.protocol.message import Command
from gateway.model.dimse_status import HANDLER_GAVE_NO_ANSWER, HANDLER_GAVE_NO_STATUS
from gateway.model.final_status import FinalStatus
from gateway.ports.errors import GatewayError, Refusal

log = structlog.get_logger()

LONGEST_COMMENT = 64
"""Characters of an Error Comment (0000,0902), VR LO (PS3.7 §E.1, PS3.5 §6.2)."""
CUT = "..."


_COPIED = ("ErrorComment", "OffendingElement", "AffectedSOPClassUID", "AffectedSOPInstanceUID")
"""The elements of a response of a C-service beside its status (PS3.7 §9.3.1.2 to §9.3.4.2)."""


class StatusRefusal(Refusal):
    """A request that the runtime itself refuses with `dimse_status`."""

    def __init__(self, dimse_status: int, message: str) -> None:
        super().__init__(message)
        self.dimse_status = dimse_status


def comment(text: str) -> str:
    """Text fit for Error Comment: LO, 64 characters, no backslash and no control characters. A longer text ends with
    the last whole word that there is room for, and three dots: half a UID or number would mean something else.
    """
    plain = "".join(char if " " <= char <= "~" and char != "\\" else "?" for char in text).rstrip()
    if len(plain) <= LONGEST_COMMENT:
        return plain
    whole = plain[: LONGEST_COMMENT - len(CUT) + 1].rpartition(" ")[0].rstrip(" ,;:(-")
    return f"{whole}{CUT}" if whole else plain[:LONGEST_COMMENT]


def of_error(error: BaseException, otherwise: int) -> Command:
    """Status and Error Comment of an exception; what is no `GatewayError` is `otherwise`, and logged."""
    if isinstance(error, GatewayError):
        return {"Status": error.dimse_status, "ErrorComment": comment(str(error)) or None}
    log.error("handler_failed", error=type(error).__name__, exc_info=error)
    return {"Status": otherwise}


def stack_lines(error: BaseException) -> list[str]:
    """The lines of code that an exception came through, innermost last, without its text, which may quote a patient."""
    return [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in traceback.extract_tb(error.__traceback__)[-4:]]


def is_answer(result: Any) -> bool:
    """True for what a handler may return: a status, or a data set with one."""
    if isinstance(result, int):
        return 0 <= result <= 0xFFFF
    if isinstance(result, FinalStatus):
        return True
    return isinstance(result, Dataset) and "Status" in result


def of_result(result: Any) -> Command:
    """Status elements of what a handler returned: an int, or a data set with Status and what belongs to it; the
    gateway's own handlers return or yield a `FinalStatus`."""
    if isinstance(result, FinalStatus):
        return _of_final(result)
    if not isinstance(result, Dataset):
        return {"Status": _of_number(result)}
    if "Status" not in result:
        return {"Status": HANDLER_GAVE_NO_STATUS}
    answer: Command = {"Status": _of_number(result["Status"].value)}
    for keyword in _COPIED:
        value = _copied(keyword, result[keyword].value) if keyword in result else None
        if value is not None:
            answer[keyword] = value
    return answer


def _of_final(final: FinalStatus) -> Command:
    elements: Command = {"Status": final.code}
    if final.comment:
        elements["ErrorComment"] = comment(final.comment)
    if final.offending:
        elements["OffendingElement"] = final.offending
    return elements


def _of_number(value: Any) -> int:
    """The VR of Status is US."""
    return int(value) if isinstance(value, int) and 0 <= value <= 0xFFFF else HANDLER_GAVE_NO_ANSWER


def _copied(keyword: str, value: Any) -> Any:
    """The value as a response has it; None where there is none."""
    if value is None:
        return None
    several = value if isinstance(value, Sequence) and not isinstance(value, str) else (value,)
    if keyword == "ErrorComment":
        return comment("\\".join(map(str, several)))
    if keyword == "OffendingElement":
        tags = tuple(int(tag) for tag in several if isinstance(tag, int))
        return tags if len(tags) == len(several) else None
    return value
