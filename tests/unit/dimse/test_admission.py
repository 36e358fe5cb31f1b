"""Who may associate (PS3.8 §9.3.4)."""

from typing import Any

import pytest

from gateway.dimse.admission import Admitted, Rejected, admit
from gateway.model import AssociationFacts, Peer, Settings, Spool

SETTINGS: dict[str, Any] = {"ae_title": "GATEWAY", "listeners": (), "spool": Spool(path=""), "queue_path": ""}
STORE = frozenset({"store"})

PEERS = {
    peer.name: peer
    for peer in (
        Peer("anywhere", "ANY", may=STORE),
        Peer("north", "CT", may=STORE, hosts=("10.1.0.0/16",)),
        Peer("south", "CT", may=STORE, hosts=("10.2.0.7", "fd00::/8")),
        Peer("archive", "PACS", host="10.9.9.9", port=104),
    )
}


def facts(calling: str, host: str = "10.0.0.1", called: str = "GATEWAY") -> AssociationFacts:
    return AssociationFacts(calling, called, host)


@pytest.mark.parametrize(
    ("calling", "host", "name"),
    [
        ("ANY", "192.168.7.7", "anywhere"),
        ("ANY", "fe80::1%eth0", "anywhere"),
        ("CT", "10.1.200.3", "north"),
        ("CT", "::ffff:10.1.200.3", "north"),
        ("CT", "10.2.0.7", "south"),
        ("CT", "fd00::5", "south"),
    ],
)
@pytest.mark.parametrize("mode", ["known", "any"])
def test_known_peers(calling: str, host: str, name: str, mode: Any) -> None:
    assert admit(facts(calling, host), Settings(**SETTINGS, admit=mode), PEERS, "table") == Admitted(
        PEERS[name], "table"
    )


REJECTED: dict[str, tuple[AssociationFacts, str, tuple[int, int, int]]] = {
    "called title": (facts("ANY", called="OTHER"), "any", (1, 1, 7)),
    "called title in small letters": (facts("ANY", called="gateway"), "any", (1, 1, 7)),
    "no called title": (facts("ANY", called=""), "any", (1, 1, 7)),
    "stranger": (facts("STRANGER"), "known", (1, 1, 3)),
    "stranger without a title": (facts(""), "any", (1, 1, 3)),
    "calling title from elsewhere": (facts("CT", "10.3.0.1"), "known", (1, 1, 3)),
    "calling title from elsewhere, although any may": (facts("CT", "10.3.0.1"), "any", (1, 1, 3)),
    "host that is no address": (facts("CT", "somewhere"), "known", (1, 1, 3)),
    "a destination only": (facts("PACS"), "known", (1, 1, 3)),
}


@pytest.mark.parametrize(("who", "mode", "numbers"), REJECTED.values(), ids=REJECTED.keys())
def test_rejections(who: AssociationFacts, mode: Any, numbers: tuple[int, int, int]) -> None:
    with pytest.raises(Rejected) as caught:
        admit(who, Settings(**SETTINGS, admit=mode), PEERS, None)
    assert (caught.value.result, caught.value.source, caught.value.reason) == numbers


@pytest.mark.parametrize("calling", ["STRANGER", "PACS"])
def test_strangers_where_any_may(calling: str) -> None:
    assert admit(facts(calling), Settings(**SETTINGS, admit="any"), PEERS, None).peer is None


@pytest.mark.parametrize("titles", [("OTHER", "SECOND"), ("*",)], ids=["named", "any"])
def test_further_called_titles(titles: tuple[str, ...]) -> None:
    settings = Settings(**SETTINGS, called_ae_titles=titles)
    assert admit(facts("ANY", called="SECOND"), settings, PEERS, None).peer is PEERS["anywhere"]
    assert admit(facts("ANY"), settings, PEERS, None).peer is PEERS["anywhere"]
