"""The one table of DIMSE statuses: code, name, class, service, and the meaning of a C-STORE response for a delivery.

PS3.7 Annex C has the statuses of all services and the classes; PS3.4 has those of C-STORE (Table B.2-1), C-FIND (Table
C.4-1), C-MOVE (Table C.4-2) and C-GET (Table C.4-3, and Annex Y for frames). 0xCxxx is the responder's own
(PS3.7 §C.5): pynetdicom's handler contract documents the codes for handlers that fail.
"""

from __future__ import annotations

import enum
from typing import Final, Literal, NamedTuple

SUCCESS: Final = 0x0000
CANCEL: Final = 0xFE00
PENDING: Final = 0xFF00
PENDING_WITH_UNSUPPORTED_KEYS: Final = 0xFF01

REQUESTED_OPTIONAL_ATTRIBUTES_NOT_SUPPORTED: Final = 0x0001
ATTRIBUTE_LIST_ERROR: Final = 0x0107
ATTRIBUTE_VALUE_OUT_OF_RANGE: Final = 0x0116
COERCION_OF_DATA_ELEMENTS: Final = 0xB000
SOME_SUB_OPERATIONS_FAILED: Final = 0xB000
MATCHING_LIMIT_REACHED: Final = 0xB001
ELEMENTS_DISCARDED: Final = 0xB006
STORED_DATA_SET_DOES_NOT_MATCH: Final = 0xB007
WARNINGS: Final = range(0xB000, 0xC000)
"""The warnings that a responder chooses among; 0001, 0107 and 0116 are warnings as well (PS3.7 §C.4)."""

INVALID_ATTRIBUTE_VALUE: Final = 0x0106
PROCESSING_FAILURE: Final = 0x0110
DUPLICATE_SOP_INSTANCE: Final = 0x0111
INVALID_ARGUMENT_VALUE: Final = 0x0115
INVALID_OBJECT_INSTANCE: Final = 0x0117
NO_SUCH_SOP_CLASS: Final = 0x0118
CLASS_INSTANCE_CONFLICT: Final = 0x0119
SOP_CLASS_NOT_SUPPORTED: Final = 0x0122
NOT_AUTHORIZED: Final = 0x0124
DUPLICATE_INVOCATION: Final = 0x0210
UNRECOGNIZED_OPERATION: Final = 0x0211
MISTYPED_ARGUMENT: Final = 0x0212
RESOURCE_LIMITATION: Final = 0x0213
OUT_OF_RESOURCES: Final = 0xA700
UNABLE_TO_COUNT_MATCHES: Final = 0xA701
UNABLE_TO_PERFORM_SUB_OPERATIONS: Final = 0xA702
INVALID_PRIOR_RECORD_KEY: Final = 0xA710
MOVE_DESTINATION_UNKNOWN: Final = 0xA801
DOES_NOT_MATCH_SOP_CLASS: Final = 0xA900
UNABLE_TO_EXTRACT_FRAMES: Final = 0xAA02
INVALID_FRAME_REQUEST: Final = 0xAA04
CANNOT_UNDERSTAND: Final = 0xC000
UNABLE_TO_PROCESS: Final = 0xC000
MORE_THAN_ONE_MATCH: Final = 0xC100
FAILURES: Final = (range(0xA000, 0xB000), range(0xC000, 0xD000), range(0x0100, 0x0300))
"""The failures that a responder chooses among (PS3.7 §C.5)."""

# Statuses of pynetdicom's handler contract, for a handler that breaks it.
HANDLER_GAVE_NO_STATUS: Final = 0xC001
HANDLER_GAVE_NO_ANSWER: Final = 0xC002
STORE_HANDLER_FAILED: Final = 0xC211
FIND_HANDLER_FAILED: Final = 0xC311
FIND_IDENTIFIER_NOT_ENCODED: Final = 0xC312
GET_HANDLER_FAILED: Final = 0xC411
GET_BAD_NUMBER: Final = 0xC413
GET_TOO_MANY: Final = 0xC416
MOVE_HANDLER_FAILED: Final = 0xC511
MOVE_BAD_NUMBER: Final = 0xC513
MOVE_BAD_DESTINATION_YIELD: Final = 0xC514
MOVE_BAD_DESTINATION: Final = 0xC515
MOVE_TOO_MANY: Final = 0xC516

