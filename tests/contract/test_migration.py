"""What a gateway holds is the same after a migration to a cluster and back, whatever its history was."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from gateway.migration.migrate import migrate
from gateway.model.settings import Settings
from gateway.repair.check import check
from gateway.spool.replay import identify_nothing
from tests.support.migrating import content, filled, on_cluster, on_postgresql, on_sqlite
from tests.support.seaweedfs import shared_seaweedfs

pytestmark = pytest.mark.postgresql

HISTORIES = int(os.environ.get("GATEWAY_MIGRATIONS", "1"))
"""Random histories of each row; a campaign takes some hundred."""


def on_s3(folder: Path) -> Settings:
    return on_cluster(folder, shared_seaweedfs().place(prefix=f"migration-{folder.parent.name}"))


def moved(source: Settings, destination: Settings) -> None:
    done = migrate(source, destination, identify=identify_nothing)
    assert done.before == done.after
    assert done.copied.not_whole == 0


@pytest.mark.parametrize(
    ("alone", "cluster"),
    [
        pytest.param(on_sqlite, on_cluster, id="sqlite-folder"),
        pytest.param(on_postgresql, on_cluster, id="postgresql-folder"),
        pytest.param(on_sqlite, on_s3, id="sqlite-s3", marks=pytest.mark.s3),
    ],
)
@pytest.mark.parametrize("seed", range(HISTORIES))
def test_everything_is_the_same_there_and_back(
    tmp_path: Path, alone: Callable[[Path], Settings], cluster: Callable[[Path], Settings], seed: int
) -> None:
    first = filled(alone(tmp_path / "first"), seed)
    before = content(first)
    assert before["delivery"]
    assert before["attempt"]
    second, third = cluster(tmp_path / "second"), alone(tmp_path / "third")
    moved(first, second)
    assert content(second) == before
    assert content(first) == before
    moved(second, third)
    assert content(third) == before
    if not third.postgresql:
        assert check(third).errors == []
