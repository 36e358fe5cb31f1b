"""The subject of a C-MOVE or C-GET, for the log: its level and its studies, as far as the identifier names them or a
handler adds them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from gateway.dataset.elements import TagSelection
from gateway.dataset.encoding import DEFLATED
from gateway.dataset.inflation import inflate
from gateway.dataset.scan import parse
from gateway.dimse.protocol.identifiers import LARGEST_IDENTIFIER_BYTES
from gateway.ports.errors import GatewayError

QUERY_RETRIEVE_LEVEL, STUDY_INSTANCE_UID = 0x00080052, 0x0020000D
_NAMING = TagSelection((QUERY_RETRIEVE_LEVEL, STUDY_INSTANCE_UID))
LEVELS = frozenset({"PATIENT", "STUDY", "SERIES", "IMAGE", "FRAME"})
"""Query/Retrieve Levels (PS3.4 §C.6.1.1, §Y.6); what is none of them may be anything."""
MOST_SHOWN = 10


@dataclass(slots=True)
class Subject:
    """The subject of one request."""

    level: str = ""
    """Empty for what is none of `LEVELS`."""
    studies: dict[str, None] = field(default_factory=dict)
    """Study Instance UIDs, first those of the identifier."""

    def add(self, study_instance_uid: str) -> None:
        """An instance of this study was found; empty where it is not known."""
        if study_instance_uid:
            self.studies[study_instance_uid] = None

    def fields(self) -> dict[str, Any]:
        """Fields for a line of the log: some of the UIDs, and how many more there are."""
        fields: dict[str, Any] = {
            "query_retrieve_level": self.level,
            "study_instance_uids": list(islice(self.studies, MOST_SHOWN)),
        }
        if len(self.studies) > MOST_SHOWN:
            fields["more_studies"] = len(self.studies) - MOST_SHOWN
        return fields


def subject_of(identifier: memoryview, transfer_syntax_uid: str) -> Subject:
    """The subject that an identifier names; empty for one that cannot be read, which its handler answers."""
    subject = Subject()
    try:
        is_deflated = transfer_syntax_uid in DEFLATED
        plain = inflate(identifier, LARGEST_IDENTIFIER_BYTES) if is_deflated else identifier
        plain, found, _ = parse(plain, transfer_syntax_uid, _NAMING)
    except GatewayError:
        return subject
    for element in found:
        texts = bytes(plain[element.value : element.stop]).decode("ascii", "replace").split("\\")
        values = [text.strip("\0 ") for text in texts]
        if element.tag == STUDY_INSTANCE_UID:
            subject.studies.update(dict.fromkeys(filter(None, values)))
        elif values[0] in LEVELS:
            subject.level = values[0]
    return subject
