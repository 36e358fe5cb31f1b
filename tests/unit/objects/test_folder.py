"""A shared folder: what is durable when, rights, a mount that is missing, and files of others."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gateway.objects.errors import ObjectStoreRefuses
from gateway.objects.folder import LEFT_AFTER_S, MOST_TRIES, FolderObjectStore
from gateway.ports.errors import ConfigurationError, PayloadMissing, SpoolFull, Temporary

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can act as another user")


@pytest.fixture
def store(tmp_path: Path) -> FolderObjectStore:
    return FolderObjectStore(str(tmp_path))


def put(store: FolderObjectStore, name: str, data: bytes = b"123") -> None:
    store.put(name, [data], len(data))


def open_way(folder: Path) -> None:
    """Others may come as far as the folder, and write nothing."""
    for each in (folder, *list(folder.parents)[:3]):
        if each != Path("/tmp"):
            each.chmod(0o755)


def files(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_the_file_is_durable_before_it_has_its_name_and_the_folders_after(tmp_path: Path) -> None:
    synced: list[tuple[str, list[str]]] = []

    def sync(descriptor: int) -> None:
        path = os.readlink(f"/proc/self/fd/{descriptor}")
        synced.append((os.path.relpath(path, tmp_path), files(tmp_path)))

    put(FolderObjectStore(str(tmp_path), sync), "journal/7/a")
    (file, before), *folders = synced
    assert file.startswith(".partial/")
    assert before == [file]
    assert [(name, "journal/7/a" in found) for name, found in folders] == [
        ("journal/7", True),
        ("journal", True),
        (".", True),
    ]
    assert files(tmp_path) == ["journal/7/a"]


@pytest.mark.parametrize("failing", [1, 2])
def test_what_is_not_durable_is_no_success(tmp_path: Path, failing: int) -> None:
    left = [failing]

    def sync(descriptor: int) -> None:
        left[0] -= 1
        if not left[0]:
            raise OSError(errno.EIO, "Input/output error")

    store = FolderObjectStore(str(tmp_path), sync)
    with pytest.raises(SpoolFull, match="cannot write"):
        put(store, "a/b")
    assert os.listdir(tmp_path / ".partial") == []
    put(store, "a/b")  # the next try, whether the file has its name already or not
    assert store.read("a/b", 0, 3) == b"123"


ERRORS: dict[int, tuple[type[Exception], str]] = {
    errno.ENOSPC: (SpoolFull, "No space left on device; give it more room"),
    errno.EDQUOT: (SpoolFull, "give it more room"),
    errno.ESTALE: (SpoolFull, "is the file system mounted, and its server there"),
    errno.EROFS: (ObjectStoreRefuses, "make the gateway's user the owner"),
    errno.EINVAL: (ObjectStoreRefuses, "its file system needs hard links and durable folders"),
}


@pytest.mark.parametrize("number", ERRORS, ids=errno.errorcode.get)
def test_errors_of_the_file_system(tmp_path: Path, number: int) -> None:
    def sync(descriptor: int) -> None:
        raise OSError(number, os.strerror(number))

    kind, words = ERRORS[number]
    with pytest.raises(SpoolFull, match=words) as raised:
        put(FolderObjectStore(str(tmp_path), sync), "a")
    assert type(raised.value) is kind
    assert str(raised.value).startswith(f"folder {tmp_path}: cannot write ")


def test_a_file_system_without_links_is_refused_at_the_start(
    store: FolderObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def link(*_: object) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", link)
    with pytest.raises(ConfigurationError, match="its file system needs hard links"):
        store.check("cluster-7", "1")


def test_a_folder_that_goes_away_each_time_is_given_up(
    store: FolderObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries = []

    def link(*_: object) -> None:
        tries.append(1)
        raise FileNotFoundError(errno.ENOENT, "No such file or directory")

    monkeypatch.setattr(os, "link", link)
    with pytest.raises(SpoolFull, match="its folder goes away each time it is made"):
        put(store, "a/b")
    assert len(tries) == MOST_TRIES


def test_modes_are_those_of_the_spool(store: FolderObjectStore, tmp_path: Path) -> None:
    before = os.umask(0o007)
    try:
        put(store, "a/b")
    finally:
        os.umask(before)
    modes = {name: stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("a", "a/b", ".partial")}
    assert modes == {"a": 0o770, "a/b": 0o660, ".partial": 0o770}


@as_root
def test_no_right_to_write_ends_a_start(store: FolderObjectStore, tmp_path: Path) -> None:
    open_way(tmp_path)
    os.seteuid(65534)
    try:
        with pytest.raises(ConfigurationError, match=r"cannot write .partial: Permission denied; make the"):
            store.check("cluster-7", "1")
    finally:
        os.seteuid(0)


@as_root
def test_no_right_to_read_is_no_word_about_the_object(store: FolderObjectStore, tmp_path: Path) -> None:
    put(store, "a/b")
    (tmp_path / "a").chmod(0o700)
    open_way(tmp_path)
    os.seteuid(65534)
    try:
        for call in (lambda: store.read("a/b", 0, 1), lambda: list(store.list("a/")), lambda: store.delete(["a/b"])):
            with pytest.raises(ObjectStoreRefuses, match="Permission denied"):
                call()
    finally:
        os.seteuid(0)


def test_a_folder_that_is_not_there_is_never_made(tmp_path: Path) -> None:
    store = FolderObjectStore(str(tmp_path / "mount"))
    with pytest.raises(SpoolFull, match="is the file system mounted"):
        store.check("cluster-7", "1")
    for call in CALLS:
        with pytest.raises(Temporary, match="is the file system mounted") as raised:
            call(store)
        assert not isinstance(raised.value, PayloadMissing)
    assert list(tmp_path.iterdir()) == []


CALLS: list[Callable[[FolderObjectStore], object]] = [
    lambda store: put(store, "a"),
    lambda store: store.read("b", 0, 1),
    lambda store: store.read("b", 0, 0),
    lambda store: list(store.stream("b", 0, 1, 1)),
    lambda store: list(store.list("")),
]
DELETION: Callable[[FolderObjectStore], object] = lambda store: store.delete(["b"])  # noqa: E731


@pytest.mark.parametrize("number", range(len(CALLS) + 1))
def test_a_mount_that_is_missing_takes_and_loses_nothing(store: FolderObjectStore, tmp_path: Path, number: int) -> None:
    call = [*CALLS, DELETION][number]
    store.check("cluster-7", "1")
    (tmp_path / "gateway.json").rename(tmp_path / "elsewhere")
    with pytest.raises(Temporary, match=r"gateway\.json is not there, which was there at the start") as raised:
        call(store)
    assert not isinstance(raised.value, PayloadMissing)
    (tmp_path / "elsewhere").rename(tmp_path / "gateway.json")
    put(store, "b")
    call(store)


def test_what_others_left_is_neither_listed_nor_followed(store: FolderObjectStore, tmp_path: Path) -> None:
    put(store, "a/b")
    (tmp_path / "a" / "with blank").write_text("1")
    (tmp_path / "a" / ".hidden").write_text("1")
    (tmp_path / "a" / "link").symlink_to("/etc/hostname")
    (tmp_path / "a" / "folder").symlink_to("/etc")
    os.mkfifo(tmp_path / "a" / "pipe")
    assert [each.name for each in store.list("")] == ["a/b"]
    for name in ("a/link", "a/pipe", "a"):
        with pytest.raises(PayloadMissing):
            store.read(name, 0, 1)


def test_a_file_that_was_cut_is_missing_from_where_it_ends(store: FolderObjectStore, tmp_path: Path) -> None:
    put(store, "a", bytes(100))
    stream = store.stream("a", 0, 100, 10)
    assert next(stream) == bytes(10)
    os.truncate(tmp_path / "a", 25)
    assert next(stream) == bytes(10)
    with pytest.raises(PayloadMissing, match="5 bytes are missing"):
        next(stream)


def test_files_that_were_never_linked_are_deleted_after_a_day(store: FolderObjectStore, tmp_path: Path) -> None:
    store.check("cluster-7", "1")
    partial = tmp_path / ".partial"
    for name, age_s in (("old", LEFT_AFTER_S + 60), ("young", LEFT_AFTER_S - 3600)):
        (partial / name).write_text("1")
        now_s = (partial / name).stat().st_mtime
        os.utime(partial / name, (now_s - age_s, now_s - age_s))
    store.check("cluster-7", "1")
    assert os.listdir(partial) == ["young"]


def test_empty_folders_go_with_their_last_object(store: FolderObjectStore, tmp_path: Path) -> None:
    for name in ("journal/1/a", "journal/1/b", "journal/2/a"):
        put(store, name)
    store.delete(["journal/1/a", "journal/2/a"])
    assert sorted(path.name for path in (tmp_path / "journal").iterdir()) == ["1"]
    store.delete(["journal/1/b"])
    assert [path.name for path in tmp_path.iterdir()] == [".partial"]


def test_errors_of_the_chunks_are_the_callers_own(store: FolderObjectStore, tmp_path: Path) -> None:
    def chunks() -> Iterator[bytes]:
        yield b"1"
        raise OSError(errno.EIO, "the caller's disk")

    with pytest.raises(OSError, match="the caller's disk"):
        store.put("a", chunks(), 2)
    assert files(tmp_path) == []


@pytest.mark.parametrize("number", range(len(CALLS) + 1))
def test_a_marker_that_cannot_be_looked_at_is_no_mount_either(
    store: FolderObjectStore, tmp_path: Path, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.check("cluster-7", "1")
    look = os.stat

    def stat_of(path: object, **options: bool) -> os.stat_result:
        if str(path).endswith("gateway.json"):
            raise OSError(errno.ESTALE, "Stale file handle")
        return look(path, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "stat", stat_of)
    with pytest.raises(Temporary, match="is the file system mounted") as raised:
        [*CALLS, DELETION][number](store)
    assert not isinstance(raised.value, PayloadMissing)


def test_an_error_of_the_last_write_comes_with_close(
    store: FolderObjectStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    end = os.close

    def close(descriptor: int) -> None:
        is_ours = ".partial" in os.readlink(f"/proc/self/fd/{descriptor}")
        end(descriptor)
        if is_ours:
            raise OSError(errno.EDQUOT, "Disk quota exceeded")

    monkeypatch.setattr(os, "close", close)
    with pytest.raises(SpoolFull, match="Disk quota exceeded; give it more room"):
        put(store, "a")
    assert files(tmp_path) == []
