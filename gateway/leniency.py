"""Where the gateway takes what the standard does not allow, because archives take it: one table, and one way to tell.

How a part of the gateway uses it:

1. It adds a row to `LENIENCIES`, and one with the same name to `docs/leniency.md`.
2. It asks whether the peer is to be held to the letter: ``association.is_strict`` in `gateway.dimse` (known as soon as
   the requestor is admitted), ``table.is_strict(event.facts.peer)`` in a handler, ``peer.is_strict`` of a source or a
   destination. That is `peers.*.strict`, or `gateway.strict` where the peer does not say and for strangers.
3. If it is not, it calls `tolerated` once for each message or object and goes on; else it answers as the standard says.

Pure functions (of `dataset`, `query`, `routing`) take ``is_strict`` as an argument and give back the names of the rows
that were used; whoever called them tells.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import structlog

from gateway.ports import Meter

EVENT = "leniency"
METRIC = "gateway_leniencies_total"

log = structlog.get_logger()


class Leniency(NamedTuple):
    """One thing that is taken although the standard does not allow it."""

    section: str
    """Where the standard says otherwise, as `PS3.4 §C.4.1`."""
    what: str
    """What the peer does, in one clause."""
    then: str
    """What the gateway does then, in one clause."""


LENIENCIES: dict[str, Leniency] = {
    "associate_items": Leniency(
        "PS3.8 §9.3.2, §9.3.3, PS3.7 §D.3.3",
        "an A-ASSOCIATE-RQ or A-ASSOCIATE-AC lacks items, or has some that are too long or not ASCII",
        "reads what is there, with defaults for the rest",
    ),
    "late_move_instances": Leniency(
        "PS3.4 §C.4.2",
        "a source ends its C-MOVE with Success before it sends what it is to send",
        "waits for the instances, as long as some come",
    ),
    "even_context_ids": Leniency(
        "PS3.8 §9.3.2.2",
        "the IDs of presentation contexts are even",
        "answers and serves them like odd ones",
    ),
}
"""By name, which is the label `kind` of the metric and of the log event."""


def tolerated(meter: Meter, kind: str, peer: str, **fields: Any) -> None:
    """Count and log one use of the row `kind`. Log lines are summarised by peer and kind.

    Args:
        peer: name of the peer as metrics have it (`gateway.ports.peer_label`), or of the source or destination.
        fields: for the log: association, message ID, UIDs, tags; never values of patients.

    Raises:
        KeyError: no such row.
    """
    row = LENIENCIES[kind]
    meter.count(METRIC, peer=peer, kind=kind)
    log.info(EVENT, peer=peer, kind=kind, what=row.what, then=row.then, section=row.section, **fields)
