"""How many gateways of this kind a request came through, as each says it to the next."""

from __future__ import annotations

import re

from gateway import __version__
from gateway.model.association import AssociationFacts

IMPLEMENTATION_CLASS_UID = "2.25.250441499507111539750816702114327219122"
IMPLEMENTATION_VERSION_NAME = f"GATEWAY_{__version__}"[:16]
"""Of the gateway (PS3.7 §D.3.3.2)."""

_HOPS = re.compile(r"\+(\d)$", re.ASCII)


def hops_of(facts: AssociationFacts) -> int:
    """How many gateways the requests of this association came through; 0 from anybody who is no gateway.

    A gateway says it at the end of the Implementation Version Name (PS3.7 §D.3.3.2) of the associations on which it
    passes questions and objects on, e.g. ``GATEWAY_0.1.0+1``: the one field of an association that is ours to fill.
    """
    if facts.implementation_class_uid != IMPLEMENTATION_CLASS_UID:
        return 0
    found = _HOPS.search(facts.implementation_version_name)
    return int(found[1]) if found else 0
