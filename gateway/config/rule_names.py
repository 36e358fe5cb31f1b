"""Names of rules: each once, and none that the gateway uses itself."""

from __future__ import annotations

from gateway.config.compile_context import Context
from gateway.config.spec.values import MISSING
from gateway.config.tree import Place
from gateway.model.delivery import UNMATCHED_RULE
from gateway.model.problem import Mark


def check_name(name: str, place: Place, taken: dict[str, Mark], context: Context) -> None:
    """`taken` are the names before it; it is added."""
    if name == MISSING:
        return
    at = place.at("name")
    if name == UNMATCHED_RULE:
        context.error(at, "reserved-name", f"`{name}` is the name of what no route wants; choose another")
    if name in taken:
        message = f"`{name}` is named twice; the first is at {taken[name]}"
        context.error(at, "duplicate-name", message)
    taken.setdefault(name, at.mark)