# Statuses of the gateway, in the range of "Unable to process" (PS3.4 Table C.4-1).
SOURCE_FAILED: Final = 0xC001


class Category(enum.Enum):
    """The status classes of PS3.7 §C, of any service."""

    SUCCESS = enum.auto()
    PENDING = enum.auto()
    CANCEL = enum.auto()
    WARNING = enum.auto()
    FAILURE = enum.auto()

    @classmethod
    def of(cls, status: int) -> Category:
        """The class of a status; one that the standard does not define is a failure."""
        found = _CATEGORIES.get(status)
        if found is not None:
            return found
        return cls.WARNING if status in WARNINGS else cls.FAILURE


Service = Literal["any", "store", "find", "get", "move"]
Meaning = Literal["delivered", "deferred", "refused"]


class StatusRow(NamedTuple):
    """Statuses `first` to `last`, both included."""

    service: Service
    first: int
    last: int
    category: Category
    name: str
    delivery: Meaning = "refused"
    """The meaning of a C-STORE response with this status: the peer has the object, may take it later, or will not."""
    is_about_form: bool = False
    """A refusal after which another transfer syntax may be taken: peers answer so that cannot decode the object."""


def _one(service: Service, status: int, category: Category, name: str, delivery: Meaning = "refused") -> StatusRow:
    return StatusRow(service, status, status, category, name, delivery)


_WARNING, _FAILURE = Category.WARNING, Category.FAILURE

