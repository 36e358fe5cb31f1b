"""Ports that several processes can and cannot have."""

from __future__ import annotations

import pytest

from gateway.lifecycle.shared_ports import own_http, refuse_unshareable
from gateway.model.listener import Listener
from gateway.model.settings import HTTP, Settings, Spool
from gateway.ports.errors import ConfigurationError


def settings(*ports: int, http: HTTP | None = None) -> Settings:
    listeners = tuple(Listener(f"listener{port}", port) for port in ports)
    return Settings("GATEWAY", listeners, Spool("/spool"), "/queue.db", http=http)


def test_each_worker_has_an_http_port_of_its_own_and_a_gateway_alone_has_the_one() -> None:
    http = HTTP("10.0.0.7", 8080, ("gw.example.org",))
    assert own_http(http, 0) == http
    assert own_http(http, 3) == HTTP("10.0.0.7", 8083, ("gw.example.org",))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (settings(11112, 0), "listener 'listener0' has port 0"),
        (settings(11112, http=HTTP(port=0)), "name one from 1 to 65531"),
        (settings(11112, http=HTTP(port=65532)), "name one from 1 to 65531"),
        (settings(104, 8084, http=HTTP()), "up to 8084, have the port 8084 of listener 'listener8084'"),
    ],
    ids=["any port", "any port for HTTP", "beyond the last port", "a listener's port"],
)
def test_what_workers_cannot_share_is_refused(given: Settings, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        refuse_unshareable(given, 4)


@pytest.mark.parametrize(
    "given", [settings(11112), settings(104, 8085, http=HTTP()), settings(104, http=HTTP(port=65531))]
)
def test_what_they_can_share_is_not(given: Settings) -> None:
    refuse_unshareable(given, 4)
