"""The outcome of a delivery, and of a sub-operation, from the status of its C-STORE response (the table:
`gateway.model.dimse_status`)."""

from __future__ import annotations

import enum

from gateway.common.plain_text import PEER_SAYS
from gateway.model.delivery import Deferred, Delivered, Outcome, Refused
from gateway.model.dimse_status import DUPLICATE_SOP_INSTANCE, SUCCESS, Category, store_status


def outcome_of(status: int, error_comment: str = "") -> Outcome:
    """The outcome after a C-STORE response with this status and Error Comment (0000,0902)."""
    if status == SUCCESS:
        return DELIVERED
    row = store_status(status)
    if row.delivery == "delivered":
        return Delivered(warning=status)
    name = f"0x{status:04X} {row.name}"
    reason = f"{name}{PEER_SAYS}{error_comment}" if error_comment else name
    if row.delivery == "deferred":
        return Deferred(reason, log_reason=name)  # peers quote patients in Error Comments
    return Refused(reason, dimse_status=status, is_about_form=row.is_about_form, log_reason=name)


DELIVERED = Delivered()
HAS_IT_ALREADY = Delivered(DUPLICATE_SOP_INSTANCE, "0x0111 Duplicate SOP Instance: the destination has it already")


class SubOperationResult(enum.IntEnum):
    """The outcome of one sub-operation; of several, the worst is the largest."""

    COMPLETED = 0
    WARNING = 1
    FAILED = 2


_RESULTS = {Category.SUCCESS: SubOperationResult.COMPLETED, Category.WARNING: SubOperationResult.WARNING}


def result_of(status: int, *, is_duplicate_delivered: bool = True) -> SubOperationResult:
    """The result of a sub-operation after a C-STORE response with this status: a status that is neither Success nor
    Warning is a failure. 0x0111 (Duplicate SOP Instance) is a warning, since the destination has the instance, unless
    the settings say otherwise."""
    if status == DUPLICATE_SOP_INSTANCE:
        return SubOperationResult.WARNING if is_duplicate_delivered else SubOperationResult.FAILED
    return _RESULTS.get(Category.of(status), SubOperationResult.FAILED)
