"""The index and the sources of queries and retrieves, and their shared parts; one for the gateway."""

from __future__ import annotations

from dataclasses import dataclass, field

from gateway.ports.index import Index
from gateway.ports.meter import Meter, NoMeter
from gateway.sources.fan_out import BackgroundTasks
from gateway.sources.sources import Sources


@dataclass(frozen=True, slots=True)
class QueryBackends:
    """Shared by C-FIND, C-MOVE and C-GET."""

    index: Index
    sources: Sources
    meter: Meter = field(default_factory=NoMeter)
    background: BackgroundTasks = field(default_factory=BackgroundTasks)

    async def close(self) -> None:
        """End what runs in the background. The associations are the pool's."""
        await self.background.close()
