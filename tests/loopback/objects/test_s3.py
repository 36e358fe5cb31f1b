"""S3 on a server that does wrong: it freezes, is busy, denies, loses answers, cuts bodies."""

from __future__ import annotations

import dataclasses
import hashlib
import ssl
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from gateway.model.settings import S3Settings
from gateway.objects.errors import ObjectStoreRefuses
from gateway.objects.s3 import S3Limits, S3ObjectStore
from gateway.ports.errors import ConfigurationError, PayloadMissing, SpoolFull, Temporary
from tests.support.certificates import self_signed
from tests.support.fakes.s3_server import FakeS3, Fault
from tests.support.object_stores import PATIENT, pattern

IMPATIENT = S3Limits(answer_s=1.0, retry_s=0.5)
"""Longer than a fake takes for an answer on a machine that is busy, and shorter than anyone waits."""
LARGE = pattern(12 * 1024**2)


@pytest.fixture
def server() -> Iterator[FakeS3]:
    with FakeS3() as server:
        yield server


@pytest.fixture
def store(server: FakeS3) -> S3ObjectStore:
    return S3ObjectStore(server.place(), PATIENT)


def put(store: S3ObjectStore, name: str, data: bytes = b"123") -> None:
    store.put(name, [data], len(data))


CALLS: dict[str, Callable[[S3ObjectStore], object]] = {
    "put": lambda store: put(store, "new"),
    "put of parts": lambda store: put(store, "new", LARGE),
    "read": lambda store: store.read("a", 0, 3),
    "read of nothing": lambda store: store.read("a", 0, 0),
    "stream": lambda store: list(store.stream("a", 0, 3, 1)),
    "list": lambda store: list(store.list("")),
    "delete": lambda store: store.delete(["a", "b"]),
}


@pytest.mark.campaign  # waits for its own time limits
@pytest.mark.parametrize("call", CALLS)
def test_a_frozen_server_is_given_up(server: FakeS3, call: str) -> None:
    put(S3ObjectStore(server.place(), PATIENT), "a")
    server.faults.append(Fault("freeze"))
    before = len(server.requests)
    with pytest.raises(Temporary, match="it did not answer in time") as raised:
        CALLS[call](S3ObjectStore(server.place(), IMPATIENT))
    assert not isinstance(raised.value, PayloadMissing)
    assert len(server.requests) - before <= (2 if call == "delete" else 1)  # two objects side by side; none again


@pytest.mark.campaign  # the same
@pytest.mark.parametrize("frozen", [("PUT", "partNumber"), ("POST", "uploadId"), ("", "upload")])
def test_a_server_that_freezes_in_the_middle_of_an_upload(server: FakeS3, frozen: tuple[str, str]) -> None:
    server.faults.append(Fault("freeze", *frozen))
    with pytest.raises(SpoolFull, match="it did not answer in time"):
        put(S3ObjectStore(server.place(), S3Limits(answer_s=3.0, retry_s=0.5)), "new", LARGE)
    assert server.objects == {}
    server.faults.clear()
    put(S3ObjectStore(server.place(), PATIENT), "new", LARGE)
    assert server.objects["north/ct/new"][0] == LARGE


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("status", [(500, "InternalError"), (503, "SlowDown"), (502, "")])
def test_a_busy_server_is_asked_again_for_a_while(
    server: FakeS3, store: S3ObjectStore, call: str, status: tuple[int, str]
) -> None:
    put(store, "a")
    server.faults.append(Fault("status", times=2, status=status[0], code=status[1]))
    CALLS[call](store)  # the third answer is one
    server.faults.append(Fault("status", status=status[0], code=status[1]))
    with pytest.raises(Temporary, match=f"it answers {status[0]} ?{status[1]}; see its log") as raised:
        CALLS[call](store)
    assert not isinstance(raised.value, PayloadMissing)


@pytest.mark.parametrize("times", [1, 2, 3, 4])
def test_an_object_whose_answer_was_lost_is_a_success_once(server: FakeS3, store: S3ObjectStore, times: int) -> None:
    server.faults.append(Fault("lose_answer", "PUT", times=times))
    put(store, "new")
    assert {key: data for key, (data, _) in server.objects.items()} == {"north/ct/new": b"123"}


