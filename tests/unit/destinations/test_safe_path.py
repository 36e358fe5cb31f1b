"""Paths that objects cannot bend."""

import pytest

from gateway.destinations.safe_path import MAX_NAME_BYTES, SafeFacts, relative_path, safe_value
from gateway.model.association import AssociationFacts
from gateway.ports.errors import Refusal
from gateway.routing.language.attribute_path import parse
from tests.unit.destinations.fakes import FixedFacts


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("DOE^JANE", "DOE^JANE"),
        ("../../etc/passwd", "__.._etc_passwd"),
        ("..", "_"),
        (".", "_"),
        (".hidden", "_hidden"),
        ("a/b", "a_b"),
        ("a\\b", "a_b"),
        ("a\x00b\nc", "a_b_c"),
        ("a\x85b\u2028c", "a_b_c"),
        ("exe\u202egpj.dcm", "exe_gpj.dcm"),
        ("$(touch x)", "_(touch x)"),
        ("`id`", "_id_"),
        ("a;b&c|d", "a_b_c_d"),
        ("O'Brien", "O_Brien"),
        ('<a>:"b"*?', "_a_b_"),
        ("\udc80", "_"),
        ("  spaced  ", "spaced"),
        ("山田^太郎", "山田^太郎"),
        ("", ""),
        ("1.2.840.1", "1.2.840.1"),
    ],
)
def test_a_value_is_one_harmless_part_of_a_name(value: str, expected: str) -> None:
    assert safe_value(value) == expected


@pytest.mark.parametrize(
    ("rendered", "expected"),
    [
        ("/data/1.2/3.dcm", "1.2/3.dcm"),
        ("1.2/3.dcm", "1.2/3.dcm"),
        ("/data//1.2/./3.dcm", "1.2/3.dcm"),
        ("/data/../3.dcm", "_/3.dcm"),
        ("/data/.dcm", "_dcm"),
        ("a\\b/c", "a_b/c"),
        ("CON/aux.dcm", "_CON/_aux.dcm"),
        ("com1/LPT¹.x/NUL.tar.gz", "_com1/_LPT¹.x/_NUL.tar.gz"),
        ("CONTRAST/COM10/console", "CONTRAST/COM10/console"),
        ("a./b. ./c...", "a_/b_/c_"),
        ("-rf/~root/x", "_-rf/_~root/x"),
        ("it's $5/x", "it's $5/x"),
    ],
)
def test_rendered_paths_stay_below_the_root(rendered: str, expected: str) -> None:
    assert str(relative_path(rendered, "/data")) == expected


@pytest.mark.parametrize(
    "rendered",
    ["/etc/passwd", "/database/x", "/data", "/data/", "", "/", "a/", "a\0b", "/".join(["x" * 190] * 20)],
)
def test_other_paths_are_refused(rendered: str) -> None:
    with pytest.raises(Refusal):
        relative_path(rendered, "/data")


def test_long_names_are_cut_and_stay_different() -> None:
    first, second = (relative_path("x" * 500 + tail + ".dcm", "/data").name for tail in ("1", "2"))
    assert first != second
    assert all(len(name.encode()) <= MAX_NAME_BYTES and name.endswith(".dcm") for name in (first, second))


def test_long_names_are_cut_between_characters() -> None:
    name = relative_path("山" * 300, "/data").name
    assert len(name.encode()) <= MAX_NAME_BYTES
    assert name.startswith("山山")


def test_every_fact_that_a_peer_chose_is_made_safe() -> None:
    association = AssociationFacts("../CT1", "GATEWAY", "127.0.0.1", remote_port=7)
    safe = SafeFacts(FixedFacts(association, "1.2", "../3", "1.2", {parse("PatientID"): ("a/b", "..")}))
    assert safe.association.calling_ae_title == "__CT1"
    assert safe.association.remote_port == 7
    assert safe.values(parse("PatientID")) == ("a_b", "_")
    assert safe.values(parse("PatientName")) is None
    assert "/" not in safe.sop_instance_uid
