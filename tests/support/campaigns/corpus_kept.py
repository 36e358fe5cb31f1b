"""What archives keep, the gateway keeps: `python -m benchmarks.corpus_kept` writes docs/objects.md.

Every file of pydicom's test files (and of pydicom-data, where it is installed) and every odd object of
`tests.support.odd_objects` is sent as its bytes are, over an association of its own, to dcmtk's `storescp +xa`, which
parses what it gets, to Orthanc, and to the gateway, which forwards to a sink that digests the bytes as they come. Then
each is edited as a whole and converted, as rules would have it.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import struct
import sys
import warnings
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydicom import dcmread

from tests.support.campaigns.kept_edits import COLUMNS, PASSED, Subject, outcomes
from tests.support.corpus import corpus, read_part10
from tests.support.load.raw_store import SENDER, is_taken, store
from tests.support.load.report import table
from tests.support.load.scratch import scratch
from tests.support.load.sink import Sink
from tests.support.odd_objects import deflated_objects, odd_objects
from tests.support.peers import GatewayProcess, Orthanc, StoreSCP, stored
from tests.support.processes import REPOSITORY, until

PAGE = REPOSITORY / "docs" / "objects.md"
MEDIA_STORAGE_DIRECTORY = "1.2.840.10008.1.3.10"
FORMS: dict[tuple[bool | None, bool | None], str] = {
    (True, True): "1.2.840.10008.1.2",
    (False, True): "1.2.840.10008.1.2.1",
    (False, False): "1.2.840.10008.1.2.2",
}
"""By implicit VR and little endian."""
QUICK_S, PATIENT_S = 3.0, 120.0
"""Orthanc falls silent over what it cannot parse; the gateway waits for nobody."""


@dataclass(slots=True)
class Row:
    """One object, and what became of it."""

    subject: Subject
    kept_by: dict[str, bool] = field(default_factory=dict)
    """By archive."""
    status: int | str = ""
    """The status of the gateway's response."""
    is_exact: bool = False
    """It arrived behind the gateway with its bytes, and one zero behind an odd length."""
    edits: dict[str, str] = field(default_factory=dict)

    @property
    def is_lost(self) -> bool:
        """An archive keeps it, and the gateway does not pass it on byte for byte."""
        return any(self.kept_by.values()) and not (is_taken(self.status) and self.is_exact)


def subjects(paths: Iterable[Path]) -> tuple[list[Subject], dict[str, str]]:
    """(objects of files, reasons why others are none)."""
    found: list[Subject] = []
    none: dict[str, str] = {}
    for path in paths:
        try:
            part = read_part10(path)
            data, syntax, names = part.data_set, part.transfer_syntax_uid, (part.sop_class_uid, part.sop_instance_uid)
        except (ValueError, struct.error) as error:
            bare = _without_meta(path)
            if bare is None:
                none[path.name] = str(error)
            else:
                found.append(bare)
            continue
        if names[0] == MEDIA_STORAGE_DIRECTORY:
            none[path.name] = "a DICOMDIR, which no storage SOP class has"
            continue
        own = _own_names(path)
        found.append(Subject(path.name, data, syntax, own[0] or names[0], own[1] or names[1]))
    return found, none


def _without_meta(path: Path) -> Subject | None:
    """A data set without file meta information, in the form that pydicom finds it in; None when it names no object."""
    if path.read_bytes()[128:132] == b"DICM":
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = dcmread(path, force=True, stop_before_pixels=True)
        names = str(found.get("SOPClassUID") or ""), str(found.get("SOPInstanceUID") or "")
    if not all(names):
        return None
    return Subject(path.name, path.read_bytes(), FORMS[found.original_encoding[0], found.original_encoding[1]], *names)


