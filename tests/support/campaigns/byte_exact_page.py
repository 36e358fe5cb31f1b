"""What the byte-exact campaign counts, and the page it writes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.corpus import read_part10, transfer_syntax_name
from tests.support.load.report import table

SINK, RAW, PLAIN, ORTHANC, FOLDER = "sink", "storescp +xa +B", "storescp +xa", "Orthanc", "folder"
RECEIVERS = (SINK, RAW, PLAIN, ORTHANC, FOLDER)


@dataclass(slots=True)
class Tally:
    """The count for one sender."""

    sender: str
    offered: int = 0
    sent: int = 0
    """Left the sender: arrived at the sink directly behind it."""
    arrived: Counter[str] = field(default_factory=Counter)
    equal: Counter[str] = field(default_factory=Counter)
    without: Counter[str] = field(default_factory=Counter)
    """Receiver → objects that it takes from this sender without the gateway."""
    unchanged: int = 0
    """The number of sent objects with the bytes of the file."""
    not_sent: dict[Path, str] = field(default_factory=dict)
    refused: dict[Path, str] = field(default_factory=dict)
    """Sent, and the gateway told the sender that it does not take it; with the sender's words."""
    differing: list[tuple[Path, str, str]] = field(default_factory=list)
    """(file, receiver, what is wrong)."""
    only_through_us: list[tuple[Path, str]] = field(default_factory=list)
    """The receiver did not take it from the sender, and did from the gateway."""

    @property
    def is_exact(self) -> bool:
        return not self.differing and self.sent > 0


REFUSALS = """The gateway refuses what is no storage object as the standard has it, and only pynetdicom sends such bytes
as they are: 0xC000 when the data set ends inside an element, 0xA900 when its SOP Instance UID is not the one of the
request (pynetdicom takes that from the file meta information), no presentation context for a DICOMDIR (Media Storage
Directory is no storage SOP class). dcmtk's storescp and Orthanc abort over some objects of odd length or leave them
unanswered; then the objects after them do not get through on that association, which is why a few arrive only through
the gateway."""


def page(introduction: str, tallies: Sequence[Tally], paths: Sequence[Path]) -> str:
    """Counts, and each file that could not be sent with the sender's own words."""
    head = ["sender", "files", "sent", "as in the file"]
    head += ["refused by the gateway"]
    head += [f"{receiver}: taken without us / arrived / equal" for receiver in RECEIVERS]
    rows = [
        [
            counters.sender,
            str(counters.offered),
            str(counters.sent),
            str(counters.unchanged),
            str(len(counters.refused)),
            *(f"{counters.without[name]} / {counters.arrived[name]} / {counters.equal[name]}" for name in RECEIVERS),
        ]
        for counters in tallies
    ]
    parts = ["# Byte-exact", introduction, table(head, rows)]
    parts.append(REFUSALS)
    parts.append("Transfer syntaxes of the files: " + _transfer_syntaxes(paths) + ".")
    for counters in tallies:
        differing = [[path.name, receiver, wrong] for path, receiver, wrong in counters.differing]
        parts += _section(f"{counters.sender}: not equal", ["file", "receiver", "what"], differing)
        only = [[path.name, receiver] for path, receiver in counters.only_through_us]
        parts += _section(f"{counters.sender}: taken from the gateway, not from the sender", ["file", "receiver"], only)
        parts += _section(f"{counters.sender}: refused by the gateway", _SAID, _rows(counters.refused))
        parts += _section(f"{counters.sender}: could not be sent", _SAID, _rows(counters.not_sent))
    return "\n\n".join(parts) + "\n"


_SAID = ["file", "the sender's words"]


def _rows(said: dict[Path, str]) -> list[list[str]]:
    return sorted([path.name, words] for path, words in said.items())


def _section(title: str, head: Sequence[str], rows: list[list[str]]) -> list[str]:
    return [f"## {title}\n\n" + table(head, rows)] if rows else []


def _transfer_syntaxes(paths: Iterable[Path]) -> str:
    names: Counter[str] = Counter()
    for path in paths:
        try:
            names[transfer_syntax_name(read_part10(path).transfer_syntax_uid)] += 1
        except ValueError:
            names["without usable file meta information"] += 1
    return ", ".join(f"{name} {count}" for name, count in names.most_common())
