"""What a handler returned, raised or forgot, as the status of a response (PS3.7 §9, pynetdicom's handler contract)."""

from __future__ import annotations

from typing import Any

import structlog
from pydicom.dataset import Dataset

from gateway.dimse.message import Command
from gateway.ports import GatewayError, Refusal

log = structlog.get_logger()

SUCCESS = 0x0000
INVALID_OBJECT_INSTANCE = 0x0117
SOP_CLASS_NOT_SUPPORTED = 0x0122
UNRECOGNIZED_OPERATION = 0x0211
CANNOT_UNDERSTAND = 0xC000
NO_STATUS = 0xC001
NO_ANSWER = 0xC002
STORE_HANDLER_FAILED = 0xC211

_COPIED = ("ErrorComment", "OffendingElement", "ErrorID", "AffectedSOPClassUID", "AffectedSOPInstanceUID")


class StatusRefusal(Refusal):
    """A request that the runtime itself refuses with `dimse_status`."""

    def __init__(self, dimse_status: int, message: str) -> None:
        super().__init__(message)
        self.dimse_status = dimse_status


def comment(text: str) -> str:
    """Text fit for Error Comment: LO, 64 characters, no backslash and no control characters."""
    return "".join(char if " " <= char <= "~" and char != "\\" else "?" for char in text)[:64].rstrip()


def of_error(error: BaseException, otherwise: int) -> Command:
    """Status and Error Comment of an exception; what is no `GatewayError` is `otherwise`, and logged."""
    if isinstance(error, GatewayError):
        return {"Status": error.dimse_status, "ErrorComment": comment(str(error)) or None}
    log.error("handler_failed", error=type(error).__name__, exc_info=error)
    return {"Status": otherwise}


def of_result(result: Any) -> Command:
    """Status elements of what a handler returned: an int, or a data set with Status and what belongs to it."""
    if isinstance(result, int):
        return {"Status": int(result)} if 0 <= result <= 0xFFFF else {"Status": NO_ANSWER}
    if not isinstance(result, Dataset):
        return {"Status": NO_ANSWER}
    if "Status" not in result:
        return {"Status": NO_STATUS}
    answer: Command = {"Status": int(result.Status)}
    for keyword in _COPIED:
        if keyword in result:
            answer[keyword] = _copied(keyword, result[keyword].value)
    return answer


def _copied(keyword: str, value: Any) -> Any:
    if keyword == "ErrorComment":
        return comment(str(value))
    if keyword == "OffendingElement":
        return (int(value),) if isinstance(value, int) else tuple(map(int, value))
    return value
