"""`delivery:` of a peer: its window and its rates."""

from __future__ import annotations

from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from gateway.config import load
from gateway.model.delivery_window import DeliveryWindow
from gateway.model.peer import Peer

RULES = """
gateway: {ae_title: GATEWAY, listeners: [{port: 0}], admit: any}
unmatched: hold
peers: {pacs: {ae_title: PACS, address: "pacs:104", delivery: {%s}}}
routes: [{name: all, to: [pacs]}]
"""


def peer_with(folder: Path, delivery: str) -> Peer:
    (folder / "site.yaml").write_text(RULES % delivery)
    found = load(folder / "site.yaml", {})
    assert found.table is not None, found.problems
    return found.table.peers["pacs"]


@pytest.mark.parametrize(
    ("delivery", "spans", "zone"),
    [
        ('window: ["Sa,Su", "Fr 18:00-06:00"], time_zone: Europe/Berlin', ((6840, 10080),), "Europe/Berlin"),
        ("window: Su 22:00-02:00", ((0, 120), (9960, 10080)), None),
        ("window: [sat 00:00-24:00, 'Mo,We 12:00-13:00']", ((720, 780), (3600, 3660), (7200, 8640)), None),
    ],
)
def test_windows_are_minutes_of_the_week(
    tmp_path: Path, delivery: str, spans: tuple[tuple[int, int], ...], zone: str | None
) -> None:
    assert peer_with(tmp_path, delivery).window == DeliveryWindow(spans, ZoneInfo(zone) if zone else None)


@pytest.mark.parametrize(
    ("delivery", "bytes_per_s", "objects_per_s"),
    [
        ("rate: 50 MB/s, objects: 20/s", 50e6, 20),
        ("rate: 0.5 MiB/s", 524_288, 0),
        ("rate: 3 GB/min, objects: 90/min", 50e6, 1.5),
        ("rate: 36 kB/h, objects: 1/h", 10, 1 / 3600),
        ("associations: 3", 0, 0),
    ],
)
def test_rates_are_of_a_second(tmp_path: Path, delivery: str, bytes_per_s: float, objects_per_s: float) -> None:
    peer = peer_with(tmp_path, delivery)
    assert (peer.bytes_per_s, peer.objects_per_s) == (bytes_per_s, objects_per_s)


@pytest.mark.parametrize("delivery", ["associations: 2", "window: [00:00-24:00]", "window: [12:00-00:00, 00:00-12:00]"])
def test_a_window_that_is_always_open_is_none(tmp_path: Path, delivery: str) -> None:
    assert peer_with(tmp_path, delivery).window is None


def test_peers_with_the_same_settings_are_equal(tmp_path: Path) -> None:
    delivery = 'window: ["Mo-Fr 18:00-06:00"], time_zone: Europe/Berlin, rate: 50 MB/s'
    assert peer_with(tmp_path, delivery) == peer_with(tmp_path, delivery)
