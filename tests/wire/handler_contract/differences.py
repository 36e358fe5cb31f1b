"""Each row in which the gateway answers other than stock pynetdicom, and why."""

from __future__ import annotations

from typing import NamedTuple


class Difference(NamedTuple):
    """What stock pynetdicom shows, and what asks for something else."""

    stock: str
    section: str
    why: str


DIFFERENCES: dict[str, Difference] = {}
