"""What an operator has to change: at the start an error of the configuration, later a status that passes."""

from __future__ import annotations

import pytest

from gateway.objects.errors import ObjectStoreRefuses
from gateway.objects.start_check import check
from gateway.ports.errors import ConfigurationError
from tests.support.fakes.memory_object_store import MemoryObjectStore


class Denies(MemoryObjectStore):
    def create(self, name: str, data: bytes) -> bool:
        raise ObjectStoreRefuses("memory: cannot write; grant s3:PutObject")


def test_a_start_ends_and_a_peer_may_send_again() -> None:
    with pytest.raises(ConfigurationError, match="grant s3:PutObject"):
        check(Denies(), "cluster-7", "1")
    with pytest.raises(ObjectStoreRefuses) as raised:
        Denies().put("a", [b"1"], 1)
    assert raised.value.dimse_status == 0xA700
