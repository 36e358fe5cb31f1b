"""Predicates on facts."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import yaml

from gateway.model.association import AssociationFacts
from gateway.ports import kinds as port_kinds
from gateway.routing.language.kinds import build_predicate
from gateway.routing.language.resources import FileResources
from tests.unit.routing.build import ASSOCIATION, facts, fail, predicate

OBJECT = {
    "ImageType": "ORIGINAL\\PRIMARY",
    "Modality": "MR",
    "AccessionNumber": "",
    "SeriesDescription": "Head T1",
}


def attribute(select: str, **way: object) -> dict[str, object]:
    return {"attribute": {"select": select, **way}}


VERDICTS: dict[str, tuple[object, bool]] = {
    "always": ({}, True),
    "modality": ({"modality": ["CT", "MR"]}, True),
    "other-modality": ({"modality": "CT"}, False),
    "calling": ({"calling_ae_title": ["MR1"]}, True),
    "calling-case": ({"calling_ae_title": "mr1"}, False),
    "called": ({"called_ae_title": "GATEWAY"}, True),
    "called-other": ({"called_ae_title": "ARCHIVE"}, False),
    "sop-class": ({"sop_class": "MRImageStorage"}, True),
    "sop-class-other": ({"sop_class": ["CTImageStorage"]}, False),
    "transfer-syntax": ({"transfer_syntax": "ExplicitVRLittleEndian"}, True),
    "transfer-syntax-other": ({"transfer_syntax": "JPEGBaseline8Bit"}, False),
    "equals": (attribute("SeriesDescription", equals="Head T1"), True),
    "equals-case": (attribute("SeriesDescription", equals="head t1"), False),
    "equals-one-of-several": (attribute("ImageType", equals="PRIMARY"), True),
    "equals-all": (attribute("ImageType", equals="ORIGINAL\\PRIMARY"), True),
    "equals-absent": (attribute("PatientID", equals=""), False),
    "equals-empty": (attribute("AccessionNumber", equals=""), True),
    "in": (attribute("ImageType", **{"in": ["DERIVED", "ORIGINAL"]}), True),
    "not-in": (attribute("ImageType", **{"in": ["DERIVED"]}), False),
    "matches-inside": (attribute("SeriesDescription", matches="T[12]"), True),
    "matches-anchored": (attribute("SeriesDescription", matches="^T[12]$"), False),
    "matches-absent": (attribute("PatientID", matches=""), False),
    "exists": (attribute("SeriesDescription", exists=True), True),
    "exists-empty": (attribute("AccessionNumber", exists=True), True),
    "exists-absent": (attribute("PatientID", exists=True), False),
    "exists-not": (attribute("PatientID", exists=False), True),
    "absent": (attribute("PatientID", absent=True), True),
    "absent-empty": (attribute("AccessionNumber", absent=True), False),
    "not": ({"not": {"modality": "MR"}}, False),
    "all": ({"all": [{"modality": "MR"}, {"calling_ae_title": "MR1"}]}, True),
    "all-but-one": ({"all": [{"modality": "MR"}, {"calling_ae_title": "MR2"}]}, False),
    "any": ({"any": [{"modality": "CT"}, {"calling_ae_title": "MR1"}]}, True),
    "none-of-any": ({"any": [{"modality": "CT"}, {"calling_ae_title": "MR2"}]}, False),
}


@pytest.mark.parametrize(("config", "expected"), VERDICTS.values(), ids=VERDICTS)
def test_verdicts(config: object, expected: bool) -> None:
    assert predicate(config)(facts(OBJECT)) is expected


HOSTS = {
    "address": ("10.1.2.3", "10.1.2.3", True),
    "network": ("10.1.0.0/16", "10.1.2.3", True),
    "other-network": ("10.2.0.0/16", "10.1.2.3", False),
    "mapped": ("10.1.0.0/16", "::ffff:10.1.2.3", True),
    "six": ("fd00::/8", "fd00::1", True),
    "six-with-zone": ("fe80::/10", "fe80::1%eth0", True),
    "six-in-four": ("0.0.0.0/0", "fd00::1", False),
    "no-address": ("0.0.0.0/0", "unix", False),
}


@pytest.mark.parametrize(("network", "host", "expected"), HOSTS.values(), ids=HOSTS)
def test_hosts(network: str, host: str, expected: bool) -> None:
    association: AssociationFacts = replace(ASSOCIATION, remote_host=host)
    assert predicate({"host": [network]})(facts(OBJECT, association=association)) is expected


def test_attributes_that_conditions_read() -> None:
    config = {"any": [attribute("PatientID", exists=True), {"not": {"all": [{"modality": "MR"}, {"host": "::1"}]}}]}
    assert [path.text for path in predicate(config).attributes()] == ["PatientID", "Modality"]


def test_hostile_text_costs_linear_time() -> None:
    hostile = facts({"SeriesDescription": "a" * 60000 + "b"})
    assert not predicate(attribute("SeriesDescription", matches="^(a+)+$"))(hostile)


@pytest.mark.parametrize(("name", "kind"), port_kinds.predicate.kinds.items(), ids=port_kinds.predicate.kinds)
def test_every_kind_is_documented_with_an_example_that_holds_water(name: str, kind: Any) -> None:
    example = yaml.safe_load(kind.example)
    assert list(example) == [name]
    assert len(kind.__doc__) > 30
    always = predicate({})
    built = build_predicate(example, fail, FileResources(conditions=lambda _name: always))
    assert isinstance(built, kind)
    assert built(facts({"Modality": "MR"})) in (True, False)
