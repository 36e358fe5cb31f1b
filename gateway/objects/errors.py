"""The error of a store that will not do something until an operator acts."""

from __future__ import annotations

from gateway.ports.errors import SpoolFull


class ObjectStoreRefuses(SpoolFull):
    """The store refuses until a configuration is changed: ours, or its own. At the start an error of the
    configuration; later it may be over when the next object comes."""
