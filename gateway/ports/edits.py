"""Edits: the changes of an object's bytes that an action may request."""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Final, Literal, Protocol

from gateway.model.attribute_path import AttributePath


@dataclasses.dataclass(frozen=True, slots=True)
class Edit:
    """One change of one element: `value` None removes it, else it is set (() makes it empty)."""

    path: AttributePath
    value: tuple[str, ...] | None
    where: Literal["always", "present", "missing"] = "always"
    """Only where the element is there, or only where it is absent or empty; decided for each item of a sequence."""


@dataclasses.dataclass(frozen=True, slots=True)
class RewriteElement:
    """One element as a `Rewrite` is shown it."""

    path: tuple[tuple[int, int], ...]
    """The sequences it lies in, outermost first: (sequence tag, item index from 0)."""
    tag: int
    vr: str
    """The VR as encoded; where the encoding does not say it, the dictionary's; ``UN`` when that has none."""
    private_creator: str
    """The private creator of a private element (PS3.5 §7.8); else empty."""
    values: tuple[str, ...]
    """As `Facts.values` gives them; () for what is empty, a sequence or binary."""
    length_bytes: int
    """The length of the value, or of all items with their headers."""


class ElementDecision(enum.Enum):
    """The decisions of a `Rewrite` besides new values."""

    KEEP = "keep"
    REMOVE = "remove"


KEEP: Final = ElementDecision.KEEP
"""Leave the element as it is; a kept sequence is descended into."""
REMOVE: Final = ElementDecision.REMOVE
"""Take the element out, a sequence with all its items."""


@dataclasses.dataclass(frozen=True, slots=True)
class Repainted:
    """A binary value with some of its bytes changed; as rules see it, it stays as it is."""

    pieces: Callable[[memoryview], Sequence[bytes | memoryview]]
    """The new value field in pieces, made of the old one: of the same length. Raises Refusal."""


Change = ElementDecision | tuple[str, ...] | Repainted
"""`KEEP`, `REMOVE`, or the new values as text: () empties, and leaves a sequence without items."""


class Rewrite(Protocol):
    """An edit of the whole object, decided element by element, at every level. Pure: it may be asked again.

    Elements that are the frame of others are not asked about: group lengths, item delimiters.
    """

    @property
    def tags(self) -> frozenset[int] | None:
        """Only these are asked about, at every level; all others are kept. None: every element."""
        ...

    def __call__(self, element: RewriteElement) -> Change:
        """Raises Refusal when the object must not go on in this form."""
        ...


@dataclasses.dataclass(frozen=True, slots=True)
class Recode:
    """Every text of the object in another Specific Character Set (0008,0005), at every level."""

    to: tuple[str, ...]
    """Defined terms (PS3.3 §C.12.1.1.2)."""
    undeclared: tuple[str, ...] = ()
    """The character sets for text beyond ASCII when the object names none; () refuses such an object."""


@dataclasses.dataclass(frozen=True, slots=True)
class OriginalAttributes:
    """One more item of Original Attributes Sequence (0400,0561): what the changes before it changed (PS3.3
    §C.12.1.1.9). It records nothing when they changed nothing."""

    reason: str
    """COERCE or CORRECT."""
    system: str
    """Modifying System: the maker of the changes."""
    source: str
    """Source of Previous Values."""
    modified_at: datetime
    since: int = 0
    """The number of changes before it that it covers; set by the code that joins the changes of several actions."""


Alteration = Edit | Rewrite | Recode | OriginalAttributes
"""A change that an action requests."""
