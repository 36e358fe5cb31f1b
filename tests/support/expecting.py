"""A C-MOVE of node `one`, and an instance of it that arrived at another node."""

from __future__ import annotations

from gateway.ports.expected_instances import HandedInstance, SharedMove

MOVE = SharedMove("m1", "one", "pacs", ("10.1.0.5", "10.2.0.0/24"), "GATEWAY", 7, frozenset({"1.3.1", "1.3.2"}))
HANDED = HandedInstance("h1", "m1", "1.2", "1.3.1", "1.2.840.10008.1.2.1", 25_600, "")
