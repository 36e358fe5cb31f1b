"""Peers that hold what the gateway does not: asked side by side, their answers merged, who holds what remembered."""
