"""The contract of an object store: in memory, in a folder, in S3."""

from __future__ import annotations

import itertools
import json
import threading
import tracemalloc
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest

from gateway.common.buffer import Buffer
from gateway.common.steady_clock import utc_now
from gateway.objects.start_check import CheckedStore
from gateway.ports.errors import ConfigurationError, PayloadMissing
from tests.support.object_stores import EACH, IMPLEMENTATIONS, Place, pattern

MIB = 1024**2
LENGTHS = [0, 1, 5 * MIB - 1, 5 * MIB, 5 * MIB + 1, 20 * MIB]


@pytest.fixture(params=EACH)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    with IMPLEMENTATIONS[request.param](tmp_path) as place:
        yield place


@pytest.fixture
def store(place: Place) -> Iterator[CheckedStore]:
    opened = place()
    yield opened
    opened.close()


def put(store: CheckedStore, name: str, data: bytes) -> None:
    store.put(name, [data], len(data))


def names(store: CheckedStore, prefix: str = "") -> list[str]:
    return sorted(each.name for each in store.list(prefix))


# --- bytes -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("length_bytes", LENGTHS)
def test_bytes_come_back_as_they_were(store: CheckedStore, length_bytes: int) -> None:
    data = pattern(length_bytes)
    put(store, "large/a", data)
    assert store.read("large/a", 0, length_bytes) == data
    assert b"".join(store.stream("large/a", 0, length_bytes, 3 * MIB + 1)) == data
    assert [each.length_bytes for each in store.list("large/")] == [length_bytes]


def test_chunks_of_any_kind_and_length_are_one_object(store: CheckedStore) -> None:
    data = pattern(6 * MIB + 7)
    chunks: list[Buffer] = [data[:1], bytearray(data[1:9]), b"", memoryview(data)[9 : 6 * MIB], data[6 * MIB :], b""]
    store.put("chunks", iter(chunks), len(data))
    assert store.read("chunks", 0, len(data)) == data


RANGES = [(0, 1), (0, 0), (5 * MIB, 0), (5 * MIB - 3, 7), (5 * MIB + 9, 1), (4 * MIB, MIB + 10), (17, 5)]


@pytest.mark.parametrize(("offset_bytes", "length_bytes"), RANGES)
def test_a_range_is_exact(store: CheckedStore, offset_bytes: int, length_bytes: int) -> None:
    data = pattern(5 * MIB + 10)
    put(store, "a", data)
    assert store.read("a", offset_bytes, length_bytes) == data[offset_bytes : offset_bytes + length_bytes]
    chunks = list(store.stream("a", offset_bytes, length_bytes, 3)) if length_bytes < 100 else []
    assert b"".join(chunks) in (b"", data[offset_bytes : offset_bytes + length_bytes])
    assert all(len(chunk) == 3 for chunk in chunks[:-1])


@pytest.mark.parametrize(
    ("name", "offset_bytes", "length_bytes"),
    [("a", 0, 11), ("a", 9, 2), ("a", 10, 1), ("a", 12, 1), ("a", 11, 0), ("b", 0, 1), ("b", 0, 0), ("b/c", 5, 5)],
)
def test_what_is_not_there_is_missing(store: CheckedStore, name: str, offset_bytes: int, length_bytes: int) -> None:
    put(store, "a", bytes(10))
    with pytest.raises(PayloadMissing):
        store.read(name, offset_bytes, length_bytes)
    with pytest.raises(PayloadMissing):
        list(store.stream(name, offset_bytes, length_bytes, 4))


# --- never over another object ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("length_bytes", [0, 3, 5 * MIB + 1])
def test_the_same_object_again_is_a_success_and_another_one_is_refused(store: CheckedStore, length_bytes: int) -> None:
    data = pattern(length_bytes)
    put(store, "large/a", data)
    store.put("large/a", (data[at : at + MIB] for at in range(0, length_bytes, MIB)), length_bytes)
    for other in (data + b"1", data[:-1] + b"\xff" if data else b"\xff", data[:-1] if data else b"x"):
        with pytest.raises(ConfigurationError, match="another object has the name large/a"):
            put(store, "large/a", other)
    assert store.read("large/a", 0, length_bytes) == data
    assert names(store) == ["large/a"]


