"""Each object store has the methods of the port, with the port's parameters."""

from __future__ import annotations

import inspect

import pytest

from gateway.objects.folder import FolderObjectStore
from gateway.objects.s3 import S3ObjectStore
from gateway.ports.object_store import ObjectStore
from tests.support.fakes.memory_object_store import MemoryObjectStore

METHODS = [name for name, member in vars(ObjectStore).items() if inspect.isfunction(member) and name[0] != "_"]


@pytest.mark.parametrize("kind", [FolderObjectStore, S3ObjectStore, MemoryObjectStore])
@pytest.mark.parametrize("method", METHODS)
def test_methods_are_those_of_the_port(kind: type, method: str) -> None:
    ours, ports = (inspect.signature(getattr(each, method)) for each in (kind, ObjectStore))
    assert list(ours.parameters) == list(ports.parameters)
    assert ours.return_annotation == ports.return_annotation


def test_the_methods_are_known() -> None:
    assert sorted(METHODS) == ["check", "close", "delete", "list", "put", "read", "stream"]
