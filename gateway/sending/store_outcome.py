"""The outcome of a delivery from the status of its C-STORE response (the table: `gateway.model.dimse_status`)."""

from __future__ import annotations

from gateway.common.plain_text import PEER_SAYS
from gateway.model.delivery import Deferred, Delivered, Outcome, Refused
from gateway.model.dimse_status import DUPLICATE_SOP_INSTANCE, SUCCESS, store_status


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
