"""Handlers bound to events, as pynetdicom binds them: ``(event, handler[, arguments])``. An intervention event has one
handler, a notification event (`gateway.dimse.pynetdicom_contract.notifications`) any number.

An event without a handler is answered as pynetdicom documents it: C-ECHO with Success, C-STORE with 0xC211, C-FIND with
0xC311, C-GET with 0xC411, C-MOVE with 0xC511.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from typing import Any, Protocol

import structlog
from pynetdicom import evt

from gateway.dimse.acceptor.handler_thread import BoundHandler, Handlers, on_event_loop, runs_on_event_loop
from gateway.dimse.pynetdicom_contract import notifications
from gateway.dimse.pynetdicom_contract.notifications import RAISED

log = structlog.get_logger()

_SHAPE = "not (event, handler) or (event, handler, [arguments])"


def bound(event: Any, handler: Any, arguments: Any = None) -> BoundHandler:
    """One binding.

    Raises:
        ValueError: no such event is served here.
        TypeError: the handler cannot be called, or the arguments are no list.
    """
    _check(event, handler, arguments)
    if event not in UNBOUND:
        raise ValueError(f"{event.name} is a notification event: nothing is answered to it")
    return BoundHandler(handler, tuple(arguments or ()), runs_on_event_loop(handler))


def bound_notification(event: Any, handler: Any, arguments: Any = None) -> notifications.BoundNotification:
    """One binding of an event in `RAISED`. Raises as `bound`."""
    _check(event, handler, arguments)
    return notifications.BoundNotification(event, handler, tuple(arguments or ()))


def is_notification(event: Any) -> bool:
    """True for an event that any number of handlers may be bound to."""
    return event in RAISED


def _check(event: Any, handler: Any, arguments: Any) -> None:
    if event not in UNBOUND and event not in RAISED:
        served = ", ".join([kind.name for kind in UNBOUND] + sorted(kind.name for kind in RAISED))
        what = "nothing here raises" if isinstance(event, evt.NotificationEvent) else "no operation serves"
        raise ValueError(f"{what} {getattr(event, 'name', event)!s}; handlers are bound to {served}")
    if not callable(handler):
        raise TypeError(f"the handler of {event.name} is {type(handler).__name__}, and cannot be called")
    if arguments is not None and (isinstance(arguments, str) or not isinstance(arguments, Sequence)):
        raise TypeError(f"the arguments of the handler of {event.name} are {type(arguments).__name__}, not a list")


def read_bindings(
    evt_handlers: Iterable[Any],
) -> tuple[dict[Any, BoundHandler], tuple[notifications.BoundNotification, ...]]:
    """From ``(event, handler)``, ``(event, handler, None)`` or ``(event, handler, [arguments])`` the handlers of
    intervention events, of which the last one counts, and those of notification events.

    Raises:
        ValueError: an item has another number of parts, or an event that is not raised.
        TypeError: an item is no tuple or list, or see `bound`.
    """
    found: dict[Any, BoundHandler] = {}
    notified: tuple[notifications.BoundNotification, ...] = ()
    for item in evt_handlers:
        if not isinstance(item, tuple | list) or isinstance(item, evt.InterventionEvent | evt.NotificationEvent):
            raise TypeError(f"a binding is {type(item).__name__}, {_SHAPE}")
        if len(item) not in (2, 3):
            raise ValueError(f"a binding has {len(item)} parts, {_SHAPE}")
        if is_notification(item[0]):
            notified = notifications.with_one_more(notified, bound_notification(*item))
        else:
            found[item[0]] = bound(*item)
    return found, notified


def _missing(event: Any) -> None:
    log.warning("handler_not_bound", handler=event.event.name, association=event.facts.association_id)


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
    """An owner of handlers: a server, or one of its associations."""

    handlers: Handlers
    notifications: tuple[Any, ...]


def bind(holder: Holder, event: Any, handler: Callable[..., Any], arguments: Sequence[Any] | None = None) -> None:
    """Have `handler` take `event` from the next request on, or a notification event beside the handlers that it has.

    Raises ValueError, TypeError as `bound`.
    """
    if is_notification(event):
        one = bound_notification(event, handler, arguments)
        holder.notifications = notifications.with_one_more(holder.notifications, one)
    else:
        holder.handlers = {**holder.handlers, event: bound(event, handler, arguments)}


def unbind(holder: Holder, event: Any, handler: Callable[..., Any]) -> None:
    """Have `handler` take `event` no more, if it does now."""
    if is_notification(event):
        holder.notifications = notifications.without(holder.notifications, event, handler)
    elif event in holder.handlers and holder.handlers[event].handler == handler:
        holder.handlers = {**holder.handlers, event: UNBOUND[event]}
