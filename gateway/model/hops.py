"""The number of gateways of this kind that a request came through; each says it to the next."""

from __future__ import annotations

import re

from gateway import __version__
from gateway.model.association import AssociationFacts

IMPLEMENTATION_CLASS_UID = "2.25.250441499507111539750816702114327219122"
IMPLEMENTATION_VERSION_NAME = f"GATEWAY_{__version__}"[:16]
"""The Implementation Version Name of the gateway (PS3.7 §D.3.3.2)."""

_HOPS = re.compile(r"\+(\d)$", re.ASCII)


def hops_of(facts: AssociationFacts) -> int:
    """The number of gateways that the requests of this association came through; 0 when the requestor is no gateway.

    A gateway writes it at the end of the Implementation Version Name (PS3.7 §D.3.3.2) of the associations on which it
    passes queries and objects on, e.g. ``GATEWAY_0.1.0+1``. It is the one field of an association that may carry it.
    """
    if facts.implementation_class_uid != IMPLEMENTATION_CLASS_UID:
        return 0
    found = _HOPS.search(facts.implementation_version_name)
    return int(found[1]) if found else 0
