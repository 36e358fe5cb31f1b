"""The local index as queries read it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from typing import Protocol

from gateway.model.instance import Instance
from gateway.model.query import Attributes, Query


class Index(Protocol):
    """The index of everything that the gateway holds, as coroutines: read beside the commits, which never wait for
    it.
    """

    def find(self, query: Query, limit: int = 0) -> AsyncGenerator[Sequence[Attributes]]:
        """Matches in batches, in a stable order: each has a value, or (), for every key of the query's level and above.
        Neither level, Retrieve AE Title nor Instance Availability are among them. At most `limit`; 0 is all.

        Close the iterator (`aclosing`) when it is left early. Raises Temporary when the index cannot be read now.
        """
        ...

    async def find_instances(self, query: Query) -> Sequence[int]:
        """Identifiers of the instances below what fits, study by study, series by series, as they arrived. 8 bytes
        each: their number is known before the first is read."""
        ...

    async def instances(self, instance_ids: Sequence[int]) -> list[Instance]:
        """The instances of these identifiers, in order; those forgotten meanwhile are left out. To be called with some
        hundred identifiers at a time."""
        ...
