"""Affinities, in the store: the member of a balance group that a study is with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Protocol

KEY_CHARACTERS = 32


@dataclass(frozen=True, slots=True)
class AffinityWish:
    """A study of which an object came, or waits elsewhere."""

    group_name: str
    study_digest: str
    """See `study_digest`."""
    member: str
    """The member that gets it when it has none, or one that is not fit."""
    fit: tuple[str, ...]
    """The members that keep it; the same in all wishes of one group."""
    keep_s: float
    """It is forgotten after so long without another wish."""

    @property
    def key(self) -> tuple[str, str]:
        """Group and study."""
        return self.group_name, self.study_digest


class Affinities(Protocol):
    """Part of a `Store`: the calls happen inside its transactions."""

    def keep_affinities(self, wishes: Sequence[AffinityWish], now: datetime) -> list[str]:
        """The member that each study is with from now on, in the order of the wishes, each of another study. Of two
        nodes that wish at once the first one decides. `now` is the queue's time."""
        ...

    def forget_affinities(self, now: datetime, limit: int) -> int:
        """Delete up to `limit` that nobody wished for in time."""
        ...


def study_digest(study_instance_uid: str) -> str:
    """The key of a study, as short for each: what a sender makes up may have any length."""
    return sha256(study_instance_uid.encode("utf-8", "surrogatepass")).hexdigest()[:KEY_CHARACTERS]