def test_of_many_writers_of_one_name_one_has_it(place: Place) -> None:
    begin = threading.Barrier(8)

    def write(number: int) -> bool:
        store = place()
        begin.wait()
        return store.create("marker", bytes([number]))

    with ThreadPoolExecutor(8) as pool:
        outcomes = list(pool.map(write, range(8)))
    assert outcomes.count(True) == 1
    assert place().read("marker", 0, 1) == bytes([outcomes.index(True)])


class Broken(Exception):
    pass


def broken(length_bytes: int) -> Iterator[bytes]:
    yield bytes(length_bytes)
    raise Broken


BAD_CHUNKS: dict[str, tuple[Callable[[int], Iterable[bytes]], type[Exception]]] = {
    "too few": (lambda length: [bytes(length - 1)], ValueError),
    "too many": (lambda length: [bytes(length), b"1"], ValueError),
    "none": (lambda length: [], ValueError),
    "broken": (broken, Broken),
}


@pytest.mark.parametrize("length_bytes", [10, 6 * MIB])
@pytest.mark.parametrize("bad", BAD_CHUNKS)
def test_chunks_that_are_not_what_was_announced_leave_nothing(store: CheckedStore, bad: str, length_bytes: int) -> None:
    chunks, error = BAD_CHUNKS[bad]
    with pytest.raises(error):
        store.put("a", chunks(length_bytes), length_bytes)
    assert names(store) == []
    put(store, "a", bytes(length_bytes))


# --- listing and deleting --------------------------------------------------------------------------------------------

STORED = ["journal/1/a", "journal/1/b", "journal/10/a", "journal/2", "large/a", "large/b.c", "large/b/d", "z", "za"]
PREFIXES = {
    "": STORED,
    "journal/": STORED[:4],
    "journal/1": STORED[:3],
    "journal/1/": STORED[:2],
    "journal/1/b": ["journal/1/b"],
    "large/b": ["large/b.c", "large/b/d"],
    "z": ["z", "za"],
    "nothing/": [],
    "z/": [],
    "large/x": [],
}


@pytest.mark.parametrize("prefix", PREFIXES)
def test_a_listing_has_each_object_that_begins_with_the_prefix(store: CheckedStore, prefix: str) -> None:
    for name in STORED:
        put(store, name, name.encode())
    found = list(store.list(prefix))
    assert sorted(each.name for each in found) == PREFIXES[prefix]
    for each in found:
        assert each.length_bytes == len(each.name)
        assert abs(each.modified_at - utc_now()) < timedelta(hours=1)


def test_deleted_objects_are_gone_and_absent_ones_are_no_error(store: CheckedStore) -> None:
    for name in STORED:
        put(store, name, b"1")
    store.delete([])
    store.delete(["journal/1/a", "nothing/at/all", "large/b/d", "z", "journal/1/a"])
    assert names(store) == ["journal/1/b", "journal/10/a", "journal/2", "large/a", "large/b.c", "za"]
    with pytest.raises(PayloadMissing):
        store.read("z", 0, 1)
    store.delete(STORED)
    assert names(store) == []
    put(store, "journal/1/a", b"2")  # a name that was free again, in a folder that went
    assert names(store) == ["journal/1/a"]


NO_NAMES = ["", "/", "/a", "a/", "a//b", "..", "../a", "a/../b", ".", "a/.hidden", "a b", "ä", "a\n", "a\0", "a" * 513]
NO_NAMES += ["-a", "a/-b", "a\\b", "a*", "a?b", "a%2fb"]


