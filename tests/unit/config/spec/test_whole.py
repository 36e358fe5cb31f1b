"""The sections of a configuration."""

from __future__ import annotations

from gateway.config.spec.whole import RulesSpec
from gateway.forms.groups import GroupForm, all_parts, required, settings
from gateway.forms.spec import Spec


def test_the_sections_are_in_the_order_of_the_reference() -> None:
    assert list(settings(RulesSpec))[:3] == ["gateway", "unmatched", "unreadable"]
    assert required(RulesSpec) == ("gateway", "unmatched")


def test_each_mapping_of_settings_is_a_section_with_a_docstring() -> None:
    waiting: list[type] = [RulesSpec]
    seen: set[type] = set()
    while waiting:
        cls = waiting.pop()
        if cls in seen:
            continue
        seen.add(cls)
        assert Spec in cls.__mro__
        assert cls.__doc__
        parts = [part for one in settings(cls).values() for part in all_parts(one.form)]
        waiting += [part.cls for part in parts if isinstance(part, GroupForm)]
    assert len(seen) > 35
