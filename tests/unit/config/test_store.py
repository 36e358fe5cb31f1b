"""`gateway.store`: what it compiles to, and what it is refused for."""

from __future__ import annotations

import importlib.util
import socket
from pathlib import Path

import pytest

from gateway.config import Loaded, load
from gateway.model.settings import ObjectStoreSettings, S3Settings

ENVIRON = {"KEY": "AKIA7", "SECRET": "hush-hush", "HOSTNAME": "ct-7.example.org"}


def loaded(folder: Path, store: str) -> Loaded:
    (folder / "rules.yaml").write_text(
        "gateway:\n  ae_title: GATEWAY\n  listeners: [{port: 11112}]\n  admit: any\n"
        f"  store: {{postgresql: 'postgresql://db.example.org/gateway', {store}}}\nunmatched: hold\n"
    )
    return load(folder / "rules.yaml", ENVIRON, folder)


KEYS = 'access_key_id: "${KEY}", secret_access_key: "${SECRET}"'
GOOD = {
    "objects: {folder: /mnt/shared}": ObjectStoreSettings("/mnt/shared"),
    "objects: {s3: {bucket: images}}": ObjectStoreSettings(s3=S3Settings("images")),
    f'objects: {{s3: {{bucket: images.north-1, endpoint: "https://[2001:db8::7]:9000/", prefix: a/b_c/, {KEYS}}}}}': (
        ObjectStoreSettings(
            s3=S3Settings(
                "images.north-1",
                "https://[2001:db8::7]:9000",
                "a/b_c",
                access_key_id="AKIA7",
                secret_access_key="hush-hush",
            )
        )
    ),
    'objects: {s3: {bucket: images, endpoint: "http://127.0.0.1:8333", region: eu-central-1}}': ObjectStoreSettings(
        s3=S3Settings("images", "http://127.0.0.1:8333", region="eu-central-1")
    ),
}


@pytest.mark.parametrize("text", GOOD)
def test_places_of_objects(tmp_path: Path, text: str) -> None:
    found = loaded(tmp_path, text)
    assert [str(problem) for problem in found.problems] == []
    assert found.settings is not None
    assert found.settings.objects == GOOD[text]
    assert "hush" not in repr(found.settings)
    assert "AKIA7" not in repr(found.settings)


def test_what_may_wait_for_the_object_store(tmp_path: Path) -> None:
    for text, expected_bytes in {"": 20 * 1024**3, "unsealed_limit: 1 GiB, ": 1024**3}.items():
        settings = loaded(tmp_path, f"{text}objects: {{folder: /mnt/shared}}").settings
        assert settings is not None
        assert settings.unsealed_limit_bytes == expected_bytes


BAD = {
    "objects: {}": "missing-setting: the setting `s3` or `folder` is missing: it says where objects are stored",
    "objects: {folder: /mnt, s3: {bucket: images}}": "conflict: objects are stored in `s3` or in `folder`, not in both",
    "objects: {folder: mnt}": "bad-path: expected an absolute path such as `/mnt/shared/gateway`, found `mnt`",
    'objects: {s3: {bucket: images, access_key_id: "${KEY}"}}': "the setting `secret_access_key` is missing",
    'objects: {s3: {bucket: images, secret_access_key: "${KEY}"}}': "the setting `access_key_id` is missing",
    "objects: {s3: {bucket: images, endpoint: 'https://h:0'}}": "out-of-range: expected a port from 1 to 65535",
    "objects: {s3: {bucket: images, endpoint: 'https://h:65536/'}}": "out-of-range: expected a port from 1 to 65535",
    "unsealed_limit: 255 MiB, objects: {folder: /mnt}": "out-of-range: expected at least 256 MiB, found `255 MiB`",
    "node: north-1": "no-effect: only a gateway with `objects` is a node; leave `node` out, or write `objects`",
}


@pytest.mark.parametrize("text", BAD)
def test_what_is_refused(tmp_path: Path, text: str) -> None:
    found = loaded(tmp_path, text)
    (problem,) = found.problems
    assert BAD[text] in str(problem)
    assert "AKIA7" not in str(problem)
    assert found.settings is None


NODES = {
    "": "",
    "objects: {folder: /mnt}": "gw7.example.org",
    "objects: {folder: /mnt}, node: north-1": "north-1",
    'objects: {folder: /mnt}, node: "${HOSTNAME}"': "ct-7.example.org",
}


@pytest.mark.parametrize("text", NODES)
def test_the_name_of_the_node(tmp_path: Path, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "gethostname", lambda: "gw7.example.org")
    found = loaded(tmp_path, text)
    assert found.settings is not None, found.problems
    assert found.settings.node == NODES[text]


@pytest.mark.parametrize(
    ("host", "name"), [("-gw_7", "gw_7"), ("gw 7 é", "gw7"), ("g" * 80, "g" * 63), ("é", "node"), ("", "node")]
)
def test_a_host_with_an_odd_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, host: str, name: str) -> None:
    monkeypatch.setattr(socket, "gethostname", lambda: host)
    found = loaded(tmp_path, "objects: {folder: /mnt}")
    assert found.settings is not None
    assert found.settings.node == name


def test_a_library_that_is_missing_is_a_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "obstore" else find(name))
    (problem,) = loaded(tmp_path, "objects: {s3: {bucket: images}}").problems
    assert (problem.severity, problem.code) == ("warning", "library-missing")
    assert loaded(tmp_path, "objects: {folder: /mnt}").problems == ()
