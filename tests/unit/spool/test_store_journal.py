"""The part of a journal that a store does; the rest of it is held to the contract of journals."""

from __future__ import annotations

import asyncio
from pathlib import Path
from unittest.mock import Mock

import pytest

from gateway.model.settings import Spool
from gateway.spool.journal import GroupCommitJournal
from gateway.spool.journal_state import JournalClosed


@pytest.mark.parametrize(
    ("error", "told"),
    [
        pytest.param(OSError("the disk is gone"), "broken: OSError: the disk is gone", id="an error"),
        pytest.param(None, "broken: RuntimeError: housekeeping ended", id="an end"),
    ],
)
async def test_housekeeping_that_ends_breaks_the_journal(tmp_path: Path, error: Exception | None, told: str) -> None:
    journal = GroupCommitJournal(Spool(str(tmp_path / "spool")), Mock())
    journal._state.starting()
    journal._state.started()

    async def ending() -> None:
        if error is not None:
            raise error

    keeper = asyncio.create_task(ending())
    await asyncio.wait([keeper])
    journal._keeper_ended(keeper)
    assert journal.health() == told
    with pytest.raises(JournalClosed, match="broken"):
        await journal.failed()


async def test_listeners_hear_of_each_destination(tmp_path: Path) -> None:
    journal = GroupCommitJournal(Spool(str(tmp_path / "spool")), Mock())
    due: list[str] = []
    changed: list[str] = []
    journal.subscribe(due.append)
    journal.subscribe_to_operators(changed.append)
    journal._due({"pacs", "vna"})
    journal._changed({"pacs"})
    assert sorted(due) == ["pacs", "vna"]
    assert changed == ["pacs"]
