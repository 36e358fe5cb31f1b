"""Each row in which the gateway answers other than stock pynetdicom, and which sentence of the standard asks for it.

Two differences are in every response of their kind, and taken out before rows are compared
(`bench.as_the_standard_has_it`): `GENERAL`.
"""

from __future__ import annotations

from typing import NamedTuple


class Difference(NamedTuple):
    """What stock pynetdicom 3.0.4 shows, and what asks for something else."""

    stock: str
    """As `Row.sees`, then notes and how the association ends; empty: it is not the same each time."""
    section: str
    why: str


GENERAL: dict[str, tuple[str, str]] = {
    "Number of Remaining Sub-operations in a final response": (
        "PS3.4 §C.4.2.1.6, §C.4.3.1.5",
        "The number is in Pending and Cancel responses alone; stock pynetdicom leaves it in the others.",
    ),
    "A data set with an empty Failed SOP Instance UID List": (
        "PS3.4 §C.4.2.1.4.2, §C.4.3.1.3.2",
        "When no sub-operation failed there is no list and no data set; stock pynetdicom sends an empty one.",
    ),
    "A Pending response for each C-STORE sub-operation": (
        "PS3.4 §C.4.2.3.1, §C.4.3.3.1",
        "They are optional: for the first 64, then at most one each 50 ms; stock pynetdicom sends one for each.",
    ),
}

_STATUS_IS_US = "The Status element has 16 bits; stock pynetdicom aborts the association over anything else."
_ANSWERED = "A request has a response, also when its handler yields what cannot be read; stock pynetdicom aborts."
_ENDED = "A request has a response, also when its handler wants to end the thread; stock pynetdicom sends none."
_MESSAGE_ID = "The element says which request is answered: it is that request's Message ID."
_SENT = "The operation sends what matches: what can be encoded for an accepted context is not a failure."
_COMMENT = "Error Comment belongs to the status of its own response, and Success has none; stock pynetdicom repeats it."
_CANCEL = "A C-CANCEL ends the operation whenever it comes; stock pynetdicom loses one that comes early."
_INTERRUPTED = (
    "A C-CANCEL interrupts the operation: a handler that goes on, or does not end in half a second, is ended."
)
_CANCELLED = "A cancelled operation stays cancelled; stock pynetdicom says so once."
_SUCCESS = "Success says that all sub-operations were completed successfully; those that never came have failed."
_KNOWN = "0xA801 says that the Move Destination is unknown; where sub-operations cannot be performed it is 0xA702."
_EARLY = "Each status of the service may end it at any time, also before there is anything to send."

