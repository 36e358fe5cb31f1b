"""The process of `gateway run`: load the rules, serve until a signal, end with an exit code."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack
from typing import Any

import structlog

from gateway.app.first_table import Load, first_table
from gateway.app.gateway import Gateway
from gateway.app.workers import load_of_worker
from gateway.common.file_modes import set_umask
from gateway.dimse.pynetdicom_contract.bindings import is_notification
from gateway.handlers.site_handlers import site_handlers
from gateway.lifecycle import exit_code
from gateway.lifecycle.loading import Loading
from gateway.lifecycle.log_summary import SUMMARY
from gateway.lifecycle.signals import Stop, handled
from gateway.lifecycle.supervisor_link import SupervisorLink, WorkerPlace
from gateway.network import descriptors
from gateway.ports.errors import ConfigurationError, QueueBroken, Temporary
from gateway.routing.extensions import load_extensions

log = structlog.get_logger()


def run(load: Load, handlers: str | None = None, place: WorkerPlace | None = None) -> int:
    """`gateway run`: load, serve until a signal; the exit code (`gateway.lifecycle.exit_code`).

    Args:
        load: gives the configuration.
        handlers: ``module:NAME`` of the site's own handlers (`gateway.handlers.site_handlers`).
        place: of this process among the workers of a supervisor; None: it is alone.
    """
    try:
        descriptors.raise_limit()
        return asyncio.run(_serve(load, () if handlers is None else own_handlers(handlers), place))
    except (ConfigurationError, QueueBroken) as error:
        log.error("gateway_not_started", reason=str(error))
        return exit_code.CONFIGURATION
    except Temporary as error:  # at the start: later ones come in groups
        log.critical("gateway_failed", reason=str(error))
        return exit_code.SOFTWARE
    except Exception as error:
        broken = broken_queue(error)
        if broken is not None:
            log.critical("gateway_failed", reason=str(broken))
        else:
            log.critical("gateway_failed", exc_info=error)
        return exit_code.SOFTWARE
    finally:
        SUMMARY.write_due(is_final=True)


async def _serve(load: Load, handlers: Sequence[tuple[Any, ...]], place: WorkerPlace | None) -> int:
    stop, reload_requested, link = Stop(), asyncio.Event(), None
    async with AsyncExitStack() as stack:
        stack.enter_context(handled(stop, reload_requested.set))
        if place is not None:
            link = await stack.enter_async_context(SupervisorLink(place.descriptor, stop))
            load = load_of_worker(load, place.number)
        loading = Loading(load)
        table = await first_table(loading, stop)
        if isinstance(table, int):
            return table
        for package, kinds in load_extensions().by_package().items():
            log.info("extension_loaded", package=package, kinds=kinds)
        set_umask(table.settings.file_access)
        has_ended_in_time = await Gateway(table, loading, reload_requested, handlers, link).run(stop)
        return exit_code.UNAVAILABLE if stop.forced.is_set() and not has_ended_in_time else exit_code.SUCCESS


def own_handlers(reference: str) -> Sequence[tuple[Any, ...]]:
    """The site's handlers; the log names the gateway's own that they replace. Raises ConfigurationError."""
    found = site_handlers(reference)
    events = [event.name for event, *_ in found if not is_notification(event)]
    notified = sorted({event.name for event, *_ in found if is_notification(event)})
    if notified:
        log.info("site_notifications_bound", handlers=reference, events=notified)
    if not events:
        return found
    log.warning(
        "site_handlers_bound",
        handlers=reference,
        events=events,
        reason="they take these requests in place of the gateway's own: the rules have no part in them"
        + (", and what is stored is neither spooled nor forwarded" if "EVT_C_STORE" in events else ""),
    )
    return found


def broken_queue(error: BaseException | None) -> QueueBroken | None:
    """The damaged database that made a part of the gateway die, if it was that: an operator needs no traceback then."""
    if error is None or isinstance(error, QueueBroken):
        return error
    inner = error.exceptions if isinstance(error, BaseExceptionGroup) else (error.__cause__,)
    return next(filter(None, map(broken_queue, inner)), None)
