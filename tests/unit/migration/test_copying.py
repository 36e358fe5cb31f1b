"""What a migration does with bytes that are not what they were."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.migration.copying import differences
from gateway.migration.migrate import migrate
from gateway.model.instance import PayloadRef
from gateway.model.settings import Settings
from gateway.ports.errors import PayloadMissing
from gateway.spool.replay import identify_nothing
from tests.support.migrating import LARGE_BYTES, content, filled, on_cluster, on_sqlite, opened_side

pytestmark = pytest.mark.postgresql


def instances(settings: Settings) -> list[tuple[str, PayloadRef]]:
    """SOP Instance UID and payload of each instance, as the store has them."""
    with opened_side(settings) as side:
        rows = side.store.rows.read("instance", None, 100_000)
    return [(row[2], PayloadRef(row[7], row[8], row[9], bytes(row[10]))) for row in rows]


@pytest.mark.parametrize("is_large", [False, True], ids=["small", "large"])
def test_changed_bytes_are_reported_and_copied_as_they_are(tmp_path: Path, is_large: bool) -> None:
    first, second, third = on_sqlite(tmp_path / "1"), on_cluster(tmp_path / "2"), on_sqlite(tmp_path / "3")
    filled(first)
    uid, payload = next(
        each for each in instances(first) if (each[1].length_bytes > LARGE_BYTES) == is_large and each[1].length_bytes
    )
    with (tmp_path / "1" / "spool" / payload.name).open("r+b") as file:
        file.seek(payload.offset_bytes)
        before = file.read(1)[0]
        file.seek(payload.offset_bytes)
        file.write(bytes([before ^ 1]))
    damaged = content(first)
    for source, destination in ((first, second), (second, third)):
        done = migrate(source, destination, identify=identify_nothing)
        assert (done.copied.damaged, done.copied.missing, done.copied.not_whole) == ([uid], [], 1)
        assert content(destination) == damaged


def test_bytes_that_are_not_there_are_reported_and_lead_nowhere(tmp_path: Path) -> None:
    first, second, third = on_sqlite(tmp_path / "1"), on_cluster(tmp_path / "2"), on_sqlite(tmp_path / "3")
    filled(first)
    uid, payload = next(each for each in instances(first) if each[1].length_bytes > LARGE_BYTES)
    (tmp_path / "1" / "spool" / payload.name).unlink()
    for source, destination in ((first, second), (second, third)):
        done = migrate(source, destination, identify=identify_nothing)
        assert (done.copied.damaged, done.copied.missing, done.copied.not_whole) == ([], [uid], 1)
        assert done.before == done.after
        (there,) = [each for name, each in instances(destination) if name == uid and each.digest == payload.digest]
        with opened_side(destination) as side, pytest.raises(PayloadMissing):
            list(side.chunks(there))


def test_small_payloads_go_into_few_objects_and_large_ones_into_their_own(tmp_path: Path) -> None:
    first, second = filled(on_sqlite(tmp_path / "1")), on_cluster(tmp_path / "2")
    large = [payload for _, payload in instances(first) if payload.length_bytes > LARGE_BYTES]
    migrate(first, second, identify=identify_nothing)
    assert len(list((tmp_path / "2" / "objects" / "segments").iterdir())) == 1
    assert len(list((tmp_path / "2" / "objects" / "large").iterdir())) == len(large) > 0


def test_differences_name_both_numbers() -> None:
    assert differences({"instances": 2, "bytes": 5}, {"instances": 1, "bytes": 5, "studies": 1}) == [
        "instances: 2 and 1",
        "studies: 0 and 1",
    ]