def test_answers_that_are_always_lost_are_given_up_and_found_later(server: FakeS3, store: S3ObjectStore) -> None:
    server.faults.append(Fault("lose_answer", "PUT"))
    with pytest.raises(SpoolFull, match="its answer broke off"):
        put(store, "new")
    server.faults.clear()
    put(store, "new")
    with pytest.raises(ConfigurationError, match="another object has the name new"):
        put(store, "new", b"124")


@pytest.mark.parametrize(
    ("times", "words"), [(1, "the answer was lost, and its parts are put together"), (99, "its answer broke off")]
)
def test_an_upload_whose_last_answer_was_lost_is_found_by_the_next_put(
    server: FakeS3, store: S3ObjectStore, times: int, words: str
) -> None:
    fault = Fault("lose_answer", "POST", "uploadId", times=times)
    server.faults.append(fault)
    with pytest.raises(SpoolFull, match=words) as raised:
        put(store, "new", LARGE)
    assert not isinstance(raised.value, ObjectStoreRefuses)
    fault.times = 0
    uploads = sum("uploads" in request for request in server.requests)
    put(store, "new", LARGE)
    assert sum("uploads" in request for request in server.requests) == uploads  # compared, not sent again
    assert server.objects["north/ct/new"][0] == LARGE


@pytest.mark.parametrize("bad", ["broken", "short"])
def test_parts_of_an_object_that_is_not_whole_are_given_back(server: FakeS3, store: S3ObjectStore, bad: str) -> None:
    def chunks() -> Iterator[bytes]:
        yield LARGE[:-1]
        if bad == "broken":
            raise KeyError("chunk")

    with pytest.raises((KeyError, ValueError)):
        store.put("new", chunks(), len(LARGE))
    assert (server.objects, server.uploads) == ({}, {})


@pytest.mark.parametrize("kind", ["truncate", "break_off"])
def test_a_body_that_breaks_off_is_read_again(server: FakeS3, store: S3ObjectStore, kind: str) -> None:
    put(store, "a", LARGE)
    server.faults.append(Fault(kind, "GET", times=2))  # type: ignore[arg-type]
    assert store.read("a", 5, 1_000_000) == LARGE[5:1_000_005]


@pytest.mark.parametrize("kind", ["truncate", "break_off", "shorten"])
def test_a_body_that_never_comes_whole_is_used_in_no_part(server: FakeS3, store: S3ObjectStore, kind: str) -> None:
    put(store, "a", LARGE)
    server.faults.append(Fault(kind, "GET"))  # type: ignore[arg-type]
    with pytest.raises(Temporary) as raised:
        store.read("a", 5, 1_000_000)
    assert not isinstance(raised.value, PayloadMissing)
    stream = store.stream("a", 0, 9, 3)
    with pytest.raises(Temporary) as raised:
        next(stream)
    assert not isinstance(raised.value, PayloadMissing)


def test_a_404_that_is_not_the_stores_own_word_loses_nothing(server: FakeS3, store: S3ObjectStore) -> None:
    put(store, "a")
    server.faults.append(Fault("status", "GET", status=404, code=""))
    for length_bytes in (0, 3):
        with pytest.raises(ObjectStoreRefuses, match="it does not know that address"):
            store.read("a", 0, length_bytes)


@pytest.mark.parametrize(
    ("method", "right"),
    [("PUT", "s3:PutObject"), ("GET", "s3:GetObject"), ("DELETE", "s3:DeleteObject"), ("POST", "s3:PutObject")],
)
def test_a_right_that_is_missing_is_named_at_the_start(
    server: FakeS3, store: S3ObjectStore, method: str, right: str
) -> None:
    server.faults.append(Fault("status", method, "probe", status=403, code="AccessDenied"))
    with pytest.raises(ConfigurationError, match=f"it denies that .403 AccessDenied.; grant {right}"):
        store.check("cluster-7", "1")


