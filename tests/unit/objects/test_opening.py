"""The object store that the settings name."""

from __future__ import annotations

import sys

import pytest

from gateway.model.settings import ObjectStoreSettings, S3Settings
from gateway.objects.folder import FolderObjectStore
from gateway.objects.opening import open_object_store
from gateway.objects.s3 import S3ObjectStore
from gateway.ports.errors import ConfigurationError

S3 = ObjectStoreSettings(s3=S3Settings("images", "https://s3.example.org", "north", access_key_id="hush"))


def test_the_settings_choose() -> None:
    folder, bucket = open_object_store(ObjectStoreSettings("/mnt/shared")), open_object_store(S3)
    assert isinstance(folder, FolderObjectStore)
    assert isinstance(bucket, S3ObjectStore)
    assert (folder.shown, bucket.shown) == ("folder /mnt/shared", "S3 https://s3.example.org/images/north")
    assert "hush" not in f"{S3}"


def test_without_the_library_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "gateway.objects.s3")
    monkeypatch.setitem(sys.modules, "obstore", None)
    with pytest.raises(ConfigurationError, match=r"pip install 'dicom-gateway\[cluster\]'"):
        open_object_store(S3)
    open_object_store(ObjectStoreSettings("/mnt/shared")).close()
