"""Breaches of the standard that the gateway takes, because archives commit them: one table, and one way to report them.

How a part of the gateway uses it:

1. It adds a row to `LENIENCIES`, and one with the same name to `docs/leniency.md`.
2. It asks whether the peer is to be held to the letter: ``association.is_strict`` in `gateway.dimse` (known as soon as
   the requestor is admitted), ``table.is_strict(event.facts.peer)`` in a handler, ``peer.is_strict`` of a source or a
   destination. That is `peers.*.strict`, or `gateway.strict` where the peer does not say and for strangers.
3. If it is not, it calls `tolerated` once for each message or object and goes on; else it answers as the standard says.

Pure functions (of `dataset`, `query`, `routing`) take ``is_strict`` as an argument and give back the names of the rows
that were used; their caller calls `tolerated`.
"""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import structlog

from gateway.ports.meter import Meter

EVENT = "deviation_tolerated"
METRIC = "gateway_leniencies_total"

log = structlog.get_logger()


class Leniency(NamedTuple):
    """One thing that is taken although the standard does not allow it."""

    section: str
    """The section of the standard that says otherwise, as `PS3.4 §C.4.1`."""
    what: str
    """The peer's breach, in one clause."""
    then: str
    """The gateway's answer to it, in one clause."""
    shown_by: Literal["objects", "identifiers", "wire"]
    """The input of `gateway explain` that shows it; a breach on the wire alone stands in the log and the metric."""


LENIENCIES: dict[str, Leniency] = {
    "level_word": Leniency(
        "PS3.4 §C.6.1.1, §C.6.2.1",
        "Query/Retrieve Level is INSTANCE, IMAGES, STUDIES or the like, or in small letters",
        "reads it as the level that is meant",
        "identifiers",
    ),
    "keys_of_other_levels": Leniency(
        "PS3.4 §C.4.1.2.1",
        "a C-FIND lacks one value of the unique key of an upper level, or has one of a lower level",
        "searches as in a relational query",
        "identifiers",
    ),
    "retrieve_without_level": Leniency(
        "PS3.4 §C.4.2.1.4.1, §C.4.3.1.3.1",
        "a C-MOVE or C-GET has no Query/Retrieve Level",
        "takes the level of the lowest unique key with a value",
        "identifiers",
    ),
    "retrieve_by_accession_number": Leniency(
        "PS3.4 §C.4.2.2.1, §C.4.3.2.1",
        "a C-MOVE or C-GET names studies by Accession Number and no Study Instance UID",
        "retrieves the studies that have the number",
        "identifiers",
    ),
    "associate_items": Leniency(
        "PS3.8 §9.3.2, §9.3.3, PS3.7 §D.3.3",
        "an A-ASSOCIATE-RQ or A-ASSOCIATE-AC lacks items, or has some that are too long or not ASCII",
        "reads what is there, with defaults for the rest",
        "wire",
    ),
    "late_move_instances": Leniency(
        "PS3.4 §C.4.2.3.1",
        "a source ends its C-MOVE with Success before it sends what it is to send",
        "waits for the instances, as long as some come",
        "wire",
    ),
    "duplicate_sop_instance": Leniency(
        "PS3.4 §B.2.3",
        "a destination answers a C-STORE with 0x0111 (Duplicate SOP Instance)",
        "takes the object as delivered, with a note",
        "wire",
    ),
    "even_context_ids": Leniency(
        "PS3.8 §9.3.2.2",
        "the IDs of presentation contexts are even",
        "answers and serves them like odd ones",
        "wire",
    ),
    "unknown_vr": Leniency(
        "PS3.5 §7.1.2",
        "an element has a VR that is none",
        "the bytes go on as they are; the length is of 32 bits after two capital letters, else of 16",
        "objects",
    ),
    "stray_item_end": Leniency(
        "PS3.5 §7.5",
        "an end of an item stands behind the data set",
        "the bytes go on as they are; the data set ends there",
        "objects",
    ),
    "stray_sequence_end": Leniency(
        "PS3.5 §7.5",
        "an end of a sequence stands inside a sequence of defined length",
        "the bytes go on as they are; the sequence ends there",
        "objects",
    ),
    "zeros_behind": Leniency(
        "PS3.5 §7.1",
        "zeros follow the last element, or the deflate stream",
        "the bytes go on as they are; the data set ends before them",
        "objects",
    ),
    "sequence_without_items": Leniency(
        "PS3.5 §7.5",
        "the value of a sequence attribute is no list of items",
        "the bytes go on as they are; for rules it has no items",
        "objects",
    ),
    "mislabelled_transfer_syntax": Leniency(
        "PS3.5 §A.1, §A.2",
        "the data set is in implicit VR where the transfer syntax says explicit VR, or the other way",
        "the bytes go on as they are; rules read them in the other form",
        "objects",
    ),
    "file_meta_in_data_set": Leniency(
        "PS3.10 §7.1",
        "elements of group 0002 stand in the data set",
        "the bytes go on as they are; files are written without them",
        "objects",
    ),
    "odd_length": Leniency(
        "PS3.5 §7.1.1",
        "the data set has an odd length",
        "the bytes go on as they are, with one zero behind them wherever it is sent",
        "objects",
    ),
}
"""Every leniency by its name, which is the label `kind` of the metric and of the log event."""


def tolerated(meter: Meter, kind: str, peer: str, *, log: Any = log, **fields: Any) -> None:
    """Count and log one use of the row `kind`. Log lines are summarised by peer and kind.

    Args:
        peer: name of the peer as metrics have it (`gateway.ports.meter.peer_label`), or of the source or destination.
        log: where it is logged; a rehearsal logs nothing.
        fields: for the log: association, message ID, UIDs, tags; never values of patients.

    Raises:
        KeyError: no such row.
    """
    row = LENIENCIES[kind]
    meter.count(METRIC, peer=peer, kind=kind)
    log.info(EVENT, peer=peer, kind=kind, what=row.what, then=row.then, section=row.section, **fields)
