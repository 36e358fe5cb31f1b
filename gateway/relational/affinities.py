"""Affinities in a relational database."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from gateway.ports.affinities import AffinityWish
from gateway.relational.rows import batch, microseconds
from gateway.relational.statements import Statements


class RelationalAffinities:
    """The `Affinities` port on one connection."""

    def __init__(self, statements: Statements) -> None:
        self._statements = statements

    def keep_affinities(self, wishes: Sequence[AffinityWish], now: datetime) -> list[str]:
        """The member that each study is with from now on. Rows are locked in the order of their keys, so that two nodes
        do not wait for each other."""
        if not wishes:
            return []
        now_us = microseconds(now)
        rows = [
            (each.group_name, each.study_digest, each.member, now_us + round(each.keep_s * 1_000_000))
            for each in sorted(wishes, key=lambda each: each.key)
        ]
        fit = sorted({(each.group_name, member) for each in wishes for member in each.fit})
        found = self._statements.rows("keep_affinities", wishes=batch(rows), fit=batch(fit))
        members = {(group_name, key): member for group_name, key, member in found}
        return [members[each.key] for each in wishes]

    def forget_affinities(self, now: datetime, limit: int) -> int:
        """Delete those that nobody wished for in time."""
        return self._statements.do("forget_affinities", now=microseconds(now), limit=limit)
