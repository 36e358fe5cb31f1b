"""What every committer does: it gathers what waits, reports in order, and says why it ended."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from unittest.mock import Mock

import pytest
from structlog.testing import capture_logs

from gateway.ports.store import Store
from gateway.spool.commit_requests import Acceptance, CommitRequest, Recorded
from gateway.spool.committing_thread import GROUP_BYTES, GROUP_REQUESTS, CommitterReports, CommittingThread


class Groups(CommittingThread):
    """Remembers its groups."""

    def __init__(self, store: Store | Exception, *, fails_at: int = 0) -> None:
        self.log: list[object] = []
        self.fails_at = fails_at
        reports = CommitterReports(
            started=lambda error: self.log.append(("started", error)),
            answer=lambda group: None,
            record=lambda requests: None,
            ended=lambda: self.log.append("ended"),
        )
        super().__init__(lambda: _opened(store), reports)

    def _commit(self, acceptances: Sequence[Acceptance], others: Sequence[CommitRequest], store: Store) -> None:
        self.log.append((len(acceptances), len(others)))
        if self.fails_at and len(self.log) > self.fails_at:
            raise OSError("the store is gone")

    def _wait_s(self) -> float | None:
        return None

    def _commit_last(self, store: Store) -> None:
        self.log.append("last")

    def _finish(self) -> None:
        self.log.append("finished")


def _opened(store: Store | Exception) -> Store:
    if isinstance(store, Exception):
        raise store
    return store


async def requests(acceptances: int, others: int, size_bytes: int = 1) -> list[CommitRequest]:
    loop = asyncio.get_running_loop()
    return [
        *(Acceptance(loop.create_future(), size_bytes=size_bytes) for _ in range(acceptances)),
        *(Recorded(loop.create_future()) for _ in range(others)),
    ]


@pytest.mark.parametrize(
    ("acceptances", "others", "size_bytes", "groups"),
    [
        pytest.param(0, 0, 1, [(0, 0)], id="only the end"),
        pytest.param(3, 2, 1, [(3, 2)], id="all that waits"),
        pytest.param(GROUP_REQUESTS, 1, 1, [(GROUP_REQUESTS, 0), (0, 1)], id="as many as a group holds"),
        pytest.param(3, 0, GROUP_BYTES, [(1, 0), (1, 0), (1, 0)], id="as large as a group may be"),
    ],
)
async def test_a_group_is_all_that_waits_within_its_limits(
    acceptances: int, others: int, size_bytes: int, groups: list[tuple[int, int]]
) -> None:
    committer = Groups(Mock())
    for request in await requests(acceptances, others, size_bytes):
        committer.submit(request)
    committer.end()
    committer.start()
    await asyncio.to_thread(committer.join)
    ends = [(0, 0)] if groups and groups[-1] != (0, 0) and size_bytes == GROUP_BYTES else []
    assert committer.log == [("started", None), *groups, *ends, "last", "finished", "ended"]
    assert committer.failure is None


class LargeGroups(Groups):
    _group_bytes = 2 * GROUP_BYTES


async def test_a_kind_may_have_larger_groups() -> None:
    committer = LargeGroups(Mock())
    for request in await requests(3, 0, GROUP_BYTES):
        committer.submit(request)
    committer.end()
    committer.start()
    await asyncio.to_thread(committer.join)
    assert committer.log[1:3] == [(2, 0), (1, 0)]


async def test_a_store_that_does_not_open_is_reported_and_nothing_else_happens() -> None:
    error = OSError("no such store")
    committer = Groups(error)
    committer.start()
    await asyncio.to_thread(committer.join)
    assert committer.log == [("started", error)]


async def test_an_error_ends_the_thread_and_is_kept() -> None:
    store = Mock()
    store.close.side_effect = OSError("nor does it close")
    committer = Groups(store, fails_at=1)
    for request in await requests(1, 0):
        committer.submit(request)
    with capture_logs() as logs:
        committer.start()
        await asyncio.to_thread(committer.join)
    assert committer.log == [("started", None), (1, 0), "finished", "ended"]
    assert isinstance(committer.failure, OSError)
    assert [each["event"] for each in logs] == ["committer_died", "queue_not_closed"]
