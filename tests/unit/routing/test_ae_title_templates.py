"""AE titles that are made for each requestor."""

import pytest

from gateway.model.associate import AssociateKeywords
from gateway.model.association import AssociationFacts
from gateway.model.peer import Peer
from gateway.routing.ae_title_templates import has_templates, template_fault, titled

CALLING, CALLED = "{{ association.calling_ae_title }}", "{{ association.called_ae_title }}"
WHO = AssociationFacts("CT1", "GATEWAY", "10.0.0.1", peer="ct1")


def peer(calling: str = "", called: str = "") -> Peer:
    return Peer(
        "pacs", "PACS", "10.0.0.9", 104, calling_ae_title=calling, associate=AssociateKeywords(called_ae_title=called)
    )


def test_plain_titles_stay() -> None:
    plain = peer("GATE", "OTHER")
    assert titled(plain, WHO) is plain
    assert not has_templates(plain)


@pytest.mark.parametrize(
    ("template", "title"),
    [
        (CALLING, "CT1"),
        (CALLED, "GATEWAY"),
        ("GW_{{ association.calling_ae_title }}", "GW_CT1"),
        ("{{ association.peer | upper }}", "CT1"),
        (" {{ association.calling_ae_title }} ", "CT1"),
    ],
)
def test_templates(template: str, title: str) -> None:
    made = titled(peer(template, template), WHO)
    assert (made.calling_ae_title, made.associate.called_ae_title, made.fault) == (title, title, "")
    assert made.is_calling_for_requestor
    assert has_templates(peer(template))
    assert has_templates(peer("", template))


@pytest.mark.parametrize(
    ("template", "requestor"),
    [
        ("GATEWAY_{{ association.calling_ae_title }}", AssociationFacts("LONGTITLE", "G", "h")),
        (CALLING, AssociationFacts("", "G", "h")),
        (CALLING, AssociationFacts("A\\B", "G", "h")),
        (CALLING, AssociationFacts("JÖRG", "G", "h")),
        ("{{ association.tls_names[3] }}", AssociationFacts("CT1", "G", "h")),
    ],
)
def test_what_is_no_title_is_a_fault(template: str, requestor: AssociationFacts) -> None:
    made = titled(peer(template), requestor)
    assert "AE title" in made.fault
    assert template in made.fault


@pytest.mark.parametrize(
    ("template", "part"),
    [
        ("{{ association.calling_ae_titel }}", "calling_ae_titel"),
        ("{{ PatientID }}", "before there is an object"),
        ("{{ association.calling_ae_title", "template"),
        ("A\\{{ association.calling_ae_title }}", "cannot be part"),
        ("X" * 17 + "{{ association.calling_ae_title }}", "cannot be part"),
    ],
)
def test_what_validate_finds(template: str, part: str) -> None:
    assert part in template_fault(template)


@pytest.mark.parametrize("template", [CALLING, CALLED, "GW {{ association.listener }}"])
def test_nothing_to_find(template: str) -> None:
    assert template_fault(template) == ""
