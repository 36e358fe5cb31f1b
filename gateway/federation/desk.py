"""What questions to sources are worked on with; one for the whole gateway."""

from __future__ import annotations

from dataclasses import dataclass, field

from gateway.federation.holders import HolderMemory
from gateway.federation.side_by_side import Background
from gateway.federation.sources import Sources
from gateway.ports import Index, Meter, NoMeter


@dataclass(frozen=True, slots=True)
class QueryDesk:
    """Shared by C-FIND, C-MOVE and C-GET."""

    index: Index
    sources: Sources
    holders: HolderMemory = field(default_factory=HolderMemory)
    meter: Meter = field(default_factory=NoMeter)
    background: Background = field(default_factory=Background)

    async def close(self) -> None:
        """End what runs in the background, and release what is kept."""
        await self.background.close()
        await self.sources.close()
