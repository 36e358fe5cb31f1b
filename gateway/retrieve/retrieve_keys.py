"""The keys of a C-MOVE or C-GET, for every information model that retrieves (PS3.4 Annexes C, Y and Z). Pure."""

from __future__ import annotations

from gateway.model.dimse_status import (
    DOES_NOT_MATCH_SOP_CLASS,
    INVALID_FRAME_REQUEST,
    SOP_CLASS_NOT_SUPPORTED,
    UNABLE_TO_EXTRACT_FRAMES,
)
from gateway.model.query import AnyValue, Attributes, Query, QueryKey, QueryLevel
from gateway.query.attributes import QUERY_RETRIEVE_LEVEL, SOP_INSTANCE_UID
from gateway.query.compile import BadIdentifier, compile_retrieve
from gateway.query.identifier import all_texts, first_text, read_identifier
from gateway.query.lenient import lenient_retrieve, names_by_accession_number
from gateway.query.sop_classes import COMPOSITE_INSTANCE_ROOT, ROOT_OF, WITHOUT_BULK_DATA
from gateway.sources.relayed_services import RETRIEVED

FRAME = "FRAME"
FRAME_KEYS = (0x00081161, 0x00081162, 0x00081163)
"""Simple Frame List, Calculated Frame List, Time Range."""


def read_request(
    identifier: bytes, transfer_syntax_uid: str, sop_class_uid: str, *, is_strict: bool = False
) -> tuple[Query, tuple[str, ...]]:
    """The instances that are asked for, and which rows of `gateway.leniency` were used to read that.

    Args:
        identifier: as it came, in `transfer_syntax_uid`.
        sop_class_uid: of the information model.
        is_strict: the requestor is held to the letter of the standard.

    Raises:
        BadIdentifier: with the status and the offending elements of the response.
        Unreadable: the bytes are no identifier.
    """
    attributes: Attributes = read_identifier(identifier, transfer_syntax_uid)
    if sop_class_uid in ROOT_OF:
        root, used = ROOT_OF[sop_class_uid], tuple[str, ...]()
        if not is_strict:
            attributes, used = lenient_retrieve(attributes, root)
        by_number = not is_strict and names_by_accession_number(attributes)
        return compile_retrieve(attributes, root, is_by_accession_number=by_number), used
    if sop_class_uid in RETRIEVED:
        return _by_uid(attributes), ()
    if sop_class_uid not in COMPOSITE_INSTANCE_ROOT and sop_class_uid != WITHOUT_BULK_DATA:
        raise BadIdentifier(SOP_CLASS_NOT_SUPPORTED, "nobody is asked for this SOP class")
    return _composite(attributes, has_frames=sop_class_uid in COMPOSITE_INSTANCE_ROOT), ()


def _composite(attributes: Attributes, *, has_frames: bool) -> Query:
    """Instances by their SOP Instance UIDs alone (PS3.4 §Y.3, §Z.3)."""
    level = first_text(attributes, QUERY_RETRIEVE_LEVEL)
    if has_frames and level == FRAME:
        raise _frames(attributes)
    if level != QueryLevel.IMAGE:
        words = "IMAGE or FRAME" if has_frames else "IMAGE"
        raise BadIdentifier(DOES_NOT_MATCH_SOP_CLASS, f"Query/Retrieve Level is not {words}", (QUERY_RETRIEVE_LEVEL,))
    return _by_uid(attributes)


def _by_uid(attributes: Attributes) -> Query:
    uids = tuple(dict.fromkeys(uid for uid in all_texts(attributes, SOP_INSTANCE_UID) if uid))
    if not uids:
        raise BadIdentifier(
            DOES_NOT_MATCH_SOP_CLASS, "SOP Instance UID has no value: nothing is named", (SOP_INSTANCE_UID,)
        )
    if any("*" in uid or "?" in uid for uid in uids):
        text = "SOP Instance UID has wild cards: a retrieve names values"
        raise BadIdentifier(DOES_NOT_MATCH_SOP_CLASS, text, (SOP_INSTANCE_UID,))
    key = QueryKey(SOP_INSTANCE_UID, "UI", (AnyValue(uids),))
    return Query(level=QueryLevel.IMAGE, root="patient", keys=(key,), is_relational=True)


def _frames(attributes: Attributes) -> BadIdentifier:
    """The error that refuses a request for frames: it is no valid one, or frames of instances are not sent."""
    named = [tag for tag in FRAME_KEYS if attributes.get(tag)]
    uids = [uid for uid in all_texts(attributes, SOP_INSTANCE_UID) if uid]
    if len(uids) != 1:
        comment = "the FRAME level needs one SOP Instance UID"
        return BadIdentifier(INVALID_FRAME_REQUEST, comment, (SOP_INSTANCE_UID,))
    if len(named) != 1:
        comment = "the FRAME level needs one frame list or time range"
        return BadIdentifier(INVALID_FRAME_REQUEST, comment, tuple(named))
    return BadIdentifier(UNABLE_TO_EXTRACT_FRAMES, "single frames are not extracted here; retrieve the instance")
