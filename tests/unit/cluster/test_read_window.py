"""Payloads that lie one behind the other come with one request."""

from __future__ import annotations

import pytest

from gateway.cluster import read_window
from gateway.cluster.read_window import ReadWindow
from gateway.ports.errors import PayloadMissing


class Stored:
    """Objects that count their requests."""

    def __init__(self, **objects: bytes) -> None:
        self.objects = objects
        self.requests: list[tuple[str, int, int]] = []

    def read(self, name: str, offset_bytes: int, length_bytes: int) -> bytes:
        self.requests.append((name, offset_bytes, length_bytes))
        data = self.objects[name][offset_bytes : offset_bytes + length_bytes]
        if len(data) != length_bytes:
            raise PayloadMissing(name)
        return data


def test_a_piece_serves_what_lies_in_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(read_window, "WINDOW_BYTES", 6)
    stored = Stored(a=b"0123456789", b=b"abc")
    window = ReadWindow(stored.read)
    assert [window.take("a", at, 2, 10) for at in (0, 2, 4, 6, 8)] == [b"01", b"23", b"45", b"67", b"89"]
    assert stored.requests == [("a", 0, 6), ("a", 6, 4)]
    assert window.take("a", 0, 8, 10) == b"01234567", "longer than a piece"
    assert window.take("b", 1, 1, 0) == b"b", "no end is known"
    assert window.take("b", 0, 0, 3) == b""
    assert stored.requests[2:] == [("a", 0, 8), ("b", 1, 1), ("b", 0, 3)]


def test_an_end_that_is_cut_off_costs_no_payload_before_it() -> None:
    stored = Stored(a=b"0123456")
    window = ReadWindow(stored.read)
    assert [window.take("a", at, 2, 10) for at in (0, 2, 4)] == [b"01", b"23", b"45"]
    with pytest.raises(PayloadMissing):
        window.take("a", 6, 2, 8)
    assert stored.requests[-2:] != [("a", 6, 2), ("a", 6, 2)], "asked for once"
