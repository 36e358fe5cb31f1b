"""Sections from the located tree: what is wrong is reported where it stands, and taken out."""

from __future__ import annotations

from gateway.config.findings import Findings
from gateway.config.spec.peers import PeerSpec
from gateway.config.spec.rules import RouteSpec
from gateway.config.spec.values import MISSING
from gateway.config.tree import BrokenNode, MappingEntry, MappingNode, plain
from gateway.config.typed_tree import check, is_broken, unbroken
from gateway.model.problem import Mark
from tests.support.sections import built, place_of


def test_what_is_right_comes_with_its_own_tree() -> None:
    place = place_of("{ae_title: PACS}")
    findings = Findings()
    section, at = check(place, PeerSpec, findings)
    assert section == PeerSpec(ae_title="PACS")
    assert at.node is place.node
    assert not findings.has_errors


def test_the_tree_is_without_what_was_wrong() -> None:
    place = place_of("{ae_title: PACS, hosts: [10.1.0.1, [], 10.1.0.2], may: [no], delivery: {associations: 0}, x: 1}")
    findings = Findings()
    section, at = check(place, PeerSpec, findings)
    assert section == PeerSpec(ae_title="PACS", hosts=("10.1.0.1", "10.1.0.2"))
    assert plain(at.node) == {"ae_title": "PACS", "hosts": ["10.1.0.1", "10.1.0.2"], "delivery": {}}
    assert at.lost == {"may", "x"}
    assert at.at("delivery").lost == {"associations"}
    assert at.has("may")
    assert len(findings.sorted()) == 4


def test_a_stand_in_stands_in_the_tree() -> None:
    findings = Findings()
    section, at = check(place_of("{to: [pacs]}"), RouteSpec, findings)
    assert section == RouteSpec(name=MISSING, to=("pacs",))
    assert plain(at.at("name").node) == MISSING
    assert at.at("name").mark == at.mark


def test_an_unquoted_value_is_a_text_where_one_is_expected() -> None:
    section, problems = built(PeerSpec, "{ae_title: 1234, may_move_to: [1.50, TRUE]}")
    assert problems == []
    assert section == PeerSpec(ae_title="1234", may_move_to=("1.50", "TRUE"))


def test_no_message_holds_what_came_from_elsewhere() -> None:
    secret = "s3cr3t: yes, very long indeed"
    text = "{ae_title: '${S}', address: '${S}', enabled: '${S}', retrieve: '${S}', timers: '${S}', may: '${S}'}"
    _section, problems = built(PeerSpec, text, {"S": secret})
    assert len(problems) == 6
    assert not any("s3cr3t" in one for one in problems)
    assert all("`${S}`" in one for one in problems)
    assert problems[0] == "1:12: bad-ae-title: what `${S}` stands for is not valid here"


def test_unreadable_values_go_in_silence() -> None:
    mark = Mark("section.yaml", 1, 1)
    good = place_of("{ae_title: PACS, address: 'a:1'}").node
    assert isinstance(good, MappingNode)
    node = MappingNode(mark, {**good.entries, "folder": MappingEntry(mark, BrokenNode(mark))})
    assert is_broken(node)
    kept = unbroken(node)
    assert isinstance(kept, MappingNode)
    assert plain(kept) == plain(good)
    assert kept.lost == {"folder"}
    assert unbroken(BrokenNode(mark)) is None
