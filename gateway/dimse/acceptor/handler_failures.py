"""Handlers that fail: since when, how often, over what and where, until they answer a request again.

A handler fails when it raises anything but a `GatewayError`, or gives something that its contract has no status for.
The text of what it raised is not kept: it may quote an object.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from gateway.common.steady_clock import utc_now
from gateway.ports.meter import Meter


@dataclass(frozen=True, slots=True)
class FailingHandler:
    """One that failed, and has not answered a request since."""

    event: str
    """Such as EVT_C_STORE."""
    handler: str
    """Module and name."""
    error: str
    """Type of the last exception, or what it gave in place of a status."""
    where: str
    """File, line and function where that was raised: in the handler's own file if it came through there."""
    count: int
    since: datetime
    """Aware UTC, of the first failure."""


class HandlerFailures:
    """The failing handlers of one server. `now` gives aware UTC."""

    def __init__(self, meter: Meter, now: Callable[[], datetime] = utc_now) -> None:
        self._meter = meter
        self._now = now
        self.failing: dict[str, FailingHandler] = {}
        """Failing handlers by event; a replaced handler takes its entry with its first answer."""

    def failed(self, event: str, handler: Callable[..., Any], error: BaseException | str) -> None:
        """A handler failed with `error`, or gave what `error` says."""
        self._meter.count("gateway_handler_failures_total", handler=event)
        name, before = _name(handler), self.failing.get(event)
        shown = (error, _defined(handler)) if isinstance(error, str) else (type(error).__name__, _where(error, handler))
        if before is None or before.handler != name:
            self.failing[event] = FailingHandler(event, name, *shown, count=1, since=self._now())
        else:
            self.failing[event] = replace(before, error=shown[0], where=shown[1], count=before.count + 1)

    def answered(self, event: str) -> None:
        """The handler of `event` answered a request."""
        self.failing.pop(event, None)


def _name(handler: Callable[..., Any]) -> str:
    inner = getattr(handler, "func", handler)
    kind = inner if hasattr(inner, "__qualname__") else type(inner)
    return f"{kind.__module__}.{kind.__qualname__}"


def _code(handler: Callable[..., Any]) -> Any:
    inner = getattr(handler, "func", handler)
    inner = inner if hasattr(inner, "__qualname__") else getattr(type(inner), "__call__", inner)  # noqa: B004
    return getattr(getattr(inner, "__func__", inner), "__code__", None)


def _defined(handler: Callable[..., Any]) -> str:
    code = _code(handler)
    return f"{code.co_filename}:{code.co_firstlineno} {code.co_name}" if code is not None else ""


def _where(error: BaseException, handler: Callable[..., Any]) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    code = _code(handler)
    own = [frame for frame in frames if code is not None and frame.filename == code.co_filename]
    last = (own or list(frames))[-1:]
    return f"{last[0].filename}:{last[0].lineno} {last[0].name}" if last else _defined(handler)
