"""What a migration relies on in both kinds of places for payloads."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gateway.migration.places import SmallPayload
from gateway.model.instance import PayloadRef
from gateway.model.settings import Settings
from gateway.ports.errors import PayloadMissing
from tests.support.migrating import nothing_owed, on_cluster, on_sqlite, opened_side

pytestmark = pytest.mark.postgresql

SYNTAX = "1.2.840.10008.1.2.1"


@pytest.mark.parametrize("made", [on_sqlite, on_cluster])
def test_payloads_are_read_as_they_were_put(tmp_path: Path, made: Callable[[Path], Settings]) -> None:
    with opened_side(made(tmp_path)) as side:
        side.require_unused()
        side.begin("one")
        places = side.put_group(
            [SmallPayload(1, [b"ab", b"c"], SYNTAX), SmallPayload(2, [], SYNTAX), SmallPayload(3, [b"d"], SYNTAX)],
            nothing_owed,
        )
        large = side.put_large(4, iter([b"x" * 3000, b"y"]), 3001, SYNTAX)
        with side.store.transaction():
            side.record()
        found = [
            b"".join(side.chunks(PayloadRef(*place, length, b"")))
            for place, length in zip((*places, large), (3, 0, 1, 3001), strict=True)
        ]
        assert found == [b"abc", b"", b"d", b"x" * 3000 + b"y"]
        with pytest.raises(PayloadMissing):
            list(side.chunks(PayloadRef(*side.no_place(), 1, b"")))


@pytest.mark.parametrize("made", [on_sqlite, on_cluster])
def test_a_large_payload_that_cannot_be_read_to_its_end_leaves_nothing(
    tmp_path: Path, made: Callable[[Path], Settings]
) -> None:
    def failing() -> Iterator[bytes]:
        yield b"x" * 3000
        raise PayloadMissing("gone")

    settings = made(tmp_path)
    with opened_side(settings) as side:
        side.begin("one")
        with pytest.raises(PayloadMissing, match="gone"):
            side.put_large(4, failing(), 3001, SYNTAX)
    left = [path for path in tmp_path.rglob("*") if path.parent.name == "large" and path.is_file()]
    assert left == []
