"""The limits of the process: file descriptors, and the size of inflated data sets."""

from __future__ import annotations

import structlog

from gateway.dataset.inflation import Bounds, set_bounds
from gateway.model.listener import Limits
from gateway.network import descriptors
from gateway.routing.table import RoutingTable

log = structlog.get_logger()


def bound_inflation(limits: Limits) -> None:
    """Bound how far deflated data sets inflate in this process."""
    set_bounds(Bounds(limits.inflated_bytes, limits.inflated_ratio))


def fitting_limits(table: RoutingTable, available: int) -> Limits:
    """The limits of associations and connections that `available` descriptors allow; a lowered one is logged.

    Raises ConfigurationError when there are too few for any use.
    """
    settings = table.settings
    reserved = descriptors.reserved(settings, table.peers.values())
    limits = descriptors.fit(settings.limits, descriptors=available, reserved=reserved)
    if limits != settings.limits:
        log.warning(
            "limits_lowered",
            reason=f"this process may open only {available} files and connections (ulimit -Hn)",
            associations=limits.associations,
            associations_of_strangers=limits.associations_of_strangers,
            unassociated=limits.unassociated,
        )
    return limits
