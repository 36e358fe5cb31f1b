"""The doctor's words on the object store."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from gateway.doctor.object_store import object_store
from gateway.doctor.site import Site
from gateway.model.settings import ObjectStoreSettings, S3Settings
from tests.support.fakes.s3_server import FakeS3, Fault
from tests.unit.doctor.rig import site_in


def site_with(folder: Path, objects: ObjectStoreSettings | None) -> Site:
    site = site_in(folder)
    return dataclasses.replace(site, settings=dataclasses.replace(site.settings, objects=objects))


def test_a_gateway_that_is_alone_has_none(tmp_path: Path) -> None:
    assert list(object_store(site_with(tmp_path, None))) == []


def test_a_folder_that_does_what_is_needed(tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    (finding,) = object_store(site_with(tmp_path, ObjectStoreSettings(str(shared))))
    assert (finding.code, finding.subject) == ("objects-usable", f"folder {shared}")
    assert [path for path in shared.rglob("*") if path.is_file()] == []


def test_a_folder_that_is_not_mounted(tmp_path: Path) -> None:
    (finding,) = object_store(site_with(tmp_path, ObjectStoreSettings(str(tmp_path / "mnt"))))
    assert finding.code == "objects-not-reached"
    assert finding.what.startswith("cannot write .partial: No such file or directory; is the file system mounted")


@pytest.mark.loopback
def test_a_server_that_denies(tmp_path: Path) -> None:
    with FakeS3(faults=[Fault("status", "DELETE", status=403, code="AccessDenied")]) as server:
        (finding,) = object_store(site_with(tmp_path, ObjectStoreSettings(s3=server.place())))
    assert finding.code == "objects-refused"
    assert "grant s3:DeleteObject" in finding.what
    assert "hush" not in str(finding)


@pytest.mark.loopback
def test_a_server_that_serves(tmp_path: Path) -> None:
    with FakeS3() as server:
        (finding,) = object_store(site_with(tmp_path, ObjectStoreSettings(s3=server.place())))
        assert (finding.code, server.objects) == ("objects-usable", {})


def test_a_server_that_is_away(tmp_path: Path) -> None:
    away = S3Settings("images", "http://127.0.0.1:9", access_key_id="AKIA7", secret_access_key="hush-hush")
    (finding,) = object_store(site_with(tmp_path, ObjectStoreSettings(s3=away)))
    assert (finding.code, finding.subject) == ("objects-not-reached", "S3 http://127.0.0.1:9/images")