def test_the_right_to_list_is_named_too(server: FakeS3, store: S3ObjectStore) -> None:
    server.faults.append(Fault("status", "GET", "list-type", status=403, code="AccessDenied"))
    with pytest.raises(ConfigurationError, match="grant s3:ListBucket"):
        store.check("cluster-7", "1")
    assert server.objects == {}


def test_a_server_that_ignores_the_condition_is_refused(server: FakeS3, store: S3ObjectStore) -> None:
    server.faults.append(Fault("ignore_condition", "PUT"))
    with pytest.raises(ConfigurationError, match=r"lets a second object take the place .*If-None-Match: \*"):
        store.check("cluster-7", "1")
    assert server.objects == {}


def test_a_server_that_does_not_know_the_condition_is_refused(server: FakeS3, store: S3ObjectStore) -> None:
    server.faults.append(Fault("status", "PUT", status=501, code="NotImplemented"))
    with pytest.raises(ConfigurationError, match="take a server that knows conditional writes"):
        store.check("cluster-7", "1")


def test_a_server_that_is_away_is_no_error_of_the_configuration(server: FakeS3) -> None:
    place = server.place()
    with FakeS3() as other:
        away = other.place()
    with pytest.raises(SpoolFull, match="nobody listens there; start the server, or correct `endpoint`"):
        S3ObjectStore(away, PATIENT).check("cluster-7", "1")
    S3ObjectStore(place, PATIENT).check("cluster-7", "1")


def test_a_certificate_that_is_not_taken(tmp_path: Path) -> None:
    (tmp_path / "certificate").write_text("".join(self_signed()))
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(tmp_path / "certificate")
    with FakeS3(tls=tls) as server, pytest.raises(SpoolFull, match="its certificate is not taken; give this machine"):
        S3ObjectStore(server.place(), PATIENT).check("cluster-7", "1")
    assert (server.requests, server.objects) == ([], {})


def test_a_server_without_tls(server: FakeS3) -> None:
    written = server.place()
    place = dataclasses.replace(written, endpoint=written.endpoint.replace("http:", "https:"))
    with pytest.raises(SpoolFull, match="it does not speak TLS there; correct `endpoint`"):
        S3ObjectStore(place, PATIENT).check("cluster-7", "1")


def test_written_keys_are_used_without_a_token_of_the_environment(
    server: FakeS3, monkeypatch: pytest.MonkeyPatch
) -> None:
    environment = {
        "AWS_ACCESS_KEY_ID": "others",
        "AWS_SECRET_ACCESS_KEY": "others",
        "AWS_SESSION_TOKEN": "others",
        "AWS_ENDPOINT_URL_S3": "http://127.0.0.1:1",
        "AWS_ENDPOINT_URL": "http://127.0.0.1:1",
        "AWS_BUCKET": "others",
        "AWS_SKIP_SIGNATURE": "true",
        "AWS_VIRTUAL_HOSTED_STYLE_REQUEST": "true",
        "AWS_REGION": "others",
        "AWS_CONDITIONAL_PUT": "disabled",
    }
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    put(S3ObjectStore(server.place(), PATIENT), "a")
    assert (server.keys, list(server.objects)) == ({"gateway"}, ["north/ct/a"])
    S3ObjectStore(server.place(), PATIENT).check("cluster-7", "1")
    written = server.place()
    put(S3ObjectStore(S3Settings(written.bucket, written.endpoint, "without/keys"), PATIENT), "a")
    assert server.keys == {"gateway", "others", "(token)"}


def test_requests_at_a_time_are_bounded(server: FakeS3) -> None:
    most, running, lock = [0], [0], threading.Lock()
    begun = server.fault

    def counted(request: str) -> Fault | None:
        with lock:
            running[0] += 1
            most[0] = max(most[0], running[0])
        found = begun(request)
        with lock:
            running[0] -= 1
        return found

    server.fault = counted  # type: ignore[method-assign]
    store = S3ObjectStore(server.place(), S3Limits(requests=2, answer_s=60))
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: put(store, f"a{number}"), range(40)))
    assert most[0] <= 2
    assert len(server.objects) == 40