def _own_names(path: Path) -> tuple[str, str]:
    """SOP Class and Instance UID of the data set, which senders put into the request."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # some of the files are broken on purpose
        tags: list[Any] = ["SOPClassUID", "SOPInstanceUID"]
        try:
            found = dcmread(path, force=True, stop_before_pixels=True, specific_tags=tags)
            return str(found.get("SOPClassUID") or ""), str(found.get("SOPInstanceUID") or "")
        except Exception:  # pydicom raises what it likes over broken files: the names of the meta information stand
            return "", ""


def odd_subjects() -> list[Subject]:
    """The objects of `tests.support.odd_objects`."""
    return [
        Subject(one.name, one.data, one.transfer_syntax_uid, one.sop_class_uid, one.sop_instance_uid)
        for one in (*odd_objects(), *deflated_objects())
    ]


class Campaign:
    """The archives, the gateway and the sink behind it, started once."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Campaign:
        start = self._stack.enter_async_context
        self.orthanc = await start(Orthanc(self._folder / "orthanc"))
        self.storescp = await start(StoreSCP(self._folder / "storescp", bit_preserving=False))
        self.sink = await start(Sink(self._folder / "sink.log", digest=True))
        retry = {"first": "100 ms", "max": "1 s", "give_up_after": "10 min"}
        delivery = {"associations": 1, "retry": retry}
        peer = {"ae_title": self.sink.ae_title, "address": f"127.0.0.1:{self.sink.port}", "delivery": delivery}
        sender = {"ae_title": SENDER, "may": ["store"], "accept": {"uids": "any"}}
        rules = {
            "peers": {"sink": peer, "sender": sender},
            "routes": [{"name": "all", "to": ["sink"]}],
            "unmatched": "reject",
        }
        self.gateway = await start(GatewayProcess(self._folder / "gateway", rules))
        return self

    async def __aexit__(self, *error: Any) -> None:
        await self._stack.__aexit__(*error)

    async def run(self, chosen: Sequence[Subject]) -> list[Row]:
        """Everything for each."""
        rows = []
        for subject in chosen:
            row = Row(subject)
            row.kept_by["storescp +xa"] = await self._kept_by_storescp(subject)
            row.kept_by["Orthanc"] = await self._kept_by_orthanc(subject)
            row.status = await _store(self.gateway, subject, PATIENT_S)
            row.edits = await asyncio.to_thread(outcomes, subject)
            rows.append(row)
        await self._delivered()
        digests: dict[str, list[str]] = self.sink.ask("objects")["objects"]
        for row in rows:
            sent = row.subject.data + b"\0" * (len(row.subject.data) % 2)
            row.is_exact = hashlib.sha256(sent).hexdigest() in digests.get(row.subject.sop_instance_uid, [])
        return rows

    async def _kept_by_storescp(self, subject: Subject) -> bool:
        status = await _store(self.storescp, subject, PATIENT_S)
        files = stored(self.storescp.folder)
        for path in files:
            path.unlink()
        return is_taken(status) and bool(files)

    async def _kept_by_orthanc(self, subject: Subject) -> bool:
        status = await _store(self.orthanc, subject, QUICK_S)
        instances = await self.orthanc.instances()
        for instance in instances:
            await self.orthanc.request("DELETE", f"/instances/{instance}")
        return is_taken(status) and bool(instances)

    async def _delivered(self) -> None:
        async def is_done() -> bool:
            return not await self.gateway.metric("gateway_queue_deliveries", state="pending")

        await until(is_done, 300.0, "everything delivered")


async def _store(peer: GatewayProcess | StoreSCP | Orthanc, subject: Subject, timeout_s: float) -> int | str:
    names = (subject.sop_class_uid, subject.sop_instance_uid, subject.transfer_syntax_uid)
    return await asyncio.to_thread(store, peer.port, *names, subject.data, called=peer.ae_title, timeout_s=timeout_s)


# --- the page -----------------------------------------------------------------------------------------------------


def page(files: Sequence[Row], odd: Sequence[Row], none: dict[str, str]) -> str:
    """Counts, every odd object, and every file of which something is not passed."""
    reasons: list[str] = []
    remarkable = [row for row in files if not _is_plain(row)]
    text = [INTRODUCTION, "", _counts(files, odd), "", "## Odd objects", "", _rows(odd, reasons)]
    text += ["", "## Files of which something did not pass", "", _rows(remarkable, reasons)]
    text += ["", "## Reasons", "", *(f"{number}. {reason}" for number, reason in enumerate(reasons, 1))]
    text += ["", "## Files that are no objects to send", "", table(["file", "why"], none.items())]
    return "\n".join(text) + "\n"


