"""Limits that the process has not enough descriptors for."""

from __future__ import annotations

import dataclasses

import pytest
import structlog

from gateway.app.limits import fitting_limits
from gateway.model.listener import Limits
from gateway.model.settings import HTTP, Settings, Spool
from gateway.ports.errors import ConfigurationError
from gateway.routing.table import RoutingTable

SETTINGS = Settings("GATEWAY", (), Spool("spool"), "queue.db", http=HTTP())


def table() -> RoutingTable:
    return RoutingTable("1", SETTINGS, coercions=(), routes=(), peers={}, groups={}, unmatched="hold")


def test_with_enough_nothing_is_lowered_and_nothing_logged() -> None:
    with structlog.testing.capture_logs() as events:
        assert fitting_limits(table(), 20_000) == Limits()
    assert events == []


def test_what_is_lowered_is_logged_with_the_reason() -> None:
    with structlog.testing.capture_logs() as events:
        limits = fitting_limits(table(), 1024)
    assert limits == dataclasses.replace(
        Limits(),
        associations=limits.associations,
        associations_of_strangers=limits.associations_of_strangers,
        unassociated=limits.unassociated,
    )
    assert limits.associations < 512
    (event,) = events
    assert event["event"] == "limits_lowered"
    assert event["associations"] == limits.associations
    assert "1024 files" in event["reason"]


def test_too_few_are_a_configuration_error() -> None:
    with pytest.raises(ConfigurationError, match="ulimit -Hn"):
        fitting_limits(table(), 100)