@pytest.mark.parametrize("limits", [{"uploads": 1}, {"requests": 1}], ids=str)
def test_an_upload_whose_bytes_come_slowly_keeps_uploads_alone_waiting(server: FakeS3, limits: dict[str, int]) -> None:
    store = S3ObjectStore(server.place(), S3Limits(answer_s=20.0, **limits))
    impatient = S3ObjectStore(server.place(), S3Limits(answer_s=0.2))
    impatient._uploads, impatient._requests = store._uploads, store._requests
    begun, go_on = threading.Event(), threading.Event()

    def chunks() -> Iterator[bytes]:
        yield LARGE[:-1]
        begun.set()
        go_on.wait(60)
        yield LARGE[-1:]

    with ThreadPoolExecutor(1) as pool:
        slow = pool.submit(store.put, "slow", chunks(), len(LARGE))
        assert begun.wait(60)
        put(store, "small")
        assert store.read("small", 0, 3) == b"123"
        if "uploads" in limits:
            with pytest.raises(SpoolFull, match="too many requests wait for it already"):
                impatient._put_in_parts("other", iter([LARGE]), len(LARGE))
        go_on.set()
        slow.result(60)
    assert server.objects["north/ct/slow"][0] == LARGE


def test_foreign_objects_are_not_listed(server: FakeS3, store: S3ObjectStore) -> None:
    put(store, "a/b")
    data = server.objects["north/ct/a/b"]
    for key in ("north/ct/a/.hidden", "north/ct/a/with blank", "north/ct2/a/b", "elsewhere", "north/ct/a/ä"):
        server.objects[key] = data
    assert [each.name for each in store.list("")] == ["a/b"]
    assert [each.name for each in store.list("a/")] == ["a/b"]


def test_all_pages_of_a_listing_are_read(server: FakeS3, store: S3ObjectStore) -> None:
    for number in range(10):
        put(store, f"a/{number}")
    assert sorted(each.name for each in store.list("a/")) == [f"a/{number}" for number in range(10)]
    assert sum("list-type" in request for request in server.requests) == 4
    server.faults.append(Fault("status", "GET", "continuation-token"))
    with pytest.raises(Temporary, match="503"):
        list(store.list("a/"))


def test_a_server_that_answers_404_to_a_deletion_of_nothing() -> None:
    with FakeS3(is_deletion_of_nothing_an_error=True) as server:
        store = S3ObjectStore(server.place(), PATIENT)
        for name in ("a", "b", "c", "d"):
            put(store, name)
        store.delete(["nothing", "a", "b", "neither", "c"])
        assert list(server.objects) == ["north/ct/d"]
        store.check("cluster-7", "1")
        server.faults.append(Fault("status", "DELETE", status=404, code="NoSuchBucket"))
        with pytest.raises(ObjectStoreRefuses, match="there is no such bucket"):
            store.delete(["d"])


def test_what_is_stored_is_signed_with_its_digest(server: FakeS3, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_UNSIGNED_PAYLOAD", "true")
    put(S3ObjectStore(server.place(), PATIENT), "a", b"123")
    put(S3ObjectStore(server.place(), PATIENT), "b", LARGE)
    parts = [LARGE[at : at + 5 * 1024**2] for at in range(0, len(LARGE), 5 * 1024**2)]
    assert {hashlib.sha256(data).hexdigest() for data in (b"123", *parts)} <= server.digests


def test_an_environment_that_the_library_does_not_take(server: FakeS3, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_CHECKSUM_ALGORITHM", "sum")
    with pytest.raises(ConfigurationError, match=r'"sum" is not a valid checksum algorithm; correct .*AWS_…'):
        S3ObjectStore(server.place(), PATIENT)


@pytest.mark.parametrize(("part_bytes", "parts"), [(0, 3), (len(LARGE) // 2, 2), (len(LARGE), 1)])
def test_longer_parts_are_fewer_requests(server: FakeS3, part_bytes: int, parts: int) -> None:
    S3ObjectStore(server.place(), PATIENT).put("segments/a", [LARGE], len(LARGE), part_bytes)
    assert len([each for each in server.requests if "partNumber" in each]) == parts
    assert len(server.requests) == parts + 3
    assert S3ObjectStore(server.place(), PATIENT).read("segments/a", 0, len(LARGE)) == LARGE