INTRODUCTION = """# Objects as they are

Written by `python -m benchmarks.corpus_kept`. Each object goes as its bytes are, over an association of its own, to
dcmtk's `storescp +xa`, which parses it, to Orthanc, and to the gateway, which forwards it to a sink. *Byte for byte*
means that the sink got the bytes of the object, with one zero behind them where their length is odd. Then each is
edited as a whole (`deidentify`, `charset`, `hash_uid`) and converted. A test that did not pass has a number, which
stands under *Reasons*. A file that is not listed is kept by both archives and passes everything.

The gateway has its default settings but one: the sender may use SOP Instance UIDs that are none, which both archives
take of `bad_sequence.dcm` (`accept: {uids: any}`; 0x0117 otherwise). It refuses with 0xC000 what ends inside an
element, and with 0xA900 what does not name the object that the request names; so do both archives."""


def _counts(files: Sequence[Row], odd: Sequence[Row]) -> str:
    head = ["objects", "number", "storescp +xa keeps", "Orthanc keeps", "gateway keeps", "byte for byte"]
    head += ["an archive keeps, the gateway does not", *(f"{name} passes" for name in COLUMNS)]
    lines = []
    for name, rows in (("files", files), ("odd objects", odd)):
        passed = Counter(column for row in rows for column in COLUMNS if row.edits[column] == PASSED)
        line = [name, len(rows), *(sum(row.kept_by[one] for row in rows) for one in ("storescp +xa", "Orthanc"))]
        line += [sum(is_taken(row.status) for row in rows), sum(row.is_exact for row in rows)]
        line += [sum(row.is_lost for row in rows), *(passed[column] for column in COLUMNS)]
        lines.append([str(one) for one in line])
    return table(head, lines)


def _is_plain(row: Row) -> bool:
    is_passed = all(outcome == PASSED for outcome in row.edits.values())
    return all(row.kept_by.values()) and is_taken(row.status) and row.is_exact and is_passed


def _rows(rows: Iterable[Row], reasons: list[str]) -> str:
    lines = []
    for row in rows:
        line = [row.subject.name, *("kept" if kept else "refused" for kept in row.kept_by.values())]
        status = row.status if isinstance(row.status, str) else f"0x{row.status:04X}"
        line += ["kept" if is_taken(row.status) else status, "yes" if row.is_exact else "-"]
        line += [_outcome(row.edits[column], reasons) for column in COLUMNS]
        lines.append(line)
    return table(["object", "storescp +xa", "Orthanc", "gateway", "byte for byte", *COLUMNS], lines)


def _outcome(outcome: str, reasons: list[str]) -> str:
    if outcome == PASSED:
        return "yes"
    text = outcome.replace("|", "/").replace("\n", " ")
    if text not in reasons:
        reasons.append(text)
    return f"[{reasons.index(text) + 1}](#reasons)"


async def run(root: Path, files: Sequence[Subject], odd: Sequence[Subject]) -> tuple[list[Row], list[Row]]:
    """The campaign for files and odd objects."""
    async with scratch(root) as folder, Campaign(folder) as campaign:
        rows = await campaign.run([*files, *odd])
    return rows[: len(files)], rows[len(files) :]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, default=REPOSITORY / "var" / "benchmarks")
    parser.add_argument("--every", type=int, default=1, help="only every n-th file; then nothing is written")
    arguments = parser.parse_args()
    found, none = subjects(corpus())
    files, odd = asyncio.run(run(arguments.folder, found[:: arguments.every], odd_subjects()))
    text = page(files, odd, none)
    print(text)
    if arguments.every == 1:
        PAGE.write_text(text)
    sys.exit(any(row.is_lost for row in (*files, *odd)))


if __name__ == "__main__":
    main()
