"""Field types: how the text of a setting becomes a value of a type, a row each. `gateway.routing.language.fields` and
the modules of kinds fill the table."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class FieldType:
    """One row: `build` makes the value from what the configuration says, or raises ValueError with the reason."""

    build: Callable[..., object]
    """Takes the text; and the configuration's `Resources`, where it needs them."""
    code: str
    """The code of the problem that a ValueError becomes."""
    schema: Mapping[str, object]
    takes_list: bool = False
    """A list of texts is joined with backslashes, as DICOM joins several values."""
    needs_resources: bool = False


FIELD_TYPES: dict[object, FieldType] = {str: FieldType(str, "wrong-type", {"type": ["string", "number"]})}
"""Annotation → how to make it. Extensions may add rows."""
