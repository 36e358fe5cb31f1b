"""The sections of a configuration: which there are, and of which shape."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

from gateway.common.setting_faults import listed
from gateway.config.compile_context import Context
from gateway.config.spec.whole import RulesSpec
from gateway.config.tree import BrokenNode, MappingNode, Place, ScalarNode, SequenceNode
from gateway.config.typed_tree import building_at, check_setting
from gateway.forms.building import Form, KeyPath
from gateway.forms.groups import GroupForm, settings, unknown_setting
from gateway.forms.several import MappingForm, SequenceForm
from gateway.forms.single import ChoiceForm
from gateway.model.settings import UnmatchedPolicy, UnreadablePolicy


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
                message += f"; say what happens to an object that no route wants: {_unmatched_words()}"
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


def _unmatched_words() -> str:
    form = settings(RulesSpec)["unmatched"].form
    return listed(form.words) if isinstance(form, ChoiceForm) else ""


def _is_nothing(node: object) -> bool:
    return isinstance(node, ScalarNode) and node.value is None


def unmatched_policy(root: Place, context: Context) -> UnmatchedPolicy | None:
    """The section `unmatched`; None when it is absent or wrong."""
    return cast(UnmatchedPolicy | None, _word(root, "unmatched", context))


def unreadable_policy(root: Place, context: Context) -> UnreadablePolicy:
    """The section `unreadable`."""
    return cast(UnreadablePolicy | None, _word(root, "unreadable", context)) or "reject"


def _word(root: Place, section: str, context: Context) -> Any:
    place = root.child(section)
    is_shaped = place is not None and isinstance(place.node, ScalarNode)  # reported by `check_sections`
    return check_setting(root, RulesSpec, section, context.findings) if is_shaped else None


def named(root: Place, section: str, context: Context) -> Iterator[tuple[str, Place]]:
    """The items of a section by name, with names checked."""
    place = root.child(section)
    if place is None or not isinstance(place.node, MappingNode):
        return
    form = settings(RulesSpec)[section].form
    assert isinstance(form, MappingForm)
    building = building_at(place, context.findings)
    for name in place.node.entries:
        at = place.at(name)
        form.key.build(name, KeyPath((name,)), building)
        if not isinstance(at.node, BrokenNode):
            yield name, at
