"""AE titles of our associations that depend on whom they are made for: ``{{ association.calling_ae_title }}``."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime

from gateway.model.association import AssociationFacts
from gateway.model.attribute_path import AttributePath
from gateway.model.peer import Peer
from gateway.ports.errors import Refusal
from gateway.routing.language.template import EXPRESSION, Template

AE_TITLE = re.compile(r"(?=.*[^ ])[ -\[\]-~]{1,16}")
"""PS3.5 §6.2: at most 16 characters of the default repertoire, no backslash, not only spaces."""


class _Association:
    """`gateway.ports.facts.Facts` of a requestor, before there is an object."""

    sop_class_uid = sop_instance_uid = transfer_syntax_uid = ""
    length_bytes = 0
    received_at = datetime.fromtimestamp(0, UTC)

    def __init__(self, association: AssociationFacts) -> None:
        self.association = association

    def values(self, path: AttributePath) -> tuple[str, ...] | None:
        """No object, no values."""
        return None

    def places(self, path: AttributePath) -> tuple[AttributePath, ...]:
        """No object, no places."""
        return ()


def is_template(title: str) -> bool:
    """True for a title that is made for each requestor."""
    return "{{" in title


def template_fault(title: str) -> str:
    """The fault of a title that is a template; empty when there is none."""
    try:
        template = Template(title)
    except ValueError as error:
        return str(error)
    if template.attributes:
        names = ", ".join(name for name, _ in template.attributes)
        return f"an AE title is needed before there is an object; {names} is none of `association`"
    literal = EXPRESSION.sub("", title)
    if literal and not AE_TITLE.fullmatch(literal) and literal.strip(" "):
        return f"`{literal}` beside the expression cannot be part of an AE title: 16 characters of ASCII, no backslash"
    return ""


def titled(peer: Peer, requestor: AssociationFacts) -> Peer:
    """The peer with the AE titles of an association that is made for `requestor`: of the sender of an object, of who
    queries or retrieves. Where a template gives no AE title, `fault` says so, and nobody associates."""
    calling, called = peer.calling_ae_title, peer.associate.called_ae_title
    faults = []
    if is_template(calling):
        calling, fault = _title(calling, requestor, "calling")
        faults += [fault] if fault else []
        peer = replace(peer, calling_ae_title=calling, is_calling_for_requestor=True)
    if is_template(called):
        called, fault = _title(called, requestor, "called")
        faults += [fault] if fault else []
        peer = replace(peer, associate=replace(peer.associate, called_ae_title=called))
    return replace(peer, fault="; ".join(faults)) if faults else peer


def has_templates(peer: Peer) -> bool:
    """True when titles differ from requestor to requestor."""
    return is_template(peer.calling_ae_title) or is_template(peer.associate.called_ae_title)


def _title(text: str, requestor: AssociationFacts, which: str) -> tuple[str, str]:
    """(the title, what is wrong with it)."""
    try:
        title = Template(text).render(_Association(requestor)).strip(" ")
    except (Refusal, ValueError) as error:
        return text, f"no {which} AE title: {error}"
    if AE_TITLE.fullmatch(title) is None:
        return text, f"`{text}` gives {title!r} for this requestor, which is no AE title (PS3.5 §6.2)"
    return title, ""
