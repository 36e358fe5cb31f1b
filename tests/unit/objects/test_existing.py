"""An object that is there already where one is to be written."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from gateway.objects.existing import accept_the_same
from gateway.ports.errors import ConfigurationError, PayloadMissing, SpoolFull, Temporary
from tests.support.fakes.memory_object_store import MemoryObjectStore


class Failing(MemoryObjectStore):
    """A store whose streams end with an error."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self._error = error

    def stream(self, name: str, offset_bytes: int, length_bytes: int, chunk_bytes: int) -> Iterator[bytes]:
        yield self.read(name, offset_bytes, 1)
        raise self._error


def test_the_same_bytes_are_the_object_whose_answer_was_lost() -> None:
    store = MemoryObjectStore()
    store.create("a", b"123")
    accept_the_same(store, "a", [b"1", b"23"], 3)


@pytest.mark.parametrize("chunks", [[b"124"], [b"12"], [b"1234"], []], ids=str)
def test_other_bytes_are_another_object(chunks: list[bytes]) -> None:
    store = MemoryObjectStore()
    store.create("a", b"123")
    with pytest.raises(ConfigurationError, match="memory: another object has the name a"):
        accept_the_same(store, "a", chunks, sum(map(len, chunks)))


@pytest.mark.parametrize("error", [Temporary("away"), PayloadMissing("gone")], ids=str)
def test_one_that_cannot_be_compared_may_be_written_again(error: Exception) -> None:
    store = Failing(error)
    store.create("a", b"123")
    with pytest.raises(SpoolFull, match=str(error)):
        accept_the_same(store, "a", [b"123"], 3)


def test_one_that_went_away_meanwhile_may_be_written_again() -> None:
    with pytest.raises(SpoolFull, match="a could not be written since it was there, and is gone now"):
        accept_the_same(MemoryObjectStore(), "a", [b"123"], 3)
