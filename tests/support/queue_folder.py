"""A folder with rules for two peers, and a queue with deliveries for the first one, as the commands find it."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path

from gateway.model.delivery import Dispatch
from gateway.model.settings import Spool
from gateway.spool.body import InMemoryDataSet
from gateway.spool.journal import GroupCommitJournal
from gateway.sqlite.store import SQLiteStore
from tests.support.samples import NOON, TO_PACS, instance

RULES = """\
gateway: {ae_title: GATEWAY, listeners: [{port: 11112}], admit: any}
peers:
  pacs: {ae_title: PACS, address: "127.0.0.1:104"}
  vna: {ae_title: VNA, address: "127.0.0.1:105"}
routes: [{name: all, to: [pacs]}]
unmatched: hold
"""


def fill_queue_folder(folder: Path, number: int) -> None:
    """Put `rules/site.yaml`, and `var/gateway.db` with so many pending deliveries, below `folder`."""
    (folder / "rules").mkdir()
    (folder / "rules/site.yaml").write_text(RULES)
    (folder / "var").mkdir()
    with contextlib.closing(SQLiteStore(folder / "var/gateway.db", now=lambda: NOON)) as queue, queue.transaction():
        queue.deliveries.accept([(instance(each), [TO_PACS]) for each in range(number)], NOON)


async def fill_with_objects(folder: Path, contents: Sequence[bytes], dispatch: Dispatch = TO_PACS) -> None:
    """The same with the bytes of each object in the spool below `var/`, and one delivery for each, from 1 on."""
    (folder / "rules").mkdir()
    (folder / "rules/site.yaml").write_text(RULES)
    (folder / "var").mkdir()
    spool = Spool(str(folder / "var/spool"), min_free_bytes=0)
    journal = GroupCommitJournal(spool, lambda: SQLiteStore(folder / "var/gateway.db"))
    await journal.start()
    for number, content in enumerate(contents, 1):
        await journal.commit(instance(number, body=content), InMemoryDataSet([content]), None, [dispatch])
    await journal.until_recorded()
    await journal.close()
