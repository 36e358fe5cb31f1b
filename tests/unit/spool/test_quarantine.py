"""The quarantine folder: whole files, copies of parts, and their end."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from gateway.metrics import Metrics
from gateway.spool import quarantine

NOW = datetime(2026, 1, 31, 12, 0, tzinfo=UTC)
STAMP = "20260131T120000Z"


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[int]:
    (tmp_path / "segments").mkdir()
    (tmp_path / "segments" / "00000007.seg").write_bytes(bytes(range(256)) * 1024)
    handle = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    yield handle
    os.close(handle)


def test_a_file_is_moved_whole_logged_and_counted(spool: int, tmp_path: Path) -> None:
    meter = Metrics()
    with capture_logs() as logs:
        name = quarantine.set_aside(spool, "segments/00000007.seg", "nothing names it", now=lambda: NOW, meter=meter)
    assert name == f"quarantine/00000007.seg.{STAMP}"
    assert (tmp_path / name).read_bytes() == bytes(range(256)) * 1024
    assert not (tmp_path / "segments" / "00000007.seg").exists()
    assert (tmp_path / "quarantine").stat().st_mode & 0o777 == 0o700
    assert [(row["event"], row["log_level"], row["file"], row["kept_as"], row["reason"]) for row in logs] == [
        ("file_quarantined", "error", "segments/00000007.seg", name, "nothing names it")
    ]
    assert b'gateway_spool_quarantined_total{kind="file"} 1.0' in meter.text()


def test_nothing_in_the_folder_is_ever_replaced(spool: int, tmp_path: Path) -> None:
    names = []
    for text in ("first", "second", "third"):
        (tmp_path / "segments" / "00000007.seg").write_text(text)
        names.append(quarantine.set_aside(spool, "segments/00000007.seg", "again", now=lambda: NOW))
    assert names == [f"quarantine/00000007.seg.{STAMP}{end}" for end in ("", ".1", ".2")]
    assert [(tmp_path / name).read_text() for name in names] == ["first", "second", "third"]


def test_a_part_is_copied_and_the_file_stays(spool: int, tmp_path: Path) -> None:
    meter = Metrics()
    whole = (tmp_path / "segments" / "00000007.seg").read_bytes()
    with capture_logs() as logs:
        name = quarantine.keep_copy(
            spool, "segments/00000007.seg", 100, 200_000, "damaged", now=lambda: NOW, meter=meter
        )
    assert name == f"quarantine/00000007.seg.100-200000.{STAMP}"
    assert (tmp_path / name).read_bytes() == whole[100:200_000]
    assert (tmp_path / "segments" / "00000007.seg").read_bytes() == whole
    assert [(row["log_level"], row["start_bytes"], row["end_bytes"]) for row in logs] == [("error", 100, 200_000)]
    assert b'gateway_spool_quarantined_total{kind="part"} 1.0' in meter.text()


def test_blocks_that_cannot_be_read_are_zeros_and_named(
    spool: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = (tmp_path / "segments" / "00000007.seg").read_bytes()
    real = os.pread

    def pread(descriptor: int, wanted_bytes: int, offset_bytes: int) -> bytes:
        if offset_bytes == 65536:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return real(descriptor, wanted_bytes, offset_bytes)

    monkeypatch.setattr(os, "pread", pread)
    with capture_logs() as logs:
        name = quarantine.keep_copy(spool, "segments/00000007.seg", 0, len(whole), "damaged")
    assert (tmp_path / name).read_bytes() == whole[:65536] + bytes(65536) + whole[131072:]
    assert logs[0]["unreadable_bytes"] == 65536


def test_the_folder_behind_the_handle_is_the_one_that_counts(spool: int, tmp_path: Path) -> None:
    """Another folder was put in the spool's place; it has a file of the same name."""
    moved = tmp_path.with_name(f"{tmp_path.name}-moved")
    tmp_path.rename(moved)
    (tmp_path / "segments").mkdir(parents=True)
    (tmp_path / "segments" / "00000007.seg").write_text("another's")
    name = quarantine.set_aside(spool, "segments/00000007.seg", "nothing names it")
    assert (moved / name).exists()
    assert (tmp_path / "segments" / "00000007.seg").read_text() == "another's"


def test_a_link_in_the_folder_s_place_is_not_followed(spool: int, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (tmp_path / "quarantine").symlink_to(elsewhere)
    with pytest.raises(OSError):  # noqa: PT011 - ELOOP or ENOTDIR, as the system likes
        quarantine.set_aside(spool, "segments/00000007.seg", "nothing names it")
    assert (tmp_path / "segments" / "00000007.seg").exists()


def test_only_what_is_old_goes_and_only_what_a_gateway_put_there(spool: int, tmp_path: Path) -> None:
    folder = tmp_path / "quarantine"
    assert quarantine.delete_expired(spool, 60.0, now=lambda: NOW) == 0
    folder.mkdir()
    for name in (
        f"a.seg.{STAMP}",
        f"a.seg.{STAMP}.1",
        "b.seg.20260131T120100Z",
        "notes.txt",
        "c.seg.20269931T120000Z",
    ):
        (folder / name).touch()
    assert quarantine.delete_expired(spool, 60.0, now=lambda: NOW + timedelta(seconds=60)) == 0
    assert quarantine.delete_expired(spool, 60.0, now=lambda: NOW + timedelta(seconds=61)) == 2
    assert sorted(os.listdir(folder)) == ["b.seg.20260131T120100Z", "c.seg.20269931T120000Z", "notes.txt"]
