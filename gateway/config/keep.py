"""`keep` of routes and peers: how long the copy of what was delivered is kept."""

from __future__ import annotations

from gateway.common.quantity import duration, duration_s
from gateway.config.compile_context import Context
from gateway.config.tree import Place
from gateway.model.settings import Settings


def compile_keep(text: str | None, place: Place, context: Context, settings: Settings | None) -> float:
    """Seconds; 0 without one. `place` is the route or peer. A time that makes no difference is reported."""
    if text is None:
        return 0.0
    seconds = duration_s(text)
    if settings is not None and seconds <= settings.spool.retention_s:
        message = (
            f"`keep: {text}` keeps nothing for longer than `gateway.spool.retention` does, which is "
            f"{duration(settings.spool.retention_s)}; leave it out, or write a longer time"
        )
        context.findings.warning(place.at("keep").holder, "no-effect", message)
    return seconds
