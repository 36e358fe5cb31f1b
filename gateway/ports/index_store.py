"""The local index where it is stored: read in one thread, by keys."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from gateway.model.instance import Instance
from gateway.model.query import Attributes, Query


class IndexStore(Protocol):
    """Part of a `Store`. Instances join the index when the delivery queue accepts them with an `index`, and leave it
    when they are forgotten. `gateway.ports.index.Index` is the same as coroutines."""

    def find(self, query: Query, limit: int = 0) -> Sequence[int]:
        """Keys of everything that fits `query`, in a stable order, at most `limit` (0: all). The newest of
        several instances with one SOP Instance UID counts; an instance without an `index` was never in it.
        """
        ...

    def matches(self, query: Query, keys: Sequence[int]) -> list[Attributes]:
        """The matches of `query` among these: for each, every key of the query's level and above, in order.
        Forgotten ones are left out.
        """
        ...

    def find_instances(self, query: Query) -> Sequence[int]:
        """Identifiers of the instances below what fits `query`, study by study, series by series, as they arrived."""
        ...

    def instances(self, instance_ids: Sequence[int]) -> list[Instance]:
        """The instances of these identifiers, in order; those forgotten meanwhile are left out."""
        ...
