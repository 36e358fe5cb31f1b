"""Objects that were accepted and that a collection did not take are counted, and said once a collection."""

from __future__ import annotations

from collections.abc import Iterable

import structlog

from gateway.model.collection import LeftOutObject
from gateway.ports.meter import Meter, peer_label
from gateway.spool.commit_requests import Acceptance

log = structlog.get_logger()

MOST_SAID = 4096
"""Collections that are known to have been said; then all are said anew."""
CONSEQUENCES = {
    "late": "the object was accepted, and nothing is sent: it came after the end (`late: ignore`)",
    "again": "the object was accepted, and is not sent again to where it was delivered or is on its way (`again`)",
}


class LeftOutLog:
    """Log and metric of what is left out. `meter` counts each object."""

    def __init__(self, meter: Meter) -> None:
        self._meter = meter
        self._said: set[tuple[int, str, str]] = set()

    def say(self, left_out: Iterable[LeftOutObject], acceptance: Acceptance) -> None:
        """This was not taken of an object."""
        peer = "" if acceptance.instance is None else peer_label(acceptance.instance.association)
        for each in left_out:
            self._meter.count("gateway_collection_left_out_total", collection=each.name, why=each.why)
            kind = (each.collection_id, each.why, peer)
            if kind in self._said:
                continue
            if len(self._said) >= MOST_SAID:
                self._said.clear()
            self._said.add(kind)
            log.warning(
                "objects_left_out",
                collection=each.name,
                collection_id=each.collection_id,
                study_instance_uid=each.study_instance_uid,
                peer=peer,
                why=each.why,
                consequence=CONSEQUENCES[each.why],
                numbers=f"gateway collection show {each.collection_id}",
            )
