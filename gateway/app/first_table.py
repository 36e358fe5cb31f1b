"""The rules that a process starts with: read, and every problem logged."""

from __future__ import annotations

from collections.abc import Callable

import structlog

from gateway.config import Loaded
from gateway.lifecycle import exit_code
from gateway.lifecycle.loading import Loading, NotLoaded
from gateway.lifecycle.signals import Stop
from gateway.routing.table import RoutingTable

log = structlog.get_logger()

Load = Callable[[], Loaded]


async def first_table(loading: Loading, stop: Stop) -> RoutingTable | int:
    """The routing table; or the exit code of a process that does not start, which is logged."""
    try:
        loaded = await loading.load(stop.requested)
    except NotLoaded as error:
        log.error("gateway_not_started", reason=str(error))
        return exit_code.SUCCESS if stop.requested.is_set() else exit_code.CONFIGURATION
    log_problems(loaded)
    if loaded.table is None:
        log.error("gateway_not_started", reason="the configuration has errors", problems=len(loaded.problems))
        return exit_code.CONFIGURATION
    return loaded.table


def log_problems(loaded: Loaded) -> None:
    """One event a problem."""
    for problem in loaded.problems:
        (log.error if problem.severity == "error" else log.warning)("config_problem_found", problem=str(problem))
