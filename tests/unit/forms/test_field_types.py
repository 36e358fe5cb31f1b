"""The table of field types."""

from __future__ import annotations

from gateway.forms.field_types import FIELD_TYPES
from gateway.routing.language import fields


def test_a_text_is_there_before_any_kind() -> None:
    assert FIELD_TYPES[str].build("MR") == "MR"


def test_kinds_fill_the_same_table_that_packages_know() -> None:
    assert fields.FIELD_TYPES is FIELD_TYPES
    assert FIELD_TYPES[fields.StatusField].code == "bad-status"
