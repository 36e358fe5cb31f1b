"""What is measured side by side: each system started fresh, sending on to a sink where it can."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from tests.support.gateway_process import GatewayProcess
from tests.support.load.floor import Floor
from tests.support.peers import Modality, Orthanc, StoreSCP
from tests.support.processes import REPOSITORY, Daemon, free_port, is_listening


class System(Protocol):
    """A running receiver."""

    port: int

    @property
    def pid(self) -> int: ...
    async def start(self) -> object: ...
    def stop(self) -> None: ...


class StockRouter(Daemon):
    """`benchmarks/stock_router.py` in a process of its own."""

    name = "stock router"

    def __init__(self, folder: Path, forward_port: int) -> None:
        super().__init__(folder.with_suffix(".log"))
        self.folder = folder
        self.forward_port = forward_port
        self.port = free_port()

    def command(self) -> list[str]:
        script = REPOSITORY / "benchmarks" / "stock_router.py"
        return [sys.executable, str(script), str(self.port), str(self.folder), str(self.forward_port)]

    async def is_ready(self) -> bool:
        return is_listening(self.port)


LUA_FORWARD = """
function OnStoredInstance(instanceId, tags, metadata, origin)
  SendToModality(instanceId, 'sink')
end
"""

MANY = 4096
LIMITS = {
    "limits": {
        "associations": MANY,
        "associations_of_strangers": MANY,
        "associations_per_host": MANY,
        "associations_per_peer": MANY,
        "unassociated": MANY,
        "unassociated_per_host": MANY,
    }
}


def gateway_rules(sink_port: int, parallel: int = 4) -> dict[str, Any]:
    """Everything goes to the sink; without one (port 0) everything is held: stored, queued, not sent."""
    if not sink_port:
        return {"unmatched": "hold"}
    peer = {"ae_title": "SINK", "address": f"127.0.0.1:{sink_port}", "delivery": {"associations": parallel}}
    return {
        "peers": {"sink": peer},
        "routes": [{"name": "everything to the sink", "to": ["sink"]}],
        "unmatched": "hold",
    }


def gateway(folder: Path, sink_port: int) -> GatewayProcess:
    """The gateway with production settings but for higher limits of associations."""
    return GatewayProcess(folder, gateway_rules(sink_port), settings=LIMITS)


def gateway_that_sets(folder: Path, sink_port: int) -> GatewayProcess:
    """The same with one element set in every object that arrives."""
    coercions = [{"then": [{"set": {"InstitutionName": "North Hospital"}}]}]
    return GatewayProcess(folder, gateway_rules(sink_port) | {"coercions": coercions}, settings=LIMITS)


def stock_router(folder: Path, sink_port: int) -> StockRouter:
    return StockRouter(folder, sink_port)


def floor(folder: Path, sink_port: int) -> Floor:
    """The floor; to forward, the relay floor."""
    return Floor(folder, sink_port)


def storescp(folder: Path, _: int) -> StoreSCP:
    return StoreSCP(folder, bit_preserving=False)


def storescp_fork(folder: Path, _: int) -> StoreSCP:
    return StoreSCP(folder, bit_preserving=False, options=["--fork"])


def _orthanc(folder: Path, sink_port: int, *, no_delay: bool) -> Orthanc:
    modalities = {"sink": Modality("SINK", sink_port)} if sink_port else {}
    return Orthanc(folder, modalities=modalities, lua=LUA_FORWARD if sink_port else "", no_delay=no_delay)


def orthanc(folder: Path, sink_port: int) -> Orthanc:
    return _orthanc(folder, sink_port, no_delay=False)


def orthanc_no_delay(folder: Path, sink_port: int) -> Orthanc:
    return _orthanc(folder, sink_port, no_delay=True)


@dataclass(frozen=True, slots=True)
class Contender:
    """A system and how much of a scenario it gets through in reasonable time."""

    key: str
    """As `--only` takes it."""
    name: str
    make: Callable[[Path, int], System]
    forwards: bool
    most_associations: int = 1000
    """storescp without --fork serves one association at a time; the others wait."""
    is_slow_at_forwarding: bool = True


GATEWAY = "gateway"
FLOOR = "floor: the least of one Python process"
GATEWAY_SETS = "gateway, one `set` coercion"
STOCK = "stock pynetdicom router"
STORESCP = "dcmtk storescp, TCP_NODELAY=1"
STORESCP_FORK = "dcmtk storescp --fork, TCP_NODELAY=1"
ORTHANC = "Orthanc 1.10, Lua auto-forward"
ORTHANC_NO_DELAY = "Orthanc 1.10, the same with TCP_NODELAY=1"

CONTENDERS = (
    Contender("gateway", GATEWAY, gateway, forwards=True, is_slow_at_forwarding=False),
    Contender("floor", FLOOR, floor, forwards=True, is_slow_at_forwarding=False),
    Contender("gateway-set", GATEWAY_SETS, gateway_that_sets, forwards=True, is_slow_at_forwarding=False),
    Contender("stock", STOCK, stock_router, forwards=True),
    Contender("storescp", STORESCP, storescp, forwards=False, most_associations=1),
    Contender("storescp-fork", STORESCP_FORK, storescp_fork, forwards=False),
    Contender("orthanc", ORTHANC, orthanc, forwards=True),
    Contender("orthanc-no-delay", ORTHANC_NO_DELAY, orthanc_no_delay, forwards=True),
)
