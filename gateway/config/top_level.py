"""The sections of a configuration: which there are, and of which shape."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TypeVar

from gateway.common import setting_faults as faults
from gateway.common.setting_faults import listed
from gateway.config.compile_context import Context
from gateway.config.spec.values import NAME_PATTERN
from gateway.config.spec.whole import RulesSpec
from gateway.config.tree import BrokenNode, MappingNode, Place, ScalarNode, SequenceNode
from gateway.forms.building import Form
from gateway.forms.groups import GroupForm, settings, unknown_setting
from gateway.forms.several import MappingForm, SequenceForm
from gateway.model.settings import UnmatchedPolicy

Word = TypeVar("Word", bound=str)
NAME = re.compile(NAME_PATTERN)
UNMATCHED: tuple[UnmatchedPolicy, ...] = ("hold", "reject", "discard")


def check_sections(root: Place, context: Context) -> None:
    """Report sections that are unknown, of the wrong shape, or missing."""
    assert isinstance(root.node, MappingNode)
    for name, entry in root.node.entries.items():
        section = settings(RulesSpec).get(name)
        if section is None:
            fault = unknown_setting(RulesSpec, name)
            context.findings.error(entry.mark, fault.code, fault.message)
            continue
        wanted, words = _shape(section.form)
        if not isinstance(entry.node, wanted):
            found = "nothing" if _is_nothing(entry.node) else Place(entry.node, entry.mark).shown
            message = f"`{name}` is {words}, found {found}"
            context.findings.error(entry.mark, "wrong-type", message)
    for name in ("gateway", "unmatched"):
        if not root.has(name) and context.is_complete:
            message = f"the section `{name}` is missing"
            if name == "unmatched":
                message += f"; say what happens to an object that no route wants: {listed(UNMATCHED)}"
            context.findings.error(root.holder, "missing-section", message)


def _shape(form: Form) -> tuple[tuple[type, ...], str]:
    match form:
        case MappingForm():
            return (MappingNode, BrokenNode), "a mapping of names, as `NAME: {…}` indented below it"
        case GroupForm():
            return (MappingNode, BrokenNode), "a mapping"
        case SequenceForm():
            return (SequenceNode, BrokenNode), "a list, each item as `- name: …`"
        case _:
            return (ScalarNode, BrokenNode), "one word"


def _is_nothing(node: object) -> bool:
    return isinstance(node, ScalarNode) and node.value is None


def word_of(root: Place, section: str, words: tuple[Word, ...], context: Context) -> Word | None:
    """The section, which is one of `words`; None when it is absent or wrong."""
    place = root.child(section)
    if place is None or not isinstance(place.node, ScalarNode):
        return None
    for word in words:
        if place.node.text == word:
            return word
    context.fault(place, faults.not_one_of(words, place.shown, "" if place.node.is_secret else place.node.text))
    return None


def named(root: Place, section: str, context: Context) -> Iterator[tuple[str, Place]]:
    """The items of a section by name, with names checked."""
    place = root.child(section)
    if place is None or not isinstance(place.node, MappingNode):
        return
    for name in place.node.entries:
        at = place.at(name)
        if not NAME.search(name):
            message = f"`{name}` is not a name: letters, digits, `_`, `-` and `.`, at most 64"
            context.findings.error(at.holder, "bad-name", message)
        if not isinstance(at.node, BrokenNode):
            yield name, at
