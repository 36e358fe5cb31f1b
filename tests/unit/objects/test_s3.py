"""S3 as a real server speaks it: rights, keys, a bucket that others use too, and a server that freezes."""

from __future__ import annotations

import dataclasses

import pytest

from gateway.objects.s3 import S3Limits, S3ObjectStore
from gateway.ports.errors import ConfigurationError, SpoolFull, Temporary
from tests.support.object_stores import PATIENT
from tests.support.seaweedfs import shared_seaweedfs

pytestmark = pytest.mark.s3


@pytest.mark.parametrize(
    ("key", "words"),
    [
        ("reader", "cannot write .*: it denies that .403 AccessDenied.; grant s3:PutObject"),
        ("writer", "cannot read .*: it denies that .403 AccessDenied.; grant s3:GetObject"),
        ("stranger", "it does not take the keys; correct `access_key_id` and `secret_access_key`"),
    ],
)
def test_rights_that_are_missing(key: str, words: str) -> None:
    store = S3ObjectStore(shared_seaweedfs().place(key), PATIENT)
    with pytest.raises(ConfigurationError, match=words):
        store.check("cluster-7", "1")


def test_a_wrong_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    place = dataclasses.replace(shared_seaweedfs().place(), secret_access_key="wrong")
    with pytest.raises(ConfigurationError, match="it does not take the keys"):
        S3ObjectStore(place, PATIENT).check("cluster-7", "1")


def test_a_bucket_that_is_not_ours() -> None:
    place = dataclasses.replace(shared_seaweedfs().place(), bucket="others")
    with pytest.raises(ConfigurationError, match=r"grant s3:PutObject|there is no such bucket"):
        S3ObjectStore(place, PATIENT).check("cluster-7", "1")


def test_clusters_share_a_bucket_by_prefixes() -> None:
    server = shared_seaweedfs()
    first, second = server.place(), server.place()
    for place, cluster in ((first, "cluster-7"), (second, "cluster-8")):
        S3ObjectStore(place, PATIENT).check(cluster, "1")
        S3ObjectStore(place, PATIENT).put("a", [cluster.encode()], 9)
    assert S3ObjectStore(second, PATIENT).read("a", 0, 9) == b"cluster-8"
    assert sorted(each.name for each in S3ObjectStore(first, PATIENT).list("")) == ["a", "gateway.json"]


def test_a_server_that_freezes_is_given_up_and_found_again() -> None:
    server = shared_seaweedfs()
    place = server.place()
    store = S3ObjectStore(place, S3Limits(answer_s=1.0, retry_s=0.5))
    S3ObjectStore(place, PATIENT).put("a", [b"123"], 3)
    with server.frozen():
        with pytest.raises(SpoolFull, match="it did not answer in time"):
            store.put("b", [b"123"], 3)
        with pytest.raises(Temporary, match="it did not answer in time"):
            store.read("a", 0, 3)
    S3ObjectStore(place, PATIENT).put("b", [b"123"], 3)
    assert S3ObjectStore(place, PATIENT).read("a", 0, 3) == b"123"