@pytest.mark.parametrize("name", NO_NAMES)
def test_what_is_no_name_is_refused_by_each_method(store: CheckedStore, name: str) -> None:
    for call in (
        lambda: put(store, name, b"1"),
        lambda: store.read(name, 0, 1),
        lambda: store.read(name, 0, 0),
        lambda: list(store.stream(name, 0, 1, 1)),
        lambda: store.delete(["a", name]),
    ):
        with pytest.raises(ValueError, match="is no name of an object"):
            call()


@pytest.mark.parametrize("prefix", ["/", "../", "a//", "a b", "/a", ".a", "a/.."])
def test_what_begins_no_name_is_no_prefix(store: CheckedStore, prefix: str) -> None:
    with pytest.raises(ValueError, match="begins no name of an object"):
        list(store.list(prefix))


# --- several threads, and memory -------------------------------------------------------------------------------------


def test_several_threads_use_one_store(store: CheckedStore) -> None:
    def use(number: int) -> bool:
        data = pattern(300_000, number)
        put(store, f"t/{number}/a", data)
        is_whole = b"".join(store.stream(f"t/{number}/a", 0, len(data), 65_536)) == data
        found = names(store, f"t/{number}/")
        store.delete([f"t/{number}/a"])
        return is_whole and found == [f"t/{number}/a"]

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(use, range(24)))
    assert names(store) == []


@pytest.mark.parametrize("implementation", [row for row in EACH if row.values[0] in ("folder", "seaweedfs")])
def test_memory_does_not_grow_with_the_object(implementation: str, tmp_path: Path) -> None:
    """Python's own memory; tests/process/objects looks at the whole process."""
    length_bytes, piece = 40 * MIB, pattern(MIB)
    with IMPLEMENTATIONS[implementation](tmp_path) as place:
        store = place()
        put(store, "warm", piece)
        tracemalloc.start()
        try:
            store.put("large/a", itertools.repeat(piece, 40), length_bytes)
            assert all(chunk == piece for chunk in store.stream("large/a", 0, length_bytes, MIB))
            _, most_bytes = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert most_bytes < 16 * MIB


# --- the check at the start ------------------------------------------------------------------------------------------


def test_the_check_leaves_the_marker_alone(place: Place) -> None:
    store = place()
    store.check("cluster-7", "1.2.3")
    assert names(store) == ["gateway.json"]
    marker = json.loads(store.read("gateway.json", 0, store.length_of("gateway.json")))
    assert marker == {"cluster": "cluster-7", "format": 1, "made_by": "gateway 1.2.3"}
    place().check("cluster-7", "1.3")
    assert json.loads(store.read("gateway.json", 0, store.length_of("gateway.json"))) == marker


def test_another_cluster_is_refused(place: Place) -> None:
    place().check("cluster-7", "1")
    with pytest.raises(ConfigurationError, match=r"it belongs to another cluster \(gateway.json: cluster-7; this one"):
        place().check("cluster-8", "1")
    assert names(place()) == ["gateway.json"]


def test_without_a_cluster_the_check_makes_no_marker(place: Place) -> None:
    place().check("", "1")
    assert names(place()) == []


MARKERS = {
    "newer": (b'{"cluster": "cluster-7", "format": 2}', "made by a newer gateway"),
    "no JSON": (b"\xff{", "is none of a gateway's"),
    "a list": (b"[]", "is none of a gateway's"),
    "empty": (b"", "is none of a gateway's"),
    "without cluster": (b'{"format": 1}', "is none of a gateway's"),
    "format as text": (b'{"cluster": "cluster-7", "format": "1"}', "is none of a gateway's"),
}


@pytest.mark.parametrize("kind", MARKERS)
def test_a_marker_that_is_not_ours_is_refused(place: Place, kind: str) -> None:
    marker, reason = MARKERS[kind]
    put(place(), "gateway.json", marker)
    with pytest.raises(ConfigurationError, match=reason):
        place().check("cluster-7", "1")


def test_nodes_may_start_together(place: Place) -> None:
    begin = threading.Barrier(4)

    def start(_: int) -> None:
        store = place()
        begin.wait()
        store.check("cluster-7", "1")

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(start, range(4)))
    assert names(place()) == ["gateway.json"]