_OF_C_STORE_AND_C_FIND: dict[str, Difference] = {
    "C-STORE: returns Error Comment of 65 characters": Difference(
        f'C000 "{"x" * 65}"', "PS3.7 §E.1", "Error Comment is LO, and has 64 characters at most (PS3.5 §6.2)."
    ),
    "C-STORE: returns Error Comment that is not ASCII": Difference(
        'C000 "Größe"', "PS3.7 §C.5", "Only characters of the default repertoire may be used in an Error Comment."
    ),
    "C-STORE: returns Error Comment with a backslash": Difference(
        'C000 "a\\b"', "PS3.7 §E.1", "Error Comment has one value; a backslash would make it two (PS3.5 §6.2)."
    ),
    "C-STORE: returns Error Comment with a line break": Difference(
        'C000 "a\nb"', "PS3.7 §E.1", "Error Comment is LO, which has no control characters (PS3.5 §6.2)."
    ),
    "C-STORE: returns another Message ID": Difference(
        "B000 MessageIDBeingRespondedTo=5", "PS3.7 §9.3.1.2", _MESSAGE_ID
    ),
    "C-STORE: returns a data set whose Status is None": Difference("aborted", "PS3.7 §E.1", _STATUS_IS_US),
    "C-STORE: returns a data set whose Status is text": Difference("aborted", "PS3.7 §E.1", _STATUS_IS_US),
    "C-STORE: returns a data set with two Statuses": Difference("aborted", "PS3.7 §E.1", _STATUS_IS_US),
    "C-STORE: returns a data set whose Status has more than 16 bits": Difference(
        "aborted", "PS3.7 §E.1", _STATUS_IS_US
    ),
    "C-STORE: returns a negative number": Difference("aborted", "PS3.7 §E.1", _STATUS_IS_US),
    "C-STORE: returns a number of more than 16 bits": Difference("aborted", "PS3.7 §E.1", _STATUS_IS_US),
    "C-FIND: yields Error Comment with a Pending status": Difference(
        'FF00 #1 "old"; 0000 "old"', "PS3.4 §C.4.1.1.4", _COMMENT
    ),
    "C-FIND: yields Error Comment with one of two matches": Difference(
        'FF01 #1 "old"; FF00 #2 "old"; 0000 "old"', "PS3.4 §C.4.1.1.4", _COMMENT
    ),
    "C-FIND: yields a number alone": Difference("aborted", "PS3.7 §9.1.2.2", _ANSWERED),
    "C-FIND: yields a status data set alone": Difference("aborted", "PS3.7 §9.1.2.2", _ANSWERED),
    "C-FIND: yields three values": Difference("aborted", "PS3.7 §9.1.2.2", _ANSWERED),
    "C-FIND: yields an empty tuple": Difference("aborted", "PS3.7 §9.1.2.2", _ANSWERED),
    "C-FIND: yields a negative number as a status": Difference("aborted", "PS3.7 §E.1", _STATUS_IS_US),
    "C-FIND: yields another Message ID": Difference(
        "FF00 #1 MessageIDBeingRespondedTo=5; 0000 MessageIDBeingRespondedTo=5", "PS3.7 §9.3.2.2", _MESSAGE_ID
    ),
    "C-FIND: raises SystemExit after a match": Difference("", "PS3.7 §9.1.2.2", _ENDED),
    "C-FIND: raises CancelledError after a match": Difference("", "PS3.7 §9.1.2.2", _ENDED),
    "C-FIND: yields None alone": Difference("aborted", "PS3.7 §9.1.2.2", _ANSWERED),
    "C-FIND: yields text alone": Difference("aborted", "PS3.7 §9.1.2.2", _ANSWERED),
    "C-FIND: returns text": Difference("aborted", "PS3.7 §9.1.2.2", _ANSWERED),
    "C-FIND: C-CANCEL before any match": Difference("", "PS3.7 §9.1.2.2", _CANCEL),
    "C-FIND: C-CANCEL, and further matches": Difference(
        "FF00 #1; FF00 #2; FF00 #3; FF00 #4; FF00 #5; 0000", "PS3.4 §C.4.1.3.1", _INTERRUPTED
    ),
    "C-FIND: A-RELEASE meanwhile": Difference(
        "",
        "PS3.8 §7.2.2",
        "An A-RELEASE request is answered and ends the operation; stock pynetdicom never does.",
    ),
    "C-FIND: C-CANCEL, asked twice": Difference("FF00 #1; FE00 again=False", "PS3.7 §9.1.2.2", _CANCELLED),
    "request of C-FIND without an identifier": Difference(
        "0000; C-ECHO 0000 called=True",
        "PS3.7 §9.1.2.1",
        "A C-FIND request has an Identifier: without one nothing is asked, and Success would be an answer.",
    ),
}


def _of_retrieve(
    name: str, *, operation: str, statuses: str, status: str, listed: str, remaining: str, cancel: str, number: str
) -> dict[str, Difference]:
    """Differences of C-GET or C-MOVE, with the sections of each."""
    answered = (operation, _ANSWERED)
    counted = (remaining, "A sub-operation that ended has failed, and remains no more.")
    union = (listed, "The list names all instances that failed: the handler's, and those that the engine saw fail.")
    counters = (statuses, "A final response has the numbers of completed, failed and warning sub-operations.")
    rows = {
        "Success in the middle": ("FF00 1:1:0:0; 0000 -:1:0:0", statuses, _SUCCESS),
        "Success at once": ("0000 -:0:0:0", statuses, _SUCCESS),
        "fewer than announced": ("FF00 2:1:0:0; 0000 -:1:0:0", statuses, _SUCCESS),
        "none of those announced": ("0000 -:0:0:0", statuses, _SUCCESS),
        "FF01": (
            "FF01; C-ECHO 0000",
            status,
            "0xFF01 is no status of this service, nor a final one: the requestor would wait for ever.",
        ),
        "the same failing image twice": (
            "FF00 1:0:1:0; FF00 0:0:2:0; A702 -:0:2:0 [2 2]",
            listed,
            "The list names instances, each once.",
        ),
        "an image answered FE00": ("FF00 0:0:0:0; 0000 -:0:0:0", *counted),
        "Pending with text": ("FF00 2:0:1:0; FF00 1:1:1:0; B000 -:1:1:0 []", *counted),
        "Error Comment with Pending": (
            'FF00 1:1:0:0 "old"; FF00 0:2:0:0 "old"; 0000 -:2:0:0 "old"',
            status,
            _COMMENT,
        ),
        "Cancel with a list": ("FF00 1:0:1:0; FE00 1:0:1:0 [8 9]", *union),
        "an undocumented status": ("1234", *counters),
        "an undocumented status after an image": ("FF00 1:1:0:0; 1234 -:1:0:0", *counters),
        "three values": ("aborted", *answered),
        "None in place of a pair": ("aborted", *answered),
        "a number in place of a pair": ("aborted", *answered),
        "an image without file_meta": ("FF00 0:0:1:0; A702 -:0:1:0 [1]", statuses, _SENT),
        "an image in implicit VR": ("FF00 0:0:1:0; A702 -:0:1:0 [1]", statuses, _SENT),
        "an image in big endian": ("FF00 0:0:1:0; A702 -:0:1:0 [1]", statuses, _SENT),
        "a negative number as a status": ("aborted", "PS3.7 §E.1", _STATUS_IS_US),
        "a data set whose Status is None": ("aborted", "PS3.7 §E.1", _STATUS_IS_US),
        "SystemExit after an image": ("", operation, _ENDED),
        "a failure in place of the number": (number, status, _EARLY),
        "a failure as a data set in place of the number": (number, status, _EARLY),
    }
    found = {f"{name}: yields {what}": Difference(*row) for what, row in rows.items()}
    found[f"{name}: C-CANCEL at once"] = Difference("", cancel, _CANCEL)
    found[f"{name}: C-CANCEL, and further images"] = Difference(
        "FF00 3:1:0:0; FF00 2:2:0:0; FF00 1:3:0:0; FF00 0:4:0:0; 0000 -:4:0:0", statuses, _INTERRUPTED
    )
    found[f"{name}: C-CANCEL, ended with a list"] = Difference("FF00 2:0:1:0; FE00 2:0:1:0 [8]", *union)
    return found


