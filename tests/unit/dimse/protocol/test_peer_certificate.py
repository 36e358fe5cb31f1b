"""What is read of a certificate, in the form in which the configuration's texts are compared with it."""

from typing import Any

import pytest

from gateway.config.certificate import _normal_name
from gateway.dimse.protocol.peer_certificate import names_of, subject_of

NAMES: dict[str, tuple[tuple[str, Any], str, str]] = {
    "DNS": (("DNS", "CT1.example.org"), "DNS:ct1.example.org", "ct1.Example.org"),
    "IPv4": (("IP Address", "10.1.0.7"), "IP:10.1.0.7", "10.1.0.7"),
    "IPv6": (("IP Address", "FD00:0:0:0:0:0:0:5\n"), "IP:fd00::5", "fd00:0::5"),
    "URI": (("URI", "urn:oid:1.2.3"), "URI:urn:oid:1.2.3", "urn:oid:1.2.3"),
    "URL": (("URI", "https://ct1.example.org/a"), "URI:https://ct1.example.org/a", "https://ct1.example.org/a"),
    "mail": (("email", "ct1@example.org"), "email:ct1@example.org", "ct1@example.org"),
    "wild card": (("DNS", "*.example.org"), "DNS:*.example.org", "*.example.org"),
}


@pytest.mark.parametrize(("shown", "name", "written"), NAMES.values(), ids=NAMES.keys())
def test_subject_alternative_names(shown: tuple[str, Any], name: str, written: str) -> None:
    assert names_of({"subjectAltName": (shown, ("Registered ID", "1.2.3"))}) == (name,)
    assert _normal_name(written) == name


def test_a_certificate_without_names() -> None:
    assert names_of({}) == ()
    assert subject_of(None) == ""


def test_no_value_of_a_subject_passes_for_another_part() -> None:
    subject = ((("organizationName", "Evil,CN=ct1"),), (("commonName", "a\\b"),))
    assert subject_of({"subject": subject}) == "O=Evil\\,CN=ct1,CN=a\\\\b"
