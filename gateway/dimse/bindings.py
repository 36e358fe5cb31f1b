"""Handlers bound to events, as pynetdicom binds them: ``(event, handler[, arguments])``. An intervention event has one
handler, a notification event (`gateway.dimse.notifications`) any number.

An event without a handler is answered as pynetdicom documents it: C-ECHO with Success, C-STORE with 0xC211, C-FIND with
0xC311, C-GET with 0xC411, C-MOVE with 0xC511.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import structlog
from pynetdicom import evt

from gateway.dimse import notifications
from gateway.dimse.handler_thread import on_event_loop, runs_on_event_loop
from gateway.dimse.notifications import RAISED

log = structlog.get_logger()


class Bound(NamedTuple):
    """A handler, and what it is called with after the event."""

    handler: Callable[..., Any]
    arguments: tuple[Any, ...]
    is_on_event_loop: bool

    @property
    def documented(self) -> tuple[Callable[..., Any], list[Any] | None]:
        """As pynetdicom's `get_handlers` gives it."""
        return self.handler, list(self.arguments) or None


Handlers = Mapping[Any, Bound]
"""By event."""
_SHAPE = "not (event, handler) or (event, handler, [arguments])"


def bound(event: Any, handler: Any, arguments: Any = None) -> Bound:
    """One binding.

    Raises:
        ValueError: no such event is served here.
        TypeError: the handler cannot be called, or the arguments are no list.
    """
    _check(event, handler, arguments)
    if event not in UNBOUND:
        raise ValueError(f"{event.name} is a notification event: nothing is answered to it")
    return Bound(handler, tuple(arguments or ()), runs_on_event_loop(handler))


def bound_notification(event: Any, handler: Any, arguments: Any = None) -> notifications.Bound:
    """One binding of an event in `RAISED`. Raises as `bound`."""
    _check(event, handler, arguments)
    return notifications.Bound(event, handler, tuple(arguments or ()))


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


def read_bindings(evt_handlers: Iterable[Any]) -> tuple[dict[Any, Bound], tuple[notifications.Bound, ...]]:
    """Of ``(event, handler)``, ``(event, handler, None)`` or ``(event, handler, [arguments])`` the handlers of
    intervention events, of which the last one counts, and those of notification events.

    Raises:
        ValueError: an item has another number of parts, or an event that is not raised.
        TypeError: an item is no tuple or list, or see `bound`.
    """
    found: dict[Any, Bound] = {}
    notified: tuple[notifications.Bound, ...] = ()
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
    evt.EVT_C_ECHO: Bound(_echo, (), True),
    evt.EVT_C_STORE: Bound(_store, (), True),
    evt.EVT_C_FIND: Bound(_final(0xC311), (), True),
    evt.EVT_C_GET: Bound(_final(0xC411), (), True),
    evt.EVT_C_MOVE: Bound(_final(0xC511), (), True),
}
"""Every event that is served, and what answers it while nothing is bound."""
