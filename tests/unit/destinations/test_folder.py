"""Files in a folder: complete, named by template, never outside."""

import asyncio
import errno
import os
import shutil
import tempfile
import threading
import tracemalloc
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pydicom import dcmread

from gateway.destinations.drafts import rename_to_free
from gateway.destinations.folder import Folder, FolderDestination
from gateway.destinations.opening import open_destination
from gateway.dimse.requestor.association_pool import AssociationPool
from gateway.model.delivery import Deferred, Delivered, Outcome, Refused
from gateway.model.peer import Peer
from gateway.ports.destination import Outbound
from gateway.ports.errors import ConfigurationError
from gateway.ports.meter import NoMeter
from tests.unit.destinations.fakes import CT, JPEG, Endless, outbound

BY_UID = "{{ PatientID }}/{{ SOPInstanceUID }}.dcm"


def destination(root: Path, template: str = BY_UID, on_conflict: Any = "number") -> FolderDestination:
    return FolderDestination("files", Folder(f"{root}/{template}", str(root), on_conflict))


async def put(there: FolderDestination, one: Outbound) -> Outcome:
    channel = there.channel()
    await channel.prepare([(one.sop_class_uid, one.transfer_syntax_uid)])
    return await channel.send(one)


def names(root: Path) -> list[str]:
    """Everything in the folder, hidden files too."""
    return sorted(str(path.relative_to(root)) for path in root.rglob("*") if not path.is_dir())


def data_set(path: Path) -> bytes:
    """The bytes after the file meta information."""
    raw = path.read_bytes()
    return raw[144 + int.from_bytes(raw[140:144], "little") :]


async def test_the_data_set_is_written_as_it_is_after_a_head_from_the_instance(tmp_path: Path) -> None:
    one = outbound("1.2.3", b"\x08\x00\x18\x00UI\x06\x001.2.3\x00", kind=(CT, JPEG), PatientID="P1")
    assert await put(destination(tmp_path), one) == Delivered()
    path = tmp_path / "P1" / "1.2.3.dcm"
    assert data_set(path) == b"\x08\x00\x18\x00UI\x06\x001.2.3\x00"
    meta = dcmread(path).file_meta
    assert (meta.MediaStorageSOPInstanceUID, meta.MediaStorageSOPClassUID) == ("1.2.3", CT)
    assert meta.TransferSyntaxUID == JPEG
    assert meta.SourceApplicationEntityTitle == "CT1"
    assert names(tmp_path) == ["P1/1.2.3.dcm"]


async def test_group_0002_of_the_data_set_is_not_written_twice(tmp_path: Path) -> None:
    rest = b"\x08\x00\x18\x00UI\x06\x001.2.3\x00"
    one = outbound("1.2.3", b"\2\0\x10\0UI\x14\x001.2.840.10008.1.2.1\0" + rest, kind=(CT, JPEG), PatientID="P1")
    there = destination(tmp_path)
    assert await put(there, one) == Delivered()
    path = tmp_path / "P1" / "1.2.3.dcm"
    assert data_set(path) == rest
    assert dcmread(path).file_meta.TransferSyntaxUID == JPEG
    assert await put(there, one) == Delivered()
    assert names(tmp_path) == ["P1/1.2.3.dcm"]  # it is the same file again


async def test_the_file_of_an_object_without_identity_does_not_tell_where_it_came_from(tmp_path: Path) -> None:
    data = b"\x08\x00\x18\x00UI\x06\x001.2.3\x00"
    one = outbound("1.2.3", data, PatientID="P1", PatientIdentityRemoved="YES")
    assert await put(destination(tmp_path), one) == Delivered()
    content = (tmp_path / "P1" / "1.2.3.dcm").read_bytes()
    assert b"CT1" not in content
    assert "SourceApplicationEntityTitle" not in dcmread(tmp_path / "P1" / "1.2.3.dcm").file_meta


async def test_the_root_is_made_when_it_is_not_there(tmp_path: Path) -> None:
    assert await put(destination(tmp_path / "a" / "b", "{{ SOPInstanceUID }}"), outbound()) == Delivered()
    assert names(tmp_path) == ["a/b/1.2.3"]


