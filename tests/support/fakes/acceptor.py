"""An acceptor without sockets."""

from __future__ import annotations

from gateway.model.listener import Listener
from gateway.ports.errors import ConfigurationError


class MemoryAcceptor:
    """Refuses port 666 and, as a kernel does, a port that is taken; raises a fault of the gateway for port 667."""

    def __init__(self) -> None:
        self.listeners: dict[str, Listener] = {}
        """Name → listener that is open."""
        self.done: list[str] = []
        """``+name:port`` for each opening, ``-name`` for each closing."""

    async def listen(self, listener: Listener) -> int:
        if listener.port == 667:
            raise RuntimeError("a fault of the gateway")
        if listener.port == 666 or any(other.port == listener.port for other in self.listeners.values()):
            raise ConfigurationError(f"cannot bind {listener.port}")
        assert listener.name not in self.listeners
        self.listeners[listener.name] = listener
        self.done.append(f"+{listener.name}:{listener.port}")
        return listener.port

    async def close(self, name: str) -> None:
        del self.listeners[name]
        self.done.append(f"-{name}")
