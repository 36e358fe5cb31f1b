"""`gateway operations undo` killed between any two of its steps: all of a page is put back, or nothing of it."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path

from gateway.operations.queue_administration import DISCARD, Operator, Progress, carry_out
from gateway.operations.store_on_file import StoreOnFile
from gateway.operations.undoing import CannotUndo, undo
from gateway.sqlite.store import SQLiteStore
from tests.support.killed_command import LIMIT_S, copy_of
from tests.support.processes import run
from tests.support.queue_folder import fill_queue_folder
from tests.support.store_rig import ANY

BY = Operator("anna")
LATER_US = 3_600_000_000
"""The end of the operation is set so far ahead: it can be undone for as long as the test takes."""


def rows(folder: Path) -> list[tuple[int, str]]:
    with contextlib.closing(SQLiteStore(folder / "var/gateway.db")) as queue:
        return [(each.delivery_id, each.state.value) for each in queue.administration.list(ANY, 9)]


async def undone_again(folder: Path) -> str:
    """What the same undo says then."""
    with contextlib.closing(SQLiteStore(folder / "var/gateway.db")) as queue:
        try:
            return f"{(await undo(StoreOnFile(queue), 1, BY, queue.administration.now())).done} put back"
        except CannotUndo as error:
            return str(error)


async def test_a_kill_between_any_two_steps_leaves_it_before_or_after(tmp_path: Path) -> None:
    folder = tmp_path / "site"
    folder.mkdir()
    fill_queue_folder(folder, 3)
    with contextlib.closing(SQLiteStore(folder / "var/gateway.db")) as queue:
        await carry_out(StoreOnFile(queue), DISCARD, ANY, Progress(), by=BY, meant=3)
        queue.connection.execute("UPDATE operation SET changed_at = changed_at + ?", (LATER_US,))
    assert rows(folder) == []
    script = [sys.executable, "-m", "tests.support.killed_command", str(folder), "gateway.cli.operations"]
    ended = await run([*script, "operations", "undo", "1"], timeout_s=LIMIT_S)
    assert ended.returncode == 0, ended.output
    tries = int(ended.output.split()[-1])
    after = [(1, "pending"), (2, "pending"), (3, "pending")]
    is_after = []
    for number in range(1, tries + 1):
        place = copy_of(folder, number)
        found = rows(place)
        assert found in ([], after), f"killed before step {number}"
        is_after.append(found == after)
        said = await undone_again(place)
        assert said.startswith("3 put back") == (not is_after[-1]), said
        assert rows(place) == after
    assert (is_after[0], is_after[-1]) == (False, True)
    assert is_after == sorted(is_after), "once it is after, it stays"