_OF_C_MOVE: dict[str, Difference] = {
    "C-MOVE: yields a failure in place of the destination": Difference("A801", "PS3.4 §C.4.2.1.5", _EARLY),
    "C-MOVE: yields a status data set in place of the destination": Difference("A801", "PS3.4 §C.4.2.1.5", _EARLY),
    "C-MOVE: yields a port that is none": Difference("A801", "PS3.4 §C.4.2.1.5", _KNOWN),
    "C-MOVE: yields tls_args that cannot be used": Difference(
        "A801",
        "PS3.4 §C.4.2.1.5",
        "0xA801 says that the Move Destination is unknown; keywords that cannot be used are a fault of the SCP.",
    ),
    "C-MOVE: yields a port where nobody listens": Difference("A801", "PS3.4 §C.4.2.1.5", _KNOWN),
    "C-MOVE: yields a destination that accepts no context": Difference("A801", "PS3.4 §C.4.2.1.5", _KNOWN),
    "C-MOVE: Move Originator of a sub-operation": Difference(
        "FF00 0:1:0:0; 0000 -:1:0:0 originator='GATEWAY' 300 priority=2",
        "PS3.7 §9.1.1.1.6",
        "The Move Originator is the application entity that asked for the C-MOVE.",
    ),
    "C-MOVE: priority of a sub-operation": Difference(
        "FF00 0:1:0:0; 0000 -:1:0:0 originator='GATEWAY' 300 priority=2",
        "PS3.4 §C.4.2.1.2",
        "The priority of the request is that of its sub-operations.",
    ),
    "request of C-MOVE without Move Destination": Difference(
        "C-ECHO 0000", "PS3.7 §9.1.4.2", "A request has a response; stock pynetdicom drops this one."
    ),
}

DIFFERENCES: dict[str, Difference] = {
    **_OF_C_STORE_AND_C_FIND,
    **_of_retrieve(
        "C-GET",
        operation="PS3.7 §9.1.3.2",
        statuses="PS3.4 §C.4.3.3.1",
        status="PS3.4 §C.4.3.1.4",
        listed="PS3.4 §C.4.3.1.3.2",
        remaining="PS3.4 §C.4.3.1.5 to §C.4.3.1.8",
        cancel="PS3.7 §9.1.3.2",
        number="C413",
    ),
    **_of_retrieve(
        "C-MOVE",
        operation="PS3.7 §9.1.4.2",
        statuses="PS3.4 §C.4.2.3.1",
        status="PS3.4 §C.4.2.1.5",
        listed="PS3.4 §C.4.2.1.4.2",
        remaining="PS3.4 §C.4.2.1.6 to §C.4.2.1.9",
        cancel="PS3.7 §9.1.4.2",
        number="C513",
    ),
    **_OF_C_MOVE,
}
