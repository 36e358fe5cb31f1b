"""TLS, certificates and demands for user identities."""

from __future__ import annotations

import pytest

from gateway.config.spec.security import CertificateSpec, IdentityCheckSpec, ListenerTLSSpec, PeerTLSSpec
from gateway.forms.spec import Spec
from tests.support.sections import built

FINGERPRINT = ":".join(["9F"] * 32)


def test_one_file_or_a_list_of_files() -> None:
    one, problems = built(ListenerTLSSpec, "{certificate: gw.pem, client_ca: ca.pem}")
    several, others = built(ListenerTLSSpec, "{certificate: gw.pem, client_ca: [ca.pem, root.pem]}")
    assert problems == others == []
    assert one is not None
    assert several is not None
    assert (one.client_ca, several.client_ca) == (("ca.pem",), ("ca.pem", "root.pem"))
    assert (one.client_crl, one.minimum_version) == (None, "1.2")


def test_a_version_may_be_written_without_quotes() -> None:
    section, problems = built(PeerTLSSpec, "{minimum_version: 1.3}")
    assert problems == []
    assert section == PeerTLSSpec(minimum_version="1.3")


MEANT: dict[str, tuple[type[Spec], str, str]] = {
    "a name": (CertificateSpec, "ct1.example.org", "{subject_alternative_name: ct1.example.org}"),
    "a fingerprint": (CertificateSpec, f"'{FINGERPRINT}'", f"{{fingerprint: {FINGERPRINT}}}"),
    "a way to verify": (IdentityCheckSpec, "staff", "{verified_by: staff}"),
}


@pytest.mark.parametrize(("kind", "text", "meant"), MEANT.values(), ids=MEANT)
def test_a_text_in_place_of_the_mapping(kind: type[Spec], text: str, meant: str) -> None:
    section, (problem,) = built(kind, text)
    assert section is None
    assert problem.startswith("1:1: wrong-type: expected a mapping, found the text `")
    assert problem.endswith(f"(did you mean `{meant}`?)")


def test_one_wrong_name_of_several_goes_alone() -> None:
    section, problems = built(CertificateSpec, "{subject: {CN: [ct1, ''], O: {}}, fingerprint: zz}")
    assert problems == [
        "1:22: empty: this text is empty; write at least one value, or leave the setting out",
        "1:30: wrong-type: expected a text or a list of texts, found a mapping",
        "1:48: bad-format: expected a SHA-256 fingerprint such as "
        "`9F:86:D0:81:88:4C:7D:65:9A:2F:EA:A0:C5:5A:D0:15:A3:BF:4F:1B:2B:0B:82:2C:D1:5D:6C:15:B0:F0:0A:08`, found `zz`",
    ]
    assert section is not None
    assert dict(section.subject) == {"CN": ("ct1",)}
