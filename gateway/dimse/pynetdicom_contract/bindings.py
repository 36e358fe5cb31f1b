"""Handlers bound to events, as pynetdicom binds them: ``(event, handler[, arguments])``, one handler an event.

An event without a handler is answered as pynetdicom documents it: C-ECHO with Success, C-STORE with 0xC211, C-FIND with
0xC311, C-GET with 0xC411, C-MOVE with 0xC511.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from typing import Any, Protocol

import structlog
from pynetdicom import evt

from gateway.dimse.acceptor.handler_thread import BoundHandler, Handlers, on_event_loop, runs_on_event_loop

log = structlog.get_logger()


_SHAPE = "not (event, handler) or (event, handler, [arguments])"


def bound(event: Any, handler: Any, arguments: Any = None) -> BoundHandler:
    """One binding.

    Raises:
        ValueError: no such event is served here.
        TypeError: the handler cannot be called, or the arguments are no list.
    """
    if event not in UNBOUND:
        served = ", ".join(kind.name for kind in UNBOUND)
        raise ValueError(f"no operation serves {getattr(event, 'name', event)!s}; handlers are bound to {served}")
    if not callable(handler):
        raise TypeError(f"the handler of {event.name} is {type(handler).__name__}, and cannot be called")
    if arguments is not None and (isinstance(arguments, str) or not isinstance(arguments, Sequence)):
        raise TypeError(f"the arguments of the handler of {event.name} are {type(arguments).__name__}, not a list")
    return BoundHandler(handler, tuple(arguments or ()), runs_on_event_loop(handler))


def read_bindings(evt_handlers: Iterable[Any]) -> dict[Any, BoundHandler]:
    """``(event, handler)``, ``(event, handler, None)`` or ``(event, handler, [arguments])``; the last one counts.

    Raises:
        ValueError: an item has another number of parts, or an event that is not served.
        TypeError: an item is no tuple or list, or see `bound`.
    """
    found: dict[Any, BoundHandler] = {}
    for item in evt_handlers:
        if not isinstance(item, tuple | list) or isinstance(item, evt.InterventionEvent | evt.NotificationEvent):
            raise TypeError(f"a binding is {type(item).__name__}, {_SHAPE}")
        if len(item) not in (2, 3):
            raise ValueError(f"a binding has {len(item)} parts, {_SHAPE}")
        found[item[0]] = bound(*item)
    return found


def _missing(event: Any) -> None:
    log.warning("handler_missing", handler=event.event.name, association=event.facts.association_id)


@on_event_loop
def _echo(event: Any) -> int:
    return 0x0000


@on_event_loop
def _store(event: Any) -> int:
    _missing(event)
    return 0xC211


def _final(status: int) -> Callable[[Any], AsyncIterator[Any]]:
    async def answer(event: Any) -> AsyncIterator[Any]:
        _missing(event)
        yield status, None

    return answer


UNBOUND: Handlers = {
    evt.EVT_C_ECHO: BoundHandler(_echo, (), True),
    evt.EVT_C_STORE: BoundHandler(_store, (), True),
    evt.EVT_C_FIND: BoundHandler(_final(0xC311), (), True),
    evt.EVT_C_GET: BoundHandler(_final(0xC411), (), True),
    evt.EVT_C_MOVE: BoundHandler(_final(0xC511), (), True),
}
"""Every event that is served, and what answers it while nothing is bound."""


class Holder(Protocol):
    """What has handlers: a server, or one of its associations."""

    handlers: Handlers


def bind(holder: Holder, event: Any, handler: Callable[..., Any], arguments: Sequence[Any] | None = None) -> None:
    """Have `handler` take `event` from the next request on. Raises ValueError, TypeError as `bound`."""
    holder.handlers = {**holder.handlers, event: bound(event, handler, arguments)}


def unbind(holder: Holder, event: Any, handler: Callable[..., Any]) -> None:
    """Have nobody take `event`, if `handler` does now."""
    if event in holder.handlers and holder.handlers[event].handler == handler:
        holder.handlers = {**holder.handlers, event: UNBOUND[event]}