async def test_a_root_on_another_file_system_than_at_first_is_down(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = destination(tmp_path, "{{ SOPInstanceUID }}")
    assert await put(there, outbound("1.2.3")) == Delivered()
    real = os.fstat

    def elsewhere(descriptor: int) -> os.stat_result:
        found = real(descriptor)
        return os.stat_result((*found[:2], found.st_dev + 1, *found[3:]))

    with monkeypatch.context() as unmounted:
        unmounted.setattr(os, "fstat", elsewhere)
        outcome = await put(there, outbound("1.2.4"))
    assert isinstance(outcome, Deferred)
    assert outcome.is_destination_down
    assert "another file system" in outcome.reason
    assert names(tmp_path) == ["1.2.3"]
    assert await put(there, outbound("1.2.4")) == Delivered()


async def test_the_temporary_file_of_another_container_with_our_number_is_left_alone(tmp_path: Path) -> None:
    others = [tmp_path / f".{os.getpid()}-{number}.part" for number in range(2000)]
    for path in others:
        path.touch()
    assert await put(destination(tmp_path, "{{ SOPInstanceUID }}"), outbound("1.2.3")) == Delivered()
    assert all(path.exists() for path in others)


@pytest.mark.parametrize("on_conflict", ["keep", "replace", "number"])
async def test_the_same_data_set_again_is_delivered_and_stays_one_file(tmp_path: Path, on_conflict: str) -> None:
    there = destination(tmp_path, on_conflict=on_conflict)
    for _ in range(3):
        assert await put(there, outbound(PatientID="P1")) == Delivered()
    assert names(tmp_path) == ["P1/1.2.3.dcm"]


@pytest.mark.parametrize("on_conflict", ["keep", "number"])
async def test_a_file_that_is_there_is_on_disk_before_it_counts_as_delivered(tmp_path: Path, on_conflict: Any) -> None:
    synced: list[str] = []

    def sync(descriptor: int) -> None:
        synced.append(os.readlink(f"/proc/self/fd/{descriptor}"))
        os.fsync(descriptor)

    folder = Folder(f"{tmp_path}/{BY_UID}", str(tmp_path), on_conflict)
    there = FolderDestination("files", folder, sync)
    await put(there, outbound(PatientID="P1"))  # and the process is killed before it knows
    synced.clear()
    assert await put(there, outbound(PatientID="P1")) == Delivered()
    assert synced == [str(tmp_path / "P1" / "1.2.3.dcm"), str(tmp_path / "P1")]


async def test_other_bytes_get_a_number_and_are_found_again(tmp_path: Path) -> None:
    there = destination(tmp_path)
    for data in (b"first!", b"second", b"third!", b"second"):
        assert await put(there, outbound(data=data, PatientID="P1")) == Delivered()
    files = {name: data_set(tmp_path / name) for name in names(tmp_path)}
    assert files == {"P1/1.2.3.dcm": b"first!", "P1/1.2.3.1.dcm": b"second", "P1/1.2.3.2.dcm": b"third!"}


async def test_other_bytes_replace(tmp_path: Path) -> None:
    there = destination(tmp_path, on_conflict="replace")
    for data in (b"first", b"second"):
        assert await put(there, outbound(data=data, PatientID="P1")) == Delivered()
    assert data_set(tmp_path / "P1" / "1.2.3.dcm") == b"second"
    assert names(tmp_path) == ["P1/1.2.3.dcm"]


async def test_other_bytes_are_refused_where_the_first_are_kept(tmp_path: Path) -> None:
    there = destination(tmp_path, on_conflict="keep")
    assert await put(there, outbound(data=b"first", PatientID="P1")) == Delivered()
    refused = await put(there, outbound(data=b"second", PatientID="P1"))
    assert isinstance(refused, Refused)
    assert str(tmp_path) in refused.reason
    assert "P1" not in refused.reason, "the path is made of the patient's attributes"
    assert data_set(tmp_path / "P1" / "1.2.3.dcm") == b"first"
    assert names(tmp_path) == ["P1/1.2.3.dcm"]


async def test_many_at_once_under_one_name_all_arrive_once(tmp_path: Path) -> None:
    there = destination(tmp_path)
    objects = [outbound(data=f"data {number % 5}".encode(), PatientID="P1") for number in range(20)]
    assert await asyncio.gather(*(put(there, one) for one in objects)) == [Delivered()] * 20
    found = [data_set(tmp_path / name) for name in names(tmp_path)]
    assert sorted(set(found)) == [f"data {number}".encode() for number in range(5)]


@pytest.mark.parametrize("patient_id", ["../../up", "..", "/etc", ".", "a/b", "a\\b", "a\0b", ".hidden", ""])
async def test_no_value_leads_out_of_the_root(tmp_path: Path, patient_id: str) -> None:
    root = tmp_path / "root"
    assert await put(destination(root), outbound(PatientID=patient_id)) == Delivered()
    (name,) = names(tmp_path)
    assert name.startswith("root/")
    assert name.endswith("/1.2.3.dcm")


async def test_no_symbolic_link_leads_out_of_the_root(tmp_path: Path) -> None:
    root, outside = tmp_path / "root", tmp_path / "outside"
    root.mkdir()
    outside.mkdir()
    (root / "P1").symlink_to(outside)
    outcome = await put(destination(root), outbound(PatientID="P1"))
    assert isinstance(outcome, Deferred)
    assert "P1" not in outcome.reason
    assert names(outside) == []


@pytest.mark.parametrize("on_conflict", ["keep", "replace", "number"])
async def test_a_symbolic_link_in_place_of_the_file_is_not_followed(tmp_path: Path, on_conflict: str) -> None:
    root, victim = tmp_path / "root", tmp_path / "victim"
    (root / "P1").mkdir(parents=True)
    victim.write_bytes(b"untouched")
    (root / "P1" / "1.2.3.dcm").symlink_to(victim)
    await put(destination(root, on_conflict=on_conflict), outbound(PatientID="P1"))
    assert victim.read_bytes() == b"untouched"


async def test_a_template_that_gives_no_path_refuses_the_object(tmp_path: Path) -> None:
    refused = await put(destination(tmp_path, "{{ PatientID }}/"), outbound(PatientID="P1"))
    assert isinstance(refused, Refused)
    assert names(tmp_path) == []


@pytest.mark.parametrize(
    ("number", "is_destination_down"),
    [
        pytest.param(errno.ENOSPC, True, id="disk full"),
        pytest.param(errno.EDQUOT, True, id="quota used up"),
        pytest.param(errno.EROFS, True, id="read only"),
        pytest.param(errno.EACCES, False, id="permission"),
        pytest.param(errno.ENAMETOOLONG, False, id="name too long"),
    ],
)
async def test_trouble_while_writing_is_deferred_and_leaves_no_file(
    tmp_path: Path, number: int, is_destination_down: bool
) -> None:
    class Failing(Endless):
        def chunks(self, size_bytes: int) -> Iterable[bytes]:
            yield b"some"
            raise OSError(number, os.strerror(number))

    outcome = await put(destination(tmp_path), outbound(data=Failing(100), PatientID="P1"))
    assert isinstance(outcome, Deferred)
    assert outcome.is_destination_down is is_destination_down
    assert os.strerror(number) in outcome.reason
    assert "P1" not in outcome.reason, "the path is made of the patient's attributes"
    assert names(tmp_path) == []


@pytest.fixture
def open_root() -> Iterator[Path]:
    """A folder that every user of the machine can reach, with one in it that is the root of a destination."""
    folder = Path(tempfile.mkdtemp(prefix="gateway-open-"))
    folder.chmod(0o755)
    (folder / "root").mkdir()
    yield folder / "root"
    shutil.rmtree(folder)


@pytest.mark.parametrize("mode", [0o755, 0o751, 0o754, 0o773])
async def test_a_root_that_is_open_to_every_user_is_down_at_the_first_object(open_root: Path, mode: int) -> None:
    open_root.chmod(mode)
    outcome = await put(destination(open_root), outbound(PatientID="P1"))
    assert isinstance(outcome, Deferred)
    assert outcome.is_destination_down
    assert f"{open_root}: every user may list or enter it" in outcome.reason
    assert names(open_root) == []
    open_root.chmod(0o750)
    assert await put(destination(open_root), outbound(PatientID="P1")) == Delivered()


@pytest.mark.parametrize("number", [errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.ELOOP])
@pytest.mark.parametrize("is_there", [True, False])
async def test_a_root_that_cannot_be_made_or_opened_is_down(
    tmp_path: Path, number: int, is_there: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "root"
    if is_there:
        root.mkdir()
    real, failing = (os.open, "open") if is_there else (os.mkdir, "mkdir")

    def refuse(path: str, *arguments: Any, **keywords: Any) -> Any:
        if os.path.basename(path) == "root":
            raise OSError(number, os.strerror(number))
        return real(path, *arguments, **keywords)

    there = destination(root)
    with monkeypatch.context() as refusing:
        refusing.setattr(os, failing, refuse)
        outcome = await put(there, outbound(PatientID="P1"))
    assert outcome == Deferred(f"cannot write a file under {root}: {os.strerror(number)}", is_destination_down=True)
    assert await put(there, outbound(PatientID="P1")) == Delivered()


async def test_a_root_that_is_a_file_is_down(tmp_path: Path) -> None:
    (tmp_path / "root").write_bytes(b"")
    outcome = await put(destination(tmp_path / "root"), outbound(PatientID="P1"))
    assert isinstance(outcome, Deferred)
    assert outcome.is_destination_down


@pytest.mark.parametrize("number", [errno.EACCES, errno.EPERM])
@pytest.mark.parametrize(
    ("template", "function", "is_destination_down"),
    [
        pytest.param(BY_UID, "mkdir", True, id="a folder in the root"),
        pytest.param("{{ SOPInstanceUID }}", "open", True, id="a file in the root"),
        pytest.param(BY_UID, "open", False, id="a file below it"),
        pytest.param("all/{{ PatientID }}/{{ SOPInstanceUID }}", "mkdir", False, id="a folder below it"),
    ],
)
async def test_what_may_not_be_made_in_the_root_itself_is_its_trouble(
    tmp_path: Path,
    template: str,
    function: str,
    number: int,
    is_destination_down: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "all").mkdir()
    real = getattr(os, function)

    def refuse(path: str, *arguments: Any, **keywords: Any) -> Any:
        if function == "mkdir" or path == "." or str(path).endswith(".part"):
            raise OSError(number, os.strerror(number))
        return real(path, *arguments, **keywords)

    there = FolderDestination("files", Folder(f"{tmp_path}/{template}", str(tmp_path)))
    with monkeypatch.context() as refusing:
        refusing.setattr(os, function, refuse)
        outcome = await put(there, outbound(PatientID="P1"))
    assert isinstance(outcome, Deferred)
    assert outcome.is_destination_down is is_destination_down
    assert "P1" not in outcome.reason, "the path is made of the patient's attributes"
    assert names(tmp_path) == []


async def test_a_file_where_a_folder_should_be_is_deferred_with_the_root(tmp_path: Path) -> None:
    (tmp_path / "P1").write_bytes(b"")
    outcome = await put(destination(tmp_path), outbound(PatientID="P1"))
    assert isinstance(outcome, Deferred)
    assert str(tmp_path) in outcome.reason


async def test_a_large_object_is_written_in_pieces(tmp_path: Path) -> None:
    length_bytes = 96 * 1024**2
    tracemalloc.start()
    try:
        assert await put(destination(tmp_path), outbound(data=Endless(length_bytes), PatientID="P1")) == Delivered()
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert (tmp_path / "P1" / "1.2.3.dcm").stat().st_size > length_bytes
    assert peak_bytes < 8 * 1024**2


async def test_writing_does_not_hold_the_event_loop(tmp_path: Path) -> None:
    may_go_on = threading.Event()

    class Waiting(Endless):
        def chunks(self, size_bytes: int) -> Iterable[bytes]:
            may_go_on.wait(60.0)
            yield b"x" * self.length_bytes

    writing = asyncio.create_task(put(destination(tmp_path), outbound(data=Waiting(10), PatientID="P1")))
    for _ in range(100):
        await asyncio.sleep(0)
    assert not writing.done()
    may_go_on.set()
    assert await writing == Delivered()


async def test_given_up_writing_ends_before_the_object_is_closed(tmp_path: Path) -> None:
    started, may_go_on, ended = threading.Event(), threading.Event(), threading.Event()

    class Waiting(Endless):
        def chunks(self, size_bytes: int) -> Iterable[bytes]:
            started.set()
            may_go_on.wait(60.0)
            yield b"x" * self.length_bytes
            ended.set()

    writing = asyncio.create_task(put(destination(tmp_path), outbound(data=Waiting(10), PatientID="P1")))
    assert await asyncio.to_thread(started.wait, 60.0)
    writing.cancel()
    asyncio.get_running_loop().call_later(0.02, may_go_on.set)
    with pytest.raises(asyncio.CancelledError):
        await writing
    assert ended.is_set()


def test_file_systems_without_hard_links_keep_what_is_there(tmp_path: Path) -> None:
    for name in ("temporary", "taken"):
        (tmp_path / name).write_text(name)
    handle = os.open(tmp_path, os.O_RDONLY)
    try:
        assert not rename_to_free(handle, "temporary", "taken")
        assert rename_to_free(handle, "temporary", "free")
    finally:
        os.close(handle)
    assert (tmp_path / "taken").read_text() == "taken"
    assert (tmp_path / "free").read_text() == "temporary"


def test_a_bad_template_is_a_configuration_error(tmp_path: Path) -> None:
    peer = Peer("files", destination=Folder("{{ NoSuchKeyword }}", str(tmp_path)))
    with pytest.raises(ConfigurationError, match="NoSuchKeyword"):
        open_destination(peer, AssociationPool("GATEWAY"), NoMeter())


def test_a_peer_without_place_is_a_configuration_error() -> None:
    with pytest.raises(ConfigurationError, match="nowhere"):
        open_destination(Peer("nowhere"), AssociationPool("GATEWAY"), NoMeter())
