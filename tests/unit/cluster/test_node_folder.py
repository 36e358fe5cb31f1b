"""The local folder of a node: nothing in it is needed, and nothing of a gateway that was alone is thrown away."""

from __future__ import annotations

import concurrent.futures
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.cluster.node_folder import NodeFolder
from gateway.model.settings import Spool
from gateway.ports.errors import ConfigurationError
from gateway.spool.disk import LocalDisk
from tests.support.samples import SecondsClock


@pytest.fixture
def workers() -> Iterator[concurrent.futures.Executor]:
    with concurrent.futures.ThreadPoolExecutor(1) as executor:
        yield executor


def opened(folder: Path, workers: concurrent.futures.Executor) -> NodeFolder:
    spool = Spool(str(folder), min_free_bytes=0)
    return NodeFolder(spool, disk=LocalDisk(), monotonic=SecondsClock(), workers=workers)


def test_a_start_deletes_what_arrived_for_a_process_that_is_gone(
    tmp_path: Path, workers: concurrent.futures.Executor
) -> None:
    folder = opened(tmp_path, workers)
    file = folder.new_file()
    file.write([b"some of it"])
    folder.close()
    assert len(list((tmp_path / "large").iterdir())) == 1
    opened(tmp_path, workers).close()
    assert list((tmp_path / "large").iterdir()) == []


def test_one_process_at_a_time(tmp_path: Path, workers: concurrent.futures.Executor) -> None:
    folder = opened(tmp_path, workers)
    with pytest.raises(ConfigurationError, match="another gateway uses it"):
        opened(tmp_path, workers)
    folder.close()
    opened(tmp_path, workers).close()


@pytest.mark.parametrize(
    ("identity", "files", "is_refused"),
    [
        pytest.param("abc", ["segments/00000001.seg"], True, id="segments"),
        pytest.param("abc", ["large/0000000000000001.obj"], True, id="a large file"),
        pytest.param("abc", [], False, id="all delivered"),
        pytest.param("", ["large/0000000000000001.obj"], False, id="of a node"),
    ],
)
def test_the_spool_of_a_gateway_that_was_alone_is_no_folder_of_a_node(
    tmp_path: Path, workers: concurrent.futures.Executor, identity: str, files: list[str], is_refused: bool
) -> None:
    for name in files:
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_bytes(b"payload")
    if identity:
        (tmp_path / "spool.id").write_text(identity)
    if not is_refused:
        opened(tmp_path, workers).close()
        return
    with pytest.raises(ConfigurationError, match=r"ran without `store\.objects`"):
        opened(tmp_path, workers)
    assert all((tmp_path / name).exists() for name in files)


async def test_a_received_file_goes_into_the_cache(tmp_path: Path, workers: concurrent.futures.Executor) -> None:
    from gateway.model.instance import PayloadRef

    folder = opened(tmp_path, workers)
    file = folder.new_file()
    file.write([b"all ", b"of it"])
    payload = PayloadRef("large/x", 0, 9, b"")
    folder.keep(payload, file)
    found = folder.cache.open("large/x")
    assert found is not None
    assert list((tmp_path / "large").iterdir()) == []
    file.release()
    workers.shutdown()
    assert folder.cache.open("large/x") is not None, "the file is the cache's now"
    folder.close()
