"""Destinations that never answer, and the rules that send to them and to a healthy one."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

HEALTHY = "healthy"


class BlackHole:
    """A port that never answers: its queue of connections is full and nobody takes them out, so SYNs are dropped."""

    def __enter__(self) -> Self:
        self._listener = socket.socket()
        self._listener.bind(("127.0.0.1", 0))
        self._listener.listen(0)
        self.port: int = self._listener.getsockname()[1]
        self._waiting: list[socket.socket] = []
        while True:
            connection = socket.socket()
            connection.settimeout(0.3)
            self._waiting.append(connection)
            if connection.connect_ex(("127.0.0.1", self.port)) != 0:
                return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for connection in [*self._waiting, self._listener]:
            connection.close()


def rules(healthy_port: int, dead_ports: Mapping[str, int]) -> dict[str, Any]:
    """Every object to the healthy destination and to all the dead ones."""
    retry = {"first": "200 ms", "max": "2 s"}
    ports = {HEALTHY: healthy_port, **dead_ports}
    peers = {
        name: {"ae_title": "SINK", "address": f"127.0.0.1:{port}", "delivery": {"associations": 2, "retry": retry}}
        for name, port in ports.items()
    }
    return {"peers": peers, "routes": [{"name": "to all", "to": list(peers)}], "unmatched": "reject"}
