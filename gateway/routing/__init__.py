"""Rules: predicates, actions and the routing table. Importing it registers the kinds that the gateway ships."""

from gateway.routing import action, match

__all__ = ["action", "match"]
