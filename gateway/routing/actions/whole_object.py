"""Actions on the whole object: its character set, and the record of what was changed. See `gateway.ports`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

from gateway.dataset import charset
from gateway.dataset.dictionary import SPECIFIC_CHARACTER_SET
from gateway.model.attribute_path import AttributePath
from gateway.model.problem import SettingProblem
from gateway.ports.edits import OriginalAttributes, Recode
from gateway.ports.facts import Facts
from gateway.ports.kinds import action
from gateway.routing.language.fields import CharacterSet
from gateway.routing.language.template import Template

CALLED_AE_TITLE = Template("{{ association.called_ae_title }}")
CALLING_AE_TITLE = Template("{{ association.calling_ae_title }}")
CHARACTER_SET = AttributePath(SPECIFIC_CHARACTER_SET)


@action("charset")
@dataclass(frozen=True, slots=True)
class Charset:
    """Writes all texts of the object, in sequences too, in the Specific Character Set `to`, and says so in (0008,0005).

    An object whose text is not what its own character set says, or cannot be written in the new one, is refused: the
    reason names the attribute. `undeclared` is what text beyond ASCII is read as where the object names no character
    set; without it, such an object is refused. Values of unknown VR keep their bytes.
    """

    example: ClassVar[str] = """
charset: {to: ISO_IR 192, undeclared: ISO_IR 100}
"""

    shorthand: ClassVar[str] = "to"

    to: tuple[CharacterSet, ...]
    undeclared: tuple[CharacterSet, ...] = ()

    def edits(self, facts: Facts) -> Iterable[Recode]:
        return (Recode(self.to, self.undeclared),)

    def attributes(self) -> Iterable[AttributePath]:
        return (CHARACTER_SET,)

    def problems(self) -> Iterable[SettingProblem]:
        for name in ("to", "undeclared"):
            terms = getattr(self, name)
            alone = next((term for term in terms if charset.is_stand_alone(term)), "")
            if alone and len(terms) > 1:
                yield (name,), f"{alone} stands alone: it takes no other character set beside it (PS3.3 Table C.12-5)"


@action("record_original")
@dataclass(frozen=True, slots=True)
class RecordOriginal:
    """Adds an item to Original Attributes Sequence (0400,0561) with the previous values of what the actions before it
    in the same list changed (PS3.3 C.12.1.1.9); pixel data aside. Without a change there is no item.

    `reason` is COERCE or CORRECT. `system`, the Modifying System, is a text or a template; it is the Called AE Title
    unless said otherwise, as `source`, the Source of Previous Values, is the Calling AE Title. Attribute Modification
    DateTime is when the object arrived. After `deidentify` it is a mistake: it would keep what was taken out.
    """

    must_not_follow: ClassVar[Mapping[str, str]] = {"deidentify": "would keep in the object what was taken out of it"}
    example: ClassVar[str] = """
record_original: {reason: CORRECT, system: North Router}
"""

    reason: Literal["COERCE", "CORRECT"] = "COERCE"
    system: Template = CALLED_AE_TITLE
    source: Template = CALLING_AE_TITLE

    def edits(self, facts: Facts) -> Iterable[OriginalAttributes]:
        return (
            OriginalAttributes(self.reason, self.system.render(facts), self.source.render(facts), facts.received_at),
        )

    def attributes(self) -> Iterable[AttributePath]:
        return [path for template in (self.system, self.source) for _name, path in template.attributes]

    def problems(self) -> Iterable[SettingProblem]:
        if not self.system.text.strip():
            yield ("system",), "an empty name: say who makes the changes"