STATUSES: Final[tuple[StatusRow, ...]] = (
    # C-STORE (PS3.4 Table B.2-1)
    _one("store", COERCION_OF_DATA_ELEMENTS, _WARNING, "Warning: Coercion of Data Elements", "delivered"),
    _one("store", ELEMENTS_DISCARDED, _WARNING, "Warning: Elements Discarded", "delivered"),
    _one("store", STORED_DATA_SET_DOES_NOT_MATCH, _WARNING, "Warning: Data Set Does Not Match SOP Class", "delivered"),
    StatusRow("store", 0xA700, 0xA7FF, _FAILURE, "Refused: Out of Resources", "deferred"),
    StatusRow("store", 0xA900, 0xA9FF, _FAILURE, "Error: Data Set Does Not Match SOP Class", is_about_form=True),
    StatusRow("store", 0xC000, 0xCFFF, _FAILURE, "Error: Cannot Understand", is_about_form=True),
    # C-FIND (PS3.4 Table C.4-1; 0xB001 and 0xA710 of §C.6.4, 0xC100 of Table Q.4-1)
    _one("find", OUT_OF_RESOURCES, _FAILURE, "Refused: Out of Resources"),
    _one("find", MATCHING_LIMIT_REACHED, _WARNING, "Warning: Matching Reached Response Limit"),
    _one("find", INVALID_PRIOR_RECORD_KEY, _FAILURE, "Failure: Invalid Prior Record Key"),
    _one("find", DOES_NOT_MATCH_SOP_CLASS, _FAILURE, "Error: Identifier Does Not Match SOP Class"),
    _one("find", MORE_THAN_ONE_MATCH, _FAILURE, "Failure: More Than One Match Found"),
    StatusRow("find", 0xC000, 0xCFFF, _FAILURE, "Error: Unable to Process"),
    _one("find", PENDING_WITH_UNSUPPORTED_KEYS, Category.PENDING, "Pending: Optional Keys Not Supported"),
    # C-MOVE and C-GET (PS3.4 Tables C.4-2 and C.4-3; 0xAA02 and 0xAA04 of Annex Y)
    _one("move", UNABLE_TO_COUNT_MATCHES, _FAILURE, "Refused: Unable to Calculate Number of Matches"),
    _one("move", UNABLE_TO_PERFORM_SUB_OPERATIONS, _FAILURE, "Refused: Unable to Perform Sub-operations"),
    _one("move", MOVE_DESTINATION_UNKNOWN, _FAILURE, "Refused: Move Destination Unknown"),
    _one("move", DOES_NOT_MATCH_SOP_CLASS, _FAILURE, "Error: Identifier Does Not Match SOP Class"),
    StatusRow("move", 0xC000, 0xCFFF, _FAILURE, "Error: Unable to Process"),
    _one("move", SOME_SUB_OPERATIONS_FAILED, _WARNING, "Warning: One or More Sub-operations Failed"),
    _one("get", UNABLE_TO_COUNT_MATCHES, _FAILURE, "Refused: Unable to Calculate Number of Matches"),
    _one("get", UNABLE_TO_PERFORM_SUB_OPERATIONS, _FAILURE, "Refused: Unable to Perform Sub-operations"),
    _one("get", DOES_NOT_MATCH_SOP_CLASS, _FAILURE, "Error: Identifier Does Not Match SOP Class"),
    _one("get", UNABLE_TO_EXTRACT_FRAMES, _FAILURE, "Error: Unable to Extract Frames"),
    _one("get", INVALID_FRAME_REQUEST, _FAILURE, "Error: Invalid Request"),
    StatusRow("get", 0xC000, 0xCFFF, _FAILURE, "Error: Unable to Process"),
    _one("get", SOME_SUB_OPERATIONS_FAILED, _WARNING, "Warning: One or More Sub-operations Failed"),
    # Any service (PS3.7 Annex C)
    _one("any", SUCCESS, Category.SUCCESS, "Success", "delivered"),
    _one("any", PENDING, Category.PENDING, "Pending"),
    _one("any", CANCEL, Category.CANCEL, "Cancel", "deferred"),
    _one("any", REQUESTED_OPTIONAL_ATTRIBUTES_NOT_SUPPORTED, _WARNING, "Warning", "delivered"),
    _one("any", ATTRIBUTE_LIST_ERROR, _WARNING, "Warning: Attribute List Error", "delivered"),
    _one("any", ATTRIBUTE_VALUE_OUT_OF_RANGE, _WARNING, "Warning: Attribute Value Out of Range", "delivered"),
    StatusRow("any", WARNINGS[0], WARNINGS[-1], _WARNING, "Warning", "delivered"),
    _one("any", INVALID_ATTRIBUTE_VALUE, _FAILURE, "Failure: Invalid Attribute Value"),
    _one("any", PROCESSING_FAILURE, _FAILURE, "Failure: Processing Failure", "deferred"),  # not about the object
    _one("any", DUPLICATE_SOP_INSTANCE, _FAILURE, "Failure: Duplicate SOP Instance"),
    _one("any", INVALID_ARGUMENT_VALUE, _FAILURE, "Failure: Invalid Argument Value"),
    _one("any", INVALID_OBJECT_INSTANCE, _FAILURE, "Failure: Invalid Object Instance"),
    _one("any", NO_SUCH_SOP_CLASS, _FAILURE, "Failure: No Such SOP Class"),
    _one("any", CLASS_INSTANCE_CONFLICT, _FAILURE, "Failure: Class-Instance Conflict"),
    _one("any", SOP_CLASS_NOT_SUPPORTED, _FAILURE, "Refused: SOP Class Not Supported")._replace(is_about_form=True),
    _one("any", NOT_AUTHORIZED, _FAILURE, "Refused: Not Authorized"),
    _one("any", DUPLICATE_INVOCATION, _FAILURE, "Failure: Duplicate Invocation", "deferred"),
    _one("any", UNRECOGNIZED_OPERATION, _FAILURE, "Failure: Unrecognized Operation"),
    _one("any", MISTYPED_ARGUMENT, _FAILURE, "Failure: Mistyped Argument"),
    _one("any", RESOURCE_LIMITATION, _FAILURE, "Failure: Resource Limitation", "deferred"),
)
"""The first row of a service, or of any service, that holds a status says its name."""

UNDEFINED: Final = StatusRow("any", 0x0000, 0xFFFF, _FAILURE, "a status that the standard does not define for C-STORE")
"""Every other status of a C-STORE: refused, so that an operator sees it rather than that it is tried for days; nothing
is lost in the dead letters."""

STORE_STATUSES: Final = tuple(row for row in STATUSES if row.service in ("store", "any"))
_CATEGORIES: Final = {row.first: row.category for row in STATUSES if row.first == row.last}


def store_status(status: int) -> StatusRow:
    """The row for the status of a C-STORE response."""
    return next((row for row in STORE_STATUSES if row.first <= status <= row.last), UNDEFINED)


def is_stored(status: int) -> bool:
    """True when a C-STORE response says that the peer has the object: Success or a warning (PS3.4 §B.2.3)."""
    return Category.of(status) in (Category.SUCCESS, Category.WARNING)
