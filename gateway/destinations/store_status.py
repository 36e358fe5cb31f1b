"""What a C-STORE response status means for the delivery: one table (PS3.4 §B.2.3, PS3.7 §9.1.1.1.9 and Annex C)."""

from __future__ import annotations

from typing import Literal, NamedTuple

from gateway.common.plain_text import PEER_SAYS
from gateway.model.delivery import Deferred, Delivered, Outcome, Refused

DUPLICATE_SOP_INSTANCE = 0x0111
ABOUT_FORM = ((0x0122, 0x0122), (0xA900, 0xA9FF), (0xC000, 0xCFFF))
"""Refusals after which another transfer syntax may be taken: what a peer answers that cannot decode the object."""


class Meaning(NamedTuple):
    """Statuses `first` to `last`, both included."""

    first: int
    last: int
    outcome: Literal["delivered", "deferred", "refused"]
    text: str


MEANINGS: tuple[Meaning, ...] = (
    Meaning(0x0000, 0x0000, "delivered", "Success"),
    Meaning(0x0001, 0x0001, "delivered", "Warning"),  # PS3.7 §C.4: 0001, 0107, 0116 and Bxxx are warnings
    Meaning(0x0107, 0x0107, "delivered", "Warning: Attribute List Error"),
    Meaning(0x0116, 0x0116, "delivered", "Warning: Attribute Value Out of Range"),
    Meaning(0xB000, 0xB000, "delivered", "Warning: Coercion of Data Elements"),
    Meaning(0xB006, 0xB006, "delivered", "Warning: Elements Discarded"),
    Meaning(0xB007, 0xB007, "delivered", "Warning: Data Set Does Not Match SOP Class"),
    Meaning(0xB000, 0xBFFF, "delivered", "Warning"),
    Meaning(0xA700, 0xA7FF, "deferred", "Refused: Out of Resources"),
    Meaning(0x0110, 0x0110, "deferred", "Failure: Processing Failure"),  # says nothing against the object
    Meaning(0x0210, 0x0210, "deferred", "Failure: Duplicate Invocation"),
    Meaning(0x0213, 0x0213, "deferred", "Failure: Resource Limitation"),
    Meaning(0xFE00, 0xFE00, "deferred", "Cancel"),
    Meaning(0x0106, 0x0106, "refused", "Failure: Invalid Attribute Value"),
    Meaning(0x0111, 0x0111, "refused", "Failure: Duplicate SOP Instance"),
    Meaning(0x0115, 0x0115, "refused", "Failure: Invalid Argument Value"),
    Meaning(0x0117, 0x0117, "refused", "Failure: Invalid Object Instance"),
    Meaning(0x0118, 0x0118, "refused", "Failure: No Such SOP Class"),
    Meaning(0x0119, 0x0119, "refused", "Failure: Class-Instance Conflict"),
    Meaning(0x0122, 0x0122, "refused", "Refused: SOP Class Not Supported"),
    Meaning(0x0124, 0x0124, "refused", "Refused: Not Authorized"),
    Meaning(0x0211, 0x0211, "refused", "Failure: Unrecognized Operation"),
    Meaning(0x0212, 0x0212, "refused", "Failure: Mistyped Argument"),
    Meaning(0xA900, 0xA9FF, "refused", "Error: Data Set Does Not Match SOP Class"),
    Meaning(0xC000, 0xCFFF, "refused", "Error: Cannot Understand"),
)
"""The first row that holds a status decides."""

UNKNOWN = Meaning(0x0000, 0xFFFF, "refused", "a status that the standard does not define for C-STORE")
"""Everything else: shown to an operator rather than tried for days; nothing is lost in the dead letters."""


def meaning(status: int) -> Meaning:
    """The row for `status`."""
    return next((row for row in MEANINGS if row.first <= status <= row.last), UNKNOWN)


def outcome_of(status: int, error_comment: str = "") -> Outcome:
    """What the courier does after a C-STORE response with this status and Error Comment (0000,0902)."""
    if status == 0x0000:
        return DELIVERED
    row = meaning(status)
    if row.outcome == "delivered":
        return Delivered(warning=status)
    name = f"0x{status:04X} {row.text}"
    reason = f"{name}{PEER_SAYS}{error_comment}" if error_comment else name
    if row.outcome == "deferred":
        return Deferred(reason, log_reason=name)  # peers quote patients in Error Comments
    is_about_form = any(first <= status <= last for first, last in ABOUT_FORM)
    return Refused(reason, dimse_status=status, is_about_form=is_about_form, log_reason=name)


DELIVERED = Delivered()
HAS_IT_ALREADY = Delivered(DUPLICATE_SOP_INSTANCE, "0x0111 Duplicate SOP Instance: the destination has it already")
