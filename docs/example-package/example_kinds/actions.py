"""An action: one frozen dataclass without a decorator."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

from gateway.model.attribute_path import AttributePath
from gateway.ports.edits import Edit
from gateway.ports.errors import Refusal
from gateway.ports.facts import Facts
from gateway.routing.language.attribute_path import parse

BURNED_IN_ANNOTATION = parse("BurnedInAnnotation")
PROTOCOL_ID = parse("ClinicalTrialProtocolID")
SITE_ID = parse("ClinicalTrialSiteID")


@dataclass(frozen=True, slots=True)
class AssignTrial:
    """Sets Clinical Trial Protocol ID (0012,0020) to `protocol`, and Clinical Trial Site ID (0012,0030) to `site` where
    it is absent or empty.

    An object whose Burned In Annotation (0028,0301) is YES is refused: it may show a name.
    """

    example: ClassVar[str] = "assign_trial: {protocol: LUNG-7, site: '12'}"

    protocol: str
    site: str

    def edits(self, facts: Facts) -> Iterable[Edit]:
        if facts.values(BURNED_IN_ANNOTATION) == ("YES",):
            raise Refusal("assign_trial: Burned In Annotation is YES")
        return [Edit(PROTOCOL_ID, (self.protocol,)), Edit(SITE_ID, (self.site,), where="missing")]

    def attributes(self) -> Iterable[AttributePath]:
        return (BURNED_IN_ANNOTATION, SITE_ID)

    def problems(self) -> Iterable[tuple[tuple[str, ...], str]]:
        for name, value in (("protocol", self.protocol), ("site", self.site)):
            if not 0 < len(value) <= 64:
                yield (name,), f"it has {len(value)} characters; 1 to 64 are allowed (VR LO)"
