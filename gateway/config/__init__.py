"""Configuration: a folder of YAML → one immutable `RoutingTable`, or every problem with its place.

Its parts are imported when they are first asked for: the `gateway:` section alone needs few of them.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gateway.config.loading import Loaded, in_force, load
    from gateway.config.section import peer_limits, process_settings

__all__ = ["Loaded", "in_force", "load", "peer_limits", "process_settings"]

HOMES = {
    **dict.fromkeys(("Loaded", "in_force", "load"), "loading"),
    **dict.fromkeys(("peer_limits", "process_settings"), "section"),
}
"""Name → the module of this package that has it."""


def __getattr__(name: str) -> Any:
    if name not in HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{HOMES[name]}"), name)
